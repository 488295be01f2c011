"""How nodes talk: frames and gossip (pure), TLS links and peers (trio).

Knows nothing of blocks.
"""
