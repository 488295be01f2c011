"""A deliberate fork: f+1 validators with twins let both halves of a network confirm their own past.

With so many liars nothing that rests on quorums need hold.  What must: honest nodes sign nothing
twice (P14), nobody honest is named (P13), and more culprits than the quorum rule tolerates are
named by evidence that holds offline (P12).
"""

from __future__ import annotations

from dataclasses import dataclass

from consensus.interface import Consensus
from ledger.evidence import encode_evidence
from ledger.genesis import Genesis
from sim.adversary import deliberate_fork
from sim.oracles import Violation
from sim.run import Run
from sim.scenario import Load, Scenario

MEET_MS = 12_000
"""After so long the halves meet."""


@dataclass(frozen=True, slots=True)
class ForkReport:
    """What came of a deliberate fork."""

    scenario: Scenario
    genesis: Genesis
    forked_height: int
    """The lowest height with two confirmed blocks; 0 where the halves confirmed none."""
    culprits: tuple[int, ...]
    """Validators with twins."""
    found: tuple[int, ...]
    """Validators that the nodes' own evidence names, ascending."""
    named: tuple[int, ...]
    """Validators that all evidence names, what two stores prove together included."""
    stopped: tuple[int, ...]
    """Honest nodes that stopped by themselves."""
    evidence: bytes
    """The file of all evidence; empty if there is none."""
    violations: tuple[Violation, ...]
    trace_hash: str


def fork_scenario(seed: int, protocol: str, nodes: int) -> Scenario:
    """A network whose halves are given something to confirm, with f+1 twins between them."""
    load = Load(transactions=16, interval_ms=200, twice_signed=0, unsound=0)
    fair = Scenario(seed=seed, protocol=protocol, nodes=nodes, load=load)
    return deliberate_fork(fair, until_ms=MEET_MS)


def run_fork(scenario: Scenario, protocol: type[Consensus], *, scheme: str) -> ForkReport:
    """Let the halves go their ways and meet; then look who is named.

    With the scheme ed25519 the evidence convinces a stranger.
    """
    run = Run(scenario, protocol, scheme=scheme)
    report = run.lead()
    pieces, network = run.evidence.pieces, run.genesis.network
    return ForkReport(
        scenario=scenario,
        genesis=run.genesis,
        forked_height=run.forks.forked_height,
        culprits=scenario.twins,
        found=tuple(sorted(run.evidence.found)),
        named=tuple(sorted(run.evidence.named)),
        stopped=tuple(node.index for node in run.honest if node.has_failed),
        evidence=encode_evidence(network, pieces) if pieces else b"",
        violations=report.violations,
        trace_hash=report.trace_hash,
    )
