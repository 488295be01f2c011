"""Recovery: a restart forgets no promise, and what may have been lost is said again."""

from __future__ import annotations

from sim.conformance.checks import Check
from sim.conformance.recovery_checks import again_checks, crash_checks, promise_checks
from sim.conformance.subject import Subject
from sim.conformance.verdict import hold


def of_rule(subject: Subject, rule: str) -> list[Check]:
    return [check for check in crash_checks(subject) if check.rule == rule]


def test_a_crash_at_any_write_is_harmless(subject: Subject) -> None:
    """[RECOVER-1] Before, after and amid every write of a busy run; nothing different is said."""
    hold(of_rule(subject, "RECOVER-1"), subject)


def test_all_may_crash_at_once(subject: Subject) -> None:
    """[RECOVER-2] Everyone stops, what was on its way is lost: what was said is said again."""
    hold(of_rule(subject, "RECOVER-2"), subject)


def test_what_a_decision_rests_on_survives_a_restart(subject: Subject) -> None:
    """[RECOVER-3] One validator decides and is cut off; all others crash and come back at once.

    Where they forgot a lock, or what they voted for, they now decide something else.
    """
    checks = promise_checks(subject)

    assert bool(checks) == subject.withstands_crashes
    hold(checks, subject)


def test_every_retry_sends_the_vote_and_what_led_here(subject: Subject) -> None:
    """[PACE-1] The first copies of everything are lost, for all or for some; then nothing is.

    Every timer retry sends again the own vote and the certificate that let this node enter its
    slot.  A plugin that relies on one copy leaves some nodes in one view and some in the next.
    """
    hold(again_checks(subject), subject)
