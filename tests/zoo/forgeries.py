"""The mutants of the judge of evidence: whoever accuses the honest is found out (P13).

A scenario takes what validators said, on two networks, in several phases and rounds, and the
certificates of one log, and a forger makes a piece of evidence of two of these that differ in as
little as possible.  Everybody is honest but at most one, who said two things in one place; a judge
that convicts anyone else is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from ledger.errors import DecodeFault, ProofFault
from ledger.evidence import Fork, Judge, Piece, make_equivocation
from ledger.genesis import Genesis
from ledger.statement import Slot, Statement
from tests.ledger.accused import COMMON, EPOCH, GENESIS, ONE, OTHER, X, Y, say
from tests.ledger.mutants_evidence import (
    AccusesTheRestarted,
    ForgetsTheNetwork,
    TakesAnyonesSignature,
    TakesNegativeIndex,
    TakesOneValue,
    UnboundStatement,
)
from tests.zoo.model import SURVIVED, Mutant, Verdict

VALUES = (b"", X, Y)
PIECES = 8
"""Forged in one attempt; making and judging a piece takes about a millisecond."""
QUORUMS = ((0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3))
JUDGES: dict[str, type[Judge]] = {
    "E1-judge": TakesOneValue,
    "E2-judge": TakesAnyonesSignature,
    "E6-judge": AccusesTheRestarted,
    "N1m-judge": ForgetsTheNetwork,
    "N2m-judge": TakesNegativeIndex,
}
SIGNED_AS: dict[type[Judge], type[Statement]] = {ForgetsTheNetwork: UnboundStatement}
"""What validators sign where a judge's rule is about the signed bytes."""


@dataclass(frozen=True, slots=True)
class _Said:
    """A statement of a validator."""

    validator: int
    phase: str
    slot: Slot
    genesis: Genesis
    is_second: bool = False
    """Whether the liar says it: the second thing in one place."""

    def signed(self, number: int, kind: type[Statement]) -> tuple[bytes, bytes]:
        """(value, signature); who is honest never says anything else in one place."""
        place = f"{number} {self.validator} {self.phase} {self.slot} {self.genesis.name}"
        first, second = Random(place).sample(VALUES, 2)
        value = second if self.is_second else first
        return say(self.validator, value, phase=self.phase, slot=self.slot,
                   genesis=self.genesis, kind=kind)  # fmt: skip


def attempt(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """A few forged pieces."""
    for tried in range(PIECES):
        piece = number * PIECES + tried
        if accuses(JUDGES[mutant.id], piece):
            base = ("P13",) if accuses(Judge, piece) else ()
            return Verdict(("P13",), base, f"forgeries: piece {piece}"), tried + 1
    return SURVIVED, PIECES


def accuses(kind: type[Judge], number: int) -> bool:
    """Whether a judge of this kind convicts an honest validator in the scenario of this number."""
    draw = Random(f"forgeries {number}")
    make = draw.choice((_of_two_statements, _of_two_statements, _of_two_certificates))
    piece, liars = make(draw, number, SIGNED_AS.get(kind, Statement))
    try:
        conviction = kind(GENESIS).check_piece(piece)
    except (ProofFault, DecodeFault):
        return False
    return not set(conviction.culprits) <= set(liars)


def _of_two_statements(
    draw: Random, number: int, kind: type[Statement]
) -> tuple[Piece, tuple[int, ...]]:
    """The piece, and who lied in it."""
    size = EPOCH.validators.size
    one = _Said(draw.randrange(size), draw.choice(("prevote", "precommit")),
                (draw.randrange(1, 9), draw.randrange(4)), GENESIS)  # fmt: skip
    other = draw.choice((
        one,
        replace(one, is_second=True),
        replace(one, validator=draw.randrange(size)),
        replace(one, phase="batch"),
        replace(one, slot=(one.slot[0], one.slot[1] + 1)),
        replace(one, genesis=OTHER),
    ))  # fmt: skip
    accused = draw.choice((one.validator, one.validator - size, draw.randrange(size)))
    piece = make_equivocation(EPOCH.id, accused, one.phase, one.slot, one.signed(number, kind),
                              other.signed(number, kind))  # fmt: skip
    return piece, (one.validator,) if other.is_second else ()


def _of_two_certificates(
    draw: Random, number: int, kind: type[Statement]
) -> tuple[Piece, tuple[int, ...]]:
    """Of one log, perhaps by someone who was behind: no fork, however it is put."""
    del number, kind
    short, long = sorted(draw.choices(range(len(COMMON), len(ONE.hashes) + 1), k=2))
    first, second = (ONE.note(size, draw.choice(QUORUMS)) for size in (short, long))
    if short == long:
        return Fork(EPOCH.id, first, second, b"", ()), ()
    root = draw.choice((ONE.root(short), ONE.root(long), X))
    return Fork(EPOCH.id, first, second, root, ONE.path(short, long)), ()


def _judge(identity: str, removed: str) -> Mutant:
    return Mutant(identity, "judge", "evidence", removed, ("P13",),
                  label=JUDGES[identity].__name__, easy="forgeries")  # fmt: skip


EVIDENCE = (
    _judge("E1-judge", "the same value said twice is no fault"),
    _judge("E2-judge", "both statements are signed by the validator who is named"),
    _judge("E6-judge", "who was behind, and certified an earlier size of the same log, is honest"),
    _judge("N1m-judge", "what is signed names its network"),
    _judge("N2m-judge", "an index below zero is nobody"),
)
