"""Other systems under the same load: an adapter each (`benchmarks/peers/adapter.py`)."""
