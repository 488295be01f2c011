"""Drawn questions of a plugin for an ordering alone: values to fetch and to judge, and what comes
of them once something is decided, certified, or adopted.

What was asked for since the last certified decision is asked for until it comes, and nothing is
judged any more that a decided or an adopted root has passed: neither is so for ever (P10).
"""

from __future__ import annotations

from random import Random

from consensus.interface import Decide, DecisionProof, Fetch, Root, Validate
from consensus.ordering import Ordering
from consensus.packets import ValuePacket
from ledger.statement import Slot
from ledger.value import Value
from tests.schedules import test_values as values
from tests.zoo.drawn import Part
from tests.zoo.drawn_floors import GENESIS, an_ordering, say

KINDS: dict[str, type[Ordering]] = {
    "D31": values.ForgetsQuestions,
    "D32": values.JudgesWhatIsPassed,
}
STEPS = 40
NOTHING = DecisionProof(())


def broken(kind: type[Ordering], number: int) -> tuple[str, ...]:
    """The properties that an ordering of this kind breaks in the life of this number."""
    draw = Random(f"questions {number}")
    ordering = an_ordering(kind)
    ordering.start(me=0)
    asked: dict[bytes, tuple[Value, Slot]] = {}
    decided, certified = 0, 0

    def value(height: int) -> Value:
        named = (draw.randbytes(32),)
        return Value(GENESIS.epoch.id, ordering.plugin.root.value, (height, 0), 1, 0, named)

    def certify(root: Root) -> None:
        nonlocal asked
        ordering.on_certified(root)
        asked = {digest: each for digest, each in asked.items() if each[1] >= root.slot}

    for _ in range(STEPS):
        match draw.choice(("fetch", "fetch", "answer", "judge", "decide", "certify", "adopt")):
            case "fetch":
                wanted = value(decided + draw.randrange(1, 3))
                asked[wanted.digest] = wanted, ordering.plugin.root.slot
                say(ordering, Fetch(wanted.digest))
            case "answer" if asked:
                wanted, _slot = asked.pop(draw.choice(list(asked)))
                ordering.on_value(ValuePacket(wanted.raw))
            case "judge":
                say(ordering, Validate(value(decided + draw.randrange(1, 4))))
            case "decide":
                decided += 1
                last = value(decided)
                ordering.plugin.root = Root(last.digest, last.slot, decided)
                say(ordering, Decide((last,), NOTHING))
                ordering.values.decided(last)
                ordering.on_decided(last)
            case "certify" if certified < decided:
                certified = draw.randrange(certified + 1, decided + 1)
                certify(Root(bytes([certified]) * 32, (certified, 0), certified))
            case "adopt":
                certified = decided = decided + draw.randrange(1, 3)
                root = Root(bytes([certified]) * 32, (certified, 0), certified)
                certify(root)
                ordering.plugin.root = root
        is_asked = asked.keys() <= ordering._fetching.keys()
        judged = ordering._validating.values()
        if not is_asked or any(each.slot <= ordering.plugin.root.slot for each in judged):
            return ("P10",)
    return ()


PART = Part("questions", Ordering, KINDS, broken)
