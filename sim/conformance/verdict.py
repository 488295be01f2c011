"""A failed check in plain words: what broke, in which run, and the scenario that shows it again."""

from __future__ import annotations

import pytest

from sim.conformance.checks import Check, broken
from sim.conformance.subject import Subject


def hold(checks: list[Check], subject: Subject) -> None:
    """Fail the test with the first thing that the checks find."""
    found = broken(checks, subject.protocol)
    if found:
        pytest.fail(found, pytrace=False)
