"""Real processes that are killed, paused and restarted under load."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from host.cluster import open_cluster
from host.home import read_genesis
from ledger.applications.records import make_record
from ledger.errors import UnreachableError
from ledger.transaction import Transaction
from tests.host.kills import check_homes, confirm, lead, make_client, until_height, until_level
from tests.host.program import call, run, running_cluster, without_plyvel

LIMIT_S = 60


def make_network(folder: Path, protocol: str = "tendermint", storage: str = "leveldb") -> Path:
    call("init", folder, "--protocol", protocol, "--storage", storage).check()
    return folder


@pytest.mark.trio
@pytest.mark.parametrize(
    ("protocol", "storage"), [("tendermint", "leveldb"), ("jolteon", "sqlite")]
)
async def test_killed_nodes_lose_nothing_that_was_confirmed(
    protocol: str, storage: str, tmp_path: Path
) -> None:
    """One of four under load, then all four at once; `python -m tests.host.kills` does more."""
    folder = make_network(tmp_path / "net", protocol, storage)

    with trio.fail_after(2 * LIMIT_S):
        confirmed = await lead(folder, rounds=1, seed=2)

    assert confirmed > 16


@pytest.mark.trio
@pytest.mark.parametrize(
    "protocol", ["solo", "raft", "pbft", "hotstuff", "streamlet", "simplex", "mysticeti"]
)
async def test_a_killed_node_of_other_protocols_catches_up(protocol: str, tmp_path: Path) -> None:
    """The others go on without it, and what they confirm meanwhile it has after its restart."""
    folder = make_network(tmp_path / "net", protocol)
    victim = 0 if protocol != "solo" else 3  # Its first validator is the sequencer.
    with trio.fail_after(2 * LIMIT_S):
        async with open_cluster(folder) as cluster, make_client(folder) as client:
            await cluster.start()
            await confirm(client)
            cluster.kill(victim)
            await cluster.wait_ended(victim)
            await confirm(client)
            height = await confirm(client)

            await cluster.start(victim)

            await until_height(client, cluster.nodes[victim].url, height)
            await confirm(client)
            await until_level(client, 4)
    told = check_homes(folder, 4)
    assert told["height"] > height


@pytest.mark.trio
async def test_a_paused_node_is_left_behind_and_catches_up(tmp_path: Path) -> None:
    folder = make_network(tmp_path / "net")
    with trio.fail_after(LIMIT_S):
        async with open_cluster(folder) as cluster, make_client(folder) as client:
            await cluster.start()
            cluster.pause(2)

            for _ in range(5):
                transaction = client.sign([make_record("", content=b"x")], height=0)
                outcome = await client.confirm(transaction, deadline_s=LIMIT_S)

            cluster.resume(2)
            await until_height(client, cluster.nodes[2].url, outcome.height)
            await until_level(client, 4)
    check_homes(folder, 4)


@pytest.mark.trio
async def test_two_of_four_confirm_nothing_until_a_third_is_back(tmp_path: Path) -> None:
    folder = make_network(tmp_path / "net")
    with trio.fail_after(LIMIT_S):
        async with open_cluster(folder) as cluster, make_client(folder) as client:
            await cluster.start()
            cluster.kill(0)
            cluster.kill(1)
            await cluster.wait_ended(0)
            await cluster.wait_ended(1)
            transaction = client.sign([make_record("", content=b"x")], height=0)

            with pytest.raises(UnreachableError, match="no definite end"):
                await client.confirm(transaction, deadline_s=2)

            await cluster.start(0)
            outcome = await client.confirm(transaction, deadline_s=LIMIT_S)
            assert outcome.status == "applied"


@pytest.mark.trio
async def test_a_transaction_takes_effect_once_however_often_it_is_sent(tmp_path: Path) -> None:
    """To all nodes at once, again after its confirmation and after restarts, and signed twice."""
    folder = make_network(tmp_path / "net")
    with trio.fail_after(LIMIT_S):
        async with open_cluster(folder) as cluster, make_client(folder) as client:
            await cluster.start()
            first = client.sign([make_record("", content=b"x")], height=0)
            # A device whose clock stands still uses one nonce for two contents.
            twin_client = make_client(folder)
            twin_client._nonce = client._nonce - 1
            twin_client._clock = lambda: 0
            twin = twin_client.sign([make_record("", content=b"y")], height=0)
            assert twin.nonce == first.nonce

            async def send_everywhere(transaction: Transaction) -> None:
                async with trio.open_nursery() as nursery:
                    for url in cluster.urls:
                        nursery.start_soon(client.post, url, [transaction.raw])

            await send_everywhere(first)
            outcome = await client.confirm(first, deadline_s=LIMIT_S)
            await send_everywhere(first)
            await cluster.stop()
            await cluster.start()
            await send_everywhere(first)
            late = await twin_client.confirm(twin, deadline_s=LIMIT_S)
            await client.submit([make_record("", content=b"z")])
            await until_level(client, 4)
            again = await client.confirm(first, deadline_s=LIMIT_S)

    assert outcome.status == again.status == "applied"
    assert outcome.height == again.height
    assert late.status == "refused"
    assert "nonce" in late.reason
    check_homes(folder, 4)
    told = call("audit", folder / "node0", "--json").check().document
    assert told["transactions"] == 2


@pytest.mark.trio
async def test_a_node_that_cannot_start_is_named_in_one_line(tmp_path: Path) -> None:
    folder = make_network(tmp_path / "net", "solo")
    (folder / "node1" / "consensus.key").unlink()

    async with open_cluster(folder) as cluster:
        with pytest.raises(UnreachableError, match="node1 did not start: cannot read the key"):
            await cluster.start()


def test_a_cluster_runs_where_plyvel_is_absent(tmp_path: Path) -> None:
    """`init` takes SQLite, and everything works as with LevelDB."""
    env = without_plyvel(tmp_path / "path")
    folder = tmp_path / "net"
    told = run("init", folder, "--json", env=env).check().document
    assert told["storage"] == "sqlite"

    with running_cluster(folder, env=env):
        submit = run(
            "submit", "--network", folder, "--record", folder / "genesis.json", "--json", env=env
        )
        assert submit.check().document["status"] == "applied"

    audit = run("audit", folder / "node3", "--json", env=env).check().document
    assert audit["network"] == read_genesis(folder / "genesis.json").network.hex()
    assert audit["transactions"] == 1


def test_a_home_of_leveldb_says_what_it_needs_where_plyvel_is_absent(tmp_path: Path) -> None:
    folder = make_network(tmp_path / "net", "solo")

    done = run("run", folder / "node0", env=without_plyvel(tmp_path / "path"))

    assert done.code == 3
    assert "install the package plyvel" in done.error_line()
