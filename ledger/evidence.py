"""Evidence: what shows a third party, offline, that validators broke a rule that no honest one can.

    file          "ledger evidence" 00, then (version, network id, [piece]), ascending by bytes
    equivocation  (version, 1, epoch id, [handover], validator, phase, slot,
                   value, signature, value, signature), the values ascending
    fork          (version, 2, epoch id, [handover], certificate, certificate, root, path)

An *equivocation* is two values that one validator signed for one (epoch, phase, slot): the guard of
an honest one refuses the second.  A *fork* is two checkpoint certificates of one epoch neither of
whose logs extends the other; the validators in both have signed two pasts, and any two quorums
share more than a third of all (Civit et al., "As easy as ABC", IPDPS 2022).  Between equal sizes
the roots differ, and root and path are empty.  Otherwise the first certificate is the shorter log;
path is the RFC 9162 consistency proof that the second log *begins with another root* of that size.
So whoever has the longer log finds the proof alone, and no leaf needs to be shown.

Nothing in it depends on who saw it or when: the same fault seen by two nodes is one piece.  What
cannot be shown so is told in docs/evidence.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from ledger import encoding, layout, merkle
from ledger.certified import NOTE_BYTES_MAX, TreeHead, stated_head
from ledger.encoding import encode
from ledger.errors import DecodeFault, ProofFault
from ledger.genesis import EpochRecord, Genesis
from ledger.light import LightClient
from ledger.limits import RECEIPT_BYTES_MAX, VALIDATORS_MAX
from ledger.receipt import HANDOVERS_MAX, Handover, handover_shape, handovers_of
from ledger.statement import Slot, Statement, phase_shape, value_shape
from ledger.store import Reader, prefix_stop

VERSION = 1
DOMAIN = b"ledger evidence\x00"
"""First bytes of a file of evidence."""
SUFFIX = ".evidence"
"""Name ending of such a file."""
PIECE_BYTES_MAX = 2 * NOTE_BYTES_MAX + RECEIPT_BYTES_MAX
"""Two certificates of any network, and what leads to their epoch as in a receipt."""
PIECES_MAX = 4_096
"""More than a node keeps: sixteen a validator, and some forks."""
EVIDENCE_BYTES_MAX = 16 * 1024 * 1024
PATH_MAX = 64
"""Hashes of a consistency proof: the log has fewer than 2^63 leaves."""

_begin = (encoding.exactly(VERSION),)
_end = (encoding.digest, encoding.array(handover_shape, HANDOVERS_MAX))
_equivocation_shape = encoding.row(
    *_begin,
    encoding.exactly(1),
    *_end,
    encoding.uint(VALIDATORS_MAX - 1),
    phase_shape,
    encoding.slot,
    value_shape,
    encoding.statement_signature,
    value_shape,
    encoding.statement_signature,
)
_fork_shape = encoding.row(
    *_begin,
    encoding.exactly(2),
    *_end,
    encoding.blob(NOTE_BYTES_MAX),
    encoding.blob(NOTE_BYTES_MAX),
    encoding.blob(merkle.HASH_BYTES),
    encoding.array(encoding.digest, PATH_MAX),
)
_file_shape = encoding.row(
    encoding.exactly(VERSION),
    encoding.digest,
    encoding.array(encoding.blob(PIECE_BYTES_MAX), PIECES_MAX, low=1),
)


@dataclass(frozen=True, slots=True)
class Equivocation:
    """One validator signed two values where it may sign one."""

    KIND: ClassVar[int] = 1
    epoch: bytes
    """Epoch id."""
    validator: int
    """Index in that epoch."""
    phase: str
    slot: Slot
    first: tuple[bytes, bytes]
    """(value, signature)."""
    second: tuple[bytes, bytes]
    """The same for the other value, the greater one."""
    handovers: tuple[Handover, ...] = ()

    def encode(self) -> bytes:
        """The one way of writing it."""
        rows = tuple(handover.row() for handover in self.handovers)
        body = (self.validator, self.phase, self.slot, *self.first, *self.second)
        return encode((VERSION, self.KIND, self.epoch, rows, *body))


@dataclass(frozen=True, slots=True)
class Fork:
    """Quorums of one epoch certified two logs, neither of which extends the other."""

    KIND: ClassVar[int] = 2
    epoch: bytes
    """Epoch id."""
    first: bytes
    """Certificate, a signed note, of the shorter log, or of the lesser root between equal sizes."""
    second: bytes
    """Certificate of the other log."""
    root: bytes
    """Of the second log's first leaves, as many as the first log has; empty between equal sizes."""
    path: tuple[bytes, ...]
    """The consistency proof from that root to the second log's."""
    handovers: tuple[Handover, ...] = ()

    def encode(self) -> bytes:
        """The one way of writing it."""
        rows = tuple(handover.row() for handover in self.handovers)
        body = (self.first, self.second, self.root, self.path)
        return encode((VERSION, self.KIND, self.epoch, rows, *body))


