"""Real networks of ML-DSA keys: confirm, prove offline, pay, restart, audit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.host.program import call, running_cluster


@pytest.mark.parametrize("scheme", ["ml-dsa-44", "ml-dsa-65"])
def test_a_network_of_ml_dsa_keys_does_what_others_do(tmp_path: Path, scheme: str) -> None:
    network, data, receipt = tmp_path / "net", tmp_path / "data.csv", tmp_path / "a.receipt"
    data.write_text("1,2,3\n")
    words = ("--scheme", scheme, "--application", "payments")
    assert call("init", network, *words, "--json").check().document["scheme"] == scheme
    at = ("--network", network)
    with running_cluster(network):
        identity = call("submit", *at, "--record", data, "--json").check().document["id"]
        call("receipt", identity, *at, "-o", receipt).check()
        call("pay", "100", "--issue", *at).check()
    with running_cluster(network):
        call("pay", "40", "ab" * 32, *at).check()
        assert call("balance", *at, "--json").check().document["balance"] == 60

    genesis = network / "genesis.json"
    told = call("verify", receipt, "--genesis", genesis, "--data", data).check().out
    assert "signed_by    3 of 4 validators" in told
    assert max(map(len, told.splitlines())) < 120
    raw = bytearray(receipt.read_bytes())
    raw[len(raw) // 2] ^= 1
    receipt.write_bytes(raw)
    assert call("verify", receipt, "--genesis", genesis).code == 1
    assert call("audit", network / "node0").check().out.startswith("valid\n")
    shown = call("keys", "show", network / "member.key", "--scheme", scheme, "--json")
    assert len(shown.check().document["public_key"]) == 2 * 1_312
    assert len(shown.document["account"]) == 64


def test_its_members_change_and_keep_documents(tmp_path: Path) -> None:
    network, bob, proof = tmp_path / "net", tmp_path / "bob.key", tmp_path / "bob.state-proof"
    at, dsa = ("--network", network), ("--scheme", "ml-dsa-44")
    apps = ("--application", "identity", "--application", "documents")
    call("init", network, *dsa, *apps, "--members", "2", "--approvals", "2").check()
    key = call("keys", "new", "-o", bob, *dsa).check().out.strip()
    plan = tmp_path / "plan.txt"
    plan.write_text("dig\n")
    with running_cluster(network):
        small = call("identity", "add", "eve", "ab" * 32, *at)
        assert (small.code, small.error_line().count("no public key of ml-dsa-44")) == (2, 1)
        proposed = call("identity", "add", "bob", key, *at, "--json").check().document
        approve = ("identity", "approve", proposed["proposal"])
        call(*approve, "--key", network / "member1.key", *at).check()
        call("document", "put", plan, "--key", bob, "--store", tmp_path, *at).check()
        call("identity", "rotate", "--new", tmp_path / "bob2.key", "--key", bob, *at).check()
        shown = call("identity", "show", key, *at, "--json").check().document
        assert (shown["member"], shown["use"]) == ("bob", "rotated")
        found = call("identity", "resolve", "bob", "-o", proof, *at).check().document
        new = call("keys", "show", tmp_path / "bob2.key", *dsa).check().out.strip()
        call("document", "give", "plan.txt", new, "--key", network / "member.key", *at).check()

    (method,) = found["didDocument"]["verificationMethod"]
    assert method["publicKeyJwk"]["alg"] == "ML-DSA-44"
    told = call("verify", proof, "--genesis", network / "genesis.json").check().out
    assert "bob" in told
    assert call("audit", network / "node0").check().out.startswith("valid\n")
