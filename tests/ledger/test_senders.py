"""An open ledger takes what nobody signed, from nobody; every other ledger takes none of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from api.proofs import joint_receipt
from consensus.inspector import Inspector
from consensus.jobs import AdmitTransactions, CheckBatch
from consensus.protocols.solo import Solo
from ledger import applications, queries
from ledger.applications.interface import Application, Origin
from ledger.applications.records import make_record
from ledger.audit import audit
from ledger.encoding import encode
from ledger.errors import Fault
from ledger.execution import Executor
from ledger.genesis import Genesis, Member, check_genesis
from ledger.joint_receipt import JointJudge, parse_joint_receipt
from ledger.light import LightClient
from ledger.senders import NOBODY, Nobody, Verify, is_nobody, sender_check
from ledger.transaction import Operation, Transaction, make_transaction, parse_transaction
from tests.ledger.builders import make_genesis, make_signed, signer_of
from tests.ledger.proven import Store

OPEN = make_genesis(policy="open")
CLOSED = replace(OPEN, policy="members")
POINT = 9
"""A number of nobody's that is a public key as well, of a secret that nobody knows."""
NOTE = make_record("note", b"", b"by whomever")


def of_nobody(
    genesis: Genesis, nonce: int = 1, operation: Operation = NOTE, number: int = POINT
) -> Transaction:
    signer = Nobody(number)
    return make_transaction(signer, genesis.network, [operation], nonce=nonce, expiry=5)


def with_signature(transaction: Transaction, signature: bytes) -> Transaction:
    return parse_transaction(encode((transaction.header, signature, transaction.operations)))


def stored(genesis: Genesis, *transactions: Transaction) -> Store:
    """A ledger that executed these, right or wrong, as one that a quorum of liars made."""
    made = Store(genesis)
    made.block(*transactions)
    made.certify()
    return made


# Everybody who looks at signatures; each raises Fault for a wrong one


def at_the_door(genesis: Genesis, transaction: Transaction) -> None:
    made = Store(genesis)
    executor = Executor(genesis, made.applications)
    job = AdmitTransactions(genesis, executor, genesis.suite, 0, (transaction.raw,))
    [admission] = job.run(made.store).admissions
    if admission.reason:
        raise Fault(admission.reason)


def in_a_batch(genesis: Genesis, transaction: Transaction) -> None:
    batch = Store(genesis).batch([transaction])
    signature = signer_of("node0 consensus", genesis.scheme).sign(batch.statement().signed_bytes())
    inspector = Inspector(genesis, genesis.suite, Solo)
    found = CheckBatch(inspector, batch.raw, signature).run(Store(genesis).store)
    if isinstance(found, Fault):
        raise found


def in_an_audit(genesis: Genesis, transaction: Transaction) -> None:
    for _ in audit(stored(genesis, transaction).store, genesis.network, applications.ALL):
        pass


def in_a_receipt(genesis: Genesis, transaction: Transaction) -> None:
    raw = queries.receipt(stored(genesis, transaction).store, genesis, transaction.id, operation=0)
    assert raw is not None
    verified = LightClient(genesis).check_receipt(raw)
    assert verified.is_signed == bool(transaction.signature)


def in_a_joint_receipt(genesis: Genesis, transaction: Transaction) -> None:
    raw = joint_receipt(stored(genesis, transaction).store, genesis, [(transaction.id, [0])], None)
    JointJudge(genesis).check(parse_joint_receipt(raw))


CHECKERS = [at_the_door, in_a_batch, in_an_audit, in_a_receipt, in_a_joint_receipt]
Check = Callable[[Genesis, Transaction], None]


@pytest.mark.parametrize("check", CHECKERS)
def test_an_open_ledger_takes_what_nobody_signed_and_what_somebody_did(check: Check) -> None:
    check(OPEN, of_nobody(OPEN))
    check(OPEN, make_signed(OPEN, "alice", 1))
    check(OPEN, make_signed(OPEN, "a stranger", 1))


@pytest.mark.parametrize("check", CHECKERS)
def test_nobody_acts_for_a_key_and_no_key_signs_for_nobody(check: Check) -> None:
    for transaction in (
        with_signature(make_signed(OPEN, "alice", 1), b""),
        with_signature(of_nobody(OPEN), signer_of("alice").sign(b"anything")),
    ):
        with pytest.raises(Fault, match=r"signature|did not sign"):
            check(OPEN, transaction)


