"""A node of a network with ML-DSA keys answers as its description says, and its proofs hold."""

from __future__ import annotations

import json

import pytest

from ledger.genesis import from_json
from ledger.light import LightClient
from tests.api.conftest import client_of
from tests.api.memory_node import MemoryLedger, MemoryNode
from tests.api.small import STATEMENT
from tests.ledger.builders import make_genesis, make_signed

pytestmark = pytest.mark.trio


@pytest.mark.parametrize("scheme", ["ml-dsa-44", "ml-dsa-65"])
async def test_answers_are_as_described_and_proofs_hold(scheme: str) -> None:
    genesis = make_genesis(scheme=scheme)
    light = LightClient(genesis)
    said = make_signed(genesis, "alice", 1, expiry=99, operations=[STATEMENT.operation()])
    ledger = MemoryLedger(genesis)
    ledger.confirm(said)
    place = f"/v1/transactions/{said.id.hex()}"

    async with client_of(MemoryNode(ledger)) as client:
        found = {
            path: await client.get(path)
            for path in (
                "/v1/genesis", place, f"{place}/receipt", "/v1/blocks/1", "/v1/certificates/1",
                "/v1/provenance/statements", "/v1/members", "/v1/status",
            )
        }  # fmt: skip

    refused = {path: answer.status_code for path, answer in found.items() if answer.is_error}
    assert refused == {"/v1/members": 404}, "only where members change are they a question"
    assert from_json(found["/v1/genesis"].content) == genesis
    assert found[place].json()["sender"] == said.sender.hex()
    (statement,) = found["/v1/provenance/statements"].json()["statements"]
    assert statement["sender"] == said.sender.hex()
    assert light.check_receipt(found[f"{place}/receipt"].content).transaction == said.id
    assert light.check_certificate(found["/v1/certificates/1"].content).signers == (0, 1, 2)
    validator = json.loads(found["/v1/genesis"].content)["epoch"]["validators"][0]
    names = {"statement_key", "checkpoint_key"} if scheme == "ml-dsa-65" else {"consensus_key"}
    assert names <= set(validator)
