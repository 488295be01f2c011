"""Hypothesis profiles, set explicitly: by itself it would choose another one where it sees CI.

`ci` draws the same examples in every run, so that a failure is the change's.  `deep` explores:

    python -m pytest --hypothesis-profile=deep tests/sim/test_strategies.py
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, database=None, max_examples=50)
settings.register_profile("deep", derandomize=False, deadline=None, max_examples=5_000)
settings.load_profile("ci")
