"""The measures run, and measure what they say."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

from click.testing import CliRunner

from benchmarks.__main__ import benchmarks
from benchmarks.stages import STAGES, measure


def test_every_stage_of_a_transaction_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "stages.json"

    done = CliRunner().invoke(
        benchmarks, ["stages", "--transactions", "60", "--batched", "3", "--json", str(file)]
    )

    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert [line[:32].strip() for line in lines[2:]] == [*STAGES, "all", "all but the signature"]
    rows = json.loads(file.read_text(encoding="utf-8"))
    assert set(rows["transaction"]) == set(rows["hundred records"]) == set(STAGES)


def test_a_node_does_what_its_neighbours_do_not() -> None:
    table = measure(40, 1)

    everything = sum(table.stages_us[stage] * share for stage, share in STAGES.items())
    assert abs(table.total_us - everything) < 1e-6
    assert table.unsigned_us < table.total_us
    assert all(table.stages_us[stage] > 0 for stage in STAGES if stage != "database threads")


def test_what_the_tree_costs_is_measured_for_each_kind() -> None:
    words = ["state", "--rounds", "3", "--transactions", "100", "--accounts", "200", "--json"]
    done = CliRunner().invoke(benchmarks, words)

    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert list(found) == ["records", "records beside payments", "payments"]
    assert 0 < found["records"] < found["payments"]


def test_bundles_are_small_however_their_statements_were_recorded() -> None:
    done = CliRunner().invoke(benchmarks, ["bundle", "--statements", "40", "--json"])

    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert list(found) == ["imported", "scattered", "one by one"]
    assert {figures["statements"] for figures in found.values()} == {40}
    assert all(figures["bytes"] / 40 < 1_000 for figures in found.values())


def test_lineage_is_asked_of_a_ledger_and_the_index_has_a_price() -> None:
    words = ["lineage", "--statements", "400", "--rounds", "1", "--json"]
    done = CliRunner().invoke(benchmarks, words)

    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    # Two chains of 50 steps, and 20 more in one piece; 100 edges lead to 200 statements.
    assert found["answers"]["statements"] == 22 * 200
    assert found["answers"]["found"] == 200
    assert list(found["costs"]) == ["no index", "bare keys", "lineage"]


def test_blocks_are_measured_at_growing_heights(tmp_path: Path) -> None:
    file = tmp_path / "growth.json"
    words = ["growth", "--heights", "60", "--window", "20", "--json", str(file)]
    done = CliRunner().invoke(benchmarks, words, catch_exceptions=False)

    assert done.exit_code == 0, done.output
    found = json.loads(file.read_text(encoding="utf-8"))
    assert list(found) == ["replica", "store"]
    assert done.output.count("\n") == 1 + sum(map(len, found.values()))
    for rows in found.values():
        assert rows[0]["start"] == 1
        assert rows[-1]["stop"] >= 60
        assert all(one["stop"] + 1 == two["start"] for one, two in pairwise(rows))
        assert all(row["processor_us"] > 0 for row in rows)
    assert sum(row["disk_bytes"] for row in found["store"]) > 0 == found["replica"][0]["disk_bytes"]
