"""`python -m benchmarks plugins` measures drawings with every protocol."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from benchmarks.__main__ import benchmarks
from benchmarks.plugins import DRAWINGS, PROTOCOLS

DRAWN = ("ten rounds", "twins, 150 ms")


def test_the_simulator_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "measured.json"

    arguments = ["plugins", "--seconds", "0.01", "--json", str(file)]
    for name in DRAWN:
        arguments += ["--drawing", name]
    result = CliRunner().invoke(benchmarks, arguments, catch_exceptions=False)

    rows = json.loads(file.read_text(encoding="utf-8"))
    assert result.exit_code == 0
    assert set(DRAWN) < set(DRAWINGS)
    assert len(rows) == len(DRAWN) * len(PROTOCOLS) == result.output.count("\n") - 1
    assert all(row["scenarios_per_second"] > 0 for row in rows.values())
    assert all(row["events_per_scenario"] > 10 for row in rows.values())
