"""What a node holds against others: kept once, kept for good, and never against the honest."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from consensus import evidence
from consensus.evidence import EQUIVOCATIONS_MAX, Evidence
from consensus.interface import Message
from consensus.packets import (
    BatchPacket,
    CertificatePacket,
    CheckpointCertified,
    ForkFound,
    Packet,
    Status,
)
from consensus.protocols.tendermint_messages import Prevote
from consensus.replica import Replica
from ledger import layout, merkle
from ledger.certificate import Certificate
from ledger.certified import CheckpointCertificate, TreeHead, checkpoint_message, stated_head
from ledger.errors import ProofFault
from ledger.evidence import (
    Conviction,
    Equivocation,
    Fork,
    Judge,
    find_fork,
    parse_piece,
    stored_evidence,
)
from ledger.genesis import Genesis
from tests.ledger.mutants_evidence import AccusesTheRestarted
from tests.schedules.mutants import Kind, lacking
from tests.schedules.stage import Stage

X, Y, Z = (bytes([number]) * 32 for number in (1, 2, 3))


def convictions(stage: Stage, index: int) -> tuple[Conviction, ...]:
    """What the evidence on a node's disk proves to a stranger."""
    raw = stored_evidence(stage.nodes[index].engine, stage.genesis.network)
    return () if raw is None else Judge(stage.genesis).check(raw)


def say(stage: Stage, sender: int, *messages: Message) -> None:
    """Let every other node hear messages of a validator."""
    for message in messages:
        for node in stage.nodes:
            if node.index != sender:
                stage.inject(sender, node.index, stage.sign(sender, message))


# --- two values -----------------------------------------------------------------------------------


def two_prevotes(kind: Kind = Replica) -> Stage:
    """A liar's two prevotes reach everyone, again and again, also after a restart."""
    stage = Stage("tendermint", puppets=(3,), kind=kind)
    stage.run_ms(200)
    for _ in range(3):
        say(stage, 3, Prevote(1, 0, X), Prevote(1, 0, Y))
        stage.run_ms(1_000)
        stage.crash(0, 1)
        stage.boot(0, 1)
        stage.run_ms(1_000)
    return stage


def test_a_liar_is_held_to_its_two_votes_by_everyone_who_heard_both_and_for_good() -> None:
    stage = two_prevotes()

    pieces = {convictions(stage, node)[0].piece for node in (0, 1, 2)}
    assert len(pieces) == 1
    assert all(len(convictions(stage, node)) == 1 for node in (0, 1, 2))
    assert convictions(stage, 0)[0].names == (stage.genesis.epoch.validators.members[3].name,)
    assert not stage.broken


class KeyedByTime(Evidence):
    """E3: where evidence is kept depends on when it was seen."""

    def key_of(self, piece: Equivocation) -> bytes:
        return super().key_of(piece) + self._outbox.now.monotonic_ms.to_bytes(8, "big")


def test_evidence_under_the_local_time_never_ends() -> None:
    stage = two_prevotes(lacking("_evidence", KeyedByTime))

    assert len(convictions_by_key(stage, 0)) > 1


def convictions_by_key(stage: Stage, index: int) -> list[bytes]:
    start = layout.EVIDENCE
    return [key for key, _ in stage.nodes[index].engine.scan(start, start + b"\xff" * 99)]


def test_what_is_kept_of_one_liar_is_bounded() -> None:
    stage = Stage("tendermint", puppets=(3,))
    stage.run_ms(200)
    for round_ in range(EQUIVOCATIONS_MAX + 5):
        say(stage, 3, Prevote(1, round_, X), Prevote(1, round_, Y), Prevote(1, round_, Z))
    stage.run_ms(500)

    assert len(convictions(stage, 0)) == EQUIVOCATIONS_MAX


def test_the_same_vote_many_times_is_held_against_nobody() -> None:
    stage = Stage("tendermint", puppets=(3,))
    stage.run_ms(200)
    for _ in range(5):
        say(stage, 3, Prevote(1, 0, X), Prevote(1, 1, Y), Prevote(2, 0, Y))
    stage.run_ms(500)

    assert convictions(stage, 0) == ()
    assert not stage.broken


