"""The report as one self-contained page: everything in it, nothing fetched."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchmarks.report.glossary import ALL, Figure, text_of
from benchmarks.report.plots import Plot
from benchmarks.report.tables import Change, Group, Row
from benchmarks.report.words import Finding

FOLDER = Path(__file__).parent
TEMPLATE = "page.html"
SPACE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: what is shown, and what it is sorted by."""

    text: str
    order: float | str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that can be sorted by each column."""

    heads: Sequence[tuple[str, str]]
    """(title with unit, name of the figure that it links to, or empty)."""
    rows: Sequence[Sequence[Cell]]
    caption: str = ""


@dataclass(slots=True)
class Section:
    """One experiment of the report."""

    title: str
    lead: str = ""
    findings: list[Finding] = field(default_factory=list)
    summary: list[Finding] = field(default_factory=list)
    """What the top of the page says of it; its findings where there is none."""
    overview: list[Table] = field(default_factory=list)
    """Tables that come before the plots."""
    plots: list[Plot] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """Everything that the page shows."""

    title: str
    question: str
    findings: list[Finding]
    sections: list[Section]
    facts: list[tuple[str, str]]
    """(name, value) of the run: commit, machine, versions."""
    command: str
    verdicts: Table
    verdict: str
    """sound; not sound; or incomplete: sound as far as there is data."""
    is_finished: bool


LABEL_TITLES = {
    "run": "run", "protocol": "protocol", "validators": "n", "link": "links",
    "payload_bytes": "payload (B)", "scenario": "scenario", "rate_per_s": "offered (/s)",
    "window": "window",
}  # fmt: skip


def table(groups: Sequence[Group], labels: Sequence[str], names: Sequence[str]) -> Table:
    """A table of medians; columns without any value are left out."""
    shown = [ALL[name] for name in names if any(_has(group, name) for group in groups)]
    told = [
        name
        for name in labels
        if name == "protocol"
        or len({group.labels.get(name) for group in groups}) > 1
        or (name == "scenario" and groups[0].labels["scenario"] != "none")
    ]
    heads = [(LABEL_TITLES[name], "") for name in told]
    heads += [(_head(figure), figure.name) for figure in shown]
    if any(len(group.rows) > 1 for group in groups):
        heads.append(("runs", ""))
    rows = []
    for group in groups:
        row = [_label_cell(group.labels[name]) for name in told]
        row += [_cell(group, figure) for figure in shown]
        if len(heads) > len(row):
            row.append(Cell(str(len(group.rows)), len(group.rows)))
        rows.append(row)
    return Table(heads, rows)


def matrix(groups: Sequence[Group], verdicts: Sequence[Row]) -> Table:
    """Scenarios by protocols: recovery, what was lost, and whether the ledger was sound."""
    networks = list(dict.fromkeys(str(group.labels["protocol"]) for group in groups))
    scenarios = list(dict.fromkeys(str(group.labels["scenario"]) for group in groups))
    rows = []
    for scenario in scenarios:
        row = [Cell(scenario, scenario)]
        for network in networks:
            found = [
                group
                for group in groups
                if (group.labels["scenario"], group.labels["protocol"]) == (scenario, network)
            ]
            row.append(_outcome(found, verdicts))
        rows.append(row)
    return Table([("scenario", ""), *((name, "") for name in networks)], rows)


def _outcome(groups: Sequence[Group], verdicts: Sequence[Row]) -> Cell:
    """Of one protocol under one scenario, the worst where there are several networks."""
    if not groups:
        return Cell("–", float("inf"), "no data")
    names = tuple(str(row["name"]) for group in groups for row in group.rows)
    bad = [row for row in verdicts if not row["sound"] and f"{row['trial']}-" in " ".join(names)]
    times = [group.middle("sustained_s") for group in groups]
    lost = max(group.middle("lost_s") or 0.0 for group in groups)
    worst = max((time for time in times if time is not None), default=0.0)
    # A line may end after the comma, but not between a number and its unit.
    text = "never" if None in times else f"{worst:.1f}{SPACE}s"
    text = f"{text}, lost{SPACE}{lost:.1f}{SPACE}s{', UNSOUND' if bad else ''}"
    return Cell(text, float("inf") if None in times else worst, "recovery, lost load")


def _has(group: Group, name: str) -> bool:
    return any(name in row for row in group.rows)


def _head(figure: Figure) -> str:
    return f"{figure.title} ({figure.unit})" if figure.unit else figure.title


def _label_cell(value: Any) -> Cell:
    if isinstance(value, float):
        return Cell(f"{value:,.0f}", value)
    return Cell(str(value), value if isinstance(value, int) else str(value))


def _cell(group: Group, figure: Figure) -> Cell:
    found = group.interval(figure.name)
    if found is None:
        known = [row[figure.name] for row in group.rows if row.get(figure.name) is not None]
        text = text_of(figure, None)
        hint = f"{len(known)} of {len(group.rows)} runs have a value" if known else ""
        return Cell(text, float("inf"), hint)
    low, high = text_of(figure, found.low), text_of(figure, found.high)
    hint = f"median of {found.count}; 95 % interval {low} to {high}" if found.count > 1 else ""
    return Cell(text_of(figure, found.middle), found.middle, hint)


def verdict_table(rows: Sequence[Row]) -> Table:
    """What the stores of every network say."""
    return Table(
        [("network", ""), ("verdict", ""), ("height", ""), ("transactions", ""), ("found", "")],
        [
            [
                Cell(row["trial"], row["trial"]),
                Cell("sound" if row["sound"] else "UNSOUND", int(row["sound"])),
                Cell(f"{row['height']:,}", row["height"]),
                Cell(f"{row['transactions']:,}", row["transactions"]),
                Cell(row["text"], row["text"]),
            ]
            for row in rows
        ],
    )


def change_table(changes: Sequence[Change]) -> Table:
    """Every compared figure, the worst first."""
    rows = []
    for change in changes:
        figure, labels = change.figure, change.group.labels
        marks = ["regression"] if change.is_regression else []
        marks += ["within noise"] if change.is_within_noise else []
        what = f"{labels['experiment']}, {labels['protocol']}, {labels['scenario']}"
        rows.append(
            [
                Cell(what, what),
                Cell(_label_cell(labels["rate_per_s"]).text, labels["rate_per_s"] or 0),
                Cell(_head(figure), figure.title),
                Cell(text_of(figure, change.before), change.before),
                Cell(text_of(figure, change.after), change.after),
                Cell(f"{change.ratio:+.1%}", change.ratio),
                Cell(", ".join(marks), ", ".join(marks)),
            ]
        )
    heads = ("what", "offered (/s)", "figure", "baseline", "now", "change", "mark")
    return Table([(head, "") for head in heads], rows)


def facts_of(record: Row) -> list[tuple[str, str]]:
    """The run's record as it stands at the end of the page."""
    machine, ceilings = record["machine"], record["ceilings"]
    found = [
        ("commit", record["commit"]),
        ("began", record["began"]),
        ("seed", str(record["seed"])),
        ("processor", f"{machine['processor']}, {machine['cores']} cores"),
        ("memory", f"{machine['memory_mib']:,} MiB"),
        ("system", machine["system"]),
        ("load before", " ".join(map(str, machine["load_average"]))),
        ("versions", ", ".join(f"{k} {v}" for k, v in record["versions"].items())),
    ]
    if ceilings is not None:
        synced = ceilings["synced_writes_per_s"]
        found.append(("disk", f"{synced:,.0f} synced writes/s, {1e6 / synced:,.0f} µs each"))
        for library, rate in ceilings["checks_per_s"].items():
            found.append((f"signatures, {library}", f"{rate:,.0f} checks/s on all cores"))
    for name, peer in record.get("peers", {}).items():
        found.append((name, f"{peer['version']}: {peer['differs']}"))
    return found


def render(report: Report) -> str:
    """The page."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["markup"] = Markup
    used = {name for section in report.sections for t in section.tables for _, name in t.heads}
    glossary = [figure for name, figure in ALL.items() if name in used]
    return environment.get_template(TEMPLATE).render(report=report, glossary=glossary)


def command_of(record: Row) -> str:
    return shlex.join(record["command"])
