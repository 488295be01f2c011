"""Kept findings: each still breaks its mutant, and leaves the protocol itself unharmed."""

from __future__ import annotations

from pathlib import Path

import pytest

from host.findings import judge_corpus
from sim.scenario_file import read_scenario, write_scenario

CORPUS = Path(__file__).parent / "corpus"


def test_every_kept_finding_breaks_what_it_states_and_nothing_else() -> None:
    judged = list(judge_corpus(CORPUS))

    assert len(judged) >= 5
    assert not [one.words for one in judged if not one.is_as_stated]


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_kept_finding_names_mutant_and_protocol_and_is_written_as_we_write(
    path: Path,
) -> None:
    text = path.read_text(encoding="utf-8")
    file = read_scenario(text)

    assert file.expect
    assert file.sound
    assert write_scenario(file) == text
