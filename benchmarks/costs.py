"""`python -m benchmarks costs`: what a block costs each protocol, predicted beside counted.

Beside that stands what whole replicas say about one block otherwise: to certify it, to spread its
transactions, and to keep each other informed (`sim.checkpoint_costs`).  Nothing here depends on the
machine: messages, bytes, signatures, message delays and timers waited for are counted in the
simulator (`sim.counting`), and set beside the formulas (`sim.costs`).  A prediction that is missed
is exit code 1.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields

import click

from consensus.interface import Consensus
from consensus.registry import protocol_named, protocol_names
from sim.checkpoint_costs import Traffic, count_channels, predicted_checkpoint
from sim.costs import PREDICTED, Cost
from sim.counting import Count, count_all

WIDTHS = {"messages": 9, "octets": 14, "signatures": 11, "delays": 7, "waits": 6}
"""Of the columns, by what they show."""
NAMES = {"octets": "bytes"}
HEAD = f"{'protocol':<12}{'n':>4}  {'case':<12}{'down':>5}" + "".join(
    f"{NAMES.get(name, name):>{width}}{'predicted':>{max(width, 10)}}"
    for name, width in WIDTHS.items()
)


@click.command(epilog="Example: python -m benchmarks costs --protocol simplex --nodes 4,16")
@click.option("--protocol", "names", multiple=True, help="All that are installed unless given.")
@click.option("--nodes", default="4,7,16", show_default=True, help="Sizes of the network.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
def costs(names: tuple[str, ...], nodes: str, as_json: bool) -> None:
    """Messages, bytes, signatures and message delays of a block, beside their formulas.

    The cases: all are up; one is down whose turn it is not; the one is down that would have led,
    with the timers that are waited for and the change of leaders that follows; and, where a chain's
    leaders take turns, the one that leads next and collects the votes.  Which seat is down
    is shown.  The last three rows are of whole replicas that confirm one transaction: what they say
    beside their protocol, from the start on.
    """
    try:
        sizes = [int(size) for size in nodes.split(",")]
    except ValueError:
        raise click.BadParameter("sizes with commas between them", param_hint="--nodes") from None
    if not all(4 <= size <= 100 for size in sizes):
        raise click.BadParameter("from 4 to 100 validators", param_hint="--nodes")
    if not as_json:
        click.echo(HEAD)
    missed = 0
    for name in names or sorted(protocol_names()):
        protocol = protocol_named(name)
        for size in sizes:
            missed += _show(protocol, size, as_json=as_json)
    if missed:
        raise click.ClickException(f"{missed} predictions are missed")


def _show(protocol: type[Consensus], size: int, *, as_json: bool) -> int:
    """Print the rows of one protocol and size; how many of them miss their prediction."""
    counts, known = count_all(protocol, size), PREDICTED.get(protocol.name)
    rows: list[tuple[str, int | None, Count, Cost | None]] = [
        ("all up", None, counts.good, known.good(size) if known else None),
        ("one down", counts.seat, counts.one_down, known.one_down(size) if known else None),
    ]
    if counts.leader_down is not None:
        predicted = known.leader_down(size) if known else None
        rows.append(("leader down", counts.good.leader, counts.leader_down, predicted))
    if counts.next_down is not None:
        predicted = known.next_down(size) if known else None
        rows.append(("next down", counts.next_leader, counts.next_down, predicted))
    for case, down, count, predicted in rows:
        if as_json:
            click.echo(json.dumps(_as_json(protocol.name, size, case, down, count, predicted)))
        else:
            place = "" if down is None else f"{down}"
            head = f"{protocol.name:<12}{size:>4}  {case:<12}{place:>5}"
            click.echo(head + _columns(count.cost, predicted))
    missed = sum(1 for _, _, count, predicted in rows if predicted not in (None, count.cost))
    return missed + _show_channels(protocol, size, as_json=as_json)


def _show_channels(protocol: type[Consensus], size: int, *, as_json: bool) -> int:
    """Print what else is said about a block; how many of it miss their prediction."""
    channels = count_channels(protocol, size)
    certified = predicted_checkpoint(size, channels.origin_chars)
    rows = [
        ("checkpoint", channels.checkpoint, None if protocol.lock_step else certified),
        ("spreading", channels.dissemination, None),
        ("informing", channels.sync, None),
    ]
    for case, counted, predicted in rows:
        if as_json:
            head = {"protocol": protocol.name, "nodes": size, "case": case}
            foreseen = {"predicted": predicted and _named(asdict(predicted))}
            click.echo(json.dumps(head | _named(asdict(counted)) | foreseen))
        else:
            columns = _columns(counted, predicted).rstrip()
            click.echo(f"{protocol.name:<12}{size:>4}  {case:<17}{columns}")
    return sum(1 for _, counted, predicted in rows if predicted not in (None, counted))


def _columns(cost: Cost | Traffic, predicted: Cost | Traffic | None) -> str:
    return "".join(
        f"{getattr(cost, name):>{width},}"
        f"{format(getattr(predicted, name), ',') if predicted else '':>{max(width, 10)}}"
        for name, width in WIDTHS.items()
        if hasattr(cost, name)
    )


def _as_json(
    name: str, size: int, case: str, down: int | None, count: Count, predicted: Cost | None
) -> dict[str, object]:
    # Messages by phase: their sum is what is predicted.
    counted = asdict(count.cost) | {"messages": count.messages}
    assert set(WIDTHS) == {field.name for field in fields(Cost)}
    return {
        "protocol": name, "nodes": size, "case": case, "down": down,
        **_named(counted), "predicted": _named(asdict(predicted)) if predicted else None,
    }  # fmt: skip


def _named(cost: dict[str, object]) -> dict[str, object]:
    return {NAMES.get(name, name): number for name, number in cost.items()}
