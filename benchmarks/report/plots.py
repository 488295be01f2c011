"""Plots as SVG for the page and as files: axes with units, one colour a protocol everywhere.

Text and lines take the page's own colours, so that one picture serves light and dark.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from benchmarks import metrics
from benchmarks.harness.samples import Measurement, confirmations
from benchmarks.report.tables import Group

INK, LINE = "#101112", "#b1b2b3"
"""Stand for the page's colours of text and of lines."""
COLOURS = {
    "tendermint": "#0072b2",
    "jolteon": "#d55e00",
    "raft": "#6e6e6e",
    "pbft": "#009e73",
    "hotstuff": "#cc79a7",
    "simplex": "#b8860b",
    "streamlet": "#56b4e9",
    "mysticeti": "#7b3fa0",
    "solo": INK,
    "cometbft": "#e0218a",
}
"""After Okabe and Ito: told apart by the colour-blind as well."""
SPARE = ("#a0522d", "#2f4f4f", "#e6550d", "#31a354")
TONES = (INK, "#a0522d")
"""Of curves that are of no protocol, whose colour would say that they are."""
SHADES = {"sticky": 0.3, "reputation": -0.22, "default": 0.0, "tuned": -0.45}
"""How much of white, or below 0 of black, the colour of a protocol gets under a leader policy, and
that of another system as it comes, or tuned."""
OTHER_SHADE = 0.5
MARKS = "os^Dvp*X"
STEP_S, WIDTH_S = 0.1, 1.0
WIDE = 20.0
"""A range of latencies so wide is drawn by powers of ten."""
LEGEND_COLUMNS = 5

