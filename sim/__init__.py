"""Host 2: many replicas in virtual time, every fault drawn from one seed, oracles that judge the run."""