Piece = Equivocation | Fork


@dataclass(frozen=True, slots=True)
class Conviction:
    """A piece of evidence that holds."""

    piece: Piece
    epoch: EpochRecord
    culprits: tuple[int, ...]
    """Validator indexes in that epoch, ascending."""
    heads: tuple[TreeHead, ...] = ()
    """The two certified logs of a fork."""

    @property
    def names(self) -> tuple[str, ...]:
        """The culprits by name."""
        return tuple(self.epoch.validators.members[index].name for index in self.culprits)


def make_equivocation(
    epoch: bytes, validator: int, phase: str, slot: Slot, *said: tuple[bytes, bytes]
) -> Equivocation:
    """The piece of two (value, signature); nothing is checked."""
    first, second = sorted(said)
    return Equivocation(epoch, validator, phase, slot, first, second)


def find_fork(
    genesis: Genesis,
    own: bytes,
    other: bytes,
    hash_at: merkle.HashAt,
    heads: tuple[TreeHead, TreeHead] | None = None,
) -> Fork | None:
    """The piece that two notes of epoch 0 make, where the own certified log is not the shorter.

    hash_at gives the own log's complete subtrees; heads are what the two notes state, where the
    caller has read them.  None where the own log extends the other, or is
    shorter: then whoever has the other one can tell.  No signature is checked.  Raises DecodeFault
    or ProofFault for a note that is none of this network.
    """
    if heads is None:
        heads = stated_head(own, genesis.origin), stated_head(other, genesis.origin)
    mine, theirs = heads
    if theirs.size > mine.size:
        return None
    root = merkle.root_at(theirs.size, hash_at)
    if root == theirs.root:
        return None
    if theirs.size == mine.size:
        first, second = (own, other) if mine.root < theirs.root else (other, own)
        return Fork(genesis.epoch.id, first, second, b"", ())
    path = merkle.consistency_path(theirs.size, mine.size, hash_at)
    return Fork(genesis.epoch.id, other, own, root, path)


def stored_evidence(reader: Reader, network: bytes) -> bytes | None:
    """The file of all evidence that a node's store holds, or None where it holds none."""
    stop = prefix_stop(layout.EVIDENCE)
    pieces = [piece for _, piece in reader.scan(layout.EVIDENCE, stop)]
    return encode_evidence(network, pieces) if pieces else None


def encode_evidence(network: bytes, pieces: Iterable[bytes]) -> bytes:
    """The one file of these encoded pieces, whatever their order and however often each comes."""
    return DOMAIN + encode((VERSION, network, tuple(sorted(dict.fromkeys(pieces)))))


def is_evidence(raw: bytes) -> bool:
    """Whether a file says of itself that it is evidence."""
    return raw.startswith(DOMAIN)


def parse_evidence(raw: bytes) -> tuple[bytes, tuple[Piece, ...]]:
    """(network id, pieces) of a file; nothing is checked.  Raises DecodeFault."""
    if not is_evidence(raw):
        raise DecodeFault("evidence.malformed", "not a file of evidence")
    fields: Any = encoding.decode(
        raw[len(DOMAIN) :], _file_shape, size_max=EVIDENCE_BYTES_MAX, what="evidence"
    )
    _, network, pieces = fields
    if any(left >= right for left, right in pairwise(pieces)):
        raise DecodeFault("evidence.order", "the pieces are not strictly ascending")
    return network, tuple(parse_piece(piece) for piece in pieces)


def parse_piece(raw: bytes) -> Piece:
    """The piece that these bytes encode; nothing is checked.  Raises DecodeFault."""
    # The kind is the third byte of every piece: array header, version, kind.
    kind = raw[2] if len(raw) > 2 else 0
    shape = {Equivocation.KIND: _equivocation_shape, Fork.KIND: _fork_shape}.get(kind)
    if shape is None:
        raise DecodeFault("evidence.kind", "no piece of a known kind")
    fields: Any = encoding.decode(raw, shape, size_max=PIECE_BYTES_MAX, what="evidence")
    _, _, epoch, rows, *body = fields
    handovers = handovers_of(rows)
    if kind == Fork.KIND:
        first, second, root, path = body
        return Fork(epoch, first, second, root, path, handovers)
    validator, phase, slot, value, signature, other, another = body
    return Equivocation(
        epoch, validator, phase, slot, (value, signature), (other, another), handovers
    )


