"""A Byzantine validator as a real process: only where the genesis allows it, and harmless there."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from host.cluster import open_cluster
from ledger.applications.records import make_record
from tests.host.kills import check_homes, make_client, until_level
from tests.host.program import call

LIMIT_S = 60


def test_a_real_network_refuses_an_attacker(tmp_path: Path) -> None:
    call("init", tmp_path / "net", "--validators", "1", "--protocol", "solo").check()

    for words in (("--byzantine", "silent"), ("--clock-skew-ms", "5")):
        refused = call("run", tmp_path / "net" / "node0", *words)

        assert refused.code == 3
        assert "test network" in refused.error_line()


def test_an_unknown_attack_is_a_wrong_usage(tmp_path: Path) -> None:
    call("init", tmp_path / "net", "--validators", "1", "--protocol", "solo").check()

    refused = call("run", tmp_path / "net" / "node0", "--byzantine", "rude")

    assert refused.code == 2
    assert "silent" in refused.error_line()


@pytest.mark.trio
async def test_honest_processes_confirm_beside_an_equivocator_and_a_fast_clock(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "net"
    call("init", folder, "--test-network", "--protocol", "tendermint").check()
    with trio.fail_after(LIMIT_S):
        async with open_cluster(folder) as cluster, make_client(folder) as client:
            cluster.nodes[1].options = ("--clock-skew-ms", "3000")
            cluster.nodes[2].options = ("--byzantine", "equivocating+mutating")
            await cluster.start()
            (ready,) = [fact for fact in cluster.nodes[2].facts if fact.get("fact") == "ready"]
            assert ready["byzantine"] == "equivocating+mutating"
            for _ in range(4):
                outcome = await client.submit([make_record("", content=b"x")])
                assert outcome.status == "applied"
            await until_level(client, 4)
    check_homes(folder, 4)
