"""Validators that break rules, what shows it, and what only looks as if it did."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from ledger import merkle
from ledger.evidence import Equivocation, Fork, Piece, make_equivocation
from ledger.genesis import EpochRecord, Genesis
from ledger.statement import Slot, Statement
from tests.ledger.builders import consensus_signer_of, make_genesis
from tests.ledger.proven import certify

GENESIS = make_genesis()
EPOCH = GENESIS.epoch
OTHER = replace(GENESIS, name="other.example")
"""Another network of the very same validators: its epoch id is the same."""
X, Y = sorted(hashlib.sha256(name).digest() for name in (b"x", b"y"))


def say(
    index: int,
    value: bytes,
    *,
    phase: str = "prevote",
    slot: Slot = (7, 1),
    genesis: Genesis = GENESIS,
    epoch: bytes = EPOCH.id,
    kind: type[Statement] = Statement,
) -> tuple[bytes, bytes]:
    """(value, signature) of a statement of validator `index`."""
    signer = consensus_signer_of(f"node{index}", genesis.scheme).statements
    statement = kind(genesis.network, epoch, phase, slot, value)
    return value, signer.sign(statement.signed_bytes())


def equivocation(index: int = 2, **other: object) -> Equivocation:
    """Both values of one validator for one slot, with fields changed afterwards."""
    piece = make_equivocation(EPOCH.id, index, "prevote", (7, 1), say(index, X), say(index, Y))
    return replace(piece, **other)  # type: ignore[arg-type]


class Log:
    """Leaves of one past, and certificates over its beginnings."""

    def __init__(self, *leaves: bytes, genesis: Genesis = GENESIS) -> None:
        self.hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
        self.genesis = genesis

    def root(self, size: int) -> bytes:
        return merkle.root_of(self.hashes[:size])

    def note(
        self, size: int, signers: Sequence[int] = (0, 1, 2), *, epoch: EpochRecord | None = None
    ) -> bytes:
        """The certificate over the first `size` leaves."""
        epoch = epoch or self.genesis.epoch
        made = certify(self.genesis, size, self.root(size), epoch=epoch, signers=signers)
        return made.note(self.genesis.origin, epoch.validators)

    def path(self, old: int, new: int) -> tuple[bytes, ...]:
        return merkle.consistency_path(old, new, self.hash_at)

    def hash_at(self, level: int, index: int) -> bytes:
        return merkle.root_of(self.hashes[index << level : (index + 1) << level])


COMMON = tuple(b"leaf %d" % number for number in range(9))
ONE = Log(*COMMON, b"this", *(b"one %d" % number for number in range(8)))
TWO = Log(*COMMON, b"that", *(b"two %d" % number for number in range(8)))
"""Two pasts that part after nine leaves."""


def fork(short: int = 11, long: int = 15, **other: object) -> Fork:
    """Certificates of the two pasts, by validators 0, 1, 2 and 1, 2, 3; between unequal sizes."""
    piece = Fork(
        EPOCH.id,
        ONE.note(short, (0, 1, 2)),
        TWO.note(long, (1, 2, 3)),
        TWO.root(short),
        TWO.path(short, long),
    )
    return replace(piece, **other)  # type: ignore[arg-type]


def level_fork() -> Fork:
    """The same between equal sizes."""
    first, second = sorted(((ONE, (0, 1, 2)), (TWO, (1, 2, 3))), key=lambda pair: pair[0].root(12))
    return Fork(EPOCH.id, first[0].note(12, first[1]), second[0].note(12, second[1]), b"", ())


def bad_pieces() -> dict[str, tuple[Piece, str]]:
    """What looks like evidence and is none: its name, and the reason for which it is refused."""
    again = say(2, X)
    signed_anew = (X, bytes([again[1][0] ^ 1]) + again[1][1:])
    behind = Fork(EPOCH.id, ONE.note(11), ONE.note(15), ONE.root(11), ONE.path(11, 15))
    by_three = make_equivocation(EPOCH.id, 2, "prevote", (7, 1), say(3, X), say(3, Y))
    last = replace(by_three, validator=-1)
    on_other = make_equivocation(
        EPOCH.id, 2, "prevote", (7, 1), say(2, X), say(2, Y, genesis=OTHER)
    )
    another_epoch = replace(EPOCH, number=1).id
    in_next = make_equivocation(
        EPOCH.id, 2, "prevote", (7, 1), say(2, X), say(2, Y, epoch=another_epoch)
    )

    def also(**place: object) -> Piece:
        return make_equivocation(
            EPOCH.id,
            2,
            "prevote",
            (7, 1),
            say(2, X),
            say(2, Y, **place),  # type: ignore[arg-type]
        )

    return {
        "the same vote twice": (equivocation(first=again, second=again), "evidence.same-value"),
        "two signatures of one vote": (
            equivocation(first=again, second=signed_anew),
            "evidence.same-value",
        ),
        "another's votes": (by_three, "evidence.signature"),
        "votes of two validators": (equivocation(second=say(3, Y)), "evidence.signature"),
        "a negative index": (last, "evidence.validator"),
        "an index beyond the last": (equivocation(validator=4), "evidence.validator"),
        "a vote on another network": (on_other, "evidence.signature"),
        "a vote in another epoch": (in_next, "evidence.signature"),
        "an unknown epoch": (equivocation(epoch=another_epoch), "evidence.epoch"),
        "a vote in another phase": (also(phase="precommit"), "evidence.signature"),
        "a vote at another height": (also(slot=(8, 1)), "evidence.signature"),
        "a vote in another round": (also(slot=(7, 2)), "evidence.signature"),
        "values in the other order": (
            equivocation(first=say(2, Y), second=say(2, X)),
            "evidence.order",
        ),
        "a validator that was behind": (behind, "evidence.consistent"),
        "one certificate twice": (
            Fork(EPOCH.id, ONE.note(11), ONE.note(11), b"", ()),
            "evidence.consistent",
        ),
        "two quorums over one log": (
            Fork(EPOCH.id, ONE.note(11), ONE.note(11, (1, 2, 3)), b"", ()),
            "evidence.consistent",
        ),
        "certificates in the other order": (
            fork(first=TWO.note(15), second=ONE.note(11)),
            "evidence.order",
        ),
        "a root that is not the other log's": (fork(root=X), "merkle.root"),
        "a path of the own log": (fork(path=ONE.path(11, 15)), "merkle.root"),
        "no path": (fork(path=()), "merkle.path"),
        "a path too much": (replace(level_fork(), path=(X,)), "evidence.path"),
        "a certificate of too few": (
            fork(first=_without_a_line(ONE.note(11))),
            "certificate.quorum",
        ),
        "a certificate of another network": (
            fork(first=Log(*COMMON, b"this", b"more", genesis=OTHER).note(11)),
            "checkpoint.origin",
        ),
    }


def _without_a_line(note: bytes) -> bytes:
    return note[: note.rindex(b"\n", 0, -1) + 1]
