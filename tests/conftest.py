"""Hypothesis profiles, set explicitly: by itself it would choose another one where it sees CI.

`ci` draws the same examples in every run, so that a failure is the change's.  `deep` explores:

    python -m pytest --hypothesis-profile=deep tests/sim/test_strategies.py
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from itertools import groupby

import pytest
from hypothesis import settings

from host import network

settings.register_profile("ci", derandomize=True, deadline=None, database=None, max_examples=50)
settings.register_profile("deep", derandomize=False, deadline=None, max_examples=5_000)
settings.load_profile("ci")

# Hundreds of the tests' processes load this project, and each would compile it again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

WAITING = ("tests/host/", "tests/benchmarks/")
"""Where tests start real clusters, and wait for timers and disks much of their time."""


PORTS_WIDTH = 400
"""Ports of a worker: the largest network of a test has 34 validators, two ports each."""


@pytest.fixture(scope="session", autouse=True)
def ports_of_its_own() -> Iterator[None]:
    """`init` draws ports that are free now, and its nodes listen a moment later: each worker draws,
    and each program that it starts, from ports that no other worker of this machine draws from.

    Whoever listens on the first port of a range has the range.
    """
    for first in range(network.PORTS_FROM, network.PORTS_TO, PORTS_WIDTH):
        with socket.socket() as claim, pytest.MonkeyPatch.context() as patch:
            try:
                claim.bind(("127.0.0.1", first))
                claim.listen()
            except OSError:
                continue
            patch.setenv(network.PORTS_VARIABLE, f"{first + 1}-{first + PORTS_WIDTH - 1}")
            yield
            return
    pytest.exit("every range of ports is some other test run's; end one of them", returncode=2)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """`-n auto` takes half as many workers again as there are cores, since some wait."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return cores + cores // 2 if cores else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files that wait evenly between files that compute: they run beside each other.

    A worker takes a file at a time, so that what its tests share is made once.
    """
    files = [list(tests) for _, tests in groupby(items, key=lambda item: item.path)]
    waiting = [file for file in files if file[0].nodeid.startswith(WAITING)]
    computing = [file for file in files if not file[0].nodeid.startswith(WAITING)]
    places = [
        (number / len(part), file)
        for part in (waiting, computing)
        for number, file in enumerate(part)
    ]
    items[:] = [item for _, file in sorted(places, key=lambda place: place[0]) for item in file]
