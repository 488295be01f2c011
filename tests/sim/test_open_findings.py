"""What the search found and nobody has mended yet is on show, and still there."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.scenario_file import read_scenario
from tests.host.program import call

ROOT = Path(__file__).parents[2]
OPEN = sorted((ROOT / "docs" / "protocols" / "open").glob("*.toml"))


@pytest.mark.parametrize("path", OPEN, ids=lambda path: path.stem)
def test_an_open_finding_is_told_and_still_open(path: Path) -> None:
    expected = read_scenario(path.read_text(encoding="utf-8")).expect
    told = call("sim", "--scenario", path)

    assert told.code == 1
    assert f"violated: {expected} " in told.out
    page = (ROOT / "docs" / "protocols" / "README.md").read_text(encoding="utf-8")
    assert f"open/{path.name}" in page
