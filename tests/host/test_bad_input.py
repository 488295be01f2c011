"""Whatever is wrong with a home or comes to a port: one plain line, and nothing is lost."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from api.client import LedgerClient
from host.cluster import Cluster, open_cluster
from host.home import read_config, read_genesis, read_home, read_private
from ledger.applications.records import make_record
from ledger.genesis import to_json
from p2p.certificate import Identity, make_identity
from p2p.tls import make_contexts
from storage.tripwire import MAGIC
from tests.host.flips import judge, make_home, read_all
from tests.host.kills import make_client
from tests.host.program import Done, Process, call, run

LIMIT_S = 60
STRANGER = make_identity(b"s" * 32)
LENGTH_OF_4_GIB = b"\xff\xff\xff\xff\x01"
"""The header of a frame on the protocol's channel."""
NO_LINK = {
    "plain text": b"hello, is anybody there?\n" * 40,
    "HTTP": b"GET /v1/status HTTP/1.1\r\nHost: node\r\n\r\n",
    "broken TLS": b"\x16\x03\x01\xff\xff" + bytes(70_000),
    "a frame without TLS": LENGTH_OF_4_GIB + bytes(5_000),
}
BROKEN_RULES = {
    "4 GiB": LENGTH_OF_4_GIB + bytes(5_000),
    "an unknown channel": b"\x00\x00\x00\x01\x63x",
    "no hello": b"\x00\x00\x00\x04\x00\xc1\xc1\xc1\xc1",
    "nothing": b"",
}


# --- homes ---


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of LevelDB whose node has confirmed a few transactions, and has stopped."""
    return make_home(tmp_path_factory.mktemp("stopped") / "net", engine="leveldb")


@pytest.fixture(scope="module")
def stopped_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("stopped") / "net", engine="sqlite")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of another network."""
    folder = tmp_path_factory.mktemp("other") / "net"
    call("init", folder, "--protocol", "solo").check()
    return folder / "node0"


@pytest.fixture
def home(stopped: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    copy = tmp_path / "home"
    shutil.copytree(stopped, copy)
    return copy


def check_refused(done: Done, words: str) -> None:
    """The node refused to start, in one line that has these words."""
    assert done.code == 3, done
    assert words in done.error_line()


def check_damaged(home: Path, words: str) -> None:
    """Neither `run` nor `audit` take this home; both say why in one line."""
    check_refused(run("run", home), words)
    audit = call("audit", home)
    assert audit.code == 1, audit
    assert audit.error_line().startswith("damaged: ")
    assert words in audit.error_line()


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_folder_that_is_no_home_is_wrong_usage(tmp_path: Path) -> None:
    for command in ("run", "audit"):
        done = call(command, tmp_path / "nowhere")
        assert done.code == 2
        assert "init DIR" in done.error_line()


def test_a_taken_port_is_named(home: Path) -> None:
    for endpoint in (read_config(home).listen, read_config(home).api):
        with socket.create_server((endpoint.host, endpoint.port)):
            check_refused(run("run", home), f"cannot listen on {endpoint}")


def test_a_second_process_on_a_home_is_refused(home: Path) -> None:
    with Process("run", home, "--json") as first:
        first.until_line(lambda line: json.loads(line)["fact"] == "ready")

        check_refused(run("run", home), "in use by another process")

        assert first.stop() == 0


def test_the_keys_of_another_network_are_refused(home: Path, other: Path) -> None:
    shutil.copy(other / "genesis.json", home)

    check_refused(run("run", home), "consensus.key is not the key of validator")
    check_refused_by_audit = call("audit", home)
    assert check_refused_by_audit.code == 1
    assert "belongs to the network" in check_refused_by_audit.error_line()


def test_the_database_of_another_network_is_refused(home: Path, other: Path) -> None:
    shutil.rmtree(home / "database")
    shutil.copytree(other / "database", home / "database")
    shutil.copy(other / "tripwire", home)

    check_damaged(home, "belongs to the network")


def test_a_genesis_that_differs_is_refused(home: Path) -> None:
    genesis = read_genesis(home / "genesis.json")
    more = replace(genesis.limits, run_ahead=genesis.limits.run_ahead + 1)
    (home / "genesis.json").write_text(to_json(replace(genesis, limits=more)))

    check_damaged(home, "belongs to the network")


def test_a_genesis_whose_contents_were_edited_is_refused(home: Path) -> None:
    replace_in(home / "genesis.json", '"run_ahead": 16', '"run_ahead": 17')

    check_refused(call("run", home), "do not match the network id")


def test_a_network_of_an_unknown_protocol_does_not_start(home: Path) -> None:
    genesis = read_genesis(home / "genesis.json")
    unknown = replace(genesis.epoch, protocol="paxos")
    (home / "genesis.json").write_text(to_json(replace(genesis, epoch=unknown)))

    check_refused(call("run", home), "there is no protocol paxos")


@pytest.mark.parametrize("name", ["consensus.key", "transport.key"])
@pytest.mark.parametrize("content", [None, b"", b"00" * 31, b"\xff", b"no key"])
def test_a_missing_or_malformed_key_is_named(home: Path, name: str, content: bytes | None) -> None:
    (home / name).unlink()
    if content is not None:
        (home / name).write_bytes(content)

    check_refused(call("run", home), name)


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("config.toml", "version = 1", "version = 2", "format version 2"),
        ("peers.toml", "version = 1", "version = 2", "format version 2"),
        ("genesis.json", '"version": 1', '"version": 2', "genesis.version: format 2"),
        ("genesis.json", '"epoch": {', '"epoch": {"version": 3,', "an epoch record of format 3"),
        ("config.toml", "version = 1", "", "format version None"),
        ("config.toml", "listen", "listn", '"listen" is missing'),
        ("config.toml", "127.0.0.1", "", "not an address"),
        ("config.toml", '"', "", "not valid TOML"),
        ("config.toml", "validator0", "validator9", 'no validator "validator9"'),
        ("peers.toml", "validator3", "validator9", 'no validator "validator9"'),
        ("peers.toml", '"validator3"', "# ", 'no address for validator "validator3"'),
        ("peers.toml", "[", "", "not valid TOML"),
    ],
)
def test_a_wrong_file_of_a_home_is_one_line(
    home: Path, name: str, old: str, new: str, words: str
) -> None:
    replace_in(home / name, old, new)

    check_refused(call("run", home), words)


