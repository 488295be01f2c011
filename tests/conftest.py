"""Hypothesis profiles, set explicitly: by itself it would choose another one where it sees CI.

`ci` draws the same examples in every run, so that a failure is the change's.  `deep` explores:

    python -m pytest --hypothesis-profile=deep tests/sim/test_strategies.py
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, database=None, max_examples=50)
settings.register_profile("deep", derandomize=False, deadline=None, max_examples=5_000)
settings.load_profile("ci")

# Hundreds of the tests' processes load this project, and each would compile it again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """`-n auto` takes half as many workers again as there are cores.

    A test of a real cluster waits for timers and disks much of its time.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return cores + cores // 2 if cores else None
