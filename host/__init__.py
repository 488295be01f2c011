"""Host 1: one replica on trio, TLS sockets, a database and the real clock."""
