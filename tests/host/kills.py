"""Kill -9, again and again, under load: nothing confirmed is lost, no fork, all catch up.

As a command it takes as long as it is told to:

    python -m tests.host.kills --rounds 20 --protocol jolteon
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import trio

from api.client import LedgerClient
from host.cluster import Cluster, open_cluster
from host.commands.options import microseconds
from host.home import read_genesis, read_private
from host.network import api_urls
from ledger.applications.records import make_record
from ledger.keys import scheme_named
from tests.host.program import call

CONFIRM_S = 60

CLIENTS = 4
CONFIRM_S = 60.0
"""Within which a transaction is confirmed, whatever happens to the nodes meanwhile."""
ROUND_S = 90.0
GROWTH = 8
"""Confirmations after which a network is seen to work."""
POLL_S = 0.05


@dataclass(slots=True)
class Load:
    """Clients that submit one transaction after the other, and what was confirmed to them."""

    client: LedgerClient
    confirmed: dict[bytes, int] = field(default_factory=dict)
    """Height by transaction id."""
    is_over: bool = False
    _changed: trio.Event = field(default_factory=trio.Event)

    async def submit(self, number: int) -> None:
        count = 0
        while not self.is_over:
            count += 1
            operation = make_record(f"client {number} record {count}", content=b"x" * 200)
            height = max(self.confirmed.values(), default=0)
            transaction = self.client.sign([operation], height=height)
            outcome = await self.client.confirm(transaction, deadline_s=CONFIRM_S)
            assert outcome.status == "applied", outcome
            self.confirmed[outcome.id] = outcome.height
            self._changed.set()
            self._changed = trio.Event()

    async def grow(self, count: int) -> None:
        """Wait until this many more are confirmed."""
        target = len(self.confirmed) + count
        while len(self.confirmed) < target:
            await self._changed.wait()


def make_client(folder: Path) -> LedgerClient:
    """A client of the network in a folder, with its member's key."""
    signer = scheme_named("ed25519").signer(read_private(folder / "member.key"))
    genesis = read_genesis(folder / "genesis.json")
    return LedgerClient(api_urls(folder), genesis, signer=signer, clock=microseconds)


async def confirm(client: LedgerClient) -> int:
    """Submit one record; the height at which it is confirmed."""
    transaction = client.sign([make_record("", content=b"x")], height=0)
    outcome = await client.confirm(transaction, deadline_s=CONFIRM_S)
    assert outcome.status == "applied"
    return outcome.height


async def lead(
    folder: Path,
    *,
    rounds: int,
    seed: int,
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """Kill one node, then all, in every round; the number of transactions that were confirmed.

    Fails where a confirmed transaction is lost, nodes differ, or one does not catch up.
    """
    draw = Random(seed)
    async with open_cluster(folder) as cluster, make_client(folder) as client:
        await cluster.start()
        load = Load(client)
        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS):
                nursery.start_soon(load.submit, number)
            for number in range(1, rounds + 1):
                with trio.fail_after(ROUND_S):
                    await _kill_one(cluster, load, draw)
                    await _kill_all(cluster, load, draw)
                say(f"round {number}: {len(load.confirmed)} confirmed")
            load.is_over = True
        with trio.fail_after(ROUND_S):
            await until_level(client, len(cluster.nodes))
        await check_confirmed(folder, load.confirmed)
    check_homes(folder, len(cluster.nodes))
    return len(load.confirmed)


async def _kill_one(cluster: Cluster, load: Load, draw: Random) -> None:
    """The others go on without it, and it catches up."""
    victim = draw.randrange(len(cluster.nodes))
    await load.grow(draw.randint(1, 2 * GROWTH))
    cluster.kill(victim)
    await cluster.wait_ended(victim)
    await load.grow(GROWTH)
    height = max(load.confirmed.values())
    await cluster.start(victim)
    await until_height(load.client, cluster.nodes[victim].url, height)


async def _kill_all(cluster: Cluster, load: Load, draw: Random) -> None:
    """What was confirmed is confirmed, though nobody is left."""
    await load.grow(draw.randint(1, 2 * GROWTH))
    for node in cluster.nodes:
        cluster.kill(node.index)
    for node in cluster.nodes:
        await cluster.wait_ended(node.index)
    await cluster.start()
    await load.grow(GROWTH)


async def until_height(client: LedgerClient, url: str, height: int) -> None:
    """Wait until a node has confirmed this height."""
    while True:
        status = await client.node_status(url)
        if status is not None and status["certified"] >= height:
            return
        await trio.sleep(POLL_S)


async def until_level(client: LedgerClient, count: int) -> None:
    """Wait until all nodes stand at one height with nothing left to do."""
    while True:
        statuses = [status for status in await client.statuses() if status is not None]
        heights = {s[key] for s in statuses for key in ("decided", "executed", "certified")}
        idle = not any(status["pending"] for status in statuses)
        if len(statuses) == count and len(heights) == 1 and idle:
            return
        await trio.sleep(POLL_S)


async def check_confirmed(folder: Path, confirmed: dict[bytes, int]) -> None:
    """Every node has a receipt of every confirmed transaction, at the height that was told."""
    for url in api_urls(folder):
        async with LedgerClient([url], read_genesis(folder / "genesis.json")) as client:
            for identity, height in confirmed.items():
                _, verified = await client.receipt(identity)
                assert verified.height == height, f"{identity.hex()} moved at {url}"


def check_homes(folder: Path, count: int) -> dict[str, Any]:
    """The audits of all homes of a stopped network, which agree; what they say."""
    found = []
    for index in range(count):
        told = call("audit", folder / f"node{index}", "--json").check().document
        found.append({key: told[key] for key in ("height", "certified", "root", "state_hash")})
    assert all(each == found[0] for each in found), found
    assert found[0]["height"] == found[0]["certified"]
    return found[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--protocol", default="tendermint")
    parser.add_argument("--storage", default="leveldb")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ledger-kills-") as made:
        folder = Path(made) / "net"
        call("init", folder, "--protocol", options.protocol, "--storage", options.storage).check()

        async def go() -> int:
            return await lead(folder, rounds=options.rounds, seed=options.seed, say=print)

        print(json.dumps({"confirmed": trio.run(go), "rounds": options.rounds}))  # noqa: T201


if __name__ == "__main__":
    main()
