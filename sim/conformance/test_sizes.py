"""Other sizes: quorums, leaders and certificates of networks that do not have four validators."""

from __future__ import annotations

from sim.conformance.checks import size_checks
from sim.conformance.subject import Subject
from sim.conformance.verdict import hold


def test_it_keeps_its_promises_at_other_sizes(subject: Subject) -> None:
    """[SIZE-1] 1, 2, 3, 5, 7 and 10 validators under drawn faults, liars included."""
    hold(size_checks(subject), subject)
