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
from sim.adversary import deliberate_fork, validator_at
from sim.agenda import MS
from sim.culprits import ForkWatcher, check_named
from sim.oracles import Violation
from sim.run import Run
from sim.scenario import Load, Scenario
from sim.watcher import Watcher

MEET_MS = 12_000
"""After so long the halves meet."""
WATCHED_MS = 20_000
"""For so long they are watched from then on."""
_SLICE_MS = 20


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


class ForkRun(Run):
    """A run in which agreement breaks on purpose."""

    def judges(self) -> tuple[Watcher, ...]:
        """Only what must hold even now."""
        self.forks = ForkWatcher()
        return (self.votes, self.evidence, self.forks)

    def fork(self) -> ForkReport:
        """Let the halves go their ways and meet; then look who is named."""
        agenda, last_ms = self.world.agenda, self.scenario.stable_ms + WATCHED_MS
        while agenda.now_ms < last_ms and not all(node.has_failed for node in self.honest):
            agenda.run_until(agenda.now_us + _SLICE_MS * MS)
        found = tuple(sorted(self.evidence.named))
        pieces = self.evidence.finish(self.genesis, [node.engine for node in self.honest])
        faults = self.genesis.epoch.validators.faults
        if self.forks.forked_height:
            check_named(self.findings, self.evidence.named, self.liars, faults)
        return ForkReport(
            scenario=self.scenario,
            genesis=self.genesis,
            forked_height=self.forks.forked_height,
            culprits=self.scenario.twins,
            found=found,
            named=tuple(sorted(self.evidence.named)),
            stopped=tuple(
                validator_at(self.scenario, node.index) for node in self.honest if node.has_failed
            ),
            evidence=encode_evidence(self.genesis.network, pieces) if pieces else b"",
            violations=tuple(self.findings.found),
            trace_hash=self.world.trace.hexdigest(),
        )


def fork_scenario(seed: int, protocol: str, nodes: int) -> Scenario:
    """A network whose halves are given something to confirm, with f+1 twins between them."""
    load = Load(transactions=16, interval_ms=200, twice_signed=0, unsound=0)
    fair = Scenario(seed=seed, protocol=protocol, nodes=nodes, load=load)
    return deliberate_fork(fair, until_ms=MEET_MS)


def run_fork(scenario: Scenario, protocol: type[Consensus], *, scheme: str) -> ForkReport:
    """Run a deliberate fork; with the scheme ed25519 its evidence convinces a stranger."""
    return ForkRun(scenario, protocol, scheme=scheme).fork()
