"""What Tendermint says: proposals, prevotes and precommits, and what their statements bind.

A slot is (instance, round).  A *polka* is a `Certificate` of phase "prevote": a quorum that
prevoted one value in one round.  A *commit* is one of phase "precommit".  The vote for no value,
nil, is the empty digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from consensus.interface import AnyCertificate, Message, digest_of
from ledger import encoding
from ledger.certificate import Certificate, certificate_shape
from ledger.encoding import Shape
from ledger.errors import DecodeFault
from ledger.statement import Slot
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

PROPOSAL = "proposal"
PREVOTE = "prevote"
PRECOMMIT = "precommit"
NIL = b""
NO_ROUND = -1
"""A valid round or locked round that is none; 0 on the wire, where rounds count from 1."""


@dataclass(frozen=True, slots=True)
class Proposal(Message):
    """The proposer's value for a round, and the last round in which it had a polka."""

    KIND: ClassVar[int] = 1
    SHAPE: ClassVar[Shape] = encoding.row(
        encoding.blob(VALUE_BYTES_MAX),
        encoding.uint(),
        encoding.uint(),
        encoding.optional(certificate_shape),
    )
    value: Value
    """As it was first proposed: a re-proposal carries the same bytes."""
    round: int
    valid_round: int
    """The paper's vr; NO_ROUND for a fresh value."""
    proof: Certificate | None
    """Not signed: it proves itself."""

    @property
    def slot(self) -> Slot:
        return (self.value.slot[0], self.round)

    @property
    def polka(self) -> Certificate | None:
        """For the value in the valid round."""
        return self.proof if self.valid_round != NO_ROUND else None

    @property
    def commit(self) -> Certificate | None:
        """Of the value decided before a fresh one, which names its signers where a leader policy
        reads them."""
        return self.proof if self.valid_round == NO_ROUND else None

    def row(self) -> tuple[Any, ...]:
        proof = self.proof.row() if self.proof is not None else None
        return (self.value.raw, self.round, self.valid_round + 1, proof)

    @classmethod
    def from_row(cls, row: Any) -> Proposal:
        proof = Certificate.from_row(row[3]) if row[3] is not None else None
        proposal = cls(parse_value(row[0]), row[1], row[2] - 1, proof)
        if not proposal.is_coherent():
            raise DecodeFault("tendermint.proposal", f"of {proposal.value.slot} in {row[1]}")
        return proposal

    def is_coherent(self) -> bool:
        """Whether the fields agree: the value is fresh, or the polka is its, of the valid round."""
        value, proof = self.value, self.proof
        if len(value.slot) != 2 or value.slot[0] < 1 or value.parent:
            return False
        if self.valid_round == NO_ROUND:
            is_before = proof is None or (
                (proof.phase, proof.slot[:1]) == (PRECOMMIT, (value.slot[0] - 1,))
                and len(proof.slot) == 2
                and proof.value != NIL
            )
            return is_before and value.slot[1] == self.round
        return (
            value.slot[1] <= self.valid_round < self.round
            and proof is not None
            and (proof.phase, proof.slot, proof.value)
            == (PREVOTE, (value.slot[0], self.valid_round), value.digest)
        )

    def statement(self) -> tuple[str, Slot, bytes]:
        return PROPOSAL, self.slot, digest_of(self.value.digest, self.valid_round + 1)

    def certificates(self) -> tuple[AnyCertificate, ...]:
        return (self.proof,) if self.proof is not None else ()

    def values(self) -> tuple[Value, ...]:
        return (self.value,)


@dataclass(frozen=True, slots=True)
class _Vote(Message):
    """A vote in one round, for a value or for nil."""

    PHASE: ClassVar[str]
    SHAPE: ClassVar[Shape] = encoding.row(encoding.uint(low=1), encoding.uint(), encoding.blob(32))
    instance: int
    round: int
    value: bytes
    """Digest, or NIL."""

    def row(self) -> tuple[Any, ...]:
        return (self.instance, self.round, self.value)

    @classmethod
    def from_row(cls, row: Any) -> _Vote:
        if len(row[2]) not in (0, 32):
            raise DecodeFault("tendermint.vote", f"for {len(row[2])} bytes")
        return cls(*row)

    def statement(self) -> tuple[str, Slot, bytes]:
        return self.PHASE, (self.instance, self.round), self.value


@dataclass(frozen=True, slots=True)
class Prevote(_Vote):
    """A value may be locked once a quorum prevoted it."""

    KIND: ClassVar[int] = 2
    PHASE: ClassVar[str] = PREVOTE


@dataclass(frozen=True, slots=True)
class Precommit(_Vote):
    """A value is decided once a quorum precommitted it."""

    KIND: ClassVar[int] = 3
    PHASE: ClassVar[str] = PRECOMMIT
