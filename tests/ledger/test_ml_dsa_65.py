"""Networks whose validators have two keys: ML-DSA-65 for statements, ML-DSA-44 for checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgpack
import pytest

from api import proofs
from consensus.inspector import Inspector
from consensus.jobs import CheckBatch
from consensus.packets import SignedPacket
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import Prevote
from ledger import layout, merkle, note, queries
from ledger.applications.identity_body import Act, Body, make_act
from ledger.applications.records import make_record
from ledger.audit import CHECKPOINT, audit
from ledger.batch import split_signed_batch
from ledger.batch_store import batch_writes, find_batch
from ledger.block import parse_leaf
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.certified import CheckpointCertificate, checkpoint_message, parse_certificate
from ledger.encoding import encode
from ledger.errors import DecodeFault, Fault, ProofFault
from ledger.genesis import EpochRecord, Genesis, Member, from_json, parse_genesis, to_json
from ledger.joint_receipt import JointJudge, parse_joint_receipt
from ledger.keys import SCHEMES, Signer, scheme_named, suite_named
from ledger.light import LightClient
from ledger.receipt import Handover, Receipt, parse_receipt
from ledger.statement import Statement
from ledger.validators import QuorumRule, Validator, ValidatorSet
from tests.ledger.builders import (
    consensus_signer_of,
    loose_encodings,
    make_genesis,
    make_signed,
    validator_of,
)
from tests.ledger.governed import Network, governed
from tests.ledger.proven import Store, certify, note_of, outcome_leaf, records, small_store

SCHEME = "ml-dsa-65"
GENESIS = make_genesis(scheme=SCHEME)
INSPECTOR = Inspector(GENESIS, GENESIS.suite, Tendermint)
VALIDATORS = GENESIS.epoch.validators
KEYS = [consensus_signer_of(f"node{index}", SCHEME) for index in range(4)]
ROOT = bytes(range(32))
VECTOR = Path(__file__).parents[1] / "vectors" / "genesis_1.json"
"""A genesis as the program wrote it when records of version 2 were not known."""


@pytest.fixture(scope="module")
def store() -> Store:
    return small_store(1, genesis=GENESIS)


def by_statement_key(index: int) -> Signer:
    return KEYS[index].statements


def by_checkpoint_key(index: int) -> Signer:
    return KEYS[index].checkpoints


# --- who signs what -------------------------------------------------------------------------------


def test_a_suite_says_who_signs_by_what() -> None:
    suite = suite_named(SCHEME)

    names = (suite.statements.name, suite.checkpoints.name, suite.members.name)
    assert names == ("ml-dsa-65", "ml-dsa-44", "ml-dsa-44")
    assert [name for name in SCHEMES if suite_named(name).has_two_keys] == [SCHEME]
    with pytest.raises(Fault, match=r"key\.unknown-scheme"):
        suite_named("rsa")


def test_a_validator_has_two_keys_and_a_member_one() -> None:
    validator = VALIDATORS.member(1)

    assert (len(validator.statement_key), len(validator.checkpoint_key)) == (1_952, 1_312)
    assert VALIDATORS.statement_key(1) == KEYS[1].statements.public_key
    assert VALIDATORS.checkpoint_key(1) == KEYS[1].checkpoints.public_key
    assert {len(member.public_key) for member in GENESIS.members} == {1_312}


def test_one_seed_gives_other_keys_by_each_scheme() -> None:
    keys = suite_named(SCHEME).consensus_signer(bytes(32), bytes(32))

    assert keys.statements.public_key[:32] != keys.checkpoints.public_key[:32]


# --- the record -----------------------------------------------------------------------------------


def test_the_record_has_version_2_and_is_read_back() -> None:
    document = json.loads(to_json(GENESIS))
    row: Any = GENESIS.epoch.row()

    assert (GENESIS.epoch.version, row[0], document["epoch"]["version"]) == (2, 2, 2)
    keys = {"name", "statement_key", "checkpoint_key", "transport_key", "transport_certificate"}
    assert set(document["epoch"]["validators"][0]) == keys
    assert from_json(to_json(GENESIS)) == GENESIS == parse_genesis(GENESIS.canonical())


def test_a_record_of_version_1_is_byte_for_byte_what_it_was() -> None:
    text = VECTOR.read_text(encoding="utf-8")
    genesis = from_json(text)

    assert genesis.epoch.version == 1
    assert genesis == make_genesis(validators=2)
    assert to_json(genesis) == text
    known = {
        "ed25519": "01c32e1aa1ef96e7b5376c60fcc78b660e9ddd193b87bf6f75f8c8689f4b936a",
        "ml-dsa-44": "09a13906558ba523ee02655624aeccfe3472dcb71d0636cdb7a651af06568dea",
        "keyed-hash": "d3440f738dcca731969d77939a29d731d5a6513b1542e1bc573a1795da6926d2",
    }
    for scheme, network in known.items():
        assert make_genesis(scheme=scheme).network.hex() == network


def test_the_record_has_one_encoding() -> None:
    small = make_genesis(scheme=SCHEME, validators=1, members=("alice",))

    loose = list(loose_encodings(msgpack.unpackb(small.canonical(), use_list=False)))
    assert len(loose) > 50
    for raw in loose:
        with pytest.raises(DecodeFault):
            parse_genesis(raw)


def test_every_changed_byte_of_the_record_is_refused_or_is_another_network() -> None:
    raw = make_genesis(scheme=SCHEME, validators=1, members=()).canonical()

    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1 << place % 8]) + raw[place + 1 :]
        try:
            genesis = parse_genesis(changed)
        except Fault:
            continue
        assert genesis.canonical() == changed, place


def _rewritten(change: Callable[[list[Any]], object]) -> bytes:
    """The canonical form, its epoch record changed."""
    fields = msgpack.unpackb(GENESIS.canonical(), use_list=True)
    change(fields[2])
    return encode(_tuples(fields))


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _set_version(version: object) -> Callable[[list[Any]], object]:
    return lambda epoch: epoch.__setitem__(0, version)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set_version(0), "encoding.version"),
        (_set_version(3), "encoding.version"),
        (_set_version(True), "encoding.version"),
        (_set_version((2,)), "encoding.version"),
        (_set_version(1), "encoding.type"),
        (lambda epoch: epoch[6][3].pop(2), "encoding.type"),
        (lambda epoch: epoch[6][3].__setitem__(1, epoch[6][3][2]), "encoding.length"),
        (lambda epoch: epoch[6][3].__setitem__(2, epoch[6][3][1]), "encoding.length"),
        (lambda epoch: epoch[6][3].__setitem__(2, epoch[6][2][2]), "genesis.duplicate"),
        (lambda epoch: epoch[6][3].__setitem__(1, epoch[6][2][1]), "genesis.duplicate"),
    ],
)
def test_a_record_of_an_unknown_version_or_with_a_wrong_key_is_refused(
    change: Callable[[list[Any]], object], reason: str
) -> None:
    with pytest.raises(Fault) as refusal:
        parse_genesis(_rewritten(change))

    assert refusal.value.reason == reason


@pytest.mark.parametrize("version", [0, 3, None, "2"])
def test_a_file_whose_record_is_of_an_unknown_version_is_refused(version: object) -> None:
    document = json.loads(to_json(GENESIS))
    document["epoch"]["version"] = version

    with pytest.raises(DecodeFault, match=r"genesis\.version"):
        from_json(json.dumps(document))


def test_the_record_of_one_scheme_serves_no_other() -> None:
    for scheme in ("ed25519", "ml-dsa-44"):
        other = make_genesis(scheme=scheme)
        for mixed in (replace(GENESIS, scheme=scheme), replace(other, scheme=SCHEME)):
            with pytest.raises(Fault, match=r"key\.unsafe"):
                parse_genesis(mixed.canonical())


def test_the_note_key_ids_of_checkpoint_keys_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    def key_id_of(_: str, key: bytes) -> bytes:
        return b"same" if len(key) == 1_312 else key[:4]

    monkeypatch.setattr(note, "key_id_of", key_id_of)

    with pytest.raises(Fault, match=r"genesis\.key-id"):
        parse_genesis(GENESIS.canonical())


def test_a_member_shares_no_key_with_a_validator() -> None:
    shared = Member("eve", VALIDATORS.checkpoint_key(2), ())

    with pytest.raises(Fault, match=r"genesis\.duplicate"):
        parse_genesis(replace(GENESIS, members=(shared,)).canonical())


def test_a_new_member_may_have_no_key_of_a_validator() -> None:
    network = Network(governed(SCHEME))
    validator = network.genesis.epoch.validators.member(0)
    act = make_act(Body(Act.ADD, "eve", validator.checkpoint_key, ("submitter",)))

    assert network.send("ada", act) == "identity.key-used"


def test_the_record_of_the_documentation() -> None:
    """docs/format.md, §7; an implementation apart (dilithium-py) makes the same keys."""
    keys = suite_named(SCHEME).consensus_signer(bytes(32), bytes(32))
    statement_key, checkpoint_key = keys.statements.public_key, keys.checkpoints.public_key
    validator = Validator("v", statement_key, b"\x07" * 32, b"\x00", checkpoint_key)
    record = EpochRecord(
        0, "solo", 1, (), ValidatorSet((validator,), QuorumRule.BYZANTINE), 1, bytes(32)
    )

    raw = b"".join(
        (
            bytes.fromhex("990200a4736f6c6f0190019195a176c507a0") + statement_key,
            bytes.fromhex("c50520") + checkpoint_key,
            bytes.fromhex("c420") + b"\x07" * 32,
            bytes.fromhex("c4010001c420") + bytes(32),
        )
    )
    assert (encode(record.row()), len(raw)) == (raw, 3_357)
    assert record.id == sha256(raw).digest()
    assert [sha256(part).hexdigest() for part in (raw, statement_key, checkpoint_key)] == [
        "beb082c631425e33d3c0565a5030a28a90ff1dcec7df8b3904bd9cf2aaa0aa86",
        "085ba380ff386dd52e42349c6eb88489d6058ea541a4e3fb0dce9a3fd1f7a911",
        "eb4e7302842153b0fa19e8620739ad258af4929c26dd89079a7ec7d4282208e1",
    ]


# --- each place takes the key it should -----------------------------------------------------------


Key = Callable[[int], Signer]


def _statement(phase: str = "prevote", value: bytes = b"\x01" * 32) -> Statement:
    return Statement(GENESIS.network, GENESIS.epoch.id, phase, (7, 0), value)


def check_certificate(key: Key) -> None:
    said = _statement()
    signatures = tuple((index, key(index).sign(said.signed_bytes())) for index in range(3))
    made = Certificate(said.phase, said.slot, said.value, signatures)
    Inspector(GENESIS, GENESIS.suite, Tendermint).check_certificate(made)


def check_timeout_certificate(key: Key) -> None:
    said = _statement("timeout")
    entries = tuple((n, said.value, key(n).sign(said.signed_bytes())) for n in range(3))
    verify = GENESIS.suite.statements.verify
    TimeoutCertificate(said.phase, said.slot, entries).check(
        GENESIS.network, GENESIS.epoch.id, VALIDATORS, verify, quorum=3
    )


def check_vote(key: Key) -> None:
    vote = Prevote(7, 0, b"\x01" * 32)
    said = Statement(GENESIS.network, GENESIS.epoch.id, *vote.statement())
    packet = SignedPacket(2, vote.KIND, encode(vote.row()), key(2).sign(said.signed_bytes()))
    INSPECTOR.message(packet)


def check_batch(key: Key) -> None:
    made = Store(GENESIS).batch(records(GENESIS, 1))
    signature = key(made.creator).sign(made.statement().signed_bytes())
    found = CheckBatch(INSPECTOR, made.raw, signature).run(Store(GENESIS).store)
    if isinstance(found, Fault):
        raise found


@pytest.mark.parametrize(
    "check", [check_certificate, check_timeout_certificate, check_vote, check_batch]
)
def test_a_statement_is_signed_by_the_key_of_statements(check: Callable[[Key], None]) -> None:
    check(by_statement_key)
    with pytest.raises(Fault, match="signature"):
        check(by_checkpoint_key)


def test_a_checkpoint_is_signed_by_the_key_of_checkpoints() -> None:
    made = certify(GENESIS, 7, ROOT, epoch=GENESIS.epoch)
    raw = made.note(GENESIS.origin, VALIDATORS)
    _, lines = note.open_note(raw)

    assert [line.key_id for line in lines] == [
        note.key_id(GENESIS.origin, 0x06, KEYS[index].checkpoints.public_key) for index in range(3)
    ]
    assert parse_certificate(raw, GENESIS.origin, VALIDATORS) == made
    assert LightClient(GENESIS).check_certificate(raw).signers == (0, 1, 2)


def test_a_checkpoint_signed_by_the_key_of_statements_is_refused() -> None:
    signatures = []
    for index in range(3):
        message = checkpoint_message(VALIDATORS.checkpoint_key(index), GENESIS.origin, 7, ROOT)
        signatures.append((index, KEYS[index].statements.sign(message)))
    wrong = CheckpointCertificate(7, ROOT, tuple(signatures))

    for scheme in ("ml-dsa-44", "ml-dsa-65"):
        with pytest.raises(ProofFault, match=r"checkpoint\.signature"):
            wrong.check(GENESIS.origin, VALIDATORS, scheme_named(scheme).verify)
    with pytest.raises(DecodeFault, match=r"checkpoint\.note"):
        parse_certificate(wrong.note(GENESIS.origin, VALIDATORS), GENESIS.origin, VALIDATORS)


@pytest.mark.parametrize("count", [1, 30], ids=["whole", "in parts"])
def test_a_stored_batch_has_the_signature_of_a_statement(count: int) -> None:
    made = Store(GENESIS)
    large = [make_record("", content=bytes(2_000))]
    batch = made.batch([make_signed(GENESIS, "alice", n, operations=large) for n in range(count)])
    signature = by_statement_key(0).sign(batch.statement().signed_bytes())
    made.store.write(batch_writes(batch, signature))

    found = find_batch(made.store, batch.digest, GENESIS.suite)

    assert found is not None
    assert bool(found.bounds) == (count > 1)
    assert (found.signature, found.read(), found.count) == (signature, batch.raw, count)
    assert split_signed_batch(signature + batch.raw, GENESIS.suite) == (batch.raw, signature)


# --- proofs ---------------------------------------------------------------------------------------


def test_a_receipt_proves_and_no_changed_byte_of_it_does(store: Store) -> None:
    transaction = records(GENESIS, 1)[0]
    raw = queries.receipt(store.store, GENESIS, transaction.id)
    assert raw is not None

    assert LightClient(GENESIS).check_receipt(raw).transaction == transaction.id
    for place in range(0, len(raw), 43):
        changed = raw[:place] + bytes([raw[place] ^ 1 << place % 6]) + raw[place + 1 :]
        with pytest.raises(Fault):
            LightClient(GENESIS).check_receipt(changed)


def test_a_joint_receipt_proves_what_two_members_said(store: Store) -> None:
    said = records(GENESIS, 1)

    raw = proofs.joint_receipt(store.store, GENESIS, [(each.id, (0,)) for each in said])

    checked = JointJudge(GENESIS).check(parse_joint_receipt(raw))
    assert {each.transaction for each in checked.operations} == {each.id for each in said}


def test_a_handover_leads_to_validators_with_two_keys() -> None:
    raw = _handed_over(GENESIS, SCHEME)

    receipt = parse_receipt(raw)
    assert receipt.handovers[0].record.version == 2
    assert LightClient(GENESIS).check_receipt(raw).log.epoch.number == 1
    for place in range(0, len(raw), 149):
        changed = raw[:place] + bytes([raw[place] ^ 1 << place % 6]) + raw[place + 1 :]
        with pytest.raises(Fault):
            LightClient(GENESIS).check_receipt(changed)


def test_a_handover_to_a_record_of_an_unknown_version_is_refused() -> None:
    receipt = parse_receipt(_handed_over(GENESIS, SCHEME))
    row: Any = receipt.handovers[0].record.row()

    class Future(EpochRecord):
        def row(self) -> tuple[object, ...]:
            return (3, *row[1:])

    with pytest.raises(DecodeFault, match=r"encoding\.version"):
        parse_receipt(_with_record(receipt, Future))


def _with_record(receipt: Receipt, kind: type[EpochRecord]) -> bytes:
    handover, record = receipt.handovers[0], receipt.handovers[0].record
    other = kind(
        record.number, record.protocol, record.protocol_version, record.parameters,
        record.validators, record.first_height, record.previous_block,
    )  # fmt: skip
    return replace(receipt, handovers=(replace(handover, record=other),)).encode()


def _handed_over(genesis: Genesis, scheme: str) -> bytes:
    """A receipt of the second epoch, whose validators are others."""
    made = small_store(1, genesis=genesis)
    leaves = list(queries.leaves(made.store, genesis, 0, made.head.size))
    outcome = parse_leaf(outcome_leaf(2, genesis.epoch.id, bytes(32)))
    record = replace(
        genesis.epoch,
        number=1,
        validators=ValidatorSet(
            tuple(validator_of(name, scheme) for name in ("node4", "node5")), QuorumRule.BYZANTINE
        ),
        first_height=3,
        previous_block=outcome.block_hash,  # type: ignore[union-attr]
    )
    leaves.append(outcome_leaf(2, genesis.epoch.id, record.id))
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    size, path = len(leaves), _path(hashes, len(leaves) - 1)
    last = note_of(genesis, size, merkle.root_of(hashes), genesis.epoch)
    handover = Handover(leaves[-1], path, last, record)
    hashes.append(merkle.leaf_hash(b"more"))
    certificate = note_of(genesis, size + 1, merkle.root_of(hashes), record)
    return Receipt(leaves[1], 1, _path(hashes, 1), certificate, None, (handover,)).encode()


def _path(hashes: list[bytes], index: int) -> tuple[bytes, ...]:
    def hash_at(level: int, at: int) -> bytes:
        return merkle.root_of(hashes[at << level : (at + 1) << level])

    return merkle.inclusion_path(index, len(hashes), hash_at)


def test_an_audit_checks_what_a_validator_signed_by_the_key_for_it() -> None:
    def audited(statements: Signer, checkpoints: Signer) -> list[int]:
        made = small_store(1, genesis=GENESIS)
        size, root = made.head.size, made.head.root()
        vote = _statement()
        text = checkpoint_message(KEYS[1].checkpoints.public_key, GENESIS.origin, size, root)
        own = encode((1, b"", vote.value, statements.sign(vote.signed_bytes())))
        last = encode((1, size, root, checkpoints.sign(text)))
        made.store.write([(layout.signed_key(vote.phase, vote.slot), own), (CHECKPOINT, last)])
        return list(audit(made.store, GENESIS.network, made.applications))

    assert audited(KEYS[1].statements, KEYS[1].checkpoints) == [1]
    for other in (
        (KEYS[1].checkpoints, KEYS[1].checkpoints),
        (KEYS[2].statements, KEYS[1].checkpoints),
    ):
        with pytest.raises(ProofFault, match=r"audit\.(signed|damaged)"):
            audited(*other)
    with pytest.raises(ProofFault, match=r"audit\.(signed|damaged)"):
        audited(KEYS[1].statements, KEYS[1].statements)
