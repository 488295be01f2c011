"""P12 and P13: whoever breaks agreement is named, and nobody honest ever is.

P12  where more validators lie than the quorum rule tolerates and the ledger forks, the evidence
     in honest stores names more of them than it tolerates, and each piece holds offline
P13  nobody honest is named, whatever restarts, clocks, replays and liars do
"""

from __future__ import annotations

from ledger import layout
from ledger.errors import Fault
from ledger.evidence import Conviction, Judge
from ledger.forensics import gather_evidence
from ledger.genesis import Genesis
from ledger.store import Reader, Write
from sim.oracles import Findings
from sim.watcher import Watcher


class EvidenceOracle(Watcher):
    """P13 over all evidence that reaches a disk, from the first moment on."""

    def __init__(self, genesis: Genesis, findings: Findings, liars: frozenset[int]) -> None:
        self.named: dict[int, None] = {}
        """Validators that evidence names, in the order in which they were found out."""
        self.found: tuple[int, ...] = ()
        """Those of them whom the nodes found by themselves; known in the end."""
        self.pieces: tuple[bytes, ...] = ()
        """All evidence; known in the end."""
        self._findings = findings
        self._judge = Judge(genesis)
        self._liars = liars
        self._robbed: dict[int, None] = {}
        self._pieces: dict[tuple[int, bytes], bytes] = {}

    def robbed(self, node: int) -> None:
        """Without its disk a validator is one of those that may be faulty."""
        self._robbed[node] = None

    def written(self, node: int, writes: list[Write], reader: Reader) -> None:
        for key, piece in writes:
            if key[:1] == layout.EVIDENCE and piece is not None:
                self._on_piece(node, key, piece)

    def _on_piece(self, node: int, key: bytes, piece: bytes) -> None:
        if self._pieces.setdefault((node, piece), key) != key:
            self._findings.add("P13", f"node {node} stored one piece of evidence twice", node)
        try:
            conviction = self._judge.check_raw(piece)
        except Fault as fault:
            self._findings.add("P13", f"node {node} stored evidence that proves nothing: {fault}",
                               node)  # fmt: skip
            return
        self.judge(conviction, node)

    def judge(self, conviction: Conviction, *nodes: int) -> None:
        """Nobody whom a piece of evidence names may be honest."""
        for culprit in conviction.culprits:
            self.named[culprit] = None
            if culprit not in self._liars and culprit not in self._robbed:
                self._findings.add("P13", f"evidence names the honest validator {culprit}",
                                   *nodes)  # fmt: skip

    def finish(self, genesis: Genesis, stores: list[Reader]) -> None:
        """All evidence that these stores hold together; P13 over it."""
        self.found = tuple(self.named)
        self.pieces = gather_evidence(genesis, stores)
        for piece in self.pieces:
            self.judge(self._judge.check_raw(piece))


class ForkWatcher(Watcher):
    """Sees when two nodes confirm different blocks at one height."""

    def __init__(self) -> None:
        self.forked_height = 0
        """The lowest height with two confirmed blocks; 0 while there is none."""
        self._blocks: dict[int, bytes] = {}
        self._read: dict[int, int] = {}

    def confirmed(self, node: int, height: int, reader: Reader) -> None:
        for above in range(self._read.get(node, 0) + 1, height + 1):
            header = reader.get(layout.height_key(layout.HEADER, above)) or b""
            if self._blocks.setdefault(above, header) != header:
                self.forked_height = min(above, self.forked_height or above)
        self._read[node] = max(height, self._read.get(node, 0))


def check_named(
    findings: Findings, named: dict[int, None], liars: frozenset[int], faults: int
) -> None:
    """P12, after a fork: more are named than may be faulty."""
    if len(liars & named.keys()) <= faults:
        findings.add(
            "P12",
            f"the ledger forked and evidence names only {sorted(named)}, where more than {faults} "
            "must have lied",
        )