@pytest.mark.parametrize("check", CHECKERS)
def test_a_ledger_of_members_takes_nothing_that_nobody_signed(check: Check) -> None:
    """Not even where nobody's number stands among the members."""
    member = Member("nobody", Nobody(POINT).public_key, ("submitter",))
    genesis = replace(CLOSED, members=(*CLOSED.members, member))

    check(genesis, make_signed(genesis, "alice", 1))
    for transaction in (
        of_nobody(genesis),
        with_signature(make_signed(genesis, "alice", 1), b""),
    ):
        with pytest.raises(Fault, match=r"signature|did not sign"):
            check(genesis, transaction)
    with pytest.raises(Fault, match="unknown-sender"):
        at_the_door(CLOSED, of_nobody(CLOSED))


def test_only_a_test_network_is_open() -> None:
    check_genesis(OPEN)
    with pytest.raises(Fault, match="test networks only"):
        check_genesis(replace(OPEN, test_network=False))


def test_exactly_once_is_by_sender_and_nonce_where_nobody_signs() -> None:
    first = of_nobody(OPEN)
    again = of_nobody(OPEN, operation=make_record("another", b"", b"x"))
    other = of_nobody(OPEN, number=8)
    made = Store(OPEN)

    done = made.block(first, again, first, other)

    assert (done.applied, done.failed, done.skipped) == (2, 0, 2)
    assert made.block(first).skipped == 1


def test_nobody_has_no_role() -> None:
    seen: list[Origin] = []

    class Watching(Application):
        name = "watching"
        version = 1

        def check(self, body: bytes) -> None:
            """Takes anything."""

        def apply(self, state: object, origin: Origin, body: bytes) -> None:
            seen.append(origin)

        def describe(self, body: bytes) -> dict[str, object]:
            return {}

    genesis = replace(OPEN, applications=(*OPEN.applications, ("watching", 1)))
    made = Store(genesis, [Watching()])
    made.block(of_nobody(genesis, operation=Operation("watching", 1, b"")))

    assert [(origin.roles, origin.sender) for origin in seen] == [((), Nobody(POINT).public_key)]


# The rule alone, and rules that lack a part of it


def right(_key: bytes, _message: bytes, signature: bytes) -> bool:
    return signature == b"right"


def believes_any_that_is_empty(genesis: Genesis, verify: Verify) -> Verify:
    return lambda key, message, signature: (
        (genesis.is_open and not signature) or verify(key, message, signature)
    )


def forgets_the_policy(_genesis: Genesis, verify: Verify) -> Verify:
    return sender_check(OPEN, verify)


def takes_a_signature_for_nobody(genesis: Genesis, verify: Verify) -> Verify:
    if not genesis.is_open:
        return verify
    return lambda key, message, signature: is_nobody(key) or verify(key, message, signature)


KEY, NUMBER = signer_of("alice").public_key, Nobody(3).public_key
CASES = {
    (genesis.policy, sender, signature): taken
    for genesis, sender, signature, taken in [
        (OPEN, KEY, b"right", True),
        (OPEN, KEY, b"wrong", False),
        (OPEN, KEY, b"", False),
        (OPEN, NUMBER, b"", True),
        (OPEN, NUMBER, b"right", False),
        (CLOSED, KEY, b"right", True),
        (CLOSED, KEY, b"", False),
        (CLOSED, NUMBER, b"", False),
    ]
}


def judged(rule: Callable[[Genesis, Verify], Verify]) -> dict[tuple[str, bytes, bytes], bool]:
    return {
        (policy, sender, signature): rule(OPEN if policy == "open" else CLOSED, right)(
            sender, b"message", signature
        )
        for policy, sender, signature in CASES
    }


def test_the_rule() -> None:
    assert judged(sender_check) == CASES
    assert not any(
        is_nobody(key) for key in (KEY, NOBODY, NOBODY + bytes(9), bytes(1_312), b"\1" + bytes(31))
    )


@pytest.mark.parametrize(
    "mutant", [believes_any_that_is_empty, forgets_the_policy, takes_a_signature_for_nobody]
)
def test_a_rule_that_lacks_a_part_is_told_from_it(
    mutant: Callable[[Genesis, Verify], Verify],
) -> None:
    assert judged(mutant) != CASES
