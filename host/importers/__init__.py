"""Real sources of provenance, one a file."""
