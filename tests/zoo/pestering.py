"""One that forgets at once what it is sent, and asks again.

Bare plugins decide something in drawn weather, among them one whose words and hints are kept.  Then
nothing is left to do, and it says one of them again and again: what the others send it must not
grow with that (P16).
"""

from __future__ import annotations

from functools import partial
from random import Random

from consensus.interface import Consensus, Signed
from sim.plugin_drawing import hasty
from sim.plugin_step import Packet
from sim.plugins import PluginScenario, Script
from tests.zoo.model import Mutant, Verdict, judge

ASKED = 16
"""How often it says the same, a millisecond apart."""
ANSWERED_MAX = 4
"""Copies of one answer in that time."""
PESTERER = 3


def fits(mutant: Mutant) -> bool:
    """Whether its rule is about answers to whoever asks."""
    return mutant.plugin is not None and mutant.replica is None and "P16" in mutant.expected


def attempt(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """One network, one word."""
    return judge(mutant, partial(broken, number=number), f"pestering {number}"), 1


def broken(protocol: type[Consensus], number: int) -> tuple[str, ...]:
    """The properties that a protocol breaks that is asked as this number says."""
    draw = Random(f"pestering {number}")
    script = Script(
        PluginScenario(
            protocol,
            seed=number,
            nodes=4,
            parameters=hasty(protocol),
            payloads=0,
            loss=draw.choice((0, 100, 300)),
            stable_ms=200,
        )
    )
    said: list[Packet] = []

    def keep(sender: int, receiver: int, packet: Packet) -> bool:
        if sender == PESTERER and isinstance(packet, bytes | Signed) and packet not in said:
            said.append(packet)
        return True

    script.allow = keep
    for payload in range(draw.choice((1, 2, 4))):
        script.submit(payload.to_bytes(32, "big"))
        script.run_ms(draw.choice((20, 100)))
    script.run_ms(2_000)
    if not said:
        return ()
    packet, seat = draw.choice(said), draw.randrange(PESTERER)
    told: list[Packet] = []
    script.allow = lambda sender, receiver, answer: (
        receiver != PESTERER or sender != seat or bool(told.append(answer))
    )
    for _ in range(ASKED):
        script.seats[seat].deliver(PESTERER, packet)
        script.run_ms(1)
    script.run_ms(200)
    return ("P16",) if any(told.count(answer) > ANSWERED_MAX for answer in told) else ()
