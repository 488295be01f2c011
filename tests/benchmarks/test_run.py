"""One short real run through the command: a fault, a verdict, a report, and nothing left behind."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import psutil
import pytest

from benchmarks.harness.janitor import VARIABLE
from tests.benchmarks.program import call

NAME = f"short{os.getpid()}"
"""Of the experiment, and so a part of its processes' words."""
SUITE = f"""
title = "Short"
question = "Does it work?"

[[scenarios]]
name = "cut"
events = [{{ kind = "partition", at_s = 1.5, until_s = 2.0, nodes = "other" }}]

[[experiments]]
name = "{NAME}"
links = ["proxied"]
scenarios = ["cut"]
rates_per_s = [30.0]
warmup_s = 0.5
measure_s = 2.5
recovery_s = 0.5
clients = 1
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run."""
    place = tmp_path_factory.mktemp("run")
    (place / "short.toml").write_text(SUITE, encoding="utf-8")

    done = call("run", place / "short.toml", "--out", place / "out", "--no-ceilings", "--json")

    done.check()
    kinds = [json.loads(line)["kind"] for line in done.out.splitlines()]
    assert kinds == ["load", "verdict"]
    return place / "out"


def test_a_run_keeps_its_figures_its_samples_and_how_to_repeat_it(run: Path) -> None:
    [row] = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    [table] = list(csv.DictReader((run / "results.csv").read_text().splitlines()))
    record = json.loads((run / "run.json").read_text())

    assert row["confirmed_share"] == 1
    assert row["latency_p50_ms"] > 0
    assert row["wire_bytes_per_transaction"] > row["link_bytes_per_transaction"] > 300
    # Each of the four checks every transaction, and votes and checkpoints beside.
    assert row["signatures_checked_per_transaction"] > 4
    assert row["signatures_checked_per_transaction"] > row["signatures_made_per_transaction"] > 0
    assert table["protocol"] == "tendermint"
    assert record["finished"]
    assert record["suite_text"] == SUITE
    assert {"commit", "machine", "versions", "seed", "configuration"} <= set(record)
    assert "python -m benchmarks run" in (run / "README.md").read_text()
    assert sorted(path.suffixes[-1] for path in (run / "raw").iterdir()) == [".gz", ".gz", ".json"]


def test_the_fault_happened_and_the_ledger_is_sound_after_it(run: Path) -> None:
    [verdict] = [json.loads(line) for line in (run / "verdicts.jsonl").read_text().splitlines()]
    [head] = [json.loads(path.read_text()) for path in (run / "raw").glob("*.json")]

    assert verdict["sound"], verdict
    assert verdict["transactions"] > 50
    [(cut, what), (healed, end)] = head["events"]
    assert what.startswith("partition: node")
    assert end.endswith("ends")
    assert 1.5 <= cut < 2.0 <= healed


def test_the_page_is_whole_and_fetches_nothing(run: Path) -> None:
    page = (run / "report.html").read_text()

    assert 'id="verdict" class="verdict good">sound<' in page
    assert page.count("<svg") == len(list((run / "plots").glob("*.svg"))) == 1
    assert len(list((run / "plots").glob("*.png"))) == 1
    for attribute in ("src=", 'href="http', "@import", "url(http"):
        assert attribute not in page


def test_nothing_of_the_run_is_left(run: Path) -> None:
    assert run.is_dir()
    left = []
    for process in psutil.process_iter():
        try:
            if VARIABLE in process.environ():
                left.append(process.cmdline())
        except (psutil.Error, OSError):
            continue
    # Of this run: another worker of the tests may have its own at this moment.
    assert not [words for words in left if NAME in " ".join(words)]


def test_a_report_is_drawn_again_and_compared_with_itself(run: Path) -> None:
    page = (run / "report.html").read_text()

    call("report", run, "--baseline", run).check()

    assert "Beside the baseline no figure" in (run / "report.html").read_text()
    assert page != (run / "report.html").read_text()


def test_a_run_does_not_overwrite_another(run: Path) -> None:
    refused = call("run", "smoke", "--out", run, "--no-ceilings")

    assert refused.code == 2
    assert "not empty" in refused.error_line()
