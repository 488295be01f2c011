"""Evidence at a node: what shows that validators broke a rule is stored, at most so much of it.

Two values of one validator come from the plugin, which accuses, and from whatever else is signed:
statements, batches, certificates.  A fork shows
when a certificate reaches a node whose own certified log is at least as long and begins otherwise:
that node has the proof at hand.  Since more validators than the fault model allows have lied, it
stores the proof, tells everyone, and stops; so does whoever it tells.  It does not start again:
what was confirmed is no longer final, and what to do about that is for people to decide.

Equivocations are not passed on, for they harm nobody by themselves: who saw one keeps it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import Any

from consensus.inspector import Inspector
from consensus.interface import AnyCertificate, Signed
from consensus.io import Job
from consensus.outbox import Outbox
from consensus.packets import ForkFound
from consensus.recovery import Recovered, Setup
from ledger import batch, layout, merkle
from ledger.batch import Batch
from ledger.certificate import Certificate
from ledger.certified import TreeHead
from ledger.errors import DecodeFault, Fault, StorageError
from ledger.evidence import (
    Conviction,
    Equivocation,
    Fork,
    Judge,
    Piece,
    find_fork,
    make_equivocation,
    parse_piece,
)
from ledger.genesis import Genesis
from ledger.statement import Slot
from ledger.store import Reader

EQUIVOCATIONS_MAX = 16
"""Kept of one validator: one proves as much as a thousand."""
FORKS_MAX = 4
"""Kept in all: the first stops the node."""
HEARD_MAX = 20_000
"""Latest statements that are remembered: some megabytes."""
CERTIFICATES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class CompareLogs(Job):
    """Whether a certificate contradicts the own one, whose log is at least as long."""

    genesis: Genesis
    own: bytes
    """The own latest certificate."""
    other: bytes
    heads: tuple[TreeHead, TreeHead]
    """What the two state, the own one first."""

    def run(self, reader: Reader) -> Conviction | Fault | None:
        """What the two prove together, or None where they agree."""
        size = self.heads[0].size
        tiles = merkle.TileReader(
            lambda level, index: reader.get(layout.tile_key(level, index)) or b"", size
        )
        try:
            fork = find_fork(self.genesis, self.own, self.other, tiles.hash_at, self.heads)
            return None if fork is None else Judge(self.genesis).check_piece(fork)
        except Fault as fault:
            return fault


@dataclass(frozen=True, slots=True)
class CheckFork(Job):
    """Whether a peer's proof of a fork holds."""

    genesis: Genesis
    piece: bytes

    def run(self, reader: Reader) -> Conviction | Fault:
        try:
            piece = parse_piece(self.piece)
            if not isinstance(piece, Fork):
                raise DecodeFault("evidence.kind", "not a fork")
            return Judge(self.genesis).check_piece(piece)
        except Fault as fault:
            return fault


