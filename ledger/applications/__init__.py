"""Applications: what an operation means when a block is executed, one a file."""
