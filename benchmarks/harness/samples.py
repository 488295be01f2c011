"""One measurement: its raw samples, their files, and the figures that follow from them.

Everything that a report says is computed from these files, so that a report can be drawn again and
anybody can compute something else from the same samples.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from bisect import bisect_left
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import metrics
from benchmarks.harness.drive import Row
from benchmarks.metrics import NoData

Figures = dict[str, float | int | str | None]
RAW = "raw"
SETTLED_S = 5.0
"""How long after a fault its lasting cost is looked at."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was seen while one rate was offered to one network; times count from its begin."""

    name: str
    """Of its files."""
    labels: dict[str, Any]
    """experiment, protocol, validators, link, payload_bytes, scenario, repetition, seed, ..."""
    rate_per_s: float
    """Offered."""
    warmup_s: float
    duration_s: float
    """Of the load, the warm-up included."""
    recovery_s: float
    quorum: int
    fault_s: float | None
    heal_s: float | None
    rows: tuple[Row, ...]
    blocks: dict[int, tuple[float | None, ...]]
    """height -> when each node showed it."""
    events: tuple[tuple[float, str], ...]
    """What was done to the network, and what of it could not be."""
    costs: dict[str, float] | None
    """By how much the nodes' counters grew together; None where a node began anew meanwhile."""
    cpu_s: float
    """Of all nodes."""
    peak_mib: float
    """Of the node that used most."""
    late_s: float
    client_cpu_s: float

    @property
    def window(self) -> tuple[float, float]:
        return self.warmup_s, self.duration_s

    @property
    def nodes(self) -> int:
        return int(self.labels["validators"])

    @property
    def share(self) -> float:
        """Of the nodes that must have confirmed: all, or a quorum where some are made to fail."""
        return 1.0 if self.labels["scenario"] == "none" else self.quorum / self.nodes


def save(folder: Path, one: Measurement) -> None:
    """Write a measurement's three files."""
    folder.mkdir(parents=True, exist_ok=True)
    head = asdict(one)
    del head["rows"], head["blocks"]
    (folder / f"{one.name}.json").write_text(json.dumps(head, indent=1) + "\n", encoding="utf-8")
    _write_table(
        folder / f"{one.name}.rows.csv.gz",
        ["due_us", "sent_us", "node", "attempts", "height", "status"],
        [
            [_us(r.due_s), _us(r.sent_s), r.node, r.attempts, r.height or "", r.status]
            for r in one.rows
        ],
    )
    _write_table(
        folder / f"{one.name}.blocks.csv.gz",
        ["height", *(f"node{node}_us" for node in range(one.nodes))],
        [[height, *map(_us, times)] for height, times in sorted(one.blocks.items())],
    )


def load(folder: Path, name: str) -> Measurement:
    """Read a measurement back."""
    head = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    head["events"] = tuple((at, what) for at, what in head["events"])
    rows = tuple(
        Row(_s(due) or 0.0, _s(sent), int(node), int(attempts), int(height or 0), status)
        for due, sent, node, attempts, height, status in _read_table(folder / f"{name}.rows.csv.gz")
    )
    blocks = {
        int(height): tuple(_s(time) for time in times)
        for height, *times in _read_table(folder / f"{name}.blocks.csv.gz")
    }
    return Measurement(**head, rows=rows, blocks=blocks)


def _us(seconds: float | None) -> str:
    return "" if seconds is None else str(round(seconds * 1e6))


def _s(text: str) -> float | None:
    return int(text) / 1e6 if text else None


