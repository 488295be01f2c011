"""Safety: no schedule, crash or liar makes two honest validators disagree.

Every run is judged by the oracles of bare plugins: agreement, once-only, external validity, honest
votes, rightful accusations, right proofs, and at its end progress and silence.
"""

from __future__ import annotations

from sim.conformance.checks import drawn_checks, duel_checks
from sim.conformance.subject import Subject
from sim.conformance.verdict import hold


def test_drawn_faults_break_no_promise(subject: Subject) -> None:
    """[SAFE-1] Crashes, partitions, loss, duplicates, replays, slow links, pauses, drawn together.

    With liars where the plugin claims to withstand them: twins, mutated messages, invalid payloads.
    """
    hold(drawn_checks(subject), subject)


def test_duels_of_twins_break_no_promise(subject: Subject) -> None:
    """[SAFE-2] Twins against split phases, while many slots pass and no decision gets round.

    Only for plugins whose fault model is "byzantine"; others have nothing to play here.
    """
    checks = duel_checks(subject)

    assert bool(checks) == subject.withstands_liars
    hold(checks, subject)
