"""An open test network as its users meet it: what nobody signed is confirmed and proved."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from api.client import LedgerClient
from host.cluster import open_cluster
from host.commands.options import microseconds
from host.home import read_genesis
from ledger.applications.records import make_record
from ledger.senders import Nobody
from tests.host.program import LIMIT_S, call


@pytest.mark.trio
async def test_what_nobody_signed_is_confirmed_and_its_receipt_says_so(tmp_path: Path) -> None:
    folder, receipt = tmp_path / "net", tmp_path / "receipt"
    words = ("--protocol", "solo", "--validators", 1, "--test-network", "--open")
    call("init", folder, *words).check()
    genesis = read_genesis(folder / "genesis.json")

    with trio.fail_after(LIMIT_S):
        async with open_cluster(folder) as cluster:
            await cluster.start()
            client = LedgerClient(cluster.urls, genesis, signer=Nobody(), clock=microseconds)
            async with client:
                outcome = await client.submit([make_record("note", content=b"by whomever")])
    receipt.write_bytes(outcome.receipt)

    facts = call("verify", receipt, "--genesis", folder / "genesis.json", "--json").check().document
    assert outcome.status == "applied"
    assert facts["signature"].startswith("none")
    assert facts["sender"] == Nobody().public_key.hex()
    call("audit", folder / "node0").check()
