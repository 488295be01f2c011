"""Puts the report of one run or of several together, from their samples and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.harness.results import (
    ERRORS,
    RESULTS,
    VERDICTS,
    measurements,
    read_lines,
    read_record,
    write_csv,
)
from benchmarks.harness.samples import Measurement
from benchmarks.report import page, plots, words
from benchmarks.report.page import Report, Section, table
from benchmarks.report.plots import Plot
from benchmarks.report.summary import FEW, fault_summary, load_summary, simulated_summary
from benchmarks.report.tables import (
    REGRESSION,
    Change,
    Group,
    Row,
    by_rate,
    compared,
    grouped,
    of_experiment,
)
from benchmarks.report.words import Finding
from ledger.errors import UserError

NETWORK = ("run", "protocol", "validators", "link", "payload_bytes")
LOAD_COLUMNS = (
    "confirmed_per_s", "latency_p50_ms", "latency_p99_ms", "latency_p999_ms", "latency_mean_ms",
    "latency_deviation_ms", "latency_high_ms", "confirmed_share", "failed", "refused", "expired",
    "unconfirmed",
)  # fmt: skip
COST_COLUMNS = (
    "cpu_ms_per_transaction", "link_bytes_per_transaction", "wire_bytes_per_transaction",
    "link_messages_per_transaction", "synced_writes_per_transaction",
    "signatures_made_per_transaction", "signatures_checked_per_transaction",
    "transactions_per_block", "views_per_decision", "timeouts", "peak_mib",
    "sent_again", "client_late_ms",
)  # fmt: skip
FAULT_COLUMNS = (
    "base_per_s", "base_p99_ms", "dip", "lost_s", "longest_gap_s", "first_block_s",
    "quorum_block_s", "sustained_s", "heal_s", "inflation_p50", "inflation_p99", "settled_p99",
    "availability",
)  # fmt: skip
PROOF_COLUMNS = (
    "transactions", "leaves", "receipt_bytes", "make_us", "check_us", "consistency_bytes",
    "audit_per_s", "bytes_per_transaction", "flips_found", "flips_harmless", "flips_silent",
)  # fmt: skip
SIMULATED_COLUMNS = (
    "simulated_p50_ms", "simulated_p95_ms", "messages_per_decision",
    "protocol_messages_per_decision", "bytes_per_decision", "decisions",
)  # fmt: skip
LINEAGE_COLUMNS = (
    "documents", "statements", "ingest_per_s", "stored_bytes_per_statement", "depth", "width",
    "found", "query_p50_ms", "query_p99_ms",
)  # fmt: skip


def write_report(
    folders: Sequence[Path], target: Path, baseline: Path | None = None
) -> tuple[Path, list[Change]]:
    """Write report.html, its plots and its table; (the page, what was compared)."""
    records = [read_record(folder) for folder in folders]
    several = len(folders) > 1
    rows = [
        {**row, "run": folder.name if several else ""}
        for folder in folders
        for row in read_lines(folder / RESULTS)
    ]
    if not rows:
        raise UserError(f"{folders[0]} holds no figures: nothing was measured")
    samples = [one for folder in folders for one in measurements(folder)]
    checked = [row for folder in folders for row in read_lines(folder / VERDICTS)]
    errors = [row for folder in folders for row in read_lines(folder / ERRORS)]
    changes = compared(read_lines(baseline / RESULTS), rows) if baseline is not None else []
    groups = grouped(rows)
    sections = [section_of(name, groups, samples, checked) for name in _experiments(groups)]
    if baseline is not None:
        sections.insert(0, _beside(changes))
    findings = words.verdicts(checked, errors)
    findings += _first([_at_the_top(one, section, sections) for section in sections
                        for one in section.summary or section.findings])  # fmt: skip
    if baseline is not None:
        findings += words.change_findings(changes)
    for what in records[0]["configuration"].get("left_out", ()):
        findings.append(Finding(f"Not done on real processes: {what}."))
    for name, peer in records[0].get("peers", {}).items():
        findings.append(Finding(f"Beside {name} {peer['version']}: {peer['differs']}"))
    report = Report(
        title=" / ".join(dict.fromkeys(record["title"] for record in records)),
        question=records[0]["question"],
        findings=findings,
        sections=sections,
        facts=page.facts_of(records[0]),
        command="\n".join(page.command_of(record) for record in records),
        verdicts=page.verdict_table(checked),
        verdict=_verdict(checked, errors),
        is_finished=all(record["finished"] for record in records),
    )
    target.mkdir(parents=True, exist_ok=True)
    for section in sections:
        for plot in section.plots:
            plots.save(plot, target / "plots")
    if several:
        write_csv(target / "results.csv", rows)
    path = target / "report.html"
    path.write_text(page.render(report), encoding="utf-8")
    return path, changes


MATRIX = (
    "The table of scenarios by protocols says how long after the fault throughput and latency were "
    "what they had been before, and how many seconds of load were lost until then. Never: not for "
    "as long as the suite asks for, though the network may have confirmed all the while."
)
SHOWN = 12
"""Findings at the top of the page; what is left out stands in its section."""


def _at_the_top(found: Finding, section: Section, sections: Sequence[Section]) -> Finding:
    """A finding away from its section, which it names where there are others."""
    if len(sections) == 1 or found.text.startswith(section.title):
        return found
    text = found.text
    if not text[:2].isupper():
        text = text[0].lower() + text[1:]
    return replace(found, text=f"{section.title}: {text}")


def _first(found: Sequence[Finding]) -> list[Finding]:
    """What the top of the page has room for, bad news before all."""
    shown = sorted(found, key=lambda one: not one.is_bad)[:SHOWN]
    left = len(found) - len(shown)
    return [*shown, Finding(f"{left} more below, each in its section.")] if left else shown


def _verdict(checked: Sequence[Mapping[str, Any]], errors: Sequence[object]) -> str:
    if not checked or not all(row["sound"] for row in checked):
        return "not sound"
    return "incomplete" if errors else "sound"


def _experiments(groups: Sequence[Group]) -> list[str]:
    return list(dict.fromkeys(str(group.labels["experiment"]) for group in groups))


def section_of(
    name: str,
    groups: Sequence[Group],
    samples: Sequence[Measurement],
    checked: Sequence[Row],
) -> Section:
    """The part of the report about one experiment."""
    mine = by_rate(of_experiment(groups, name))
    kind = mine[0].labels["kind"]
    if kind == "proofs":
        return _proofs(name, mine)
    if kind == "lineage":
        return _lineage(name, mine)
    if kind == "simulated":
        return _simulated(name, mine)
    # A validator that lies from the first block on has no moment to recover from.
    rough = [group for group in mine if group.middle("base_per_s") is not None]
    calm = [group for group in mine if group not in rough]
    section = Section(name)
    if calm:
        section.findings += words.load_findings(calm)
        is_long = len(section.findings) > FEW
        section.summary += load_summary(calm) if is_long else section.findings
        curves = plots.load_curves(name, calm) or plots.bars(name, calm)
        section.plots += _there(curves)
        labels = (*NETWORK, "scenario", "rate_per_s", "window")
        section.tables.append(table(calm, labels, LOAD_COLUMNS))
        section.tables.append(table(calm, labels, COST_COLUMNS))
    if rough:
        found = words.fault_findings(rough)
        section.findings += found
        section.summary += fault_summary(rough) if len(found) > FEW else found
        if len(rough) > 1:
            section.lead = MATRIX
            section.overview.append(page.matrix(rough, checked))
        by_fault = ("scenario", *NETWORK, "rate_per_s")
        section.tables.append(table(rough, by_fault, FAULT_COLUMNS))
        section.tables.append(table(rough, by_fault, LOAD_COLUMNS))
        for scenario in dict.fromkeys(str(group.labels["scenario"]) for group in rough):
            shown = [one for one in samples if _is_first(one, name, scenario)]
            plot = plots.timelines(f"{name}-{scenario}".replace(" ", "_"), shown)
            section.plots += _there(plot)
    return section


def _is_first(one: Measurement, experiment: str, scenario: str) -> bool:
    """Whether a timeline is drawn of it: of each network the first repetition."""
    labels = one.labels
    return (labels["experiment"], labels["scenario"], labels["repetition"]) == (
        experiment,
        scenario,
        0,
    )


def _beside(changes: Sequence[Change]) -> Section:
    """What moved, for better or worse."""
    moved = [change for change in changes if abs(change.ratio) > REGRESSION]
    rest = len(changes) - len(moved)
    lead = f"{rest} of {len(changes)} figures are within 10 % of the baseline."
    tables = [page.change_table(moved)] if moved else []
    return Section("Beside the baseline", lead=lead, tables=tables)


def _proofs(name: str, groups: list[Group]) -> Section:
    plot = plots.lines(
        f"proofs-{name}",
        groups,
        across="transactions",
        figures=(("make_us", "make a receipt"), ("check_us", "check a receipt offline")),
        xlabel="transactions in the ledger",
        ylabel="median time (µs)",
        caption="Making and checking a receipt against the ledger's length.",
        log_x=True,
    )
    size = plots.lines(
        f"sizes-{name}",
        groups,
        across="transactions",
        figures=(("receipt_bytes", "receipt"), ("consistency_bytes", "consistency proof")),
        xlabel="transactions in the ledger",
        ylabel="size (bytes)",
        caption="Size of the proofs against the ledger's length.",
        log_x=True,
    )
    return Section(
        name,
        findings=words.proof_findings(groups),
        plots=_there(plot) + _there(size),
        tables=[table(groups, ("run",), PROOF_COLUMNS)],
    )


def _simulated(name: str, groups: list[Group]) -> Section:
    lead = "In the simulator: virtual time, real messages, no processor time."
    return Section(
        f"{name} (simulated)",
        lead=lead,
        findings=simulated_summary(groups),
        plots=_there(plots.growth(name, groups)),
        tables=[table(groups, ("run", "protocol", "validators", "link"), SIMULATED_COLUMNS)],
    )


def _lineage(name: str, groups: list[Group]) -> Section:
    deep = [group for group in groups if group.middle("query_p50_ms") is not None]
    plot = plots.lines(
        f"lineage-{name}",
        deep,
        across="depth",
        figures=(("query_p50_ms", "p50"), ("query_p99_ms", "p99")),
        xlabel="derivations between a thing and its origin",
        ylabel="time of the query (ms)",
        caption="A lineage query over HTTP against the depth of the lineage.",
        log_x=True,
    )
    return Section(
        name,
        findings=words.lineage_findings(groups),
        plots=_there(plot),
        tables=[table(groups, ("run",), LINEAGE_COLUMNS)],
    )


def _there(plot: Plot | None) -> list[Plot]:
    return [] if plot is None else [plot]