@pytest.mark.parametrize("name", ["config.toml", "peers.toml", "genesis.json"])
def test_a_file_of_a_home_that_is_not_text_is_one_line(home: Path, name: str) -> None:
    (home / name).write_bytes(b"\xff\xfe\x00")

    check_refused(call("run", home), name)


def test_a_home_format_from_the_future_is_refused(home: Path) -> None:
    raw = bytearray((home / "tripwire").read_bytes())
    for offset in (0, 4096):
        assert raw[offset : offset + len(MAGIC)] == MAGIC
        raw[offset + len(MAGIC) : offset + len(MAGIC) + 2] = b"\x00\x63"
    (home / "tripwire").write_bytes(raw)

    for done in (run("run", home), call("audit", home)):
        assert done.code in (1, 3)
        assert "tripwire" in done.error_line()


@pytest.mark.parametrize("name", ["CURRENT", "MANIFEST", "database", "tripwire"])
def test_a_missing_part_of_the_database_is_refused(home: Path, name: str) -> None:
    for path in home.rglob(f"{name}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = sorted(home.rglob("*"))

    check_damaged(home, "")

    assert sorted(home.rglob("*")) == before, "nothing is made in its place"


def test_a_truncated_manifest_is_refused(home: Path) -> None:
    (manifest,) = (home / "database").glob("MANIFEST*")
    raw = manifest.read_bytes()
    manifest.write_bytes(raw[: len(raw) // 2])
    tables = sorted((home / "database").glob("*.ldb"))

    check_damaged(home, "")

    assert sorted((home / "database").glob("*.ldb")) == tables


def test_a_rolled_back_database_is_refused(home: Path, tmp_path: Path) -> None:
    """As from yesterday's copy: the tripwire knows that more was signed."""
    fresh = tmp_path / "net"
    call("init", fresh, "--protocol", "solo", "--validators", 1).check()
    yesterday = tmp_path / "yesterday"
    shutil.copytree(fresh / "node0" / "database", yesterday)
    with Process("run", fresh / "node0", "--json") as node:
        node.until_line(lambda line: json.loads(line)["fact"] == "ready")
        call("submit", "--network", fresh, "--record", fresh / "genesis.json").check()
        assert node.stop() == 0
    shutil.rmtree(fresh / "node0" / "database")
    shutil.copytree(yesterday, fresh / "node0" / "database")

    check_damaged(fresh / "node0", "rolled back")


def test_a_whole_home_is_what_it_was(stopped: Path, home: Path) -> None:
    assert read_all(home) == read_all(stopped)


@pytest.mark.parametrize("engine", ["leveldb", "sqlite"])
def test_one_changed_byte_is_refused_or_without_effect(
    engine: str, stopped: Path, stopped_sqlite: Path
) -> None:
    """`python -m tests.host.flips` does a thousand."""
    outcomes = judge(stopped if engine == "leveldb" else stopped_sqlite, 60)

    assert outcomes.total() == 60
    assert outcomes["refused"] > 20


# --- ports ---


@pytest.fixture
async def attacked(tmp_path: Path) -> AsyncIterator[tuple[Cluster, LedgerClient]]:
    """Nodes 0 to 2 of four, which confirm; node 3 is in the hands of the test."""
    folder = tmp_path / "net"
    call("init", folder, "--protocol", "solo").check()
    with trio.fail_after(LIMIT_S):
        async with open_cluster(folder) as cluster, make_client(folder) as client:
            await cluster.start(0, 1, 2)
            yield cluster, client


async def check_confirming(client: LedgerClient) -> None:
    transaction = client.sign([make_record("", content=b"x")], height=0)
    assert (await client.confirm(transaction, deadline_s=LIMIT_S)).status == "applied"


async def check_unharmed(cluster: Cluster, client: LedgerClient) -> None:
    """The three nodes still run, are linked, and confirm."""
    await check_confirming(client)
    for node in cluster.nodes[:3]:
        assert node.is_running
        status = await client.node_status(node.url)
        assert status is not None
        assert sum(peer["connected"] for peer in status["peers"]) == 2


async def read_to_end(stream: trio.abc.ReceiveStream) -> None:
    """Until the other side closes; a reset is a close, too."""
    with suppress(trio.BrokenResourceError):
        while await stream.receive_some():
            pass


async def connect(cluster: Cluster, index: int) -> trio.SocketStream:
    endpoint = read_config(cluster.nodes[index].home).listen
    return await trio.open_tcp_stream(endpoint.host, endpoint.port)


async def greet(stream: trio.SSLStream[trio.SocketStream]) -> bytes:
    """What the node says to a client; TLS 1.3 tells a refused one no earlier than at this read.

    Some versions of OpenSSL tell it as an error, some as the end.
    """
    await stream.do_handshake()
    with suppress(trio.BrokenResourceError):
        return bytes(await stream.receive_some())
    return b""


def strange_contexts(cluster: Cluster) -> list[ssl.SSLContext]:
    """TLS clients without a certificate, and with one that nobody pinned."""
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.check_hostname = False
    nobody.verify_mode = ssl.CERT_NONE
    return [nobody, as_peer(cluster, STRANGER)]


def as_peer(cluster: Cluster, identity: Identity) -> ssl.SSLContext:
    validators = read_home(cluster.nodes[0].home).genesis.epoch.validators.members
    pinned = [validator.transport_certificate for validator in validators]
    return make_contexts(identity, pinned).client


@pytest.mark.trio
async def test_strangers_on_the_peer_port_lose_their_own_connections(
    attacked: tuple[Cluster, LedgerClient],
) -> None:
    """Plain text, HTTP, no certificate, one that nobody pinned."""
    cluster, client = attacked
    await check_confirming(client)

    for said in NO_LINK.values():
        for index in range(3):
            stream = await connect(cluster, index)
            with suppress(trio.BrokenResourceError):
                await stream.send_all(said)
            await read_to_end(stream)
            await stream.aclose()
    for context in strange_contexts(cluster):
        for index in range(3):
            raw = await connect(cluster, index)
            assert await greet(trio.SSLStream(raw, context)) == b""
            await raw.aclose()

    await check_unharmed(cluster, client)


@pytest.mark.trio
async def test_a_validator_that_breaks_the_rules_loses_its_links_alone(
    attacked: tuple[Cluster, LedgerClient],
) -> None:
    """Node 3's own keys in the wrong hands: it may fail, and the others go on."""
    cluster, client = attacked
    await check_confirming(client)
    identity = make_identity(read_private(cluster.nodes[3].home / "transport.key"))

    for said in BROKEN_RULES.values():
        for index in range(3):
            stream = trio.SSLStream(await connect(cluster, index), as_peer(cluster, identity))
            await stream.do_handshake()
            with suppress(trio.BrokenResourceError):
                await stream.send_all(said)
            if said:
                await read_to_end(stream)
            await trio.aclose_forcefully(stream)

    await check_unharmed(cluster, client)