mpl.use("agg")
mpl.rcParams |= {
    "svg.fonttype": "none",
    "svg.hashsalt": "ledger",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10.5,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.alpha": 0.35,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawn plot."""

    name: str
    """Of its files."""
    caption: str
    svg: str
    """To be put into a page."""
    png: bytes


def colour(protocol: str) -> str:
    """The same protocol has the same colour everywhere, an unknown one a spare.

    Under another leader policy (`jolteon+sticky`) or tuned (`cometbft tuned`) it is a shade of it.
    """
    name, _, policy = protocol.replace(" ", "+").partition("+")
    plain = COLOURS.get(name) or SPARE[sum(name.encode()) % len(SPARE)]
    share = SHADES.get(policy, OTHER_SHADE) if policy else 0.0
    end = 255 if share > 0 else 0
    parts = (int(plain[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(part + (end - part) * abs(share)):02x}" for part in parts)


def _drawn(figure: Figure, name: str, caption: str) -> Plot:
    # Laid out once; each file would do it again.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    text, picture = io.StringIO(), io.BytesIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    figure.savefig(picture, format="png", dpi=144, facecolor="white")
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    # Every plot names its shapes alike; in one page the names must differ.
    for word in ('id="', "url(#", 'xlink:href="#'):
        svg = svg.replace(word, f"{word}{name}-")
    svg = svg.replace(INK, "currentColor").replace(LINE, "var(--line)")
    return Plot(name, caption, svg, picture.getvalue())


def save(plot: Plot, folder: Path) -> None:
    """Write a plot's files, which stand alone."""
    folder.mkdir(parents=True, exist_ok=True)
    alone = plot.svg.replace("currentColor", "#222").replace("var(--line)", LINE)
    (folder / f"{plot.name}.svg").write_text(alone, encoding="utf-8")
    (folder / f"{plot.name}.png").write_bytes(plot.png)


def _label(group: Group, varying: Sequence[str]) -> str:
    words = [str(group.labels["protocol"])]
    for name in varying:
        value = group.labels[name]
        words.append(
            {"validators": f"n={value}", "payload_bytes": f"{value} B"}.get(name, str(value))
        )
    return ", ".join(words)


def varying(groups: Sequence[Group]) -> list[str]:
    """The labels beside the protocol in which the measurements differ."""
    names = ("scenario", "validators", "link", "payload_bytes", "run")
    usual = {"scenario": "none"}
    return [
        name
        for name in names
        if len({group.labels[name] for group in groups} | {usual.get(name)} - {None}) > 1
    ]


def load_curves(name: str, groups: Sequence[Group]) -> Plot | None:
    """Latency and throughput against offered load, a curve for each network.

    Where one load is offered again and again, the windows in their order take the place of rates.
    """
    curves: dict[tuple[Any, ...], list[Group]] = {}
    names = varying(groups)
    for group in groups:
        key = (group.labels["protocol"], *(group.labels[label] for label in names))
        curves.setdefault(key, []).append(group)
    if max((len(curve) for curve in curves.values()), default=0) < 2:
        return None
    figure = Figure(figsize=(9.2, 4.3))
    left, right = figure.subplots(1, 2)
    is_again = len({group.labels["rate_per_s"] for group in groups}) == 1

    def place(group: Group) -> float:
        return float(group.labels["window"]) + 1 if is_again else float(group.labels["rate_per_s"])

    for number, curve in enumerate(curves.values()):
        curve.sort(key=place)
        tone = colour(str(curve[0].labels["protocol"]))
        mark = MARKS[number % len(MARKS)]
        label = _label(curve[0], names)
        places = [place(group) for group in curve]
        for figure_name, style, words in (
            ("latency_p50_ms", "-", label),
            ("latency_p99_ms", ":", None),
        ):
            values = [group.middle(figure_name) or float("nan") for group in curve]
            left.plot(places, values, style, color=tone, marker=mark, markersize=4, label=words)
        confirmed = [group.middle("confirmed_per_s") or float("nan") for group in curve]
        right.plot(places, confirmed, "-", color=tone, marker=mark, markersize=4, label=label)
    top = max(map(place, groups))
    offered = [float(groups[0].labels["rate_per_s"])] * 2 if is_again else [0, top]
    right.plot([0, top], offered, "--", color=LINE, linewidth=1, label="all that is offered")
    _latency_axis(left, groups)
    # The line of all that is offered, and what lies on it, are below the frame.
    right.set_ylim(0, 1.06 * max(right.get_ylim()[1], offered[1]))
    what = f"window, {offered[0]:g} offered/s in each" if is_again else "offered (transactions/s)"
    left.set(
        xlabel=what,
        ylabel="latency at all nodes (ms)",
        title="Latency: p50 solid, p99 dotted",
    )
    right.set(
        xlabel=what,
        ylabel="confirmed at all nodes (transactions/s)",
        title="Throughput",
    )
    for axes in (left, right):
        axes.set_xlim(left=0)
        # Of thousands more would touch each other.
        axes.locator_params(axis="x", nbins=6)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    right.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    _legend(figure, right)
    caption = "against the windows of one load" if is_again else "against offered load"
    return _drawn(figure, f"load-{name}", f"Latency and throughput {caption}.")


def _latency_axis(axes: Axes, groups: Sequence[Group]) -> None:
    """From zero on, or by powers of ten where one network is so slow that it hides the others."""
    found = [
        group.middle(name) for group in groups for name in ("latency_p50_ms", "latency_p99_ms")
    ]
    known = [value for value in found if value]
    if known and max(known) > WIDE * min(known):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _legend(figure: Figure, axes: Axes) -> None:
    """One for both halves, below them, where it covers no curve."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(len(labels), LEGEND_COLUMNS),
        fontsize=8.5,
    )  # fmt: skip


def bars(name: str, groups: Sequence[Group]) -> Plot | None:
    """Median and tail of latency at one rate, where there is no curve to draw."""
    if not groups:
        return None
    names = varying(groups)
    figure = Figure(figsize=(9.2, 0.9 + 0.42 * len(groups)))
    axes = figure.subplots()
    places = range(len(groups))
    for place, group in zip(places, groups, strict=True):
        tone = colour(str(group.labels["protocol"]))
        p50, p99 = group.middle("latency_p50_ms") or 0.0, group.middle("latency_p99_ms") or 0.0
        axes.barh(place, p99, height=0.62, color=tone, alpha=0.35)
        axes.barh(place, p50, height=0.62, color=tone)
        # A distance in points: a page drops the spaces that a text begins with.
        axes.annotate(
            f"{p50:,.0f} / {p99:,.0f}", (p99, place), xytext=(5, 0),
            textcoords="offset points", va="center", fontsize=8.5,
        )  # fmt: skip
    axes.set_yticks(list(places), [_label(group, names) for group in groups])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.16)
    axes.set_xlim(left=0)
    axes.set(xlabel="latency at all nodes (ms)", title="Latency: p50 (full) and p99 (pale)")
    return _drawn(figure, f"latency-{name}", "Median and 99th percentile of latency.")


def timelines(name: str, found: Sequence[Measurement]) -> Plot | None:
    """Confirmed transactions a second over time, the faults marked, one row a measurement."""
    if not found:
        return None
    figure = Figure(figsize=(9.2, 0.7 + 1.35 * len(found)))
    rows = figure.subplots(len(found), 1, sharex=True, squeeze=False)
    for axes, one in zip(rows[:, 0], found, strict=True):
        _timeline(axes, one)
    rows[-1, 0].set_xlabel("seconds after the load began")
    caption = (
        "Confirmed at a quorum over the last second; dashed: offered; red: the fault; green: its "
        "end, where it has one."
    )
    return _drawn(figure, f"time-{name}", caption)


def _timeline(axes: Axes, one: Measurement) -> None:
    protocol = str(one.labels["protocol"])
    times = [moment for moment, _ in confirmations(one)]
    points = metrics.rates(times, 0.0, one.duration_s, step_s=STEP_S, width_s=WIDTH_S)
    moments, rates = [at for at, _ in points], [rate for _, rate in points]
    axes.fill_between(moments, rates, color=colour(protocol), alpha=0.25, linewidth=0)
    axes.plot(moments, rates, color=colour(protocol), linewidth=1.3)
    axes.axhline(one.rate_per_s, color=LINE, linestyle="--", linewidth=1)
    if one.fault_s is not None:
        end = one.heal_s if one.heal_s is not None else one.duration_s
        axes.axvspan(one.fault_s, max(end, one.fault_s + 0.05), color="#c00000", alpha=0.12)
        axes.axvline(one.fault_s, color="#c00000", linewidth=1)
        if one.heal_s is not None and one.heal_s > one.fault_s:
            axes.axvline(one.heal_s, color="#2e7d32", linewidth=1)
    axes.set_ylabel("transactions/s", fontsize=8)
    axes.set_xlim(0, one.duration_s)
    axes.set_ylim(0, max([one.rate_per_s * 1.6, *rates]) * 1.05)
    axes.set_title(f"{protocol}: {one.labels['scenario']}", loc="left", fontsize=9.5)


def lines(
    name: str,
    groups: Sequence[Group],
    *,
    across: str,
    figures: Sequence[tuple[str, str]],
    xlabel: str,
    ylabel: str,
    caption: str,
    log_x: bool = False,
) -> Plot | None:
    """Some figures against one label or figure, such as the size of receipts against length."""
    points = [(group.middle(across), group) for group in groups]
    known = sorted(((x, g) for x, g in points if x is not None), key=lambda pair: pair[0])
    if len(known) < 2:
        return None
    figure = Figure(figsize=(6.4, 3.4))
    axes = figure.subplots()
    for number, (figure_name, label) in enumerate(figures):
        values = [group.middle(figure_name) or float("nan") for _, group in known]
        tone = TONES[number]
        mark = MARKS[number % len(MARKS)]
        axes.plot([x for x, _ in known], values, "-", color=tone, marker=mark, label=label)
    if log_x:
        axes.set_xscale("log")
        axes.set_xticks([x for x, _ in known], [f"{x:,.0f}" for x, _ in known])
        axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend(fontsize=8.5)
    return _drawn(figure, name, caption)


def growth(name: str, groups: Sequence[Group]) -> Plot | None:
    """What grows with the number of validators: messages and delay, a curve for each network."""
    curves: dict[tuple[Any, ...], list[Group]] = {}
    for group in groups:
        key = (group.labels["run"], group.labels["protocol"], group.labels["link"])
        curves.setdefault(key, []).append(group)
    if max(len(curve) for curve in curves.values()) < 2:
        return None
    names = [label for label in varying(groups) if label != "validators"]
    sizes = sorted({int(group.labels["validators"]) for group in groups})
    figure = Figure(figsize=(9.2, 4.3))
    left, right = figure.subplots(1, 2)
    for number, curve in enumerate(curves.values()):
        curve.sort(key=lambda group: int(group.labels["validators"]))
        tone, mark = colour(str(curve[0].labels["protocol"])), MARKS[number % len(MARKS)]
        xs = [int(group.labels["validators"]) for group in curve]
        for axes, figure_name in (
            (left, "messages_per_decision"),
            (right, "simulated_p50_ms"),
        ):
            values = [group.middle(figure_name) or float("nan") for group in curve]
            axes.plot(
                xs, values, "-", color=tone, marker=mark, markersize=4,
                label=_label(curve[0], names),
            )  # fmt: skip
    left.set_xscale("log")
    left.set_yscale("log")
    left.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    left.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    right.set_ylim(bottom=0)
    left.set(xlabel="validators", ylabel="messages a decision", title="Messages (log-log)")
    right.set(xlabel="validators", ylabel="virtual time (ms)", title="Wish to confirmation, p50")
    for axes in (left, right):
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
    _legend(figure, right)
    return _drawn(figure, f"growth-{name}", "Messages and delay against the number of validators.")
