"""Rounds and silence: half a view change, liars that vote twice, ledgers with nothing to do."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from consensus import tally
from consensus.io import Channel
from consensus.pacemaker_messages import Proposal as ViewProposal
from consensus.pacemaker_messages import Timeout
from consensus.packets import CertificatePacket, Packet, SignedPacket
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.solo import Solo
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import PREVOTE, Precommit, Prevote, Proposal
from consensus.replica import Replica
from ledger.statement import Slot
from tests.consensus import mutants_jolteon, mutants_tendermint
from tests.schedules.mutants import Kind
from tests.schedules.stage import Stage
from tests.sim.protocols import NAMES

# --- every retry says again what was said, and why ------------------------------------------------


def half_a_view_change(consensus: type[Jolteon]) -> bool:
    """Two validators hold the timeout certificate of view 1; the other two lost the timeouts."""
    stage = Stage("jolteon", consensus=consensus)

    def arrives(sender: int, receiver: int, packet: Packet) -> bool:
        if packet.CHANNEL is not Channel.PROTOCOL:
            return True
        if not isinstance(packet, SignedPacket):
            return receiver in (0, 1)
        message = stage.message_in(Jolteon, packet)
        if isinstance(message, Timeout):
            return receiver in (0, 1)
        return not isinstance(message, ViewProposal)

    stage.allow = arrives
    stage.run_ms(200)
    stage.submit(0, stage.transaction(0))
    assert stage.until(lambda: stage.plugin(0).view == stage.plugin(1).view == 2)
    assert [stage.plugin(node).view for node in (2, 3)] == [1, 1]
    stage.allow = None
    return stage.until(lambda: stage.all_certified(1))


def one_ahead(consensus: type[Tendermint]) -> bool:
    """Of three that are up, one has heard enough to leave round 0; the others lost its words."""
    stage = Stage("tendermint", consensus=consensus, down=(3,))

    def arrives(sender: int, receiver: int, packet: Packet) -> bool:
        if packet.CHANNEL is not Channel.PROTOCOL:
            return True
        if not isinstance(packet, SignedPacket):
            return False
        message = stage.message_in(Tendermint, packet)
        is_heard = sender != 0 or not isinstance(message, Precommit)
        is_first = message.statement()[1] == (1, 0)
        return is_first and is_heard and not isinstance(message, Proposal)

    stage.allow = arrives
    stage.run_ms(200)
    stage.submit(0, stage.transaction(0))
    assert stage.until(lambda: stage.plugin(0).round == 1)
    stage.run_ms(3_000)
    assert [stage.plugin(node).round for node in (1, 2)] == [0, 0]
    stage.allow = None
    return stage.until(lambda: stage.all_certified(1, 0, 1, 2))


def test_half_hold_the_certificate_that_ended_a_view_and_half_lost_what_it_is_made_of() -> None:
    assert half_a_view_change(Jolteon)
    assert not half_a_view_change(mutants_jolteon.KeepsCertificates)


def test_one_that_went_on_alone_shows_the_others_why_it_may() -> None:
    assert one_ahead(Tendermint)
    assert not one_ahead(mutants_tendermint.NeverSaysWhy)


def test_everything_said_at_first_is_lost_and_said_again() -> None:
    def play(consensus: type[Tendermint]) -> bool:
        stage = Stage("tendermint", consensus=consensus)
        stage.allow = lambda sender, receiver, packet: packet.CHANNEL is not Channel.PROTOCOL
        stage.run_ms(200)
        stage.submit(0, stage.transaction(0))
        stage.run_ms(5_000)
        assert not any(stage.replica(node).status().decided for node in range(4))
        stage.allow = None
        return stage.until(lambda: stage.all_certified(1), limit_ms=20_000)

    assert play(Tendermint)
    assert not play(mutants_tendermint.NeverSendsAgain)


def test_certificates_travel_unsigned() -> None:
    stage = Stage("jolteon")
    stage.run_ms(200)
    stage.submit(0, stage.transaction(0))
    assert stage.until(lambda: stage.all_certified(1))
    stage.run_ms(5_000)
    packet = stage.said(CertificatePacket)[0].packet
    assert isinstance(packet, CertificatePacket)
    voters = [index for index, _ in packet.certificate().row()[3]]
    assert len(voters) == 3

    # The one that did not sign it may bring it as well as any other.
    other = Stage("jolteon", puppets=(1, 2, 3))
    other.run_ms(200)
    outsider = next(peer for peer in (1, 2, 3, 0) if peer not in voters)
    other.inject(outsider, 0, packet)
    assert other.until(lambda: other.plugin(0).view > 1, limit_ms=100)


# --- liars that vote twice ------------------------------------------------------------------------


def two_faces(consensus: type[Tendermint]) -> Stage:
    """Two honest validators need the third, who votes otherwise first; the fourth is down."""
    stage = Stage("tendermint", consensus=consensus, puppets=(3,), down=(2,))
    stage.run_ms(200)
    stage.submit(1, stage.transaction(0))

    def proposal() -> Proposal | None:
        for _, packet in stage.puppet(3).heard:
            if isinstance(packet, SignedPacket):
                message = stage.message_in(Tendermint, packet)
                if isinstance(message, Proposal):
                    return message
        return None

    assert stage.until(proposal)
    made = proposal()
    assert made is not None
    for kind in (Prevote, Precommit):
        for value in (bytes(32), made.value.digest):
            for node in (0, 1):
                stage.inject(3, node, stage.sign(3, kind(1, 0, value)))
    stage.run_ms(300)
    return stage


def test_an_equivocator_is_accused_and_what_it_said_still_counts() -> None:
    stage = two_faces(Tendermint)
    accused = stage.told("accused")
    assert {report["culprit"] for report in accused} == {3}
    assert {report["first"][0] for report in accused} == {"prevote", "precommit"}
    assert [stage.replica(node).status().decided for node in (0, 1)] == [1, 1]
    assert stage.broken == ()

    stage = two_faces(mutants_tendermint.SilencesLiars)
    assert [stage.replica(node).status().decided for node in (0, 1)] == [0, 0]


def test_a_liars_many_values_and_far_slots_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def play() -> tuple[int, int]:
        """(values of one slot, slots) that are kept of a validator that says whatever it can."""
        stage = Stage("tendermint", puppets=(1, 2, 3), limits={"slot_window": 10})
        stage.run_ms(200)
        for number in range(40):
            value = number.to_bytes(32, "big")
            stage.inject(3, 0, stage.sign(3, Prevote(1, 0, value)))
            stage.inject(3, 0, stage.sign(3, Prevote(1, number, value)))
            stage.inject(3, 0, stage.sign(3, Prevote(1 + number, 0, value)))
        counted = stage.plugin(0).log._tally
        return len(counted.values(PREVOTE, (1, 0))), len(list(counted.slots(PREVOTE)))

    assert play() == (2, 15)
    monkeypatch.setattr(tally, "VALUES_A_SIGNER", 1_000)
    assert play()[0] == 40


# --- silence --------------------------------------------------------------------------------------


class NeverRests(Replica):
    """Always finds something to wait for."""

    def _is_open(self) -> bool:
        return True


def chatter(protocol: str, kind: Kind = Replica, consensus: type[Jolteon] | None = None) -> int:
    """Frames in the 20 seconds that follow a confirmation and 20 seconds of peace."""
    stage = Stage(protocol, kind=kind, consensus=consensus)
    stage.run_ms(200)
    stage.submit(1, stage.transaction(0))
    assert stage.until(lambda: stage.all_certified(1))
    stage.run_ms(20_000)
    before = len(stage.sent_log)
    stage.run_ms(20_000)
    if len(stage.sent_log) == before:
        assert all(node.is_idle for node in stage.nodes)
        # And it wakes up at once.
        stage.submit(2, stage.transaction(1))
        assert stage.until(lambda: stage.all_certified(2), limit_ms=500)
    return len(stage.sent_log[before:]) if not stage.all_certified(2) else 0


@pytest.mark.parametrize("protocol", NAMES)
def test_an_idle_ledger_is_quiet_and_wakes_at_once(protocol: str) -> None:
    assert chatter(protocol) == 0
    assert chatter(protocol, NeverRests) > 0


class Restless(Jolteon):
    """Goes on timing out when there is nothing to order."""

    def keep_time(self) -> None:
        super().keep_time()
        if self._timer is None:
            self._timer = (self.view,)
            self.set_timer("view", self._timer, 1_000)


def test_a_protocol_that_orders_nothing_for_ever_is_not_quiet() -> None:
    assert chatter("jolteon", consensus=Restless) > 0


@pytest.mark.parametrize("protocol", NAMES)
def test_a_fresh_network_says_nothing_after_its_greetings(protocol: str) -> None:
    stage = Stage(protocol)
    stage.run_ms(10_000)
    before = len(stage.sent_log)
    stage.run_ms(60_000)
    assert len(stage.sent_log) == before
    assert all(node.is_idle for node in stage.nodes)


class Insatiable(Solo):
    """Asks for the next payload whenever it has one."""

    def on_payload(self, slot: Slot, payload: tuple[bytes, ...]) -> None:
        self.request_payload(slot, b"")


def test_a_plugin_that_asks_for_ever_within_one_step_ends_its_node() -> None:
    stage = Stage("solo", consensus=Insatiable)
    stage.run_ms(200)
    stage.submit(0, stage.transaction(0))
    assert stage.until(lambda: 0 in stage.stopped)
    assert "solo asks for ever within one step" in stage.stopped[0]


# --- a leader that leaves something out -----------------------------------------------------------


@dataclass
class Ages:
    """What a plugin was told about the oldest unordered batch."""

    told: list[int] = field(default_factory=list)


def test_a_plugin_learns_for_how_many_certified_heights_a_batch_was_left_out() -> None:
    ages = Ages()

    class Watchful(Solo):
        def on_pending(self, oldest_age: int) -> None:
            if self.me == 2:
                ages.told.append(oldest_age)
            super().on_pending(oldest_age)

    stage = Stage("solo", consensus=Watchful, puppets=(3,))
    # A batch that may not be ordered yet: it is made at a height that nobody has reached.
    _, packet = stage.batch(3, stage.transaction(99), height=50)
    stage.run_ms(200)
    for node in (0, 1, 2):
        stage.inject(3, node, packet)
    for nonce in range(5):
        stage.submit(1, stage.transaction(nonce))
        assert stage.until(lambda nonce=nonce: stage.all_certified(nonce + 1))
    stage.run_ms(300)

    assert max(ages.told) == 5
    assert sorted(set(ages.told)) == list(range(6))
