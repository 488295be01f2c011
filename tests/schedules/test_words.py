"""What validators say to each other: words of another epoch, padded proofs, bytes that are none."""

from __future__ import annotations

import hashlib
from random import Random

import msgpack
import pytest

from consensus.inspector import Inspector
from consensus.interface import AnyCertificate, Message, Now
from consensus.io import FrameArrived, HostEvent, Step
from consensus.pacemaker_messages import TIMEOUT, Timeout
from consensus.packets import CertificatePacket, decode_packet, encode_packet
from consensus.protocols.tendermint_messages import PRECOMMIT, Precommit
from consensus.replica import Replica
from ledger.certificate import TimeoutCertificate
from ledger.encoding import encode
from ledger.statement import Slot, Statement
from tests.schedules.mutants import Kind, lacking
from tests.schedules.stage import Stage
from tests.sim.protocols import NAMES

NOWHERE = bytes(32)
EARLIER = hashlib.sha256(b"an earlier epoch").digest()


class ForgetsEpoch(Inspector):
    """Judges statements as if they named no epoch."""

    def signed_bytes(self, phase: str, slot: Slot, value: bytes) -> bytes:
        return Statement(self._network, NOWHERE, phase, slot, value).signed_bytes()


class ForgetsNetwork(Inspector):
    """Judges statements as if they named no network."""

    def signed_bytes(self, phase: str, slot: Slot, value: bytes) -> bytes:
        return Statement(NOWHERE, self._epoch.id, phase, slot, value).signed_bytes()


class BelievesCertificates(Inspector):
    """Takes every certificate for right."""

    def check_certificate(self, certificate: AnyCertificate) -> None:
        """Check nothing."""


def view_after(
    kind: Kind, message: Message, protocol: str, *, network: bytes = b"", epoch: bytes = b""
) -> int:
    """The round or view of node 0 after the others said something, in some network and epoch."""
    stage = Stage(protocol, kind=kind, puppets=(1, 2, 3))
    stage.run_ms(200)
    for peer in (1, 2, 3):
        stage.inject(peer, 0, stage.sign(peer, message, network=network, epoch=epoch))
    stage.run_ms(1_000)
    plugin = stage.plugin(0)
    return int(plugin.view if protocol == "jolteon" else plugin.round)


JOLTEON = ("jolteon", Timeout(1, None, None), 1)
TENDERMINT = ("tendermint", Precommit(1, 0, b""), 0)


@pytest.mark.parametrize(("protocol", "message", "first"), [JOLTEON, TENDERMINT])
def test_old_words_of_another_epoch_never_end_a_round(
    protocol: str, message: Message, first: int
) -> None:
    assert view_after(Replica, message, protocol) == first + 1, "such words end a round"
    assert view_after(Replica, message, protocol, epoch=EARLIER) == first
    # Where statements do not name the epoch, those of every epoch are the same bytes.
    mutant = lacking("_ordering._inspector", ForgetsEpoch)
    assert view_after(mutant, message, protocol, epoch=NOWHERE) == first + 1


@pytest.mark.parametrize(("protocol", "message", "first"), [JOLTEON, TENDERMINT])
def test_words_of_another_network_with_the_same_validators_never_end_a_round(
    protocol: str, message: Message, first: int
) -> None:
    assert view_after(Replica, message, protocol, network=EARLIER) == first
    mutant = lacking("_ordering._inspector", ForgetsNetwork)
    assert view_after(mutant, message, protocol, network=NOWHERE) == first + 1


@pytest.mark.parametrize(
    "signers",
    [(1, 1, 1), (3, 2, 1), (0, 1, 2, 3), (1, 2), (1, 2, 4)],
    ids=["one-signer-thrice", "out-of-order", "padded", "too-few", "a-stranger"],
)
@pytest.mark.parametrize("protocol", ["jolteon", "tendermint"])
def test_a_certificate_that_is_not_exactly_a_quorum_moves_nobody(
    protocol: str, signers: tuple[int, ...]
) -> None:
    def play(kind: Kind, whom: tuple[int, ...]) -> int:
        stage = Stage(protocol, kind=kind, puppets=(1, 2, 3))
        phase, slot, value = (
            (TIMEOUT, (1,), encode((0, b""))) if protocol == "jolteon" else (PRECOMMIT, (1, 0), b"")
        )
        statement = Statement(stage.genesis.network, stage.genesis.epoch.id, phase, slot, value)
        entries = tuple(
            (who, value, stage.signers[who % 4].statements.sign(statement.signed_bytes()))
            for who in whom
        )
        stage.run_ms(200)
        certificate = TimeoutCertificate(phase, slot, entries)
        stage.inject(1, 0, CertificatePacket.of(certificate))
        stage.run_ms(2_000)
        plugin = stage.plugin(0)
        return int(plugin.view - 1 if protocol == "jolteon" else len(plugin.log._ended))

    assert play(Replica, (1, 2, 3)) == 1, "a right one does"
    assert play(Replica, signers) == 0
    assert play(lacking("_ordering._inspector", BelievesCertificates), signers) == 1


class ReadsAnyEncoding(Replica):
    """Reads what MessagePack allows, not the one encoding of it."""

    def step(self, now: Now, event: HostEvent) -> Step:
        if isinstance(event, FrameArrived):
            again = encode(msgpack.unpackb(event.payload, use_list=False))
            event = FrameArrived(event.peer, event.channel, again)
        return super().step(now, event)


def test_a_second_encoding_of_a_vote_is_refused() -> None:
    def play(kind: Kind) -> int:
        stage = Stage("tendermint", kind=kind, puppets=(1, 2, 3))
        stage.run_ms(200)
        for peer in (1, 2, 3):
            packet = stage.sign(peer, Precommit(1, 0, b""))
            payload = encode_packet(packet, 0)
            # The epoch number, 0 in one byte, in two.
            longer = payload[:3] + b"\xcc\x00" + payload[4:]
            assert payload[3] == 0
            stage.inject_bytes(peer, 0, packet.CHANNEL, longer)
        stage.run_ms(1_000)
        assert len(stage.told("refused")) == (0 if kind is ReadsAnyEncoding else 3)
        return int(stage.plugin(0).round)

    assert play(Replica) == 0
    assert play(ReadsAnyEncoding) == 1


class TrustsPeers(Replica):
    """Reads a frame as if a peer could do no wrong."""

    def step(self, now: Now, event: HostEvent) -> Step:
        if isinstance(event, FrameArrived):
            decode_packet(event.channel, event.payload)
        return super().step(now, event)


@pytest.mark.parametrize("protocol", NAMES)
def test_a_peer_whose_every_frame_is_damaged_stops_nobody(protocol: str) -> None:
    def play(kind: Kind) -> Stage:
        stage = Stage(protocol, kind=kind)
        draw = Random(7)

        def flip(sender: int, payload: bytes) -> bytes:
            if sender != 3:
                return payload
            place = draw.randrange(len(payload) * 8)
            damaged = bytearray(payload)
            damaged[place // 8] ^= 1 << place % 8
            return bytes(damaged)

        stage.tamper = flip
        stage.run_ms(200)
        for nonce in range(4):
            stage.submit(nonce % 3, stage.transaction(nonce))
            stage.run_ms(400)
        return stage

    stage = play(Replica)
    wishes = [stage.transaction(nonce) for nonce in range(4)]
    assert stage.until(lambda: all(stage.holds(wish, 0, 1, 2) for wish in wishes))
    assert stage.broken == ()
    assert len(stage.told("refused")) > 10

    assert set(play(TrustsPeers).stopped) >= {0, 1, 2}