class Judge:
    """Says whether evidence holds, with nothing but the genesis.

    Each rule is a method of its own, so that a test can take one away and see what then passes.
    """

    def __init__(self, genesis: Genesis) -> None:
        self._genesis = genesis
        self._client = LightClient(genesis)
        self.verify = genesis.suite.statements.verify
        """By the genesis; the simulator's keyed hash proves nothing."""

    def check(self, raw: bytes) -> tuple[Conviction, ...]:
        """What this file proves, piece by piece.

        Raises DecodeFault or ProofFault unless every piece holds.
        """
        network, pieces = parse_evidence(raw)
        if network != self._genesis.network:
            raise ProofFault("evidence.network", "the evidence is of another network")
        return tuple(self.check_piece(piece) for piece in pieces)

    def check_raw(self, piece: bytes) -> Conviction:
        """What one encoded piece proves.  Raises ProofFault or DecodeFault unless it holds."""
        return self.check_piece(parse_piece(piece))

    def check_piece(self, piece: Piece) -> Conviction:
        """What one piece proves.  Raises ProofFault or DecodeFault unless it holds."""
        epoch, _ = self._client.epochs(piece.handovers)[-1]
        if epoch.id != piece.epoch:
            raise ProofFault("evidence.epoch", "the handovers do not lead to this epoch")
        if isinstance(piece, Fork):
            return self._check_fork(piece, epoch)
        return self._check_equivocation(piece, epoch)

    # --- equivocation -----------------------------------------------------------------------------

    def _check_equivocation(self, piece: Equivocation, epoch: EpochRecord) -> Conviction:
        self.check_validator(piece.validator, epoch)
        self.check_values(piece.first[0], piece.second[0])
        for value, signature in (piece.first, piece.second):
            message = self.message(piece, value)
            if not self.is_signed(piece.validator, epoch, message, signature):
                raise ProofFault("evidence.signature", f"not of validator {piece.validator}")
        return Conviction(piece, epoch, (piece.validator,))

    def check_validator(self, index: int, epoch: EpochRecord) -> None:
        """Raise ProofFault unless the epoch has a validator of this index."""
        if not 0 <= index < epoch.validators.size:
            raise ProofFault("evidence.validator", f"no validator {index} in this epoch")

    def check_values(self, first: bytes, second: bytes) -> None:
        """Raise ProofFault unless these are two values, in the one order of writing them."""
        if first == second:
            raise ProofFault("evidence.same-value", "the same value said twice is no fault")
        if first > second:
            raise ProofFault("evidence.order", "the values are not ascending")

    def is_signed(self, index: int, epoch: EpochRecord, message: bytes, signature: bytes) -> bool:
        """Whether the validator who is named signed the message."""
        return self.verify(epoch.validators.statement_key(index), message, signature)

    def message(self, piece: Equivocation, value: bytes) -> bytes:
        """What was signed."""
        network = self._genesis.network
        statement = Statement(network, piece.epoch, piece.phase, piece.slot, value)
        return statement.signed_bytes()

    # --- fork -------------------------------------------------------------------------------------

    def _check_fork(self, piece: Fork, epoch: EpochRecord) -> Conviction:
        first = self._client.check_log(piece.first, epoch)
        second = self._client.check_log(piece.second, epoch)
        self.check_contradiction(piece, first.head, second.head)
        culprits = self.culprits_of(first.signers, second.signers)
        return Conviction(piece, epoch, culprits, (first.head, second.head))

    def check_contradiction(self, piece: Fork, first: TreeHead, second: TreeHead) -> None:
        """Raise ProofFault unless neither log extends the other, shown in the one way."""
        if (first.size, first.root) > (second.size, second.root):
            raise ProofFault("evidence.order", "the certificates are not ascending")
        if first.size == second.size:
            if piece.root or piece.path:
                raise ProofFault("evidence.path", "equal sizes need no proof")
            if first.root == second.root:
                raise ProofFault("evidence.consistent", "both certificates are of one log")
            return
        if piece.root == first.root:
            raise ProofFault("evidence.consistent", "the second log extends the first")
        merkle.check_consistency(
            piece.path,
            old_size=first.size,
            old_root=piece.root,
            new_size=second.size,
            new_root=second.root,
        )

    def culprits_of(self, first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
        """Who signed both logs.  Any two quorums share someone, or there are no quorums."""
        return tuple(index for index in first if index in second)
