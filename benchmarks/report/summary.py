"""How the networks of an experiment compare, in a sentence or two: the top of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.report.plots import varying
from benchmarks.report.tables import Group
from benchmarks.report.words import Finding, conditions, keeps_up, objective_of

FEW = 3
"""So many networks need no summary: what is said of each is read at once."""
SEQUENCER = "solo"


def load_summary(groups: Sequence[Group]) -> list[Finding]:
    """How the protocols compare under each condition; of many conditions the ends alone."""
    conditions = _by_condition(groups)
    if len(conditions) > FEW:
        return [_ends(conditions)]
    return [
        _search(where, same) if objective_of(same[0]) else _sweep(where, same)
        for where, same in conditions.items()
    ]


def fault_summary(groups: Sequence[Group]) -> list[Finding]:
    """The protocols compared under each fault, or the faults where these are more."""
    protocols = {str(group.labels["protocol"]) for group in groups}
    scenarios = {str(group.labels["scenario"]) for group in groups}
    fixed, other = ("protocol", "scenario")
    if len(protocols) >= len(scenarios):
        fixed, other = other, fixed
    found = []
    for name in dict.fromkeys(str(group.labels[fixed]) for group in groups):
        same = [group for group in groups if group.labels[fixed] == name]
        gaps = [(str(one.labels[other]), one.middle("longest_gap_s")) for one in same]
        known = [(label, gap) for label, gap in gaps if gap is not None]
        if not known:
            continue
        text = f"{name}: the longest time without a block was {_span(known, 's', digits=1)}"
        never = [str(one.labels[other]) for one in same if one.middle("sustained_s") is None]
        if never:
            text += f"; throughput and p99 did not get back to what they were: {', '.join(never)}"
        else:
            text += "; throughput and p99 got back to what they were each time"
        found.append(Finding(f"{text}.", is_bad=bool(never)))
    return found


def simulated_summary(groups: Sequence[Group]) -> list[Finding]:
    """How long a decision takes in the simulator, by protocol."""
    found = []
    for where, same in _by_condition(groups).items():
        known = _known(same, "simulated_p50_ms")
        if known:
            found.append(Finding(_sentence(where, f"p50 was {_span(known, 'ms')}, simulated")))
    return found


def _by_condition(groups: Sequence[Group]) -> dict[str, list[Group]]:
    names = varying(groups)
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(conditions(group, names), []).append(group)
    return found


def _sentence(where: str, text: str) -> str:
    text = f"{where}: {text}" if where else text[0].upper() + text[1:]
    return f"{text}."


def _span(found: Sequence[tuple[str, float]], unit: str = "", *, digits: int = 0) -> str:
    """From the least to the most, and whose they are."""
    unit = f" {unit}" if unit else ""
    (first, low), (last, high) = min(found, key=_value), max(found, key=_value)
    if len(found) == 1:
        return f"{low:,.{digits}f}{unit} ({first})"
    return f"{low:,.{digits}f}{unit} ({first}) to {high:,.{digits}f}{unit} ({last})"


def _value(pair: tuple[str, float]) -> float:
    return pair[1]


def _known(groups: Sequence[Group], name: str) -> list[tuple[str, float]]:
    values = [(str(group.labels["protocol"]), group.middle(name)) for group in groups]
    return [(protocol, value) for protocol, value in values if value is not None]


def _rate(group: Group) -> float:
    return float(group.labels["rate_per_s"])


def _sweep(where: str, groups: Sequence[Group]) -> Finding:
    """At the highest rate that any of them kept up with."""
    top = max((_rate(group) for group in groups if keeps_up(group)), default=None)
    if top is None:
        return Finding(_sentence(where, "no protocol kept up with any rate"))
    protocols = dict.fromkeys(str(group.labels["protocol"]) for group in groups)
    offered = [group for group in groups if _rate(group) == top]
    same = [group for group in offered if keeps_up(group)]
    text = f"with {top:,.0f} transactions a second p50 was "
    text += _span(_known(same, "latency_p50_ms"), "ms")
    left = [str(group.labels["protocol"]) for group in offered if group not in same]
    if left:
        text += f"; {', '.join(left)} did not keep up with that"
    # Another rate was offered, or nothing was confirmed.
    missing = [
        name for name in protocols if name not in {one.labels["protocol"] for one in offered}
    ]
    if missing:
        text += f"; of {', '.join(missing)} there are no figures at that rate"
    return Finding(_sentence(where, text))


def _ends(conditions: Mapping[str, Sequence[Group]]) -> Finding:
    """The least and the most of all conditions, and whose they are."""
    figures: list[tuple[str, float]] = []
    rates: set[float] = set()
    nobody: list[str] = []
    groups = [group for same in conditions.values() for group in same]
    is_one = len({group.labels["protocol"] for group in groups}) == 1
    objective_ms = objective_of(groups[0])
    for where, same in conditions.items():
        kept = [group for group in same if keeps_up(group)]
        top = max(map(_rate, kept), default=0.0)
        if not kept:
            nobody.append(where)
        for protocol in dict.fromkeys(str(group.labels["protocol"]) for group in kept):
            mine = [group for group in kept if group.labels["protocol"] == protocol]
            label = where if is_one else f"{protocol}, {where}"
            if objective_ms:
                figures.append((label, max(map(_rate, mine))))
                continue
            at_top = [group for group in mine if _rate(group) == top]
            figures += [(label, value) for _, value in _known(at_top, "latency_p50_ms")]
            rates.add(top)
    if not figures:
        return Finding("No protocol kept up with any rate.")
    if objective_ms:
        text = f"The highest rate kept within a p99 of {objective_ms:,.0f} ms was, in transactions "
        text += f"a second, {_span(figures)}"
    else:
        at = f"{max(rates):,.0f} transactions a second" if len(rates) == 1 else "the most kept"
        text = f"With {at} p50 was {_span(figures, 'ms')}"
    if nobody:
        text += f"; nobody kept up with any rate: {'; '.join(nobody)}"
    return Finding(f"{text}.")


def _search(where: str, groups: Sequence[Group]) -> Finding:
    """The highest rate of each, and what a single sequencer confirms beside them."""
    best: dict[float, list[str]] = {}
    for protocol in dict.fromkeys(str(group.labels["protocol"]) for group in groups):
        mine = [one for one in groups if one.labels["protocol"] == protocol]
        rate = max((_rate(one) for one in mine if keeps_up(one)), default=0.0)
        best.setdefault(rate, []).append(protocol)
    told = [
        f"{f'{rate:,.0f}' if rate else 'none'} ({', '.join(best[rate])})"
        for rate in sorted(best, reverse=True)
    ]
    text = (
        f"the highest rate kept within a p99 of {objective_of(groups[0]):,.0f} ms, in transactions "
        f"a second: {', '.join(told)}"
    )
    most: dict[str, float] = {}
    for protocol, value in _known(groups, "confirmed_per_s"):
        most[protocol] = max(value, most.get(protocol, 0.0))
    alone = most.pop(SEQUENCER, None)
    if alone and most:
        shares = [f"{name} {value / alone:.0%}" for name, value in most.items()]
        text += (
            f". {SEQUENCER}, the sequencer that all trust, confirmed at most {alone:,.0f} a second "
            f"at any rate; beside it {', '.join(shares)}"
        )
    return Finding(_sentence(where, text))
