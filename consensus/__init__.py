"""Who agrees, and how: the plugin contract, the protocols, the replica, the attackers.  No I/O."""
