"""Rows of results put together: repetitions become medians with intervals, runs are compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.metrics import Interval, median_interval
from benchmarks.report.glossary import ALL, Figure

LABELS = (
    "run", "kind", "experiment", "protocol", "validators", "link", "payload_bytes", "scenario",
    "rate_per_s", "window", "transactions", "depth", "width",
)  # fmt: skip
"""What tells rows apart; everything else that differs is repetition."""
NAMED = ("experiment", "protocol", "scenario", "link", "payload_bytes", "rate_per_s")
REGRESSION = 0.10
"""Worse by more than this share is marked."""
Row = dict[str, Any]
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """All repetitions of one measurement."""

    labels: Row
    rows: tuple[Row, ...]

    def interval(self, name: str) -> Interval | None:
        """The median of a figure with its interval; None where any repetition lacks it."""
        values = [row.get(name) for row in self.rows]
        if not values or any(not isinstance(value, int | float) for value in values):
            return None
        return median_interval([float(value) for value in values if value is not None])

    def middle(self, name: str) -> float | None:
        """The median of a figure."""
        found = self.interval(name)
        return None if found is None else found.middle


def grouped(rows: Iterable[Row]) -> list[Group]:
    """Repetitions put together, in the order in which they first came."""
    found: dict[Key, list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row.get(name) for name in LABELS), []).append(row)
    return [Group(dict(zip(LABELS, key, strict=True)), tuple(same)) for key, same in found.items()]


def of_experiment(groups: Sequence[Group], name: str) -> list[Group]:
    return [group for group in groups if group.labels["experiment"] == name]


def by_rate(groups: Sequence[Group]) -> list[Group]:
    """Networks in their order, the rates of each ascending: a search tries them in another."""
    places: dict[Key, int] = {}
    for group in groups:
        places.setdefault(_network(group), len(places))
    return sorted(
        groups, key=lambda group: (places[_network(group)], group.labels["rate_per_s"] or 0.0)
    )


def _network(group: Group) -> Key:
    return tuple(group.labels[name] for name in LABELS if name not in ("rate_per_s", "window"))


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of one measurement beside its baseline."""

    group: Group
    figure: Figure
    before: float
    after: float
    is_regression: bool
    is_within_noise: bool
    """The intervals of the two medians overlap, so that it may be chance."""

    @property
    def ratio(self) -> float:
        return self.after / self.before - 1

    @property
    def text(self) -> str:
        """In words."""
        labels, figure = self.group.labels, self.figure
        written = {"payload_bytes": "{} B", "rate_per_s": "{:g}/s"}
        told = [
            written.get(name, "{}").format(labels[name])
            for name in NAMED
            if labels[name] not in (None, "", "none")
        ]
        return (
            f"{figure.title} of {', '.join(told)} went from {self.before:,.1f} to "
            f"{self.after:,.1f} {figure.unit}".rstrip()
        )


COMPARED = (
    "confirmed_per_s", "latency_p50_ms", "latency_p99_ms", "confirmed_share",
    "cpu_ms_per_transaction", "link_bytes_per_transaction", "sustained_s", "longest_gap_s",
    "lost_s", "receipt_bytes", "check_us", "audit_per_s", "ingest_per_s", "query_p50_ms",
)  # fmt: skip
"""Figures that a comparison looks at."""


def compared(baseline: Iterable[Row], rows: Iterable[Row]) -> list[Change]:
    """Every figure that both runs have, those first that became worse most."""
    before = {_key(group): group for group in grouped(baseline)}
    found = []
    for group in grouped(rows):
        old = before.get(_key(group))
        if old is None:
            continue
        for name in COMPARED:
            change = _change(group, ALL[name], old.interval(name), group.interval(name))
            if change is not None:
                found.append(change)
    return sorted(found, key=lambda change: change.figure.better * change.ratio)


def _key(group: Group) -> Key:
    return tuple(value for name, value in group.labels.items() if name != "run")


def _change(
    group: Group, figure: Figure, before: Interval | None, after: Interval | None
) -> Change | None:
    if before is None or after is None or not before.middle:
        return None
    ratio = after.middle / before.middle - 1
    apart = before.low > after.high or after.low > before.high
    return Change(
        group,
        figure,
        before.middle,
        after.middle,
        is_regression=-figure.better * ratio > REGRESSION,
        is_within_noise=min(before.count, after.count) > 1 and not apart,
    )
