"""Every check of the suite, in the order in which broken twins are put through them."""

from __future__ import annotations

from collections.abc import Iterator

from sim.conformance.checks import (
    Check,
    drawn_checks,
    duel_checks,
    idle_checks,
    liveness_checks,
    size_checks,
)
from sim.conformance.recovery_checks import again_checks, crash_checks, promise_checks
from sim.conformance.subject import Subject


def all_checks(subject: Subject) -> Iterator[Check]:
    """One of each kind in turn, so that what any kind finds is found soon."""
    kinds = [
        drawn_checks(subject),
        duel_checks(subject),
        crash_checks(subject),
        promise_checks(subject),
        idle_checks(subject),
        liveness_checks(subject),
        again_checks(subject),
        size_checks(subject),
    ]
    for place in range(max(map(len, kinds))):
        yield from (kind[place] for kind in kinds if place < len(kind))