class Evidence:
    """What this node holds against others."""

    def __init__(self, setup: Setup, recovered: Recovered, outbox: Outbox) -> None:
        self._setup = setup
        self._inspector = Inspector.of(setup)
        self._outbox = outbox
        self._judge = Judge(setup.genesis)
        self._kept: dict[bytes, None] = {}
        self._count: dict[int, int] = {}
        self._forks: list[Conviction] = []
        self._heard: OrderedDict[tuple[int, str, Slot], tuple[bytes, bytes]] = OrderedDict()
        """(validator, phase, slot) -> (value, signature) that came first, of the latest."""
        self._certificates: OrderedDict[AnyCertificate, None] = OrderedDict()
        """The latest, each of which comes many times."""
        self._busy: dict[int, None] = {}
        """Peers for whose sake something is being checked: one thing each."""
        for key, raw in recovered.evidence:
            self._remember(key, self._stored(raw))

    def _stored(self, raw: bytes) -> Conviction:
        """What was stored, judged again.  Raises StorageError where it does not hold."""
        try:
            return self._judge.check_raw(raw)
        except Fault as fault:
            raise StorageError(f"the database is damaged: its evidence: {fault}") from fault

    def _remember(self, key: bytes, conviction: Conviction) -> None:
        self._kept[key] = None
        if isinstance(conviction.piece, Fork):
            self._forks.append(conviction)
        else:
            for index in conviction.culprits:
                self._count[index] = self._count.get(index, 0) + 1

    # --- two values -------------------------------------------------------------------------------

    def accuse(self, first: Signed, second: Signed) -> None:
        """Keep what a plugin accuses of, where it is two values for one slot."""
        phase, slot, value = first.message.statement()
        other_phase, other_slot, other = second.message.statement()
        self._outbox.report(
            "accused",
            culprit=first.sender,
            first=(phase, slot, value),
            second=(other_phase, other_slot, other),
        )
        one_place = (first.sender, phase, slot) == (second.sender, other_phase, other_slot)
        if one_place and value != other:
            said = (value, first.signature), (other, second.signature)
            self._equivocated(first.sender, phase, slot, *said)

    def on_statement(
        self, validator: int, phase: str, slot: Slot, value: bytes, signature: bytes
    ) -> None:
        """A checked statement came, by itself or in a certificate: is it another than before?

        Who tells each half of the network something else is found so: the votes reach one half
        each, but a certificate of one half carries the signature to the other.
        """
        said = value, signature
        known = self._heard.setdefault((validator, phase, slot), said)
        if known[0] != value:
            self._equivocated(validator, phase, slot, known, said)
        if len(self._heard) > HEARD_MAX:
            self._heard.popitem(last=False)

    def on_certificate(self, certificate: AnyCertificate) -> None:
        """A checked certificate came: it holds a statement of each signer."""
        if certificate in self._certificates:
            return
        self._certificates[certificate] = None
        if len(self._certificates) > CERTIFICATES_MAX:
            self._certificates.popitem(last=False)
        phase, slot = certificate.phase, certificate.slot
        if isinstance(certificate, Certificate):
            for index, signature in certificate.signatures:
                self.on_statement(index, phase, slot, certificate.value, signature)
        else:
            for index, value, signature in certificate.entries:
                self.on_statement(index, phase, slot, value, signature)

    def on_batch(self, held: Batch, signature: bytes) -> None:
        """A checked batch came: its creator signs one under each number."""
        self.on_statement(held.creator, batch.PHASE, (held.sequence,), held.digest, signature)

    def _equivocated(
        self, validator: int, phase: str, slot: Slot, *said: tuple[bytes, bytes]
    ) -> None:
        piece = make_equivocation(self._setup.genesis.epoch.id, validator, phase, slot, *said)
        key = self.key_of(piece)
        if key in self._kept or self._count.get(validator, 0) >= EQUIVOCATIONS_MAX:
            return
        try:
            conviction = self._judge.check_piece(piece)
        except Fault as fault:  # Nothing is held against anyone that a stranger would not believe.
            self._outbox.report("evidence refused", culprit=validator, reason=fault.reason)
            return
        self._remember(key, conviction)
        self._outbox.write([(key, piece.encode())], sync=True)
        self._outbox.report("evidence", culprit=validator, phase=phase, slot=slot)

    def key_of(self, piece: Equivocation) -> bytes:
        """Where it is stored: one piece a validator, phase and slot, whenever it is seen."""
        return layout.equivocation_key(piece.validator, piece.phase, piece.slot)

    # --- forks ------------------------------------------------------------------------------------

    @property
    def verdict(self) -> str | None:
        """One line if evidence of a fork is kept here: the node must not go on."""
        if not self._forks:
            return None
        found = self._forks[0]
        return (
            f"this ledger has forked: {', '.join(found.names)} certified two pasts. The evidence "
            "is stored, and this node does not go on"
        )

    def compare(self, peer: int, note: bytes, own: bytes | None) -> bool:
        """Whether the own certified log is at least as long as the one that a peer's note states.

        Then the two are compared, and a contradiction is stored.  Raises DecodeFault or ProofFault.
        """
        if own is None:
            return False
        if note == own:
            return True
        theirs, mine = self._inspector.stated_head(note), self._inspector.stated_head(own)
        if theirs.size > mine.size:
            return False
        if theirs != mine:
            self._start(peer, CompareLogs(self._setup.genesis, own, note, (mine, theirs)))
        return True

    def on_fork_found(self, peer: int, packet: ForkFound) -> None:
        """A peer has the proof of a fork."""
        if not self._forks:
            self._start(peer, CheckFork(self._setup.genesis, packet.piece))

    def _start(self, peer: int, job: Job) -> None:
        if peer not in self._busy:
            self._busy[peer] = None
            self._outbox.start(job, partial(self._checked, peer))

    def _checked(self, peer: int, result: Any) -> None:
        del self._busy[peer]
        if isinstance(result, Fault):
            self._outbox.report("refused", peer=peer, reason=result.reason, detail=result.detail)
        elif result is not None:
            self._forked(result)

    def _forked(self, conviction: Conviction) -> None:
        if len(self._forks) >= FORKS_MAX:
            return
        raw = conviction.piece.encode()
        key = layout.fork_key(_digest(conviction.piece))
        self._remember(key, conviction)
        self._outbox.stop(self.verdict or "", writes=[(key, raw)], last_words=[ForkFound(raw)])


def _digest(piece: Piece) -> bytes:
    return merkle.leaf_hash(piece.encode())