def test_two_batches_under_one_number_are_two_values() -> None:
    stage = Stage("tendermint", puppets=(3,))
    stage.run_ms(200)
    for nonce in (1, 2):
        _, packet = stage.batch(3, stage.transaction(nonce), sequence=7)
        assert isinstance(packet, BatchPacket)
        stage.inject(3, 0, packet)
        stage.inject(3, 1, packet) if nonce == 1 else None
        stage.run_ms(200)

    piece = convictions(stage, 0)[0].piece
    assert isinstance(piece, Equivocation)
    assert (piece.phase, piece.slot, piece.validator) == ("batch", (7,), 3)
    assert convictions(stage, 2) == ()


def split_votes(kind: Kind = Replica) -> Stage:
    """A liar tells each half something else; a certificate carries its word to the other half."""
    stage = Stage("tendermint", puppets=(3,), kind=kind)
    stage.run_ms(200)
    votes = [(node, stage.sign(node, Prevote(1, 0, X))) for node in (0, 1, 3)]
    stage.inject(3, 2, stage.sign(3, Prevote(1, 0, Y)))
    signatures = tuple((node, packet.signature) for node, packet in votes)
    certificate = Certificate("prevote", (1, 0), X, signatures)
    stage.inject(0, 2, CertificatePacket.of(certificate))
    stage.run_ms(100)
    return stage


class HearsOnlyThePlugin(Evidence):
    """Keeps what plugins accuse of, and looks at nothing else."""

    def on_certificate(self, certificate: object) -> None:
        return


def test_who_tells_each_half_something_else_is_found_by_a_certificate() -> None:
    (found,) = convictions(split_votes(), 2)

    assert found.culprits == (3,)
    assert convictions(split_votes(lacking("_evidence", HearsOnlyThePlugin)), 2) == ()


# --- forks ----------------------------------------------------------------------------------------


def certified_stage(blocks: int = 3) -> Stage:
    """A network that has certified some blocks."""
    stage = Stage("tendermint")
    stage.run_ms(200)
    for height in range(1, blocks + 1):
        stage.submit(0, stage.transaction(height))
        assert stage.until(partial(stage.all_certified, height))
    stage.run_ms(1_000)
    return stage


def head_of(stage: Stage, index: int, height: int) -> tuple[int, bytes]:
    """(size, root) of a node's log at the end of a block, from what it stores."""
    note = stage.nodes[index].engine.get(layout.height_key(layout.CERT, height))
    assert note is not None
    stated = stated_head(note, stage.genesis.origin)
    return stated.size, stated.root


def certificate(
    stage: Stage, size: int, root: bytes, signers: tuple[int, ...] = (1, 2, 3)
) -> bytes:
    """A note that these validators sign, whatever it says."""
    text = checkpoint_message(bytes(32), stage.genesis.origin, size, root)
    signatures = tuple((index, stage.signers[index].checkpoints.sign(text)) for index in signers)
    made = CheckpointCertificate(size, root, signatures)
    return made.note(stage.genesis.origin, stage.genesis.epoch.validators)


@pytest.mark.parametrize("height", [1, 2, 3])
def test_a_certificate_of_another_past_stops_everyone_with_the_proof_stored(height: int) -> None:
    stage = certified_stage()
    size, _ = head_of(stage, 0, height)

    stage.inject(1, 0, CheckpointCertified(height, certificate(stage, size, Z)))

    assert stage.until(lambda: set(stage.stopped) == {0, 1, 2, 3}, limit_ms=5_000)
    for node in range(4):
        assert "has forked" in stage.stopped[node]
        (found,) = convictions(stage, node)
        assert isinstance(found.piece, Fork)
        assert len(found.culprits) >= 2
        assert set(found.culprits) <= {1, 2, 3}


def test_a_node_with_the_proof_of_a_fork_does_not_start_again() -> None:
    stage = certified_stage()
    size, _ = head_of(stage, 0, 2)
    stage.inject(1, 0, CheckpointCertified(2, certificate(stage, size, Z)))
    assert stage.until(lambda: 0 in stage.stopped, limit_ms=5_000)
    reason = stage.stopped.pop(0)

    stage.nodes[0].has_failed = False
    stage.boot(0)
    stage.run_ms(100)

    assert stage.stopped[0] == reason


def test_forks_of_equal_height_meet_by_the_root_that_a_status_names() -> None:
    stage = certified_stage()
    before = len(stage.sent_log)

    stage.inject(1, 0, Status(3, 3, (3, 0), reply=False, root=Z))
    stage.run_ms(100)
    assert len(stage.said(CheckpointCertified, sender=0, since=before)) == 1

    stage.inject(1, 0, Status(3, 3, (3, 0), reply=False, root=head_of(stage, 0, 3)[1]))
    stage.run_ms(100)
    assert len(stage.said(CheckpointCertified, sender=0, since=before)) == 1


