"""The plugin under test, for every test of the suite."""

from __future__ import annotations

import pytest

from sim.conformance.plugin import subject_of
from sim.conformance.subject import Subject


@pytest.fixture(scope="session")
def subject(pytestconfig: pytest.Config) -> Subject:
    """What the options say."""
    return subject_of(pytestconfig)
