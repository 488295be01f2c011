"""The guard against our own plugins: second values, settled slots, floors that rise too early."""

from __future__ import annotations

import pytest

from consensus.guard import Guard, floors_shape
from consensus.interface import Message, Root, Signed
from consensus.io import Channel
from consensus.ordering import Ordering
from consensus.packets import Packet
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import NIL, PRECOMMIT, PREVOTE, PROPOSAL, Prevote
from consensus.replica import Replica
from ledger import layout
from ledger.encoding import decode
from ledger.statement import Slot
from ledger.store import Write
from tests.schedules.mutants import Kind, lacking
from tests.schedules.stage import Stage
from tests.sim.protocols import NAMES

GUARD = "_ordering._guard"


class SignsAnything(Guard):
    """Looks neither at what it signed before nor at the floors."""

    def sign(self, me: int, message: Message) -> tuple[Signed, list[Write]]:
        phase, slot, _ = message.statement()
        self._said.pop((phase, slot), None)
        self._floors.pop(phase, None)
        return super().sign(me, message)


class SaysTwo(Tendermint):
    """Prevotes a value, and then none."""

    def _prevote(self, digest: bytes) -> None:
        super()._prevote(digest)
        if digest != NIL and self.me == 2:
            self.broadcast(Prevote(self.instance, self.round, NIL))


class SpeaksOfOldThings(Tendermint):
    """Prevotes in the first instance again after the third."""

    def _start_instance(self, instance: int) -> None:
        super()._start_instance(instance)
        if instance == 4 and self.me == 2:
            self.broadcast(Prevote(1, 0, NIL))


def order(stage: Stage, count: int) -> None:
    """Give a network one transaction after the other."""
    stage.run_ms(200)
    for nonce in range(count):
        stage.submit(0, stage.transaction(nonce))
        stage.run_ms(300)


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [(SaysTwo, "a second value"), (SpeaksOfOldThings, "below the settled floor")],
)
def test_a_plugin_that_contradicts_itself_is_stopped_before_anyone_hears_it(
    plugin: type[Tendermint], reason: str
) -> None:
    def play(kind: Kind) -> Stage:
        stage = Stage("tendermint", consensus=plugin, kind=kind)
        order(stage, 4)
        return stage

    stage = play(Replica)
    assert list(stage.stopped) == [2]
    assert reason in stage.stopped[2]
    assert stage.equivocations(2) == []
    assert stage.broken == ("P19",)

    stage = play(lacking(GUARD, SignsAnything))
    assert stage.equivocations(2)[0] == (PREVOTE, (1, 0))
    assert "P14" in stage.broken


def test_after_a_restart_the_guard_still_knows_what_was_said() -> None:
    stage = Stage("tendermint")
    # Nobody hears any precommit, so that the first round goes on for ever.
    stage.allow = lambda sender, receiver, packet: packet.CHANNEL is not Channel.PROTOCOL
    stage.run_ms(200)
    stage.submit(1, stage.transaction(0))
    assert stage.until(lambda: stage.plugin(1).said(PREVOTE, (1, 0)))
    said = stage.plugin(1).said(PREVOTE, (1, 0))
    stage.run_ms(50)

    stage.crash(1)
    stage.boot(1)
    stage.run_ms(200)

    assert said.value != NIL
    assert stage.plugin(1).said(PREVOTE, (1, 0)) == said
    with pytest.raises(AssertionError, match="a second value"):
        stage.replica(1)._ordering._guard.sign(1, Prevote(1, 0, NIL))


# --- floors ---------------------------------------------------------------------------------------


class SettlesDecided(Tendermint):
    """Settles an instance as soon as it is decided."""

    def _start_instance(self, instance: int) -> None:
        super()._start_instance(instance)
        for phase in (PROPOSAL, PREVOTE, PRECOMMIT):
            self.settle(phase, (instance, 0))


class SettlesAtOnce(Ordering):
    """Takes a plugin's word for what may be settled."""

    def run(self) -> None:
        super().run()
        settling, self._settling = self._settling, []
        for effect in settling:
            self._outbox.write(self._guard.settle(effect.phase, effect.floor), sync=False)


class SettlesAtAnyCertificate(Ordering):
    """Lets every floor rise with the next certificate, whatever it covers."""

    def on_certified(self, root: Root) -> None:
        settling, self._settling = self._settling, []
        super().on_certified(root)
        for effect in settling:
            self._outbox.write(self._guard.settle(effect.phase, effect.floor), sync=False)


def too_high(stage: Stage, node: int) -> list[tuple[str, Slot]]:
    """The floors on a node's disk that are above what its certificates cover."""
    raw = stage.nodes[node].engine.get(layout.FLOORS)
    if raw is None:
        return []
    certified = stage.certified(node)
    headers = stage.headers(node)
    covered = headers[certified - 1].slot[0] if certified else 0
    floors: tuple[tuple[str, Slot], ...] = decode(raw, floors_shape, size_max=65_536, what="floors")
    return [(phase, floor) for phase, floor in floors if floor[0] > covered + 1]


def certificates_late(kind: Kind, plugin: type[Tendermint] | None, protocol: str) -> list[object]:
    """Floors that are ever too high while decisions run ahead of certificates.

    Three blocks are decided before anyone but node 0 gets a certificate, and that covers the first.
    """
    stage = Stage(protocol, kind=kind, consensus=plugin)
    found: list[object] = []
    hearing, height = (0,), 1

    def arrives(sender: int, receiver: int, packet: Packet) -> bool:
        is_checkpoint = packet.CHANNEL is Channel.CHECKPOINT
        in_time = receiver in hearing and getattr(packet, "height", 0) <= height
        return in_time or not is_checkpoint

    stage.allow = arrives
    stage.on_write = lambda node, writes: found.extend(too_high(stage, node))
    order(stage, 3)
    assert [stage.certified(node) for node in range(4)] == [1, 0, 0, 0]
    hearing = (0, 1, 2, 3)
    assert stage.until(lambda: stage.all_certified(1))
    height = 1 << 40
    assert stage.until(lambda: stage.all_certified(3))
    order(stage, 5)
    assert None not in [node.engine.get(layout.FLOORS) for node in stage.nodes], "floors do rise"
    return found


@pytest.mark.parametrize("protocol", NAMES)
def test_no_floor_reaches_a_slot_whose_decision_is_not_certified(protocol: str) -> None:
    assert certificates_late(Replica, None, protocol) == []


def test_a_plugin_that_settles_what_is_only_decided_has_to_wait() -> None:
    assert certificates_late(Replica, SettlesDecided, "tendermint") == []
    for mutant in (SettlesAtOnce, SettlesAtAnyCertificate):
        kind = lacking("_ordering", mutant)
        assert certificates_late(kind, SettlesDecided, "tendermint") != []
