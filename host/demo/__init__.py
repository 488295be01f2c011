"""The demonstration, told in facts that are measured while it runs."""
