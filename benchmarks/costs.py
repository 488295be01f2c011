"""`python -m benchmarks costs`: what a block costs each protocol, predicted beside counted.

Nothing here depends on the machine: messages, bytes, signatures and message delays are counted in
the simulator with bare protocols (`sim.costs`).  A prediction that is missed is exit code 1.
"""

from __future__ import annotations

import json

import click

from consensus.interface import Consensus
from consensus.registry import protocol_named, protocol_names
from sim.costs import PREDICTED, Cost, count_good, count_one_down
from sim.counting import Count

HEAD = (
    f"{'protocol':<12}{'n':>4}  {'case':<12}{'messages':>9}{'predicted':>10}{'bytes':>12}"
    f"{'signatures':>11}{'predicted':>10}{'delays':>7}{'predicted':>10}"
)


@click.command(epilog="Example: python -m benchmarks costs --protocol simplex --nodes 4,16")
@click.option("--protocol", "names", multiple=True, help="All that are installed unless given.")
@click.option("--nodes", default="4,7,16", show_default=True, help="Sizes of the network.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
def costs(names: tuple[str, ...], nodes: str, as_json: bool) -> None:
    """Messages, bytes, signatures and message delays of a block, beside their formulas.

    The cases: all are up; one is down whose turn it is not; one is down whose turn it is, with the
    timeouts and the view changes that follow, for which there is no formula.  Delays count from the
    first proposal, so that in the last case they hold what is waited for after that.
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
    best, worst = count_one_down(protocol, size)
    prediction = PREDICTED.get(protocol.name)
    rows: list[tuple[str, Count, Cost | None]] = [
        ("all up", count_good(protocol, size), prediction.good(size) if prediction else None),
        ("one down", best, prediction.one_down(size) if prediction else None),
    ]
    if Cost.of(worst) != Cost.of(best):
        rows.append(("leader down", worst, None))
    for case, count, predicted in rows:
        cost = Cost.of(count)
        if as_json:
            click.echo(
                json.dumps(
                    {
                        "protocol": protocol.name,
                        "nodes": size,
                        "case": case,
                        "messages": count.messages,
                        "bytes": count.octets,
                        "signatures": cost.signatures,
                        "delays": cost.delays,
                        "predicted": predicted
                        and {
                            "messages": predicted.messages,
                            "signatures": predicted.signatures,
                            "delays": predicted.delays,
                        },
                    }
                )
            )
        else:
            foreseen = ["", "", ""] if predicted is None else [
                f"{predicted.messages:,}", f"{predicted.signatures:,}", f"{predicted.delays}"
            ]  # fmt: skip
            click.echo(
                f"{protocol.name:<12}{size:>4}  {case:<12}{cost.messages:>9,}{foreseen[0]:>10}"
                f"{count.octets:>12,}{cost.signatures:>11,}{foreseen[1]:>10}"
                f"{cost.delays:>7}{foreseen[2]:>10}"
            )
    return sum(1 for _, count, predicted in rows if predicted not in (None, Cost.of(count)))