def _write_table(path: Path, names: list[str], rows: list[list[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    # Without the time of writing, the same samples are the same bytes.
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def _read_table(path: Path) -> list[list[str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


# --- figures --------------------------------------------------------------------------------------


def confirmations(one: Measurement) -> list[tuple[float, float]]:
    """(confirmed at, due at) of what was confirmed at enough nodes, by the time of confirming."""
    at = {h: metrics.confirmed_at(times, one.share) for h, times in one.blocks.items()}
    found = []
    for row in one.rows:
        moment = at.get(row.height) if row.status == "confirmed" else None
        if moment is not None:
            found.append((moment, row.due_s))
    return sorted(found)


def figures(one: Measurement) -> Figures:
    """Everything that is said of a measurement.  Raises NoData where nothing was confirmed."""
    start, stop = one.window
    done = confirmations(one)
    late = [moment - due for moment, due in done if start <= due < stop]
    try:
        spread = metrics.latency(late)
    except NoData as error:
        raise NoData(f"{one.name}: {error}") from None
    inside = metrics.throughput([moment for moment, _ in done], start, stop)
    statuses = Counter(row.status.split(" ")[0] for row in one.rows if start <= row.due_s < stop)
    offered = sum(statuses.values())
    found: Figures = {
        **one.labels,
        "rate_per_s": one.rate_per_s,
        "offered_per_s": offered / (stop - start),
        "confirmed_per_s": inside,
        "confirmed_share": len(late) / offered,
        "work": metrics.work(inside, one.nodes),
        **{f"latency_{name}": value for name, value in asdict(spread).items()},
        "offered": offered,
        "failed": statuses["failed"],
        "refused": statuses["refused"],
        "expired": statuses["expired"],
        # Some nodes may have confirmed it: not enough of them to count.
        "unconfirmed": offered
        - len(late)
        - sum(statuses[name] for name in ("failed", "refused", "expired")),
        "sent_again": sum(row.attempts > 1 for row in one.rows if start <= row.due_s < stop),
        "client_late_ms": one.late_s * 1_000,
        "peak_mib": one.peak_mib,
    }
    return {**found, **_costs(one, len(done)), **_faults(one, done)}


def _costs(one: Measurement, confirmed: int) -> Figures:
    """What a confirmed transaction cost all nodes together, warm-up and settling included."""
    heights = [height for height, times in one.blocks.items() if any(t is not None for t in times)]
    found: Figures = {
        "cpu_ms_per_transaction": one.cpu_s * 1_000 / confirmed,
        "blocks": len(heights),
        "transactions_per_block": confirmed / max(1, len(heights)),
    }
    for name in ("link_bytes", "link_messages", "synced_writes"):
        value = None if one.costs is None else one.costs.get(name)
        found[f"{name}_per_transaction"] = None if value is None else value / confirmed
    for name in ("signatures_made", "signatures_checked"):
        if one.costs is not None and name in one.costs:
            found[f"{name}_per_transaction"] = one.costs[name] / confirmed
    if one.costs is not None:
        # Of another system nobody counts them, which is not none.
        if decided := one.costs.get("decided"):
            found["timeouts"] = one.costs.get("timeouts", 0.0)
            found["views_per_decision"] = one.costs.get("views_entered", 0.0) / decided
        if "proxied_bytes" in one.costs:
            found["wire_bytes_per_transaction"] = one.costs["proxied_bytes"] / confirmed
    return found


def _faults(one: Measurement, done: list[tuple[float, float]]) -> Figures:
    if one.fault_s is None:
        return {}
    fault, stop = one.fault_s, one.duration_s
    times = [moment for moment, _ in done]
    before = [moment - due for moment, due in done if one.warmup_s <= due and moment < fault]
    after = [moment - due for moment, due in done if fault <= due < stop]
    ends = stop if one.heal_s is None else min(stop, one.heal_s)
    settled = [moment - due for moment, due in done if fault + SETTLED_S <= due < ends]
    if not before:
        raise NoData(f"{one.name}: nothing was confirmed between the warm-up and the fault")
    normal = metrics.latency(before)
    base_per_s = metrics.throughput(times, one.warmup_s, fault)
    late = [(moment, moment - due) for moment, due in done]
    sustained = metrics.sustained_recovery(
        late,
        fault,
        stop,
        base_per_s=base_per_s,
        base_p99_s=normal.p99_ms / 1_000,
        hold_s=one.recovery_s,
    )
    any_node = block_times(one, 1)
    quorum = block_times(one, one.quorum)
    healed = None if one.heal_s is None else metrics.first_after(quorum, one.heal_s)
    recovered = stop if sustained is None else min(stop, fault + sustained)
    lost = metrics.deficit(times, base_per_s, fault, max(recovered, fault + 1))
    worse = metrics.latency(after) if after else None
    return {
        "base_per_s": base_per_s,
        "base_p50_ms": normal.p50_ms,
        "base_p99_ms": normal.p99_ms,
        "dip": metrics.dip_depth(times, base_per_s, fault, stop),
        "deficit": lost,
        "lost_s": lost / base_per_s,
        "first_block_s": metrics.first_after(any_node, fault),
        "quorum_block_s": metrics.first_after(quorum, fault),
        "longest_gap_s": longest_gap(quorum, fault, stop),
        "sustained_s": sustained,
        "heal_s": healed,
        "inflation_p50": worse.p50_ms / normal.p50_ms if worse else None,
        "inflation_p99": worse.p99_ms / normal.p99_ms if worse else None,
        "settled_p99": metrics.latency(settled).p99_ms / normal.p99_ms if settled else None,
        "availability": metrics.availability(quorum, fault, stop),
    }


def block_times(one: Measurement, nodes: int) -> list[float]:
    """When each block was confirmed at this many nodes, ascending; those that never were: left."""
    share = nodes / one.nodes
    found = (metrics.confirmed_at(times, share) for times in one.blocks.values())
    return sorted(moment for moment in found if moment is not None)


def longest_gap(times: list[float], start: float, stop: float) -> float:
    """The longest time without any of the events that overlaps [start, stop)."""
    low = max(0, bisect_left(times, start) - 1)
    inside = [moment for moment in times[low:] if moment < stop]
    if not inside:
        return stop - start
    marks = [*inside, stop]
    return max(later - earlier for earlier, later in pairwise(marks))
