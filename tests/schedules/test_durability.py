"""Power cuts at every boundary of a write, and promises that must be on the disk before them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import pytest

from consensus.interface import Consensus, Now, Signed
from consensus.io import Channel, HostEvent, Loop, Looped, SendFrame, Step
from consensus.outbox import Outbox
from consensus.packets import (
    BatchPacket,
    CheckpointCertified,
    CheckpointSignature,
    Have,
    Packet,
    SignedPacket,
    Status,
    YouSaid,
    decode_packet,
)
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import PREVOTE, Precommit
from consensus.replica import Replica
from ledger import layout
from ledger.batch import parse_batch
from ledger.store import Write
from ledger.transaction import Transaction
from sim.watcher import Boundary
from tests.schedules.mutants import Kind, lacking
from tests.schedules.stage import Stage
from tests.sim.protocols import NAMES, plugin

WISHES = 2
VICTIM = {"solo": 0, "tendermint": 1, "jolteon": 1}
"""Who leads the first slot."""
CHECKPOINT = layout.signed_key("checkpoint", (0,))


class Unlucky(Stage):
    """A stage on which chosen nodes lose power at chosen writes, counted from 1 for ever."""

    def __init__(self, protocol: str, kind: Kind = Replica) -> None:
        super().__init__(protocol, kind=kind)
        self.writes = [0] * 4
        self.doom: dict[tuple[int, int], Boundary] = {}
        self.on_write = self._count

    def strike(self, node: int, number: int, boundary: Boundary) -> None:
        if number == 1:
            self.nodes[node].crash_at(boundary)
        else:
            self.doom[node, number] = boundary

    def _count(self, node: int, writes: list[Write]) -> None:
        self.writes[node] += 1
        boundary = self.doom.get((node, self.writes[node] + 1))
        if boundary is not None:
            self.nodes[node].crash_at(boundary)

    def play(self) -> bool:
        """Order a few transactions, start again whoever is down; whether all is well."""
        self.run_ms(100)
        wishes = [self.transaction(nonce) for nonce in range(WISHES)]
        for wish in wishes:
            self.submit(1, wish)
            self.submit(2, wish)
            self.run_ms(60)
        self.boot(0, 1, 2, 3)
        self.run_ms(100)
        for node in range(4):
            self.submit(node, *wishes)
        return self.until(lambda: self._is_done(wishes)) and self.broken == ()

    def _is_done(self, wishes: list[Transaction]) -> bool:
        # A power cut may have waited for a write that came only now.
        self.boot(0, 1, 2, 3)
        return self.broken != () or all(self.holds(wish) for wish in wishes)


@cache
def writes_without_faults(protocol: str) -> int:
    """How many writes the first leader makes."""
    stage = Unlucky(protocol)
    assert stage.play()
    return stage.writes[VICTIM[protocol]]


@pytest.mark.parametrize("boundary", list(Boundary)[1:], ids=lambda each: each.name.lower())
@pytest.mark.parametrize("protocol", NAMES)
def test_a_power_cut_of_the_leader_at_any_write_loses_and_contradicts_nothing(
    protocol: str, boundary: Boundary
) -> None:
    for number in range(1, writes_without_faults(protocol) + 1):
        stage = Unlucky(protocol)
        stage.strike(VICTIM[protocol], number, boundary)

        assert stage.play(), f"write {number}: {stage.findings.found}"
        assert stage.crashes == [VICTIM[protocol]]
        assert all(stage.equivocations(node) == [] for node in range(4)), f"write {number}"


@pytest.mark.parametrize("boundary", [Boundary.BEFORE, Boundary.AFTER])
@pytest.mark.parametrize("protocol", NAMES)
def test_a_power_cut_of_everyone_at_any_write_loses_and_contradicts_nothing(
    protocol: str, boundary: Boundary
) -> None:
    for number in range(1, writes_without_faults(protocol) + 1):
        stage = Unlucky(protocol)
        for node in range(4):
            stage.strike(node, number, boundary)

        assert stage.play(), f"write {number}: {stage.findings.found}"
        assert stage.crashes != []
        assert all(stage.equivocations(node) == [] for node in range(4)), f"write {number}"


class NeverSyncs(Outbox):
    """Hands promises out that may still be lost."""

    def write(self, writes: list[Write], *, sync: bool) -> None:  # type: ignore[override]
        super().write(writes, sync=False)


@pytest.mark.parametrize("protocol", NAMES)
def test_without_syncs_some_power_cut_breaks_a_promise(protocol: str) -> None:
    def survives(number: int) -> bool:
        stage = Unlucky(protocol, lacking("_outbox", NeverSyncs))
        for node in range(4):
            stage.strike(node, number, Boundary.AFTER)
        return stage.play() and all(stage.equivocations(node) == [] for node in range(4))

    assert not all(survives(number) for number in range(1, writes_without_faults(protocol) + 1))


def test_a_failed_write_releases_nothing_and_ends_the_node() -> None:
    for number in range(1, 7):
        stage = Unlucky("tendermint")
        stage.strike(1, number, Boundary.FAILING)
        released: list[int] = []

        def look(
            node: int,
            event: HostEvent,
            step: Step,
            stage: Stage = stage,
            seen: list[int] = released,
        ) -> None:
            # What had left when the node began its last step, whose write has failed or waited.
            if node == 1:
                seen.append(sum(sent.sender == 1 for sent in stage.sent_log))

        stage.on_step = look
        stage.run_ms(100)
        stage.submit(1, stage.transaction(0))
        assert stage.until(lambda stage=stage: stage.crashes == [1], limit_ms=2_000)
        left = sum(sent.sender == 1 for sent in stage.sent_log)
        stage.run_ms(1_000)

        assert stage.writes[1] == number - 1
        assert sum(sent.sender == 1 for sent in stage.sent_log) == left == released[-1]
        assert not stage.nodes[1].is_up


class WritesAtOnce(Outbox):
    """Writes a batch before the promise that rests on it, instead of with it."""

    def put_off(self, writes: list[Write]) -> None:  # type: ignore[override]
        self.write(writes, sync=False)


def test_a_disk_that_fails_keeps_no_promise_without_what_it_rests_on() -> None:
    # The write with the sequencer's statement fails, and turns out to be on the disk; of what was
    # written shortly before it, nothing is.  Nobody else has the batch.
    def play(kind: Kind) -> bool:
        stage = Stage("solo", kind=kind)
        stage.nodes[0].keeps_last = True
        statement = layout.signed_key("sequence", (2,))

        def fail(node: int, event: HostEvent, step: Step) -> None:
            if not stage.crashes and statement in [key for key, _ in step.writes]:
                stage.nodes[0].crash_at(Boundary.FAILING)

        stage.on_step = fail
        stage.run_ms(200)
        stage.submit(0, stage.transaction(0))
        assert stage.until(lambda: stage.all_certified(1))
        stage.allow = lambda sender, receiver, packet: not isinstance(packet, BatchPacket)
        stage.submit(0, stage.heavy_transaction(1))
        assert stage.until(lambda: stage.crashes == [0])
        assert stage.nodes[0].engine.get(statement) is not None
        stage.allow = None
        stage.boot(0)
        stage.run_ms(100)
        stage.submit(0, stage.heavy_transaction(1))
        return stage.until(lambda: stage.holds(stage.heavy_transaction(1)), limit_ms=10_000)

    assert play(Replica)
    assert not play(lacking("_outbox", WritesAtOnce))


# --- nothing leaves before it is durable ----------------------------------------------------------


class Strict(Stage):
    """Looks up on the sender's disk what every frame rests on, at the moment in which it leaves."""

    def __init__(self, protocol: str, kind: Kind = Replica) -> None:
        self.early: list[str] = []
        self.checked: dict[str, int] = {}
        super().__init__(protocol, kind=kind)

    def sent(self, node: int, output: SendFrame) -> None:
        super().sent(node, output)
        _, packet = decode_packet(output.channel, output.payload)
        name = type(packet).__name__
        self.checked[name] = self.checked.get(name, 0) + 1
        if not self._rests_on_the_disk(node, packet):
            self.early.append(f"{name} of node {node}")

    def _rests_on_the_disk(self, node: int, packet: object) -> bool:
        engine = self.nodes[node].engine
        match packet:
            case SignedPacket():
                phase, slot, _ = self.message_of(packet.kind, packet.body).statement()
                return self.is_durable(node, layout.signed_key(phase, slot))
            case CheckpointSignature():
                return self.is_durable(node, CHECKPOINT)
            case CheckpointCertified():
                return self.is_durable(node, layout.height_key(layout.CERT, packet.height))
            case Status():
                return packet.certified <= self.certified(node) and (
                    not packet.decided or self.is_durable(node, layout.DECISION_HEAD)
                )
            case BatchPacket():
                batch = parse_batch(packet.batch, self.genesis.limits)
                reserved = int.from_bytes(engine.get(layout.SEQUENCES) or b"", "big")
                return batch.creator != node or (
                    batch.sequence < reserved and self.is_durable(node, layout.SEQUENCES)
                )
        return True


