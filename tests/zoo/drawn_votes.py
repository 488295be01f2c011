"""Drawn words for a tally alone: one validator says whatever it can, the others what they may.

In a network the memory that a liar fills shows after very many words.  A tally is asked after each
of some dozens: it holds two values at most of one signer, phase and slot (P16).
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random

from consensus.interface import Signed
from consensus.protocols.tendermint_messages import PRECOMMIT, PREVOTE, Precommit, Prevote
from consensus.tally import Tally
from tests.zoo.model import Mutant, Verdict, judged
from tests.zoo.replicas import patching

MUTANTS = ("N5m",)
VALIDATORS = 4
VALUES_A_SIGNER = 2
"""The bound that the design states, and not the constant that a mutant may change."""


def fits(mutant: Mutant) -> bool:
    """Whether it is the tally that lacks the rule."""
    return mutant.id in MUTANTS


def attempt(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """Some dozens of words."""
    with patching(mutant):
        found = broken(number)
    return judged(mutant, found, partial(broken, number), f"votes {number}"), 1


def broken(number: int) -> tuple[str, ...]:
    """The properties that the tally breaks that hears the words of this number."""
    draw = Random(f"votes {number}")
    tally, liar = Tally(), draw.randrange(VALIDATORS)
    rounds, values = draw.choice((1, 2, 4)), draw.choice((1, 2, 3, 5))
    for _ in range(draw.choice((8, 20, 60))):
        sender, round_ = draw.randrange(VALIDATORS), draw.randrange(rounds)
        said = draw.randrange(values) if sender == liar else round_
        kind = draw.choice((Prevote, Precommit))
        tally.add(Signed(sender, kind(1, round_, bytes([said]) * 32), bytes(64)))
        if _kept_of_one(tally) > VALUES_A_SIGNER:
            return ("P16",)
    return ()


def _kept_of_one(tally: Tally) -> int:
    """How many values the tally keeps at most of one signer in one place."""
    kept: Counter[tuple[str, tuple[int, ...], int]] = Counter()
    for phase in (PREVOTE, PRECOMMIT):
        for slot in tally.slots(phase):
            for value in tally.values(phase, slot):
                count = tally.count(phase, slot, value)
                everyone = tally.certificate(phase, slot, value, count)
                assert everyone is not None
                kept.update((phase, slot, signer) for signer, _ in everyone.signatures)
    return max(kept.values(), default=0)
