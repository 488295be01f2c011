"""Host 2: many replicas in virtual time, faults from one seed, oracles that judge every run."""