@pytest.mark.parametrize("protocol", NAMES)
def test_nothing_is_said_that_is_not_durable(protocol: str) -> None:
    def play(kind: Kind) -> Strict:
        stage = Strict(protocol, kind)
        stage.run_ms(100)
        for nonce in range(4):
            stage.submit(nonce, stage.transaction(nonce))
            stage.run_ms(40)
        stage.run_ms(2_000)
        return stage

    stage = play(Replica)
    assert stage.early == []
    wanted = {SignedPacket, CheckpointSignature, Status, BatchPacket}
    assert {kind.__name__ for kind in wanted} <= set(stage.checked)

    assert "SignedPacket" in str(play(lacking("_outbox", NeverSyncs)).early)


@dataclass
class Hearing:
    """What a plugin heard of its own words, and whether they were durable then."""

    stage: Stage | None = None
    durable: list[bool] = field(default_factory=list)


def listening(kind: type[Consensus], hearing: Hearing) -> type[Consensus]:
    """The protocol, each own message of which is looked up on the disk when it comes back."""

    class Listening(kind):  # type: ignore[valid-type, misc]
        def on_message(self, signed: Signed) -> None:
            if signed.sender == self.me and hearing.stage is not None:
                phase, slot, _ = signed.message.statement()
                key = layout.signed_key(phase, slot)
                hearing.durable.append(hearing.stage.is_durable(signed.sender, key))
            super().on_message(signed)

    return Listening


