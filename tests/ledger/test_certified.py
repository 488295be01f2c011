"""A checkpoint certificate is a C2SP signed note, exactly a quorum, written in one way only."""

from __future__ import annotations

from base64 import b64encode

import pytest

from ledger import note
from ledger.certified import (
    NOTE_BYTES_MAX,
    CheckpointCertificate,
    TreeHead,
    checkpoint_message,
    parse_certificate,
    stated_head,
)
from ledger.checkpoint import parse_checkpoint
from ledger.errors import DecodeFault, Fault, ProofFault
from ledger.genesis import Genesis
from ledger.keys import scheme_named
from ledger.validators import QuorumRule
from tests.ledger.builders import make_genesis
from tests.ledger.proven import certify

GENESIS = make_genesis()
ORIGIN = GENESIS.origin
VALIDATORS = GENESIS.epoch.validators
VERIFY = scheme_named("ed25519").verify
ROOT = bytes(range(32))


def certificate_of(genesis: Genesis = GENESIS, *, size: int = 7) -> CheckpointCertificate:
    return certify(genesis, size, ROOT, epoch=genesis.epoch)


def lines_of(count: int) -> list[bytes]:
    """The signature lines of the first validators."""
    made = certify(GENESIS, 7, ROOT, epoch=GENESIS.epoch, signers=range(count))
    return [
        note.signature_line(
            ORIGIN,
            note.key_id(ORIGIN, note.ED25519, VALIDATORS.checkpoint_key(index)),
            signature,
        )
        for index, signature in made.signatures
    ]


def note_of(lines: list[bytes]) -> bytes:
    return checkpoint_message(bytes(32), ORIGIN, 7, ROOT) + b"\n" + b"".join(lines)


@pytest.mark.parametrize("validators", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("rule", list(QuorumRule))
def test_a_note_is_read_back_as_written(validators: int, rule: QuorumRule) -> None:
    genesis = make_genesis(validators=validators, rule=rule)
    certificate = certificate_of(genesis)

    raw = certificate.note(genesis.origin, genesis.epoch.validators)
    read = parse_certificate(raw, genesis.origin, genesis.epoch.validators)
    read.check(genesis.origin, genesis.epoch.validators, VERIFY)

    assert read == certificate
    assert read.head == stated_head(raw, genesis.origin) == TreeHead(7, ROOT)
    assert raw.count("— ".encode()) == genesis.epoch.validators.quorum


def test_any_c2sp_reader_finds_checkpoint_and_signers() -> None:
    keys = [
        note.VerifierKey(ORIGIN, note.ED25519, member.checkpoint_key)
        for member in VALIDATORS.members
    ]

    text, signatures = note.open_note(certificate_of().note(ORIGIN, VALIDATORS))

    assert parse_checkpoint(text).size == 7
    assert parse_checkpoint(text).root == ROOT
    assert note.check_signatures(text, signatures, keys, VERIFY) == keys[:3]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_other_than_a_quorum_of_lines_is_refused(count: int) -> None:
    with pytest.raises(ProofFault, match=r"certificate\.quorum"):
        parse_certificate(note_of(lines_of(count)), ORIGIN, VALIDATORS)


def test_lines_in_another_order_or_twice_are_refused() -> None:
    first, second, third = lines_of(3)
    for lines in ([second, first, third], [first, first, third]):
        with pytest.raises(ProofFault, match=r"certificate\.order"):
            parse_certificate(note_of(lines), ORIGIN, VALIDATORS)


def test_a_line_that_a_c2sp_reader_would_ignore_is_refused() -> None:
    witness = note.signature_line("witness.example", b"abcd", bytes(64))
    same_name = note.signature_line(ORIGIN, b"abcd", bytes(64))
    for line in (witness, same_name):
        with pytest.raises(ProofFault, match=r"certificate\.signer"):
            parse_certificate(note_of([*lines_of(3), line]), ORIGIN, VALIDATORS)


def test_a_signature_of_another_length_is_refused() -> None:
    key_id = note.key_id(ORIGIN, note.ED25519, VALIDATORS.checkpoint_key(2))
    longer = note.signature_line(ORIGIN, key_id, bytes(65))
    with pytest.raises(DecodeFault):
        parse_certificate(note_of([*lines_of(2), longer]), ORIGIN, VALIDATORS)


def test_an_empty_log_is_never_certified() -> None:
    text = checkpoint_message(bytes(32), ORIGIN, 0, note.sha256(b"").digest())
    raw = text + b"\n" + b"".join(lines_of(3))
    with pytest.raises(DecodeFault, match=r"checkpoint\.size"):
        parse_certificate(raw, ORIGIN, VALIDATORS)
    with pytest.raises(ProofFault, match=r"checkpoint\.size"):
        CheckpointCertificate(0, ROOT, certificate_of().signatures).check(
            ORIGIN, VALIDATORS, VERIFY
        )


def test_another_networks_checkpoint_is_refused() -> None:
    other = make_genesis(members=("carol",))
    raw = certificate_of(other).note(other.origin, other.epoch.validators)
    with pytest.raises(ProofFault, match=r"checkpoint\.origin"):
        parse_certificate(raw, ORIGIN, VALIDATORS)


def test_an_extension_line_is_refused() -> None:
    text = checkpoint_message(bytes(32), ORIGIN, 7, ROOT) + b"extension\n"
    with pytest.raises(DecodeFault):
        parse_certificate(text + b"\n" + b"".join(lines_of(3)), ORIGIN, VALIDATORS)


def test_a_wrong_signature_names_its_validator() -> None:
    made = certificate_of()
    index, signature = made.signatures[1]
    forged = (made.signatures[0], (index, signature[:-1] + b"\x00"), made.signatures[2])
    with pytest.raises(ProofFault) as caught:
        CheckpointCertificate(7, ROOT, forged).check(ORIGIN, VALIDATORS, VERIFY)
    assert caught.value.culprit == index


def test_a_signature_does_not_count_for_another_log() -> None:
    signatures = certificate_of().signatures
    for size, root in ((8, ROOT), (7, bytes(32))):
        with pytest.raises(ProofFault, match=r"checkpoint\.signature"):
            CheckpointCertificate(size, root, signatures).check(ORIGIN, VALIDATORS, VERIFY)


def test_no_flipped_bit_and_no_lost_or_doubled_byte_passes() -> None:
    raw = certificate_of().note(ORIGIN, VALIDATORS)
    changed = [
        raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]
        for at in range(len(raw))
        for bit in range(8)
    ]
    changed += [raw[:at] + raw[at + 1 :] for at in range(len(raw))]
    changed += [raw[:at] + raw[at : at + 1] + raw[at:] for at in range(len(raw))]
    for each in changed:
        if each == raw:
            continue
        with pytest.raises(Fault):
            parse_certificate(each, ORIGIN, VALIDATORS).check(ORIGIN, VALIDATORS, VERIFY)


def test_unused_bits_of_base64_do_not_pass() -> None:
    raw = certificate_of().note(ORIGIN, VALIDATORS)
    root = b64encode(ROOT)
    assert root.endswith(b"8=")
    with pytest.raises(DecodeFault):
        parse_certificate(raw.replace(root, root[:-2] + b"9="), ORIGIN, VALIDATORS)


def test_a_huge_note_is_refused_before_it_is_read() -> None:
    with pytest.raises(DecodeFault, match=r"checkpoint\.note"):
        parse_certificate(bytes(NOTE_BYTES_MAX + 1), ORIGIN, VALIDATORS)
