"""The findings of a run in words: what somebody remembers who has one minute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.report.plots import varying
from benchmarks.report.tables import Change, Group, Row

KEPT_UP = 0.99
"""A network keeps up with a rate of which it confirms so much within the window."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence, and whether it is bad news."""

    text: str
    is_bad: bool = False


def verdicts(rows: Sequence[Row], errors: Sequence[Row]) -> list[Finding]:
    """Whether everything was sound, and what gave no data."""
    unsound = [row for row in rows if not row["sound"]]
    found = [Finding(f"{row['trial']} is UNSOUND: {row['text']}.", is_bad=True) for row in unsound]
    real = [row for row in rows if row["audited"]]
    if real and not unsound:
        checked = sum(row["transactions"] for row in real)
        which = f"The ledgers of all {len(real)} networks are" if real[1:] else "The ledger is"
        found.append(
            Finding(
                f"{which} sound: every node's log is the same, and {checked:,} transactions were "
                "re-executed from the genesis."
            )
        )
    if len(rows) > len(real) and not unsound:
        found.append(
            Finding(f"Of {len(rows) - len(real)} simulated networks none broke a property.")
        )
    for row in errors:
        reason = row["reason"].removeprefix(f"{row['trial']}: ")
        found.append(Finding(f"No data: {row['trial']}: {reason}.", is_bad=True))
    return found


def named(group: Group, names: Sequence[str]) -> str:
    """How a sentence calls a network."""
    protocol, where = str(group.labels["protocol"]), conditions(group, names)
    return f"{protocol} with {where}" if where else protocol


def conditions(group: Group, names: Sequence[str]) -> str:
    """What a network differs in from others of its protocol."""
    words = []
    for name in names:
        value = group.labels[name]
        known = {
            "validators": f"{value} validators",
            "link": f"{value} links",
            "payload_bytes": f"{value} B",
            "scenario": "no fault" if value == "none" else str(value),
        }
        words.append(known.get(name, str(value)))
    return ", ".join(words)


def load_findings(groups: Sequence[Group]) -> list[Finding]:
    """What a sweep of rates showed, network by network, and how the networks compare."""
    names = varying(groups)
    networks: dict[str, list[Group]] = {}
    for group in groups:
        networks.setdefault(named(group, names), []).append(group)
    found = []
    for network, curve in networks.items():
        kept = [group for group in curve if keeps_up(group)]
        if not kept:
            found.append(_kept_no_rate(network, curve))
            continue
        best = max(kept, key=lambda group: float(group.labels["rate_per_s"]))
        objective = objective_of(best)
        bound = f" within a p99 of {objective:,.0f} ms" if objective else ""
        found.append(
            Finding(
                f"{network} kept up{bound} with {best.labels['rate_per_s']:,.0f} transactions a "
                f"second: "
                f"p50 {best.middle('latency_p50_ms'):,.0f} ms, "
                f"p99 {best.middle('latency_p99_ms'):,.0f} ms at all nodes."
            )
        )
    return found


def _kept_no_rate(network: str, curve: Sequence[Group]) -> Finding:
    lowest = min(curve, key=lambda group: float(group.labels["rate_per_s"]))
    rate, objective = f"{lowest.labels['rate_per_s']:,.0f}", objective_of(lowest)
    late = lowest.middle("latency_p99_ms")
    if objective and late is not None and late > objective:
        return Finding(
            f"{network} kept no rate within a p99 of {objective:,.0f} ms: with {rate} transactions "
            f"a second, the lowest tried, p99 was {late:,.0f} ms."
        )
    return Finding(
        f"{network} did not keep up even with {rate} transactions a second: it confirmed "
        f"{lowest.middle('confirmed_per_s') or 0:,.0f}."
    )


def objective_of(group: Group) -> float:
    """The p99 that a search for saturation had to keep; 0 where there was no search."""
    return group.middle("objective_p99_ms") or 0.0


