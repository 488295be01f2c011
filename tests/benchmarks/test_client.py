"""The load client: when it sends, and what it does where a node does not take it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import msgpack
import pytest

from benchmarks.harness.client import Client, arrivals, record_of
from ledger.applications.records import parse_record
from ledger.senders import is_nobody
from ledger.transaction import parse_transaction
from tests.host.program import call


def test_poisson_arrivals_have_their_rate_and_follow_from_the_seed() -> None:
    found = arrivals(Random(1), "poisson", 100.0, 100.0)

    assert found == arrivals(Random(1), "poisson", 100.0, 100.0)
    assert found == sorted(found)
    assert 9_600 < len(found) < 10_400
    gaps = [later - earlier for earlier, later in pairwise(found)]
    assert fmean(gap > 0.01 for gap in gaps) == pytest.approx(0.368, abs=0.02)


def test_constant_arrivals_are_evenly_spaced() -> None:
    assert arrivals(Random(1), "constant", 4.0, 1.0) == [0.0, 0.25, 0.5, 0.75]


class FakeNode:
    """A node that answers posts as it is told, and confirms what it takes in one block."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        self.taken = 0
        self.refused = 0
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raws = msgpack.unpackb(self.rfile.read(int(self.headers["content-length"])))
                if fake.reason:
                    fake.refused += len(raws)
                else:
                    fake.taken += len(raws)
                body = msgpack.packb([("", fake.reason, "") for _ in raws])
                self.send_response(202)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def fake_nodes(*reasons: str) -> Iterator[list[FakeNode]]:
    nodes = [FakeNode(reason) for reason in reasons]
    threads = [threading.Thread(target=node.server.serve_forever, daemon=True) for node in nodes]
    for thread in threads:
        thread.start()
    yield nodes
    for node in nodes:
        node.server.shutdown()
        node.server.server_close()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("client") / "net"
    call("init", folder, "--validators", "1", "--protocol", "solo").check()
    return folder


def client_of(network: Path, urls: list[str], *, signed: bool = True) -> Client:
    return Client(
        {
            "client": 0,
            "seed": "1",
            "urls": urls,
            "genesis": str(network / "genesis.json"),
            "key": str(network / "member.key"),
            "arrival": "constant",
            "rate_per_s": 100.0,
            "duration_s": 0.3,
            "records": 1,
            "payload_bytes": 16,
            "interval_s": 0.01,
            "resend_s": 60.0,
            "settle_s": 0.7,
            "height": 0,
            "signed": signed,
            "spoil": False,
        }
    )


def drive(client: Client) -> None:
    client.drive(time.monotonic())


@pytest.mark.parametrize(("size", "expected"), [(0, (32, 0)), (1, (0, 1)), (4_096, (0, 4_096))])
def test_a_record_of_every_size_can_be_made(size: int, expected: tuple[int, int]) -> None:
    _, digest, content = parse_record(record_of(bytes(size)).body)

    assert (len(digest), len(content)) == expected


def test_what_nobody_signs_comes_from_nobody(network: Path) -> None:
    items = client_of(network, ["http://127.0.0.1:1"], signed=False).items.values()

    made = [parse_transaction(item.raw) for item in items]

    assert {(is_nobody(each.sender), each.signature) for each in made} == {(True, b"")}
    assert len({each.nonce for each in made}) == len(made) == 30


def test_what_one_node_has_no_room_for_goes_to_the_next(network: Path) -> None:
    with fake_nodes("mempool.full", "") as (full, roomy):
        client = client_of(network, [full.url, roomy.url])
        drive(client)

    assert full.refused > 0
    assert roomy.taken == 30
    assert all(item.attempts and not item.status for item in client.items.values())


def test_a_dead_node_costs_nothing_but_time(network: Path) -> None:
    with fake_nodes("", "") as (gone, alive):
        gone.server.server_close()
        client = client_of(network, [gone.url, alive.url])
        drive(client)

    assert alive.taken == 30


def test_a_refusal_for_good_is_kept_with_its_reason(network: Path) -> None:
    with fake_nodes("transaction.signature") as (node,):
        client = client_of(network, [node.url])
        drive(client)

    assert {item.status for item in client.items.values()} == {"refused transaction.signature"}
    assert client.left == 0


def test_a_confirmation_ends_a_transaction_once(network: Path) -> None:
    client = client_of(network, ["http://127.0.0.1:1"])
    first, second, *_ = client.items

    for _ in range(2):
        client._confirm({"height": 3, "ids": [first, second], "failed": [1]})

    assert (client.items[first].status, client.items[second].status) == ("confirmed", "failed")
    assert client.items[first].height == client.height == 3
    assert client.left == len(client.items) - 2
