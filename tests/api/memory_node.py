"""Nodes without consensus: a real ledger in memory, real admission, blocks on command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import httpx
import trio
from starlette.types import ASGIApp

from api.app import make_app
from api.limits import ApiLimits
from api.view import NodeView, PeerView
from consensus.io import Admission
from consensus.jobs import AdmitTransactions
from ledger import applications, layout, queries
from ledger.execution import Executor
from ledger.genesis import Genesis
from ledger.store import Reader
from ledger.transaction import Transaction
from tests.ledger.builders import make_genesis, make_signed
from tests.ledger.proven import Store

T = TypeVar("T")


class MemoryLedger:
    """One chain that any number of nodes serve, and the moment of its next confirmation."""

    def __init__(self, genesis: Genesis | None = None) -> None:
        self.store = Store(genesis or make_genesis())
        self.genesis = self.store.genesis
        self._confirmed = trio.Event()
        self._sequence = 0

    @property
    def reader(self) -> Reader:
        return self.store.store

    @property
    def certified(self) -> int:
        return queries.certified_height(self.reader)

    def execute(self, *transactions: Transaction) -> None:
        """Execute one block; it is not confirmed yet."""
        self._sequence += 1
        self.store.execute(self.store.batch(transactions, sequence=self._sequence))

    def certify(self) -> None:
        """Confirm what is executed, and wake whoever waits for it."""
        self.store.certify()
        self._confirmed.set()
        self._confirmed = trio.Event()

    def confirm(self, *transactions: Transaction) -> None:
        self.execute(*transactions)
        self.certify()

    def grow(self, blocks: int) -> None:
        """Confirm blocks of somebody else's transactions."""
        for _ in range(blocks):
            height = self.store.head.height
            self.confirm(make_signed(self.genesis, "bob", 1_000_000 + height, expiry=height + 1))

    async def wait_confirmed(self, above: int) -> int:
        while self.certified <= above:
            await self._confirmed.wait()
        return self.certified


class MemoryNode:
    """One node of a ledger, with a mempool of its own."""

    def __init__(
        self, ledger: MemoryLedger | None = None, *, automatic: bool = True, capacity: int = 1_000
    ) -> None:
        """automatic: whatever is submitted is confirmed at once; else on `confirm`."""
        self.ledger = ledger or MemoryLedger()
        self.genesis = self.ledger.genesis
        self.pending: dict[bytes, Transaction] = {}
        self.submissions: list[list[bytes]] = []
        """Ids that were handed over, one list a request."""
        self.submitted_at: list[float] = []
        """When, by trio's clock."""
        self.automatic = automatic
        self.capacity = capacity
        self.reads = 0
        self.is_reachable = True
        self.linked = len(self.genesis.epoch.validators.members) - 1
        """Peers with a link while it is reachable."""
        self.relays = False
        self._executor = Executor(self.genesis, applications.ALL)

    def confirm(self) -> None:
        """Confirm one block of all that is pending here."""
        transactions = list(self.pending.values())
        self.pending.clear()
        self.ledger.confirm(*transactions)

    # --- what the API asks for ---

    def view(self) -> NodeView:
        heights = queries.heights(self.ledger.reader, self.genesis)
        peers = tuple(
            PeerView(validator.name, is_linked, 0.25 if is_linked else None)
            for number, validator in enumerate(self.genesis.epoch.validators.members[1:])
            for is_linked in [self.is_reachable and number < self.linked]
        )
        return NodeView(
            name="node0",
            network=self.genesis.network.hex(),
            protocol=self.genesis.epoch.protocol,
            decided=heights.decided,
            executed=heights.executed,
            certified=heights.certified,
            slot=(heights.decided, 0),
            leader="node0",
            voting=True,
            refusal=None,
            pending=len(self.pending),
            catching_up=False,
            peers=peers,
            relays=self.relays,
            applied=7,
            failed=1,
            skipped=0,
            uptime_s=12.5,
            counters=(("steps_total", 3.0), ("writes_total", 2.0)),
        )

    async def submit(self, transactions: tuple[bytes, ...]) -> tuple[Admission, ...]:
        await trio.lowlevel.checkpoint()
        job = AdmitTransactions(
            self.genesis,
            self._executor,
            self.genesis.suite,
            self.ledger.store.head.height,
            transactions,
        )
        admitted = job.run(self.ledger.reader)
        self.submitted_at.append(trio.current_time())
        self.submissions.append([admission.id for admission in admitted.admissions])
        full = set()
        for transaction in admitted.transactions:
            if len(self.pending) < self.capacity:
                self.pending[transaction.id] = transaction
            else:
                full.add(transaction.id)
        if self.automatic and self.pending:
            self.confirm()
        return tuple(
            replace(a, reason="mempool.full", detail="try again") if a.id in full else a
            for a in admitted.admissions
        )

    async def read(self, question: Callable[[Reader], T]) -> T:
        await trio.lowlevel.checkpoint()
        self.reads += 1
        return question(self.ledger.reader)

    async def wait_confirmed(self, above: int) -> int:
        return await self.ledger.wait_confirmed(above)

    def is_pending(self, transaction: bytes) -> bool:
        is_executed = self.ledger.reader.get(layout.TX + transaction) is not None
        return transaction in self.pending and not is_executed


class Net(httpx.AsyncBaseTransport):
    """The way from a client to apps by host name; None stands for a node that is down."""

    def __init__(self, apps: dict[str, ASGIApp | None]) -> None:
        self.apps = apps
        self.requests: list[tuple[str, str, str]] = []
        """(host, method, path) in their order."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        self.requests.append((host, request.method, request.url.path))
        app = self.apps[host]
        if app is None:
            raise httpx.ConnectError("connection refused", request=request)
        return await httpx.ASGITransport(app).handle_async_request(request)

    def asked(self, host: str, path: str) -> int:
        """How often a node was asked for a path."""
        return sum(1 for asked, _, where in self.requests if (asked, where) == (host, path))

    @property
    def urls(self) -> list[str]:
        return [f"http://{host}" for host in self.apps]


def net_of(*nodes: MemoryNode | ASGIApp | None) -> Net:
    """node0, node1 and so on, each an honest node, any other app, or down."""
    return Net(
        {
            f"node{number}": make_app(node) if isinstance(node, MemoryNode) else node
            for number, node in enumerate(nodes)
        }
    )


def browser(node: MemoryNode, limits: ApiLimits | None = None) -> httpx.AsyncClient:
    """A client without any sense of what it asks for."""
    transport = httpx.ASGITransport(make_app(node, limits))
    return httpx.AsyncClient(transport=transport, base_url="http://node0")


def signed(
    genesis: Genesis, count: int, *, first: int = 1, expiry: int = 5_000
) -> list[Transaction]:
    """Transactions of one member."""
    return [
        make_signed(genesis, "alice", nonce, expiry=expiry) for nonce in range(first, first + count)
    ]


def ids_of(transactions: Sequence[Transaction]) -> list[bytes]:
    return [transaction.id for transaction in transactions]
