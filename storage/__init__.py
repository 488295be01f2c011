"""Where bytes live: one contract, three engines (LevelDB, SQLite, a memory twin that crashes)."""
