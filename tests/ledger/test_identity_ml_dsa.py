"""Members and documents on a ledger of ML-DSA-44 keys, which are named by their short form."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from dataclasses import replace

import pytest

from ledger.applications import documents
from ledger.applications.documents import document_key, parse_document
from ledger.applications.identity import Identity
from ledger.applications.identity_body import Act, Body, make_act, make_rotation
from ledger.applications.identity_state import (
    ADMINISTRATORS,
    ADMINISTRATORS_MAX,
    Proposal,
    key_key,
    member_key,
    parse_proposal,
    proposal_key,
)
from ledger.encoding import encode
from ledger.errors import DecodeFault
from ledger.keys import Signer, short_key
from ledger.layout import state_key
from ledger.light import LightClient
from ledger.proving import prove_state
from ledger.transaction import Operation
from tests.ledger.builders import signer_of
from tests.ledger.governed import NOTE, REVOKE, Network, approve, governed, remove

SCHEME = "ml-dsa-44"
GENESIS = governed(SCHEME)


def holder(name: str) -> Signer:
    return signer_of(name, SCHEME)


def add(name: str) -> Body:
    return Body(Act.ADD, name, holder(name).public_key, ("submitter",))


def test_members_come_change_their_keys_and_go() -> None:
    network = Network(GENESIS)
    assert network.pass_change(make_act(add("dan"))) == ""
    assert network.send("dan", NOTE) == ""

    turn = make_rotation(GENESIS.network, holder("dan").public_key, holder("dan 2"))
    assert network.send("dan", turn) == ""
    assert network.run(("dan", NOTE), ("dan 2", NOTE)) == [None, ""]
    assert network.send("dan 2", REVOKE) == ""
    assert network.send("dan 2", NOTE) is None
    replaced = make_act(Body(Act.REPLACE, "dan", holder("dan 3").public_key))
    assert network.pass_change(replaced) == ""
    assert network.send("dan 3", NOTE) == ""
    assert network.pass_change(remove("dan")) == ""
    assert network.send("dan 3", NOTE) is None


def test_an_approval_by_a_rotated_key_counts_no_more() -> None:
    network = Network(GENESIS)
    network.send("ada", make_act(add("dan")))
    proposal = network.last[0]
    turn = make_rotation(GENESIS.network, holder("ada").public_key, holder("ada 2"))
    assert network.send("ada", turn) == ""

    assert network.send("ben", approve(proposal)) == ""
    assert network.register.member("dan") is None
    assert network.send("ben", approve(proposal)) == "identity.approved"
    assert network.send("ada 2", approve(proposal)) == ""
    assert network.register.member("dan") is not None


def test_a_new_key_must_have_signed() -> None:
    turn = make_rotation(GENESIS.network, holder("ben").public_key, holder("sam 2"))

    assert Network(GENESIS).send("sam", turn) == "identity.possession"


@pytest.mark.parametrize("scheme", [SCHEME, "ed25519"])
def test_a_key_of_another_scheme_is_refused_at_the_door_and_by_the_ledger(scheme: str) -> None:
    other = "ed25519" if scheme == SCHEME else SCHEME
    act = make_act(Body(Act.ADD, "dan", signer_of("dan", other).public_key, ("submitter",)))

    with pytest.raises(DecodeFault, match=f"of {scheme}"):
        Identity(governed(scheme)).check(act.body)
    assert Network(governed(scheme)).send("ada", act) == "identity.parts"


def test_members_and_keys_are_proved_and_documents_name_the_scheme() -> None:
    network = Network(GENESIS)
    network.run(("sam", REVOKE), ("ada", make_act(add("dan"))))
    proposal = network.last[1]
    network.certify()

    def facts(key: bytes) -> dict[str, object]:
        raw = prove_state(network.store, GENESIS, "identity", key)
        verified = LightClient(GENESIS).check_state(raw)
        found = Identity(GENESIS).describe_state(verified.key, verified.value)
        return dict(json.loads(json.dumps(found)))

    document = facts(member_key("ada"))["document"]
    assert isinstance(document, dict)
    (method,) = document["verificationMethod"]
    jwk = method["publicKeyJwk"]
    assert (jwk["kty"], jwk["alg"], set(jwk)) == ("AKP", "ML-DSA-44", {"kty", "alg", "pub"})
    assert urlsafe_b64decode(jwk["pub"] + "==") == holder("ada").public_key
    revoked = facts(key_key(holder("sam").public_key))
    assert (revoked["member"], revoked["use"]) == ("sam", "revoked")
    assert revoked["key"] == short_key(holder("sam").public_key).hex()
    assert "absent" in facts(key_key(holder("dan").public_key))
    assert facts(proposal_key(proposal))["approvals"] == [short_key(holder("ada").public_key).hex()]
    listed = facts(ADMINISTRATORS)["administrators"]
    shorts = [short_key(holder(name).public_key).hex() for name in ("ada", "ben", "cleo")]
    assert listed == sorted(shorts)


def test_a_proposal_has_room_for_all_approvals() -> None:
    keys = tuple(number.to_bytes(32, "big") for number in range(ADMINISTRATORS_MAX))
    waiting = Proposal(add("dan"), keys, 7)
    raw = encode((make_act(waiting.change).body, waiting.approvals, waiting.height))

    assert parse_proposal(raw) == waiting


def test_a_document_is_its_owners() -> None:
    network = Network(replace(GENESIS, applications=(("documents", 1), *GENESIS.applications)))
    first, second = (documents.commitment(bytes(32), bytes([n]) * 32) for n in (1, 2))

    def put(new: bytes, previous: bytes) -> Operation:
        body = documents.Body(documents.Act.PUT, "plan", commitment=new, previous=previous)
        return documents.make_act(body)

    given = documents.Body(documents.Act.GIVE, "plan", key=short_key(holder("ben").public_key))
    assert network.send("sam", put(first, b"")) == ""
    assert network.send("ben", put(second, first)) == "document.owner"
    assert network.send("sam", documents.make_act(given)) == ""
    assert network.send("ben", put(second, first)) == ""
    raw = network.store.get(state_key("documents", document_key("plan")))
    assert raw is not None
    assert parse_document(raw).owner == short_key(holder("ben").public_key)
