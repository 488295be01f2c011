"""Real networks in which not every two nodes have a link."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from host.cluster import open_cluster
from host.home import Endpoint, PeersFile, peers_text, read_home
from ledger.errors import UserError
from tests.host.kills import check_homes, confirm, make_client, until_height, until_level
from tests.host.program import call, run, running_cluster

LIMIT_S = 60


@pytest.mark.trio
@pytest.mark.parametrize("protocol", ["tendermint", "jolteon", "mysticeti"])
async def test_a_ring_confirms_as_a_line_and_who_was_killed_catches_up(
    protocol: str, tmp_path: Path
) -> None:
    folder = tmp_path / "net"
    call("init", folder, "--protocol", protocol, "--topology", "ring").check()
    with trio.fail_after(2 * LIMIT_S):
        async with open_cluster(folder) as cluster, make_client(folder) as client:
            await cluster.start()
            await confirm(client)
            cluster.kill(2)
            await cluster.wait_ended(2)
            # A quorum of three is left, the ends of whose line have no link to each other.
            await confirm(client)
            height = await confirm(client)

            await cluster.start(2)

            await until_height(client, cluster.nodes[2].url, height)
            await confirm(client)
            await until_level(client, 4)
    assert check_homes(folder, 4)["height"] > height


def test_a_network_of_a_file_s_links_is_healthy_and_says_whom_it_sees(tmp_path: Path) -> None:
    """A hub and three ends, each of which has a link to the hub alone."""
    links = tmp_path / "links.txt"
    links.write_text("0 1\n0 2  # the hub\n0 3\n")
    folder = tmp_path / "net"
    call("init", folder, "--topology", links, cwd=tmp_path).check()
    assert [sorted(read_home(folder / f"node{n}").peers) for n in range(4)] == [
        [1, 2, 3], [0], [0], [0],
    ]  # fmt: skip
    record = tmp_path / "record.txt"
    record.write_text("something")

    with running_cluster(folder):
        told = call("submit", "--record", record, "--network", folder, "--json").check()
        status = call("status", "--network", folder, "--json").check().document

    assert told.document["id"]
    assert [len(node["peers"]) for node in status["nodes"]] == [3, 1, 1, 1]
    assert {node["certified"] for node in status["nodes"]} == {1}


@pytest.mark.parametrize(
    ("topology", "says"),
    [
        ("star", "topology, line 1: write two node numbers"),
        ("0-1 1-2", "no path from node 0 to node 3"),
        ("random-1", "at least 2 links"),
        ("0-9", "nodes are numbered 0 to 3"),
    ],
)
def test_init_refuses_what_is_no_topology(tmp_path: Path, topology: str, says: str) -> None:
    done = run("init", tmp_path / "net", "--topology", topology)

    assert done.code == 2
    assert says in done.error_line()
    assert not (tmp_path / "net").exists()


def rewritten(folder: Path, text: str) -> None:
    call("init", folder, "--protocol", "solo", "--topology", "ring").check()
    (folder / "node0" / "peers.toml").write_text(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('version = 1\nrelays = "yes"\n[peers]\n', "relays must be true or false"),
        ("version = 1\nrelays = true\n[peers]\n", "no address of any neighbour"),
        (
            'version = 1\n[peers]\n"validator1" = ["127.0.0.1:7000"]\n',
            'no address for validator "validator2"',
        ),
        (
            'version = 1\nrelays = true\n[peers]\n"stranger" = ["127.0.0.1:7000"]\n',
            'has no validator "stranger"',
        ),
    ],
)
def test_a_file_of_peers_that_is_wrong_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    rewritten(tmp_path / "net", text)

    with pytest.raises(UserError, match=says):
        read_home(tmp_path / "net" / "node0")


def test_a_network_of_one_has_no_neighbours_and_needs_none(tmp_path: Path) -> None:
    call("init", tmp_path / "net", "--protocol", "solo", "--validators", "1").check()

    assert read_home(tmp_path / "net" / "node0").peers == {}


def test_what_is_written_of_peers_says_whether_all_are_named() -> None:
    address = {"validator1": (Endpoint("127.0.0.1", 7000),)}

    assert "relays" not in peers_text(PeersFile(address))
    assert "relays = true\n" in peers_text(PeersFile(address, relays=True))
