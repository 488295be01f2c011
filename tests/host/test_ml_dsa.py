"""A real network of ML-DSA-44 keys: confirm, prove offline, pay, restart, audit."""

from __future__ import annotations

from pathlib import Path

from tests.host.program import call, running_cluster


def test_a_network_of_ml_dsa_keys_does_what_others_do(tmp_path: Path) -> None:
    network, data, receipt = tmp_path / "net", tmp_path / "data.csv", tmp_path / "a.receipt"
    data.write_text("1,2,3\n")
    words = ("--scheme", "ml-dsa-44", "--application", "payments")
    assert call("init", network, *words, "--json").check().document["scheme"] == "ml-dsa-44"
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
    refused = call("init", tmp_path / "other", *words, "--application", "identity")
    assert (refused.code, refused.error_line().count("identity knows keys of ed25519")) == (2, 1)
    shown = call("keys", "show", network / "member.key", "--scheme", "ml-dsa-44", "--json")
    assert len(shown.check().document["public_key"]) == 2 * 1_312
    assert len(shown.document["account"]) == 64
