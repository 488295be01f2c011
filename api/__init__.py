"""How people and programs talk to a node: the HTTP app and its client."""
