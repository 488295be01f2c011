"""Sensitivity: the suite itself notices when a rule of this plugin is broken.

A suite that passes a broken twin says nothing about the original.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sim.conformance.catalogue import all_checks
from sim.conformance.mutants import MUTANTS, Differences, Mutant
from sim.conformance.subject import Subject

Record = Callable[[str, object], None]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_broken_twin_is_noticed(
    subject: Subject, mutant: Mutant, record_property: Record
) -> None:
    """[SENSE-1] Some group of the suite finds a twin of the plugin that breaks one rule.

    A twin that in all of these runs never differed from the plugin is reported as no difference.
    One that differed and was not found is a gap: of the suite, to be closed with a larger
    `--depth`, or of the twin, where something else makes up for the rule (`--equivalent NAME`).
    What only a liar's doing would show is excused where no liar is withstood.
    """
    differences = Differences()
    twin = mutant.make(subject.protocol, differences)
    played = 0
    for check in all_checks(subject):
        played += 1
        found = check.play(twin)
        if found:
            what = found[0].partition(":")[0].partition(" at ")[0][:40]
            noticed = f"noticed by {check.group} ({what}) in run {played}"
            record_property("sensitivity", f"{mutant.name:<16}{noticed}")
            assert mutant.name not in subject.equivalent, f"{mutant.name} is a bug: {found[0]}"
            return
    if not differences.count:
        record_property("sensitivity", f"{mutant.name:<16}no difference in {played} runs")
        return
    record_property("sensitivity", f"{mutant.name:<16}not noticed in {played} runs")
    is_excused = (mutant.needs_liars and not subject.withstands_liars) or (
        mutant.needs_patience and subject.protocol.lock_step
    )
    assert is_excused or mutant.name in subject.equivalent, (
        f"a twin that {mutant.sentence} differed {differences.count} times in {played} runs, and "
        f"nobody noticed; try --depth {10 * subject.depth}"
    )