class HearsItselfAtOnce(Replica):
    """Hands its own broadcasts back within the step that made them."""

    def step(self, now: Now, event: HostEvent) -> Step:
        step = super().step(now, event)
        loops = [output for output in step.outputs if isinstance(output, Loop)]
        step.outputs = [output for output in step.outputs if not isinstance(output, Loop)]
        for loop in loops:
            more = self.step(now, Looped(loop.content))
            step.writes += more.writes
            step.outputs += more.outputs
            step.sync = step.sync or more.sync
        return step


@pytest.mark.parametrize("protocol", NAMES)
def test_a_broadcast_arrives_at_ourselves_only_after_it_is_durable(protocol: str) -> None:
    def play(kind: Kind) -> list[bool]:
        hearing = Hearing()
        stage = Stage(protocol, kind=kind, consensus=listening(plugin(protocol), hearing))
        hearing.stage = stage
        stage.run_ms(100)
        stage.submit(1, stage.transaction(0))
        assert stage.until(lambda: stage.all_certified(1))
        return hearing.durable

    heard = play(Replica)
    assert heard
    assert all(heard)
    assert not all(play(HearsItselfAtOnce))


# --- one step, one batch --------------------------------------------------------------------------


class DecidesLater(Replica):
    """Writes a decision one batch after what the plugin says upon it."""

    def step(self, now: Now, event: HostEvent) -> Step:
        step = super().step(now, event)
        late = self.__dict__.setdefault("late", [])
        mine, step.writes = step.writes, [*late]
        kinds = (layout.DECIDED, layout.DECISION_HEAD)
        step.writes += [write for write in mine if not write[0].startswith(kinds)]
        late[:] = [write for write in mine if write[0].startswith(kinds)]
        return step


def test_a_decision_is_in_one_batch_with_what_is_said_upon_it() -> None:
    # Node 3 hears the proposal of the second instance, and then what decides the first: it decides
    # and prevotes in one step.  No power cut can come between.
    def play(kind: Kind) -> list[bool]:
        """For the batch with the prevote of the second instance: whether the decision is in it."""
        stage = Stage("tendermint", kind=kind)
        prevote = layout.signed_key(PREVOTE, (2, 0))
        together: list[bool] = []

        def arrives(sender: int, receiver: int, packet: Packet) -> bool:
            if receiver != 3 or isinstance(packet, BatchPacket | Have):
                return True
            if not isinstance(packet, SignedPacket):
                return packet.CHANNEL is Channel.SYNC and isinstance(packet, YouSaid)
            message = stage.message_in(Tendermint, packet)
            return not (isinstance(message, Precommit) and sender != 0)

        def look(node: int, event: HostEvent, step: Step) -> None:
            keys = [key for key, _ in step.writes]
            if node == 3 and prevote in keys:
                together.append(layout.DECISION_HEAD in keys and step.sync)

        stage.allow = arrives
        stage.on_step = look
        stage.run_ms(200)
        for nonce in range(2):
            stage.submit(0, stage.transaction(nonce))
            stage.run_ms(200)
        assert stage.replica(3).status().decided == 0
        value = stage.plugin(3).log.proposal((1, 0), None).value
        assert stage.plugin(3).log.proposal((2, 0), None) is not None
        stage.allow = None
        stage.inject(1, 3, stage.sign(1, Precommit(1, 0, value.digest)))
        assert stage.until(lambda: stage.all_certified(2))
        return together

    assert play(Replica) == [True]
    assert play(DecidesLater) == [False]
