"""ML-DSA-44 (FIPS 204) in every place where Ed25519 stands: keys, notes, certificates, receipts.

ML-DSA-65, which stands in some of them only, has a file of its own.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import sha256

import pytest

from api import proofs
from ledger import note, queries
from ledger.audit import audit
from ledger.certified import CheckpointCertificate, checkpoint_message, parse_certificate
from ledger.checkpoint import body, cosigned_message
from ledger.errors import DecodeFault, Fault, ProofFault
from ledger.genesis import check_genesis, from_json, parse_genesis, to_json
from ledger.joint_receipt import JointJudge, parse_joint_receipt
from ledger.keys import MlDsa44, scheme_named, short_key
from ledger.light import LightClient
from ledger.transaction import COLUMNS_MIN, parse_each, parse_transaction
from tests.ledger.builders import make_genesis, make_signed, seed_of, signer_of
from tests.ledger.proven import Store, certify, records, small_store

SCHEME = MlDsa44()
GENESIS = make_genesis(scheme="ml-dsa-44")
VALIDATORS = GENESIS.epoch.validators
ROOT = bytes(range(32))


@pytest.fixture(scope="module")
def store() -> Store:
    return small_store(1, genesis=GENESIS)


@pytest.fixture(scope="module")
def certificate() -> CheckpointCertificate:
    return certify(GENESIS, 7, ROOT, epoch=GENESIS.epoch)


# --- keys -----------------------------------------------------------------------------------------


SIZES = {"ml-dsa-44": (1_312, 2_420), "ml-dsa-65": (1_952, 3_309)}
"""Of a public key and of a signature, in bytes: FIPS 204, table 2."""
both = pytest.mark.parametrize("name", SIZES)


@both
def test_a_signature_is_of_its_message_and_its_key_alone(name: str) -> None:
    scheme = scheme_named(name)
    alice, bob = scheme.signer(seed_of("alice")), scheme.signer(seed_of("bob"))
    signature = alice.sign(b"message")

    assert (len(alice.public_key), len(signature)) == SIZES[name]
    assert scheme.verify(alice.public_key, b"message", signature)
    assert not scheme.verify(bob.public_key, b"message", signature)
    assert not scheme.verify(alice.public_key, b"massage", signature)
    assert not scheme.verify(alice.public_key, b"message", signature[:-1] + b"\xff")


@both
def test_signatures_are_hedged_and_a_seed_gives_one_key(name: str) -> None:
    scheme = scheme_named(name)
    first, again = scheme.signer(seed_of("alice")), scheme.signer(seed_of("alice"))

    assert first.public_key == again.public_key
    assert first.sign(b"message") != again.sign(b"message")


@both
def test_other_sizes_are_wrong_and_never_an_error(name: str) -> None:
    scheme = scheme_named(name)
    alice = scheme.signer(seed_of("alice"))
    signature = alice.sign(b"m")
    right = SIZES[name][0]

    assert not scheme.verify(alice.public_key, b"m", signature + b"\x00")
    assert not scheme.verify(alice.public_key, b"m", bytes(64))
    for key_bytes in (0, 32, 1_312, 1_952, right - 1, right + 1):
        if key_bytes != right:
            assert not scheme.verify(bytes(key_bytes), b"m", signature)
            with pytest.raises(Fault, match=r"key\.unsafe"):
                scheme.check_public_key(bytes(key_bytes))


def test_a_network_of_one_scheme_admits_no_key_of_the_other() -> None:
    mixed = make_genesis(scheme="ml-dsa-44", members=())
    object.__setattr__(mixed, "scheme", "ed25519")

    with pytest.raises(Fault, match=r"key\.unsafe"):
        check_genesis(mixed)


def test_a_long_key_is_named_by_its_digest() -> None:
    key = signer_of("alice", "ml-dsa-44").public_key

    assert short_key(key) == sha256(key).digest()
    assert short_key(bytes(32)) == bytes(32)


# --- what is signed -------------------------------------------------------------------------------


def test_what_is_cosigned_is_the_structure_of_c2sp() -> None:
    """c2sp.org/tlog-cosignature, ML-DSA-44 signed message, written out."""
    message = cosigned_message("example.com/log", 20_852_163, ROOT)

    assert message == (
        b"subtree/v1\n\x00"
        b"\x0fexample.com/log"
        + bytes(8)
        + b"\x0fexample.com/log"
        + bytes(8)
        + (20_852_163).to_bytes(8, "big")
        + ROOT
    )


def test_the_key_decides_what_is_signed() -> None:
    long = VALIDATORS.checkpoint_key(0)

    assert checkpoint_message(bytes(32), "log", 7, ROOT) == body("log", 7, ROOT)
    assert checkpoint_message(long, "log", 7, ROOT) == cosigned_message("log", 7, ROOT)


def test_a_transaction_is_read_alike_alone_and_among_others() -> None:
    made = [make_signed(GENESIS, "alice", nonce) for nonce in range(COLUMNS_MIN)]
    raws = [transaction.raw for transaction in made]

    assert list(parse_each(raws)) == made == [parse_transaction(raw) for raw in raws]
    key = made[0].sender
    assert SCHEME.verify(key, made[0].signed_bytes(), made[0].signature)


def test_the_genesis_is_read_back() -> None:
    assert from_json(to_json(GENESIS)) == GENESIS == parse_genesis(GENESIS.canonical())


# --- certificates and receipts --------------------------------------------------------------------


def test_a_certificate_is_a_note_of_type_six(certificate: CheckpointCertificate) -> None:
    raw = certificate.note(GENESIS.origin, VALIDATORS)
    text, lines = note.open_note(raw)

    assert text == body(GENESIS.origin, 7, ROOT)
    assert [line.key_id for line in lines] == [
        note.key_id(GENESIS.origin, 0x06, VALIDATORS.checkpoint_key(index)) for index in range(3)
    ]
    assert all(line.signature[:8] == bytes(8) for line in lines)
    assert parse_certificate(raw, GENESIS.origin, VALIDATORS) == certificate
    certificate.check(GENESIS.origin, VALIDATORS, SCHEME.verify)


def test_a_cosignature_with_another_time_or_length_is_refused(
    certificate: CheckpointCertificate,
) -> None:
    raw = certificate.note(GENESIS.origin, VALIDATORS)
    last = raw.splitlines()[-1]
    payload = b64decode(last.rpartition(b" ")[2])
    for other in (
        payload[:11] + b"\x01" + payload[12:],
        payload[:4] + payload[12:],
        payload + b"\x00",
    ):
        changed = raw.replace(last, last.rpartition(b" ")[0] + b" " + b64encode(other))
        with pytest.raises((DecodeFault, ProofFault)):
            parse_certificate(changed, GENESIS.origin, VALIDATORS)


def test_a_wrong_signature_names_its_validator(certificate: CheckpointCertificate) -> None:
    (first, second, (index, signature)) = certificate.signatures
    forged = signature[:100] + bytes([signature[100] ^ 1]) + signature[101:]
    wrong = CheckpointCertificate(7, ROOT, (first, second, (index, forged)))

    with pytest.raises(ProofFault) as refusal:
        wrong.check(GENESIS.origin, VALIDATORS, SCHEME.verify)
    assert refusal.value.culprit == index


def test_a_receipt_proves_and_no_changed_byte_of_it_does(store: Store) -> None:
    transaction = records(GENESIS, 1)[0]
    raw = queries.receipt(store.store, GENESIS, transaction.id)
    assert raw is not None
    verified = LightClient(GENESIS).check_receipt(raw)

    assert verified.transaction == transaction.id
    assert verified.sender == transaction.sender
    for place in range(0, len(raw), 97):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with pytest.raises(Fault):
            LightClient(GENESIS).check_receipt(changed)


def test_a_joint_receipt_proves_what_two_members_said(store: Store) -> None:
    said = records(GENESIS, 1)
    wanted = [(each.id, (0,)) for each in said]

    raw = proofs.joint_receipt(store.store, GENESIS, wanted)

    receipt = parse_joint_receipt(raw)
    assert set(receipt.senders) == {each.sender for each in said}
    checked = JointJudge(GENESIS).check(receipt)
    assert {each.transaction for each in checked.operations} == {each.id for each in said}


def test_the_store_passes_an_audit(store: Store) -> None:
    heights = list(audit(store.store, GENESIS.network, store.applications))

    assert heights == [1]


def test_a_verifier_key_has_the_length_of_its_type() -> None:
    key = note.VerifierKey("log", note.ML_DSA_44, VALIDATORS.checkpoint_key(0))

    assert note.parse_vkey(key.encode()) == key
    with pytest.raises(DecodeFault, match=r"note\.vkey"):
        note.parse_vkey(note.VerifierKey("log", note.ML_DSA_44, bytes(32)).encode())


@both
def test_the_scheme_has_a_name(name: str) -> None:
    assert scheme_named(name).name == name
