"""The folder of a run: what is in it, and how it is written while the run goes on.

DIR/run.json            what was run, where, with what; "finished" once all is done
DIR/suite.toml          the suite as it was
DIR/results.jsonl       one line a measurement: labels and figures
DIR/results.csv         the same as a table
DIR/verdicts.jsonl      one line a trial: what its stores say
DIR/errors.jsonl        what gave no data, and why
DIR/raw/                every sample of every measurement (`benchmarks/harness/samples.py`)
DIR/README.md           how to repeat it
DIR/report.html         the report, with its plots in DIR/plots
"""

from __future__ import annotations

import csv
import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.harness.samples import RAW, Measurement, figures, load, save
from benchmarks.harness.suite import Trial
from benchmarks.harness.verdict import Verdict
from ledger.errors import UserError

RECORD = "run.json"
RESULTS = "results.jsonl"
VERDICTS = "verdicts.jsonl"
ERRORS = "errors.jsonl"
Row = dict[str, Any]


class Results:
    """A run's folder while it is written: whatever happens, what was measured is there."""

    def __init__(self, folder: Path, record: Row) -> None:
        """Raises UserError where the folder is in use."""
        if folder.exists() and any(folder.iterdir()):
            raise UserError(f"{folder} is not empty; choose a new directory")
        (folder / RAW).mkdir(parents=True)
        self.folder = folder
        self.record = record
        self.rows = 0
        self.errors = 0
        self.unsound = 0
        (folder / "suite.toml").write_text(record["suite_text"], encoding="utf-8")
        (folder / "README.md").write_text(readme(record), encoding="utf-8")
        self._write_record()

    def _write_record(self) -> None:
        text = json.dumps(self.record, indent=1) + "\n"
        (self.folder / RECORD).write_text(text, encoding="utf-8")

    def keep(self, measured: Measurement) -> Row:
        """Store the samples, then the figures.  Raises NoData where there are none."""
        save(self.folder / RAW, measured)
        found = {"kind": "load", "name": measured.name, **figures(measured)}
        self.add(found)
        return found

    def add(self, row: Row) -> None:
        """Store the figures of a measurement."""
        self.rows += 1
        self._append(RESULTS, row)

    def judge(self, trial: str, verdict: Verdict) -> None:
        """Store what the stores of a trial say."""
        self.unsound += not verdict.sound
        self._append(VERDICTS, {"trial": trial, **asdict(verdict)})

    def fail(self, trial: str, reason: str) -> None:
        """Store that something gave no data."""
        self.errors += 1
        self._append(ERRORS, {"trial": trial, "reason": reason})

    def _append(self, name: str, row: Row) -> None:
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def know_peer(self, name: str, version: str, differs: str) -> None:
        """Store what a peer is, and what a reader must know before comparing."""
        self.record.setdefault("peers", {})[name] = {"version": version, "differs": differs}
        self._write_record()

    def finish(self, ended: str) -> None:
        """All is done."""
        self.record |= {"finished": True, "ended": ended}
        self._write_record()
        write_csv(self.folder / "results.csv", read_lines(self.folder / RESULTS))


def label_of(trial: Trial) -> str:
    """How a trial is called in a progress line."""
    return f"{trial.experiment.name}: {trial.title}"


def readme(record: Row) -> str:
    """What stands beside the files for whoever finds them."""
    return (
        f"# {record['title']}\n\n{record['question']}\n\n"
        f"Began {record['began']} at commit {record['commit']} with seed {record['seed']}.\n\n"
        "To repeat it, from the root of that commit:\n\n"
        f"    {shlex.join(record['command'])}\n\n"
        "`report.html` is to be read; `results.csv` and `results.jsonl` hold its figures, `raw/`\n"
        "every sample that they are computed from, `run.json` the machine and the configuration.\n"
        "To draw the report again: `python -m benchmarks report DIR`.\n"
    )


def read_record(folder: Path) -> Row:
    """The record of a run.  Raises UserError where there is none."""
    try:
        found: Row = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(
            f"{folder} holds no run; `python -m benchmarks run smoke` makes one"
        ) from None
    return found


def read_lines(path: Path) -> list[Row]:
    """The rows of a file of JSON lines; none where it is not there."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def measurements(folder: Path) -> list[Measurement]:
    """All measurements of a run, in the order in which they were taken."""
    rows = read_lines(folder / RESULTS)
    return [load(folder / RAW, row["name"]) for row in rows if row["kind"] == "load"]


def write_csv(path: Path, rows: list[Row]) -> None:
    """Rows of different kinds as one table: every column that some row has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
