"""`fork`: a simulated ledger forked on purpose, with the evidence that names who did it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from consensus.registry import protocol_named
from ledger.errors import UserError
from ledger.evidence import SUFFIX, is_evidence
from ledger.genesis import to_json
from ledger.validators import QuorumRule, faults_tolerated
from sim.fork import ForkReport, fork_scenario, run_fork

GENESIS_NAME = "genesis.json"
EVIDENCE_NAME = "fork" + SUFFIX


@click.command(
    "fork", epilog="Example: python node.py fork --protocol tendermint --nodes 4 -o forked"
)
@click.option("--protocol", default="tendermint", show_default=True, help="Consensus plugin.")
@click.option("--nodes", type=click.IntRange(4, 31), default=4, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help=f"Folder for {GENESIS_NAME} and {EVIDENCE_NAME}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(protocol: str, nodes: int, seed: int, output: Path, as_json: bool) -> int:
    """Let one more validator lie than is tolerated, and see it named.

    The network is cut in two halves, and f+1 validators run twice under one key, once in each half.
    Both halves confirm blocks of their own.  When they meet, the honest nodes find the fork, store
    the evidence and stop.  Signatures are real, so `verify` convinces anyone who has the genesis.

    Exit code 0 if the ledger forked and more culprits than may be faulty are named, else 1.
    """
    plugin = protocol_named(protocol)
    if plugin.fault_model != "byzantine":
        raise UserError(f"{protocol} withstands no liar at all: there is no fork to tell them by")
    scenario = fork_scenario(seed, protocol, nodes)
    report = run_fork(scenario, plugin, scheme="ed25519")
    _write(output, report)
    faults = faults_tolerated(nodes, QuorumRule.BYZANTINE)
    if as_json:
        click.echo(json.dumps(_facts(report, output), sort_keys=True))
    else:
        _show(report, output, faults)
    is_right = report.forked_height and not report.violations and len(report.named) > faults
    return 0 if is_right else 1


def _write(output: Path, report: ForkReport) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / GENESIS_NAME).write_text(to_json(report.genesis), encoding="utf-8")
        if is_evidence(report.evidence):
            (output / EVIDENCE_NAME).write_bytes(report.evidence)
    except OSError as error:
        raise UserError(f"cannot write to {output}: {error.strerror}") from None


def _names(report: ForkReport, indexes: Sequence[int]) -> list[str]:
    members = report.genesis.epoch.validators.members
    return [members[index].name for index in indexes]


def _facts(report: ForkReport, output: Path) -> dict[str, object]:
    return {
        "protocol": report.scenario.protocol,
        "nodes": report.scenario.nodes,
        "seed": report.scenario.seed,
        "forked_height": report.forked_height,
        "culprits": _names(report, report.culprits),
        "named": _names(report, report.named),
        "stopped": _names(report, report.stopped),
        "violations": [violation.sentence for violation in report.violations],
        "genesis": str(output / GENESIS_NAME),
        "evidence": str(output / EVIDENCE_NAME) if report.evidence else None,
        "evidence_bytes": len(report.evidence),
        "trace_hash": report.trace_hash,
    }


def _show(report: ForkReport, output: Path, faults: int) -> None:
    scenario = report.scenario
    honest = scenario.nodes - len(report.culprits)
    if report.forked_height:
        click.echo(f"the ledger forked at height {report.forked_height}")
    else:
        click.echo("the halves confirmed nothing that differs: no fork; try another --seed")
    rows = {
        "protocol": f"{scenario.protocol}, {scenario.nodes} nodes, seed {scenario.seed}",
        "liars": f"{', '.join(_names(report, report.culprits))}, where {faults} may be faulty",
        "named": ", ".join(_names(report, report.named)) or "nobody",
        "stopped": f"{len(report.stopped)} of {honest} honest nodes, evidence in hand",
    }
    for name, value in rows.items():
        click.echo(f"  {name:<10}{value}")
    for violation in report.violations:
        click.echo(f"violated: {violation.property}: {violation.sentence}")
    if report.evidence:
        click.echo(
            f"check it: python node.py verify {output / EVIDENCE_NAME} "
            f"--genesis {output / GENESIS_NAME}"
        )
