"""Payments and state proofs at a terminal: the commands of docs/applications.md, and what fails."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ledger import applications
from tests.host.program import ROOT, call, running_cluster

DOCUMENT = (ROOT / "docs" / "applications.md").read_text(encoding="utf-8")
(BLOCK,) = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
STEPS = [words[2:] for line in BLOCK.splitlines() if (words := shlex.split(line, comments=True))]


def test_the_commands_of_the_document_work_and_the_proof_outlives_the_network(
    tmp_path: Path,
) -> None:
    init, cluster, new_key, issue, pay, balance, verify = STEPS
    call(*init, cwd=tmp_path).check()
    network = tmp_path / cluster[1]
    account = call(*new_key, cwd=tmp_path).check().out.strip().split()[-1]
    assert re.fullmatch(r"[0-9a-f]{64}", account)
    with running_cluster(network):
        for step in (issue, pay):
            words = [account if word == "ACCOUNT" else word for word in step]
            assert re.fullmatch(r"[0-9a-f]{64}\n", call(*words, cwd=tmp_path).check().out)
        asked = [account if word == "ACCOUNT" else word for word in balance]
        assert call(*asked, cwd=tmp_path).check().out.startswith("30  after block ")

        assert call("balance", "--network", network, "--json").check().document["balance"] == 70
        nobody = call("balance", "00" * 32, "--network", network, "--json").check().document
        assert nobody["balance"] == 0
        over = call("pay", "71", account, "--network", network, "--json")
        assert (over.code, over.document["reason"]) == (1, "payment.overdraft")
        # Bob is no member: what he sends is refused, and nothing moves.
        stranger = call("pay", "1", account, "--network", network, "--key", tmp_path / "bob.key")
        assert stranger.code == 1
        redeemed = call("pay", "20", "--redeem", "--network", network)
        assert redeemed.code == 0
        assert call("balance", "--network", network, "--json").check().document["balance"] == 50

    told = call(*verify, cwd=tmp_path).check().out
    assert told.startswith("valid\n")
    assert f"  account      {account}\n  balance      30\n" in told
    proof = tmp_path / balance[-1]
    raw = bytearray(proof.read_bytes())
    raw[len(raw) // 2] ^= 1
    proof.write_bytes(raw)
    bad = call(*verify, cwd=tmp_path)
    assert bad.code == 1
    assert bad.error_line().startswith("refused: ")
    audited = call("audit", network / "node0").check()
    assert audited.out.startswith("valid\n")


def test_what_a_person_gets_wrong_is_one_line(tmp_path: Path) -> None:
    key = tmp_path / "own.key"
    call("keys", "new", "-o", key).check()
    at = ["--api", "http://127.0.0.1:1", "--key", key]
    cases = [
        (["pay", "1", *at], "say to whom"),
        (["pay", "1", "bob", *at], "bob is no account"),
        (["pay", "0", "00" * 32, *at], "not in the range"),
        (["pay", "1", "00" * 32, "--redeem", *at], "leave out ACCOUNT"),
        (["init", tmp_path / "net", "--application", "bank"], "there is no application bank"),
        (["balance", "bob", *at], "bob is no account"),
    ]
    for words, part in cases:
        done = call(*words)
        assert done.code == 2, words
        assert part in done.err
        assert "Traceback" not in done.err


def test_a_network_without_payments_says_so(tmp_path: Path) -> None:
    network = tmp_path / "net"
    call("init", network, "--validators", "1", "--protocol", "solo").check()
    with running_cluster(network):
        (tmp_path / "data").write_text("data")
        call("submit", "--record", tmp_path / "data", "--network", network).check()

        done = call("balance", "--network", network)

        assert done.code == 1
        assert "no application of this network has keys in the tree" in done.error_line()


def test_a_node_without_an_application_of_its_network_refuses_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = tmp_path / "net"
    words = ("--validators", "1", "--protocol", "solo", "--application", "payments")
    call("init", network, *words).check()
    monkeypatch.setattr(applications, "ALL", applications.DEFAULT)

    done = call("run", network / "node0")

    assert done.code == 3
    assert "lacks an application of the network" in done.error_line()
    assert "payments version 1" in done.error_line()
