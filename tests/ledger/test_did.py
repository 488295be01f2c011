"""Identifiers: one spelling each, and documents that follow from the state."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from dataclasses import replace

import pytest

from ledger.applications.identity import Identity
from ledger.applications.identity_state import (
    ADMINISTRATORS,
    MemberRow,
    key_key,
    member_key,
    proposal_key,
)
from ledger.did import did_of, document, parse_did
from ledger.errors import Fault, ProofFault
from ledger.light import LightClient
from ledger.proving import prove_state
from ledger.state_proof import parse_state_proof
from tests.ledger.governed import GENESIS, NOTE, REVOKE, Network, add, key, remove

NETWORK = GENESIS.network


@pytest.mark.parametrize(
    "name", ["sam", "a.b-c_D9", "a b", "~", "%41", "a:b", "a/b#c?", "Zoë", "日本"]
)
def test_every_name_has_one_identifier_of_allowed_characters(name: str) -> None:
    did = did_of(NETWORK, name)

    assert parse_did(did) == (NETWORK, name)
    assert all(c.isascii() and (c.isalnum() or c in ":.-_%") for c in did)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bob",
        "did:web:bob",
        f"did:ledger:{NETWORK.hex()}",
        f"did:ledger:{NETWORK.hex()}:",
        f"did:ledger:{NETWORK.hex().upper()}:bob",
        f"did:ledger:{NETWORK.hex()}:b ob",
        f"did:ledger:{NETWORK.hex()}:b%6fb",
        f"did:ledger:{NETWORK.hex()}:bob#key",
        f"did:ledger:{NETWORK.hex()}:%ff",
        "did:ledger:xyz:bob",
    ],
)
def test_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(Fault) as raised:
        parse_did(text)

    assert raised.value.reason == "did.malformed"


def test_a_document_holds_the_key_in_use_and_no_other() -> None:
    row = MemberRow(key("sam"), ("submitter",), 0, 0, 0)
    made = document(NETWORK, "sam", row)
    (method,) = json.loads(json.dumps(made))["verificationMethod"]

    assert urlsafe_b64decode(method["publicKeyJwk"]["x"] + "=") == key("sam")
    assert method["controller"] == made["id"] == did_of(NETWORK, "sam")
    assert made["authentication"] == made["assertionMethod"] == [method["id"]]
    assert "verificationMethod" not in document(NETWORK, "sam", replace(row, key=b""))


def _facts(network: Network, key: bytes) -> dict[str, object]:
    """What a proof of this key says, checked as anyone would."""
    raw = prove_state(network.store, GENESIS, "identity", key)
    verified = LightClient(GENESIS).check_state(raw)
    return Identity(GENESIS).describe_state(verified.key, verified.value)


def test_members_keys_and_proposals_are_proved_and_so_is_their_absence() -> None:
    network = Network()
    network.pass_change(remove("cleo"))
    network.run(("sam", REVOKE), ("ada", add("dan")))
    proposal = network.last[1]
    network.certify()

    assert _facts(network, member_key("ada"))["roles"] == ["submitter", "administrator"]
    removed = _facts(network, member_key("cleo"))
    assert (removed["status"], removed["key"], removed["roles"]) == ("removed", "none in use", [])
    assert "absent" in _facts(network, member_key("dan"))
    revoked = _facts(network, key_key(key("sam")))
    assert (revoked["member"], revoked["use"]) == ("sam", "revoked")
    assert (revoked["since"], revoked["until"]) == (0, 3)
    assert "absent" in _facts(network, key_key(key("dan")))
    waiting = _facts(network, proposal_key(proposal))
    assert (waiting["needed"], waiting["proposed_at"]) == (2, 3)
    listed = _facts(network, ADMINISTRATORS)["administrators"]
    assert listed == sorted(key(name).hex() for name in ("ada", "ben"))


def test_a_forged_member_is_refused() -> None:
    network = Network()
    network.send("sam", NOTE)
    network.certify()
    raw = prove_state(network.store, GENESIS, "identity", member_key("sam"))
    proof = parse_state_proof(raw)
    assert proof.value is not None

    for forged in (
        replace(proof, value=proof.value.replace(key("sam"), key("dan"))),
        replace(proof, value=None),
        replace(proof, key=member_key("dan")),
    ):
        with pytest.raises(ProofFault):
            LightClient(GENESIS).check_state(forged.encode())
