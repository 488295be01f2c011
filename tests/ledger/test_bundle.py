"""A lineage bundle proves every statement in it, and no changed byte passes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from random import Random

import pytest

from api import proofs
from ledger import merkle, multiproof, queries
from ledger.applications.provenance import Statement
from ledger.block import Result, TransactionLeaf
from ledger.bundle import DOMAIN, Bundle, BundleJudge, VerifiedBundle, parse_bundle
from ledger.encoding import encode
from ledger.errors import DecodeFault, Fault, ProofFault
from ledger.joint_receipt import (
    JointJudge,
    Part,
    ShownOperation,
    ShownTransaction,
    join,
    parse_joint_receipt,
    put_together,
)
from ledger.lineage_question import Link, Question
from ledger.transaction import DOMAIN as TRANSACTION_DOMAIN
from ledger.transaction import Operation
from tests.ledger.builders import make_genesis, make_signed, signer_of
from tests.ledger.bundled import BREAD, DOUGH, GENESIS, KITCHEN, STONE, Kitchen, say
from tests.ledger.mutants_bundle import MUTANTS
from tests.ledger.proven import certify

JUDGE = BundleJudge(GENESIS)
BUNDLE = KITCHEN.bundle("upstream", "bread")
RAW = BUNDLE.encode()


def reason_of(raw: bytes, judge: BundleJudge = JUDGE) -> str:
    """Why a bundle is refused; empty where it is not."""
    try:
        judge.check(raw)
    except (ProofFault, DecodeFault, Fault) as fault:
        return fault.reason
    return ""


def names(verified: VerifiedBundle) -> set[str]:
    return {node.name for node in verified.answer.nodes}


def test_a_bundle_proves_the_whole_answer_with_the_genesis_alone() -> None:
    verified = JUDGE.check(RAW)

    assert names(verified) == {
        "x:bake", "x:dough", "x:mix", "x:flour", "x:baker", "x:firm", "x:loaf",
    }  # fmt: skip
    assert set(verified.statements) == {*BREAD[:6], *DOUGH}
    assert verified.unsigned == ()
    assert verified.log.signers == (0, 1, 2)
    alice, bob = signer_of("alice").public_key, signer_of("bob").public_key
    for statement, proven in verified.shown:
        assert proven is not None
        assert (proven.transaction, proven.number) == KITCHEN.places[statement]
        assert proven.sender == (alice if statement in BREAD else bob)
    made = verified.links()[Link("urn:x:dough", "wasGeneratedBy", "urn:x:mix")]
    assert [each.statement for each in made] == [DOUGH[2]]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (("downstream", "flour"), {"x:mix", "x:dough", "x:bake", "x:bread"}),
        (("between", "bread", "mix"), {"x:bake", "x:dough", "x:mix"}),
        (("history", "copy"), {"x:loaf", "x:bread"}),
        (("who", "bread"), {"x:bake", "x:baker", "x:firm"}),
    ],
)
def test_every_question_has_a_bundle(question: tuple[str, ...], answer: set[str]) -> None:
    verified = JUDGE.check(KITCHEN.bundle(*question).encode())

    assert names(verified) == answer
    assert verified.question.word == question[0]


def test_a_bundle_of_few_steps_shows_no_more() -> None:
    verified = JUDGE.check(KITCHEN.bundle("upstream", "bread", depth=1).encode())

    assert names(verified) == {"x:bake", "x:baker", "x:loaf"}
    assert DOUGH[0] not in verified.statements
    # The other operations of the same transactions stay hidden behind their salted hashes.
    assert b"dough" not in KITCHEN.bundle("upstream", "bread", depth=1).encode()


def test_every_change_of_one_byte_is_refused() -> None:
    draw = Random("bytes")
    for place in range(len(RAW)):
        changed = bytearray(RAW)
        changed[place] ^= draw.randrange(1, 256)
        assert reason_of(bytes(changed)), place
    for shorter in range(0, len(RAW), 7):
        assert reason_of(RAW[:shorter])
    assert reason_of(RAW + b"\x00")


def resealed(raw: bytes) -> bytes:
    """The bytes with the digest at their end made anew, as whoever forges them does."""
    return raw[:-32] + hashlib.sha256(raw[:-32]).digest()


def test_a_change_with_a_new_digest_is_refused_unless_the_question_alone_is_another() -> None:
    original = JUDGE.check(RAW)
    question = len(DOMAIN) + 2 + len(encode(BUNDLE.question.row()))
    draw = Random("bytes")
    for place in range(len(RAW) - 32):
        changed = bytearray(RAW)
        changed[place] ^= draw.choice((0x01, 0x02, 0x10, 0x80))
        try:
            verified = JUDGE.check(resealed(bytes(changed)))
        except (ProofFault, DecodeFault, Fault):
            continue
        assert place < question
        # Other words over the same proven statements.
        assert verified.shown == original.shown


def test_a_bundle_of_another_network_is_refused() -> None:
    assert reason_of(RAW, BundleJudge(make_genesis(members=("carol",)))) == "checkpoint.origin"


def test_a_statement_that_nobody_signed_for_is_named() -> None:
    claim = say("used", activity="x:mix", entity="x:magic")
    bundle = replace(BUNDLE, unproven=(claim.operation().body,))

    verified = JUDGE.check(bundle.encode())

    assert verified.unsigned == (claim,)
    assert names(verified) >= {"x:magic"}
    link = verified.links()[Link("urn:x:mix", "used", "urn:x:magic")]
    assert [each.proven for each in link] == [None]


def test_statements_without_proof_stand_in_one_order() -> None:
    claims = sorted(
        say("used", activity="x:mix", entity=f"x:{name}").operation().body for name in "abc"
    )

    assert reason_of(replace(BUNDLE, unproven=tuple(claims)).encode()) == ""
    assert reason_of(replace(BUNDLE, unproven=tuple(reversed(claims))).encode()) == "bundle.order"
    assert reason_of(replace(BUNDLE, unproven=(claims[0],) * 2).encode()) == "bundle.order"


# --- forgeries ------------------------------------------------------------------------------------


def alone(operations: list[Operation], *, signed_by: str = "alice") -> Bundle:
    """A bundle of one transaction by Alice, the only leaf of a log that a quorum certified."""
    signed = make_signed(GENESIS, "alice", 1, operations=operations)
    signature = signer_of(signed_by).sign(TRANSACTION_DOMAIN + signed.header)
    leaf = TransactionLeaf(1, 0, Result.APPLIED, "", signed.header, signature)
    root = merkle.leaf_hash(leaf.encode())
    validators = GENESIS.epoch.validators
    note = certify(GENESIS, 1, root, epoch=GENESIS.epoch).note(GENESIS.origin, validators)
    count = len(operations)
    transaction = ShownTransaction(0, 1, 0, 0, signed.nonce, signed.expiry, count, signature, ())
    shown = [ShownOperation(0, number, *each.row()) for number, each in enumerate(operations)]
    part = Part(signed.sender, transaction, tuple(shown))
    receipt = put_together(note, 1, [part], lambda start, stop: b"")
    return Bundle(Question("upstream", ("urn:x:bread",)), receipt)


MADE = [each.operation() for each in BREAD[:2]]


def invented_transaction() -> Bundle:
    """Alice signed it, and a certificate of a log that it never was in stands under it."""
    made = alone(MADE)
    nodes = multiproof.collect([0], 4, lambda start, stop: bytes(32))
    return replace(made, receipt=replace(made.receipt, certificate=KITCHEN.notes[1], nodes=nodes))


def invented_statement() -> Bundle:
    """Another body in the place of one that was signed."""
    old = DOUGH[3].operation().body
    new = say("used", activity="x:mix", entity="x:magic").operation().body
    operations = tuple(
        each._replace(body=new) if each.body == old else each for each in BUNDLE.receipt.operations
    )
    return replace(BUNDLE, receipt=replace(BUNDLE.receipt, operations=operations))


def padded() -> Bundle:
    statements = [*JUDGE.check(RAW).statements, *STONE]
    return replace(BUNDLE, receipt=parse_joint_receipt(KITCHEN.joint(statements)))


FORGERIES: dict[str, tuple[Bundle, str]] = {
    "another's signature": (alone(MADE, signed_by="bob"), "joint.signature"),
    "an invented transaction": (invented_transaction(), "merkle.root"),
    "an invented statement": (invented_statement(), "merkle.root"),
    "another application": (
        alone([MADE[0], replace(MADE[1], application="records")]),
        "bundle.application",
    ),
    "a statement twice": (replace(BUNDLE, unproven=(BREAD[0].operation().body,)), "bundle.twice"),
    "a statement of something else": (padded(), "bundle.padding"),
}
"""What forges a bundle, and how it is refused."""


def headers() -> dict[bytes, bytes]:
    """The headers of the transactions in the kitchen, by signature."""
    found = {}
    for identity, _ in KITCHEN.places.values():
        executed = queries.transaction(KITCHEN.store, GENESIS, identity)
        assert executed is not None
        found[executed.transaction.signature] = executed.transaction.header
    return found


def test_what_is_right_but_for_nothing_is_believed() -> None:
    assert reason_of(alone(MADE).encode()) == ""


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_refused_and_only_the_judge_without_the_rule_believes_it(name: str) -> None:
    bundle, reason = FORGERIES[name]
    raw = bundle.encode()

    assert reason_of(raw) == reason
    believers = [mutant for mutant in MUTANTS if not reason_of(raw, mutant(GENESIS, headers()))]
    assert [MUTANTS[mutant] for mutant in believers] == [name]


def test_every_mutant_believes_its_forgery() -> None:
    assert sorted(MUTANTS.values()) == sorted(FORGERIES)


# --- order, and what is not needed ----------------------------------------------------------------


def with_receipt(**changes: object) -> bytes:
    return replace(BUNDLE, receipt=replace(BUNDLE.receipt, **changes)).encode()  # type: ignore[arg-type]


def test_a_joint_receipt_is_written_in_one_way_only() -> None:
    receipt = BUNDLE.receipt
    backwards = tuple(reversed(receipt.operations))
    surplus = (*receipt.senders, b"\xff" * 32)

    assert reason_of(with_receipt(operations=backwards)) == "joint.order"
    assert reason_of(with_receipt(transactions=receipt.transactions[::-1])) == "joint.order"
    assert reason_of(with_receipt(senders=receipt.senders[::-1])) == "joint.order"
    assert reason_of(with_receipt(senders=surplus)) == "joint.senders"
    last = len(receipt.transactions) - 1
    fewer = tuple(each for each in receipt.operations if each.transaction != last)
    assert reason_of(with_receipt(operations=fewer)) == "joint.transactions"
    assert reason_of(with_receipt(nodes=(*receipt.nodes, bytes(32)))) == "merkle.path"


@pytest.mark.parametrize(
    "question",
    [Question("sideways", ("urn:x:bread",)), Question("between", ("urn:x:bread",)),
     Question("who", ("urn:x:bread", "urn:x:mix"))],
)  # fmt: skip
def test_a_question_that_cannot_be_asked_is_refused(question: Question) -> None:
    assert reason_of(replace(BUNDLE, question=question).encode()) == "bundle.question"


# --- making them ----------------------------------------------------------------------------------


def test_the_same_question_has_the_same_bytes_at_every_height() -> None:
    later = Kitchen()
    later.put("alice", BREAD[:2], STONE)
    later.certify()
    early = later.bundle("upstream", "bread").encode()
    later.put("bob", [say("entity", "x:other")])
    later.certify()

    assert later.bundle("upstream", "bread").encode() == early


def test_joint_receipts_of_parts_join_into_that_of_the_whole() -> None:
    statements = JUDGE.check(RAW).statements
    judge = JointJudge(GENESIS)
    groups: dict[bytes, list[Statement]] = {}
    for each in statements:
        groups.setdefault(KITCHEN.places[each][0], []).append(each)
    parts = [parse_joint_receipt(KITCHEN.joint(group, 3)) for group in groups.values()]
    assert len(parts) == 3

    joined = join([(part, judge.check(part)) for part in parts])

    assert joined == BUNDLE.receipt
    with pytest.raises(ProofFault, match=r"joint\.transactions"):
        join([(parts[0], judge.check(parts[0]))] * 2)
    other = parse_joint_receipt(KITCHEN.joint([BREAD[0]], 1))
    with pytest.raises(ProofFault, match=r"joint\.certificate"):
        join([(each, judge.check(each)) for each in (parts[0], other)])


def test_what_is_not_confirmed_or_not_applied_has_no_joint_receipt() -> None:
    made = Kitchen()
    failed = make_signed(GENESIS, "bob", 8, operations=[Operation("nothing", 1, b"")])
    made.block(failed)
    made.put("alice", BREAD[:2])

    def ask(height: int | None = None) -> bytes:
        wanted = [(failed.id, (0,)), (made.places[BREAD[0]][0], (0, 99)), (bytes(32), (0,))]
        return proofs.joint_receipt(made.store, GENESIS, wanted, height)

    with pytest.raises(Fault, match=r"joint\.nothing"):
        ask()
    made.certify()
    assert [each.number for each in parse_joint_receipt(ask()).operations] == [0]
    with pytest.raises(Fault, match=r"joint\.certificate"):
        ask(1)
    with pytest.raises(Fault, match=r"joint\.certificate"):
        ask(3)


def test_a_large_bundle_is_small_for_each_statement_and_no_random_change_passes() -> None:
    made = Kitchen()
    steps = [
        say("wasDerivedFrom", generatedEntity=f"x:step{number + 1}", usedEntity=f"x:step{number}")
        for number in range(300)
    ]
    for start in range(0, 300, 60):
        made.put("alice", steps[start : start + 30], steps[start + 30 : start + 60])
    made.certify()
    raw = made.bundle("upstream", "step300").encode()

    assert len(JUDGE.check(raw).statements) == 300
    assert len(raw) / 300 < 250
    draw = Random("large bundle")
    for _ in range(60):
        changed = bytearray(raw)
        changed[draw.randrange(len(raw))] ^= draw.randrange(1, 256)
        assert reason_of(bytes(changed)) == "bundle.digest" or reason_of(bytes(changed))
        if draw.random() < 0.5:
            place = draw.randrange(len(DOMAIN) + 40, len(raw) - 32)
            changed = bytearray(raw)
            changed[place] ^= draw.randrange(1, 256)
            assert reason_of(resealed(bytes(changed))), place


def test_the_digest_is_asked_for() -> None:
    with pytest.raises(DecodeFault, match=r"bundle\.digest"):
        parse_bundle(RAW[:-1] + bytes([RAW[-1] ^ 1]))
