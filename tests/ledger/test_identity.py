"""Identity: members change by k approvals, keys by their holders; what is gone stays gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.applications import identity
from ledger.applications.identity import Identity
from ledger.applications.identity_body import (
    Act,
    Body,
    make_act,
    parse_act,
    possession_message,
)
from ledger.applications.identity_state import ADMINISTRATORS_MAX, KeyRow, KeyUse
from ledger.applications.payments import Act as PaymentAct
from ledger.applications.payments import make_payment
from ledger.encoding import encode
from ledger.errors import DecodeFault, Fault
from ledger.execution import Executor
from ledger.genesis import Member
from ledger.transaction import Operation
from tests.ledger.builders import make_signed, signer_of
from tests.ledger.governed import (
    GENESIS,
    NOTE,
    REVOKE,
    Network,
    add,
    approve,
    give_key,
    key,
    remove,
    roles,
    rotate,
    withdraw,
)


def test_the_members_of_the_genesis_are_the_beginning() -> None:
    network = Network()
    network.run(("sam", NOTE))

    ada = network.register.member("ada")
    assert ada is not None
    assert (ada.key, ada.roles, ada.version) == (key("ada"), ("submitter", "administrator"), 0)
    assert network.register.key(key("sam")) == KeyRow("sam", KeyUse.IN_USE, 0, 0)
    assert network.register.administrators() == tuple(sorted(map(key, ("ada", "ben", "cleo"))))


def test_a_change_holds_from_the_next_block_on() -> None:
    network = Network()
    assert network.send("dan", NOTE) is None

    assert network.send("ada", add("dan")) == ""
    ended = network.run(("ben", approve(network.last[0])), ("dan", NOTE))
    assert ended == ["", None]
    assert network.send("dan", NOTE) == ""

    assert network.send("cleo", remove("dan")) == ""
    ended = network.run(("ben", approve(network.last[0])), ("dan", NOTE))
    assert ended == ["", ""]
    assert network.send("dan", NOTE) is None
    assert network.register.key(key("dan")) == KeyRow("dan", KeyUse.REMOVED, 3, 6)


def test_the_door_asks_the_state_that_execution_asks() -> None:
    network = Network()
    executor = Executor(GENESIS, network.applications)
    assert executor.members(network.store).standing(key("sam")).may_submit
    assert not executor.members(network.store).standing(key("dan")).may_submit

    network.pass_change(add("dan"))
    network.pass_change(remove("sam"))

    assert executor.members(network.store).standing(key("dan")).may_submit
    assert not executor.members(network.store).standing(key("sam")).may_submit


def test_who_is_no_submitter_is_skipped() -> None:
    network = Network()
    network.pass_change(add("eve", ("auditor",)))
    network.pass_change(roles("sam", "auditor"))

    assert network.run(("eve", NOTE), ("sam", NOTE)) == [None, None]


def test_one_approval_is_not_enough() -> None:
    network = Network()
    assert network.send("ada", add("dan")) == ""
    proposal = network.last[0]
    assert network.register.member("dan") is None

    assert network.send("ada", approve(proposal)) == "identity.approved"
    assert network.send("sam", approve(proposal)) == "identity.authority"
    assert network.register.member("dan") is None

    assert network.send("cleo", approve(proposal)) == ""
    assert network.register.member("dan") is not None
    assert network.send("ben", approve(proposal)) == "identity.no-proposal"


def test_approvals_of_a_key_that_is_gone_do_not_count() -> None:
    network = Network()
    network.send("ada", add("dan"))
    proposal = network.last[0]
    # A thief has signed with Ada's key; she rotates it.
    assert network.send("ada", rotate("ada", "ada 2")) == ""

    assert network.send("ben", approve(proposal)) == ""
    assert network.register.member("dan") is None
    assert network.send("ada 2", approve(proposal)) == ""
    assert network.register.member("dan") is not None


def test_what_is_withdrawn_counts_no_more() -> None:
    network = Network()
    network.send("ada", add("dan"))
    proposal = network.last[0]

    assert network.send("ben", withdraw(proposal)) == "identity.not-approved"
    assert network.send("ada", withdraw(proposal)) == ""
    assert network.send("ben", approve(proposal)) == "identity.no-proposal"


def test_a_change_of_one_approval_needs_no_second() -> None:
    network = Network(replace(GENESIS, approvals=1))

    assert network.send("ada", add("dan")) == ""
    assert network.register.member("dan") is not None
    assert network.register.proposal(network.last[0]) is None


def test_a_rotated_key_is_skipped_and_the_new_one_acts() -> None:
    network = Network()
    held = network.sign("sam", NOTE)

    assert network.send("sam", rotate("sam", "sam 2")) == ""

    assert network.run(("sam", NOTE), ("sam 2", NOTE)) == [None, ""]
    network.block(held)
    assert network.head.height == 3
    assert network.register.key(key("sam")) == KeyRow("sam", KeyUse.ROTATED, 0, 1)
    assert network.register.key(key("sam 2")) == KeyRow("sam", KeyUse.IN_USE, 1, 0)


def test_nonces_are_a_keys_own() -> None:
    network = Network()
    first = network.sign("sam", NOTE)
    network.block(first)
    network.send("sam", rotate("sam", "sam 2"))
    same_nonce = make_signed(GENESIS, "sam 2", first.nonce, expiry=50, operations=[NOTE])

    done = network.block(first, same_nonce, same_nonce)

    assert (done.applied, done.skipped) == (1, 2)
    assert network.block(first, same_nonce).skipped == 2


def test_who_may_issue_follows_the_members() -> None:
    with_payments = (*GENESIS.applications[:1], ("payments", 1), *GENESIS.applications[1:])
    network = Network(replace(GENESIS, applications=with_payments))
    issue = make_payment(PaymentAct.ISSUE, key("sam"), 5)
    assert network.send("sam", issue) == "payment.authority"

    network.send("ada", rotate("ada", "ada 2", network.genesis))
    network.pass_change(roles("ben", "submitter"), "ada 2", "cleo")

    assert network.run(("ada 2", issue), ("ada", issue)) == ["", None]
    assert network.send("ben", issue) == "payment.authority"


def test_a_revoked_key_is_skipped_until_administrators_give_another_one() -> None:
    network = Network()
    assert network.send("sam", REVOKE) == ""
    assert network.send("sam", NOTE) is None
    member = network.register.member("sam")
    assert member is not None
    assert (member.key, member.roles) == (b"", ("submitter",))

    assert network.pass_change(give_key("sam", "sam 2")) == ""
    assert network.run(("sam", NOTE), ("sam 2", NOTE)) == [None, ""]
    assert network.register.key(key("sam")) == KeyRow("sam", KeyUse.REVOKED, 0, 1)


def test_administrators_replace_a_key_that_is_lost() -> None:
    network = Network()
    assert network.pass_change(give_key("sam", "sam 2")) == ""
    assert network.register.key(key("sam")) == KeyRow("sam", KeyUse.REPLACED, 0, 2)
    assert network.run(("sam", NOTE), ("sam 2", NOTE)) == [None, ""]


def test_inside_a_block_rules_see_what_stands_before() -> None:
    network = Network()
    network.send("ada", add("dan"))
    proposal = network.last[0]

    # The key is in use for this block still, but no administrator's after its rotation.
    ended = network.run(("ben", rotate("ben", "ben 2")), ("ben", approve(proposal)))
    assert ended == ["", "identity.authority"]
    ended = network.run(("sam", REVOKE), ("sam", REVOKE))
    assert ended == ["", "identity.key-gone"]


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (add("sam", of="dan"), "identity.name-used"),
        (add("dan", of="sam"), "identity.key-used"),
        (add("dan", of="node0 consensus"), "identity.key-used"),
        (remove("dan"), "identity.unknown"),
        (roles("dan", "auditor"), "identity.unknown"),
        (give_key("dan", "dan"), "identity.unknown"),
        (give_key("sam", "ben"), "identity.key-used"),
        (make_act(Body(Act.ADD, "dan", bytes(32), ("submitter",))), "key.unsafe"),
    ],
)
def test_a_change_that_cannot_be_is_refused(operation: Operation, reason: str) -> None:
    assert Network().send("ada", operation) == reason


def test_a_change_that_has_become_impossible_is_not_made() -> None:
    network = Network()
    network.run(("ada", add("dan")), ("ben", add("dan", of="other dan")))
    first, second = network.last
    assert network.send("ben", approve(first)) == ""

    assert network.send("ada", approve(second)) == "identity.name-used"
    member = network.register.member("dan")
    assert member is not None
    assert member.key == key("dan")


def test_names_and_keys_of_the_past_never_come_back() -> None:
    network = Network()
    network.pass_change(remove("sam"))

    assert network.send("ada", add("sam", of="dan")) == "identity.name-used"
    assert network.send("ada", add("dan", of="sam")) == "identity.key-used"
    assert network.send("ada", remove("sam")) == "identity.unknown"
    network.send("ada", rotate("ada", "ada 2"))
    assert network.send("ada 2", rotate("ada 2", "ada")) == "identity.key-used"


def test_enough_administrators_stay() -> None:
    network = Network()
    assert network.pass_change(remove("cleo")) == ""

    for operation in (remove("ben"), roles("ben", "submitter")):
        assert network.send("ada", operation) == "identity.too-few"
    assert network.send("ben", REVOKE) == "identity.too-few"
    assert network.send("ben", rotate("ben", "ben 2")) == ""
    few = Network(replace(GENESIS, approvals=9))
    assert few.send("ben", rotate("ben", "ben 2", few.genesis)) == ""


def test_there_is_room_for_so_many() -> None:
    many = tuple(
        Member(f"admin{n}", key(f"admin{n}"), ("submitter", "administrator"))
        for n in range(ADMINISTRATORS_MAX)
    )
    genesis = replace(GENESIS, members=many, approvals=1)
    network = Network(genesis)

    ended = network.send("admin0", add("dan", ("submitter", "administrator")))
    assert ended == "identity.too-many"
    with pytest.raises(Fault, match="too-many"):
        Identity().for_network(replace(genesis, members=(*many, *GENESIS.members)))


def test_there_is_room_for_so_many_approvals() -> None:
    network = Network(replace(GENESIS, approvals=3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "ADMINISTRATORS_MAX", 2)
        network.send("ada", remove("sam"))
        proposal = network.last[0]

        ended = network.run(*((name, approve(proposal)) for name in ("ben", "cleo")))
        assert ended == ["", "identity.too-many"]
        assert network.send("ben", withdraw(proposal)) == ""
        assert network.send("cleo", approve(proposal)) == ""


def test_without_approvals_only_own_keys_change() -> None:
    network = Network(replace(GENESIS, approvals=0))

    assert network.send("ada", add("dan")) == "identity.fixed"
    assert network.send("ada", approve(bytes(32))) == "identity.fixed"


@pytest.mark.parametrize("who", ["nobody", "another old key", "another network"])
def test_a_new_key_must_have_signed(who: str) -> None:
    new = signer_of("sam 2")
    message = {
        "nobody": b"",
        "another old key": possession_message(GENESIS.network, key("ben"), new.public_key),
        "another network": possession_message(bytes(32), key("sam"), new.public_key),
    }[who]
    act = make_act(Body(Act.ROTATE, key=new.public_key, possession=new.sign(message)))

    assert Network().send("sam", act) == "identity.possession"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        encode(("add", "dan", bytes(32), (), b"", b"")),
        encode(("add", "dan", bytes(31), ("submitter",), b"", b"")),
        encode(("add", "", bytes(32), ("submitter",), b"", b"")),
        encode(("add", "dan", bytes(32), ("submitter",), bytes(32), b"")),
        encode(("exile", "dan", b"", (), b"", b"")),
        encode(("remove", "dan", bytes(32), (), b"", b"")),
        encode(("revoke", "dan", b"", (), b"", b"")),
        encode(("rotate", "", bytes(32), (), b"", bytes(63))),
        encode(("approve", "", b"", (), b"", b"")),
        encode(("remove", "dan", b"", (), b"", b"")) + b"\x00",
    ],
)
def test_a_malformed_body_is_refused_at_the_door(body: bytes) -> None:
    with pytest.raises(DecodeFault):
        Identity().check(body)


@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [
        ("dan", ("king",), "identity.roles"),
        ("dan", ("auditor", "submitter"), "identity.roles"),
        ("dan", ("submitter", "submitter"), "identity.roles"),
        ("dan", ("administrator",), "identity.roles"),
        ("d\u00e4n", ("submitter",), "identity.name"),
        (".dan", ("submitter",), "identity.name"),
        ("dan smith", ("submitter",), "identity.name"),
        ("d" * 65, ("submitter",), "identity.name"),
    ],
)
def test_roles_and_names_have_one_form(name: str, given: tuple[str, ...], reason: str) -> None:
    with pytest.raises(Fault) as raised:
        make_act(Body(Act.ADD, name, key("dan"), given))

    assert raised.value.reason == reason


def test_a_body_is_described() -> None:
    assert Identity().describe(add("dan").body) == {
        "act": "add",
        "name": "dan",
        "key": key("dan").hex(),
        "roles": ("submitter",),
    }
    assert parse_act(REVOKE.body) == Body(Act.REVOKE)
