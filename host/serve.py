"""A node with its API: the links, the replica and the HTTP server in one nursery."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import trio

from api.view import NodeView, PeerView
from consensus.byzantine import attacked
from consensus.byzantine.guard import LooseGuard
from consensus.io import Admission, Report
from consensus.recovery import Setup
from consensus.registry import check_parameters, protocol_named
from host.home import CONTENTS, Endpoint, Home
from host.runtime import Node
from ledger import applications
from ledger.errors import Fault, UnreachableError, UserError
from ledger.genesis import Genesis
from ledger.keys import REAL_SCHEMES
from ledger.store import Reader
from p2p.transport import Address, listen
from storage import home as storage_home
from storage.content import ContentStore
from storage.contract import Engine
from storage.home import Store

T = TypeVar("T")
SWITCH_INTERVAL_S = 0.0005
"""The main task gets the interpreter back this soon from a thread that executes a block."""
GARBAGE_THRESHOLDS = (50_000, 10, 10)
"""A node makes tuples by the ten thousand that are in no cycle: looked at as often as Python does
by itself, they take as much time again as parsing them."""
M_ARENA_MAX = -8
"""Of glibc's mallopt(3)."""
READERS = 4
"""Threads that answer the API's questions."""


def setup_of(home: Home, *, attack: str = "", attack_seed: int = 0) -> Setup:
    """The replica's setup for a home, on a test network with an attack (`consensus.byzantine`).

    Raises UserError where plugin or application is missing, or the network refuses attackers.
    """
    protocol = protocol_named(home.genesis.epoch.protocol)
    if protocol.version != home.genesis.epoch.protocol_version:
        raise UserError(
            f"the network runs {protocol.name} version {home.genesis.epoch.protocol_version}; "
            f"installed is version {protocol.version}"
        )
    epoch, suite = home.genesis.epoch, home.genesis.suite
    check_parameters(protocol, dict(epoch.parameters), epoch.validators.size, suite)
    if home.genesis.scheme not in REAL_SCHEMES:
        raise UserError(f"a real node refuses the signature scheme {home.genesis.scheme}")
    try:
        known = applications.named(home.genesis)
    except Fault as fault:
        raise UserError(f"this program lacks an application of the network: {fault}") from None
    if not attack:
        return Setup(home.genesis, home.me, home.signer, protocol, known)
    check_test_network(home.genesis)
    liar = attacked(protocol, attack, attack_seed)
    return Setup(home.genesis, home.me, home.signer, liar, known, guard=LooseGuard)


def check_test_network(genesis: Genesis) -> None:
    """Raise UserError unless this network is there to be mistreated."""
    if not genesis.test_network:
        raise UserError(
            "its genesis does not say that this is a test network: a Byzantine validator, a wrong "
            "clock or an ill disk runs only on one made with `init --test-network`"
        )


class ServedNode:
    """A running node as the API sees it."""

    def __init__(self, node: Node, name: str) -> None:
        self._node = node
        self._name = name
        self.genesis: Genesis = node.genesis
        self._readers = trio.CapacityLimiter(READERS)

    async def submit(self, transactions: tuple[bytes, ...]) -> tuple[Admission, ...]:
        return await self._node.submit(transactions)

    async def read(self, question: Callable[[Reader], T]) -> T:
        return await trio.to_thread.run_sync(
            partial(_read, self._node.store, question), limiter=self._readers
        )

    async def wait_confirmed(self, above: int) -> int:
        return await self._node.wait_confirmed(above)

    def is_pending(self, transaction: bytes) -> bool:
        replica = self._node.replica
        return replica is not None and replica.is_pending(transaction)

    def view(self) -> NodeView:
        node = self._node
        assert node.replica is not None
        status = node.replica.status()
        validators = self.genesis.epoch.validators.members
        peers = tuple(
            PeerView(validators[p.peer].name, p.hello is not None, p.round_trip_ms)
            for p in node.peers.status()
        )
        counters = node.counters
        return NodeView(
            name=self._name,
            network=self.genesis.network.hex(),
            protocol=self.genesis.epoch.protocol,
            decided=status.decided,
            executed=status.executed,
            certified=status.certified,
            slot=status.slot,
            leader=node.last_proposer,
            voting=status.voting,
            refusal=status.refusal,
            pending=status.pending,
            catching_up=status.catching_up,
            peers=peers,
            relays=node.relays,
            applied=counters.applied,
            failed=counters.failed,
            skipped=counters.skipped,
            uptime_s=trio.current_time() - node.started_at,
            counters=tuple(sorted(node.metrics().items())),
        )


def _read(store: Store, question: Callable[[Reader], T]) -> T:
    with store.snapshot() as reader:
        return question(reader)


async def open_listeners(endpoint: Endpoint, what: str) -> list[trio.SocketListener]:
    """Listen, or say in one line which port is taken."""
    try:
        return await listen(Address(endpoint.host, endpoint.port))
    except OSError as error:
        raise UnreachableError(
            f"cannot listen on {endpoint} ({what}): {error.strerror or error}; stop the other "
            "program or change config.toml"
        ) from None


def set_up_interpreter() -> None:
    """Set what a process needs that is a node and nothing else."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    # What is imported by now stays: no collection need look at it.
    gc.freeze()
    # Where the C library is glibc, each thread has a heap of its own that keeps what others free:
    # a third more memory for nothing, since a node's threads take turns with the interpreter.
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(M_ARENA_MAX, 1)


async def serve(
    home: Home,
    report: Callable[[Report], None],
    *,
    ready: Callable[[], None],
    setup: Setup,
    clock_skew_ms: int = 0,
    ill_disk: Callable[[Engine], Engine] = lambda engine: engine,
) -> None:
    """Run a home's node and its API until cancelled.  Raises UserError, StorageError."""
    from host.http import serve_api

    set_up_interpreter()
    network = home.genesis.network
    with storage_home.open_store(home.path, network=network, around=ill_disk) as store:
        listeners = await open_listeners(home.config.listen, "links of the validators")
        api_listeners = await open_listeners(home.config.api, "API")
        addresses = {
            index: tuple(Address(e.host, e.port) for e in endpoints)
            for index, endpoints in home.peers.items()
        }
        node = Node(
            setup=setup,
            store=store,
            transport_seed=home.transport_seed,
            addresses=addresses,
            listeners=listeners,
            report=report,
            clock_skew_ms=clock_skew_ms,
            relays=home.relays,
        )
        contents = ContentStore.open(home.path / CONTENTS)
        async with trio.open_nursery() as nursery:
            await nursery.start(node.run)
            served = ServedNode(node, home.config.name)
            await nursery.start(partial(serve_api, served, api_listeners, contents=contents))
            ready()
