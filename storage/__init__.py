"""Where bytes live: one small contract, three engines (LevelDB, SQLite, a memory twin that crashes)."""
