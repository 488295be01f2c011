"""Idle silence: a ledger with nothing to order sets no timers and sends nothing."""

from __future__ import annotations

from sim.conformance.checks import idle_checks
from sim.conformance.subject import Subject
from sim.conformance.verdict import hold


def test_an_idle_ledger_is_quiet(subject: Subject) -> None:
    """[IDLE-1..4] Never woken; all ordered; restarted when idle; woken by a false alarm."""
    hold(idle_checks(subject), subject)