def keeps_up(group: Group) -> bool:
    """Whether nearly all that was offered was confirmed in time, and within the objective."""
    confirmed, offered = group.middle("confirmed_per_s"), group.middle("offered_per_s")
    share, late = group.middle("confirmed_share"), group.middle("latency_p99_ms")
    if confirmed is None or offered is None or share is None or late is None:
        return False
    if late > (objective_of(group) or float("inf")):
        return False
    # Arrivals are drawn: what falls into the window's end is confirmed after it.
    return share >= KEPT_UP and confirmed >= 0.9 * offered


def fault_findings(groups: Sequence[Group]) -> list[Finding]:
    """What each scenario cost each network."""
    names = [name for name in varying(groups) if name != "scenario"]
    found = []
    for group in groups:
        who = f"{group.labels['scenario']}: {named(group, names)}"
        gap, recovery = group.middle("longest_gap_s"), group.middle("sustained_s")
        lost = group.middle("lost_s")
        if gap is None or lost is None:
            continue
        text = f"{who} confirmed nothing for {gap:.1f} s at the longest"
        never = [row for row in group.rows if row.get("sustained_s") is None]
        if never:
            text += "; its throughput and p99 did not get back to what they were"
            if group.rows[1:]:
                text += f" in {len(never)} of {len(group.rows)} runs"
            settled = group.middle("settled_p99")
            if settled is not None:
                text += f", and from five seconds on its p99 was {settled:.1f} times that before"
        else:
            text += f", recovered {recovery:.1f} s after the fault and lost {lost:.1f} s of load"
        found.append(Finding(text + ".", is_bad=bool(never)))
    return found


def proof_findings(groups: Sequence[Group]) -> list[Finding]:
    """What proofs cost, and whether tampering was found."""
    if not groups:
        return []
    last = max(groups, key=lambda group: group.middle("transactions") or 0)
    found = [
        Finding(
            f"In a ledger of {last.middle('transactions'):,.0f} transactions a receipt has "
            f"{last.middle('receipt_bytes'):,.0f} bytes, takes {last.middle('make_us'):,.0f} µs to "
            f"make and {last.middle('check_us'):,.0f} µs to check offline."
        )
    ]
    silent = sum(group.middle("flips_silent") or 0 for group in groups)
    flips = sum(group.middle(name) or 0 for group in groups for name in FLIPS)
    found.append(
        Finding(f"Of {flips:,.0f} changed bytes, {silent:,.0f} went unnoticed.", is_bad=silent > 0)
    )
    return found


FLIPS = ("flips_found", "flips_harmless", "flips_silent")


def lineage_findings(groups: Sequence[Group]) -> list[Finding]:
    """What provenance costs."""
    found = []
    for group in groups:
        if group.middle("ingest_per_s") is not None:
            found.append(
                Finding(
                    f"{group.middle('statements'):,.0f} PROV statements went onto the ledger at "
                    f"{group.middle('ingest_per_s'):,.0f} a second, "
                    f"{group.middle('stored_bytes_per_statement'):,.0f} stored bytes each."
                )
            )
    deep = [group for group in groups if group.middle("query_p50_ms") is not None]
    if deep:
        last = max(deep, key=lambda group: group.middle("depth") or 0)
        found.append(
            Finding(
                f"The lineage of a thing {last.middle('depth'):,.0f} derivations deep is answered "
                f"in {last.middle('query_p50_ms'):,.1f} ms at the median."
            )
        )
    return found


def change_findings(changes: Sequence[Change]) -> list[Finding]:
    """What became worse beside the baseline."""
    worse = [change for change in changes if change.is_regression]
    if not worse:
        return [Finding(f"Beside the baseline no figure of {len(changes)} is over 10 % worse.")]
    return [
        Finding(
            f"Regression: {change.text}"
            f"{' (within the noise of the repetitions)' if change.is_within_noise else ''}.",
            is_bad=not change.is_within_noise,
        )
        for change in worse
    ]
