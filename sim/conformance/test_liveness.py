"""Liveness: once the network is stable, what was submitted is decided at every node that is up."""

from __future__ import annotations

from sim.conformance.checks import Check, liveness_checks
from sim.conformance.subject import Subject
from sim.conformance.verdict import hold


def of_rule(subject: Subject, rule: str) -> list[Check]:
    return [check for check in liveness_checks(subject) if check.rule == rule]


def test_it_goes_on_after_the_network_heals(subject: Subject) -> None:
    """[LIVE-1] Two halves, or one validator apart, for a while; then progress at every node."""
    hold(of_rule(subject, "LIVE-1"), subject)


def test_any_single_validator_may_be_down(subject: Subject) -> None:
    """[LIVE-2] With 4 validators any one may be down for good, unless the fault model is "none"."""
    checks = of_rule(subject, "LIVE-2")

    assert bool(checks) == subject.withstands_crashes
    hold(checks, subject)


def test_timeouts_grow_until_messages_come_in_time(subject: Subject) -> None:
    """[LIVE-3] Links of 30, 300 and 1,000 ms with default parameters: back-off must catch up."""
    hold(of_rule(subject, "LIVE-3"), subject)


def test_it_does_not_shout_while_nobody_hears(subject: Subject) -> None:
    """[LIVE-4] Cut off for a minute it says a bounded amount, no more in the second half of it."""
    hold(of_rule(subject, "LIVE-4"), subject)


def test_who_missed_it_all_takes_over_the_certified_root(subject: Subject) -> None:
    """[LIVE-5] One validator comes back when all is certified: the plugin adopts the root."""
    hold(of_rule(subject, "LIVE-5"), subject)
