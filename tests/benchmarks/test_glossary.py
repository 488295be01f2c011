"""What the figures are called, and that every one of them is explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.harness import suite
from benchmarks.harness.reading import read_suite
from benchmarks.harness.suite import KINDS, LINKS
from benchmarks.report import write
from benchmarks.report.glossary import ALL, text_of
from tests.host.program import ROOT

METRICS = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
MEASURING = (ROOT / "docs" / "measuring.md").read_text(encoding="utf-8")
COLUMNS = [
    name
    for table in ("LOAD", "COST", "FAULT", "PROOF", "LINEAGE")
    for name in getattr(write, f"{table}_COLUMNS")
]


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_figure_is_defined_at_length(name: str) -> None:
    defined = {
        title.strip()
        for line in re.findall(r"^\| ([^|]+) \|", METRICS, re.MULTILINE)
        for title in line.split(",")
    }

    assert ALL[name].title in defined


def test_every_column_of_a_report_is_in_the_glossary() -> None:
    assert set(COLUMNS) <= set(ALL)


def test_every_fault_and_link_of_a_suite_is_in_the_guide() -> None:
    told = set(re.findall(r"`([a-z0-9-]+)`", MEASURING))

    assert set(KINDS) <= told
    assert set(LINKS) <= told


def test_the_suite_of_the_guide_can_be_run(tmp_path: Path) -> None:
    [text] = re.findall(r"```toml\n(.*?)```", MEASURING, re.DOTALL)
    file = tmp_path / "guide.toml"
    file.write_text(text, encoding="utf-8")

    assert len(list(suite.trials(read_suite(str(file))))) == 2 * 2 * 2 * 3


def test_values_are_written_with_their_digits_and_never_as_zero() -> None:
    assert text_of(ALL["confirmed_share"], 0.995) == "99.5"
    assert text_of(ALL["latency_p50_ms"], 1234.5) == "1,234"
    assert text_of(ALL["sustained_s"], None) == "never"
    assert text_of(ALL["link_bytes_per_transaction"], None) == "–"
