"""What the search found and nobody has mended yet is on show, and still there."""

from __future__ import annotations

import re
from pathlib import Path

from sim.scenario_file import read_scenario
from tests.host.program import call

FOLDER = Path(__file__).parents[2] / "docs" / "protocols"


def test_open_findings_are_told_and_still_open() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    found = sorted((FOLDER / "open").glob("*.toml"))

    assert sorted(re.findall(r"`open/(\S+\.toml)`", page)) == [path.name for path in found]
    assert ("None at present." in page) == (not found)
    for path in found:
        expected = read_scenario(path.read_text(encoding="utf-8")).expect
        told = call("sim", "--scenario", path)
        assert told.code == 1
        assert f"violated: {expected} " in told.out