def old_certificates() -> Stage:
    """Validators that were behind show the certificates that they have."""
    stage = certified_stage()
    for height in (1, 2, 3):
        size, root = head_of(stage, 0, height)
        for signers in ((1, 2, 3), (0, 1, 2)):
            packet = CheckpointCertified(height, certificate(stage, size, root, signers))
            stage.inject(1, 0, packet)
            stage.run_ms(100)
    stage.run_ms(1_000)
    return stage


def test_certificates_of_the_own_past_prove_nothing() -> None:
    stage = old_certificates()

    assert convictions(stage, 0) == ()
    assert not stage.stopped
    assert not stage.broken


def accusing_find_fork(
    genesis: Genesis,
    own: bytes,
    other: bytes,
    hash_at: merkle.HashAt,
    heads: tuple[TreeHead, TreeHead],
) -> Fork | None:
    """E6: a shorter log, as of whoever was behind, passes for another past."""
    found = find_fork(genesis, own, other, hash_at, heads)
    mine, theirs = heads
    if found is not None or theirs.size >= mine.size:
        return found
    path = merkle.consistency_path(theirs.size, mine.size, hash_at)
    return Fork(genesis.epoch.id, other, own, theirs.root, path)


def test_a_node_that_accuses_whoever_was_behind_stops_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """E6, on whole replicas: what it stored proves nothing to anyone else."""
    monkeypatch.setattr(evidence, "find_fork", accusing_find_fork)
    monkeypatch.setattr(evidence, "Judge", AccusesTheRestarted)

    stage = old_certificates()

    assert "has forked" in stage.stopped[0]
    with pytest.raises(ProofFault, match=r"evidence\.consistent"):
        convictions(stage, 0)


def forged_packets(stage: Stage) -> list[Packet]:
    """What a liar sends to make nodes stop: none of it is proof."""
    size, root = head_of(stage, 0, 2)
    good, other = certificate(stage, size, root), certificate(stage, size, Z)
    broken = other[:-10] + b"AAAAAAA=\n"
    epoch = stage.genesis.epoch.id
    pieces = [
        Fork(epoch, good, good, b"", ()),
        Fork(epoch, *sorted((good, broken)), b"", ()),
        Fork(epoch, good, other, Z, (Z,)),
        replace(Fork(epoch, good, other, b"", ()), epoch=Z),
    ]
    return [
        CheckpointCertified(2, broken),
        CheckpointCertified(2, b"nonsense"),
        *[ForkFound(piece.encode()) for piece in pieces],
        ForkFound(
            Equivocation(epoch, 1, "prevote", (1, 0), (X, bytes(64)), (Y, bytes(64))).encode()
        ),
        ForkFound(b"\x98\x01\x02"),
    ]


def test_no_forged_proof_stops_a_node() -> None:
    stage = certified_stage()
    for packet in forged_packets(stage):
        stage.inject(1, 0, packet)
        stage.run_ms(50)

    assert len(stage.told("refused", 0)) >= len(forged_packets(stage))
    assert convictions(stage, 0) == ()
    stage.submit(0, stage.transaction(9))
    assert stage.until(lambda: stage.all_certified(4))
    assert not stage.stopped


def test_nothing_leaves_a_node_after_its_last_words() -> None:
    stage = certified_stage()
    size, _ = head_of(stage, 0, 2)
    stage.inject(1, 0, CheckpointCertified(2, certificate(stage, size, Z)))
    assert stage.until(lambda: bool(stage.said(ForkFound, sender=0)), limit_ms=1_000)
    before = len(stage.sent_log)

    stage.submit(0, stage.transaction(50))
    stage.inject(1, 0, Status(0, 0, (0,), reply=True))
    stage.run_ms(1_000)

    assert not [sent for sent in stage.sent_log[before:] if sent.sender == 0]
    assert parse_piece(stage.said(ForkFound, sender=0)[0].packet.piece)  # type: ignore[union-attr]


def test_stored_evidence_that_does_not_hold_is_a_damaged_database() -> None:
    stage = two_prevotes()
    key = convictions_by_key(stage, 0)[0]
    piece = stage.nodes[0].engine.get(key) or b""
    stage.crash(0)
    stage.nodes[0].engine.write([(key, piece[:-1] + bytes([piece[-1] ^ 1]))], sync=True)

    stage.boot(0)

    assert "the database is damaged: its evidence" in stage.stopped[0]
