"""`python -m benchmarks stages`: a node's processor time for every step of a transaction's walk.

Signed transactions pass through the functions of a node, one stage after another in one process:
from the body of a request to the line in the stream of confirmed blocks, with a real database and
without sockets.  What only the node does to which a client came counts one in so many validators,
and what only the others do counts for those.  Not here: TLS, HTTP, votes and threads.
"""

from __future__ import annotations

import gc
import json
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import click
import msgpack

from api import describe, requests
from benchmarks.harness.client import BATCH_MAX
from consensus.dissemination import Dissemination
from consensus.inspector import Inspector
from consensus.io import Channel
from consensus.jobs import AdmitTransactions, CheckBatch
from consensus.packets import BatchPacket, decode_packet, encode_packet
from consensus.registry import protocol_named
from host.home import read_genesis, read_private
from host.network import MEMBER_KEY_FILE, Plan, create_network
from host.serve import GARBAGE_THRESHOLDS
from ledger.applications import ALL
from ledger.applications.records import make_record
from ledger.batch import Batch, make_batch
from ledger.batch_store import batch_writes
from ledger.chain import next_header
from ledger.errors import Fault
from ledger.execution import Executor, genesis_head
from ledger.genesis import Genesis
from ledger.keys import Ed25519, Signer, one_scheme
from ledger.store import Write
from ledger.transaction import make_transaction
from ledger.value import Value
from storage import home
from storage.home import Store, default_engine

VALIDATORS = 4
BATCHES_A_BLOCK = 4
RECORD_BYTES = 256
NODE = 0
T = TypeVar("T")

AT_ONE = 1 / VALIDATORS
"""Of the nodes that do what the node does to which the client came."""
AT_OTHERS = 1 - AT_ONE
STAGES: dict[str, float] = {
    "read the request": AT_ONE,
    "admit": AT_ONE,
    "queue and take": AT_ONE,
    "make the batch": AT_ONE,
    "encode the packet": AT_ONE,
    "decode the packet": AT_OTHERS,
    "check the batch": AT_OTHERS,
    "execute": 1,
    "forget": 1,
    "stream to a client": 1,
    "write": 1,
    "database threads": 1,
    "check the signature": 1,
}
"""Every stage, and at which share of the nodes it happens."""


@dataclass(slots=True)
class Stopwatch:
    """Processor seconds of this thread by stage."""

    spent_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    def time(self, stage: str, act: Callable[[], T]) -> T:
        """Do it, and count what it took."""
        begin = time.thread_time()
        result = act()
        self.spent_s[stage] += time.thread_time() - begin
        return result


class Believing(Ed25519):
    """Believes every signature: their checks are a stage of their own."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        return True


BELIEVING = one_scheme(Believing())


class Walk:
    """One node's work for a stream of transactions, stage by stage."""

    def __init__(self, genesis: Genesis, store: Store) -> None:
        self.watch = Stopwatch()
        self._genesis = genesis
        self._inspector = Inspector(genesis, BELIEVING, protocol_named(genesis.epoch.protocol))
        self._store = store
        self._scheme = genesis.suite.members
        self._executor = Executor(genesis, ALL)
        self._pool = Dissemination(genesis.limits, genesis.epoch.validators.quorum, NODE)
        self._head = genesis_head(genesis)
        self._sequence = 0

    def all_of(self, raws: Sequence[bytes]) -> None:
        """Take these transactions from their request to their confirmation."""
        for start in range(0, len(raws), BATCH_MAX):
            self._take(msgpack.packb(raws[start : start + BATCH_MAX]))
            while self._pool.has_full_batch():
                self._spread()
                if len(self._pool.held) == BATCHES_A_BLOCK:
                    self._execute()
        while self._pool.waiting:
            self._spread()
        if self._pool.held:
            self._execute()

    def block_of(self, raws: Sequence[bytes]) -> None:
        """Take these from their request to their confirmation in one block of one batch."""
        self._take(msgpack.packb(raws))
        self._spread()
        self._execute()

    def _take(self, body: bytes) -> None:
        raws = self.watch.time("read the request", lambda: requests.unpack_list(body))
        job = AdmitTransactions(
            self._genesis, self._executor, BELIEVING, self._head.height, tuple(raws)
        )
        admitted = self.watch.time("admit", lambda: job.run(self._store))
        assert len(admitted.transactions) == len(raws), admitted.admissions
        self.watch.time("queue and take", lambda: list(map(self._pool.take, admitted.transactions)))
        self.watch.time("check the signature", lambda: [
            self._scheme.verify(t.sender, t.signed_bytes(), t.signature)
            for t in admitted.transactions
        ])  # fmt: skip

    def _spread(self) -> None:
        """One batch, from the waiting transactions to a peer's verdict."""
        taken = self.watch.time("queue and take", self._pool.next_batch)
        genesis = self._genesis
        batch = self.watch.time("make the batch", lambda: make_batch(
            network=genesis.network, epoch=genesis.epoch.id, creator=NODE,
            sequence=self._sequence, height=self._head.height, transactions=taken,
        ))  # fmt: skip
        self._sequence += 1
        packet = BatchPacket(batch.raw, bytes(64))
        frame = self.watch.time("encode the packet", lambda: encode_packet(packet, 0))
        _, seen = self.watch.time(
            "decode the packet", lambda: decode_packet(Channel.DISSEMINATION, frame)
        )
        assert isinstance(seen, BatchPacket)
        check = CheckBatch(self._inspector, seen.batch, seen.signature)
        checked = self.watch.time("check the batch", lambda: check.run(self._store))
        assert not isinstance(checked, Fault), checked
        # What a node executes it mostly has from a peer.
        self._pool.hold(checked, packet.signature, 0, self._head.height)

    def _execute(self) -> None:
        """One block of what is held, until a client hears of it."""
        batches = [held.batch for held in self._pool.held.values()]
        payload = tuple(batch.digest for batch in batches)
        slot = (self._head.height + 1, 0)
        value = Value(self._genesis.epoch.id, b"", slot, NODE, slot[0], payload)
        header = next_header(self._genesis.network, self._head.tip, value)
        assert header is not None
        execution = self.watch.time(
            "execute", lambda: self._executor.execute(self._store, self._head, header, batches)
        )
        assert (execution.failed, execution.skipped) == (0, 0)
        self._head = execution.head
        self.watch.time("write", lambda: self._write(batches, execution.writes))
        self.watch.time("forget", lambda: self._pool.executed(batches, header.height))
        self.watch.time("stream to a client", lambda: json.dumps(
            describe.confirmed_block(self._store, header.height, with_ids=True)
        ))  # fmt: skip

    def _write(self, batches: list[Batch], executed: list[Write]) -> None:
        """The two synced writes of a block: its batches go with the vote, before their results."""
        bodies: list[Write] = [each for batch in batches for each in batch_writes(batch, bytes(64))]
        self._store.write(bodies, sync=True)
        self._store.write(executed, sync=True)


@dataclass(frozen=True, slots=True)
class Table:
    """What one workload took."""

    transactions: int
    records: int
    """A transaction."""
    stages_us: dict[str, float]
    """Microseconds of processor time a transaction at a node that does it."""

    def node_us(self, stage: str) -> float:
        """A transaction, averaged over all nodes."""
        return self.stages_us[stage] * STAGES[stage]

    @property
    def total_us(self) -> float:
        return sum(map(self.node_us, STAGES))

    @property
    def unsigned_us(self) -> float:
        """All but the signature check."""
        return self.total_us - self.node_us("check the signature")


def measure(transactions: int, records: int) -> Table:
    """Take so many transactions through a node with a new database."""
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder) / "network"
        plan = Plan("stages", 1, protocol_named("solo"), default_engine(), ())
        create_network(network, plan)
        genesis = read_genesis(network / "node0" / "genesis.json")
        signer = genesis.suite.members.signer(read_private(network / MEMBER_KEY_FILE))
        raws = signed_records(genesis, signer, range(1, transactions + 1), records)
        with home.open_store(network / "node0", network=genesis.network) as store, as_in_a_node():
            walk = Walk(genesis, store)
            before_s, own_before_s = time.process_time(), time.thread_time()
            walk.all_of(raws)
            own_s = time.thread_time() - own_before_s
        # Closing waits for the database's own threads, which are no thread of ours.
        spent = walk.watch.spent_s
        spent["database threads"] = max(0.0, time.process_time() - before_s - own_s)
    stages = {stage: seconds / transactions * 1e6 for stage, seconds in spent.items()}
    return Table(transactions, records, stages)


@contextmanager
def as_in_a_node() -> Iterator[None]:
    """Collect garbage as seldom as a node does."""
    before = gc.get_threshold()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def signed_records(
    genesis: Genesis, signer: Signer, nonces: range, records: int = 1, *, height: int = 0
) -> list[bytes]:
    """A transaction of so many records for each nonce, made for a ledger of this height."""
    return [
        make_transaction(
            signer,
            genesis.network,
            [make_record("", b"", secrets.token_bytes(RECORD_BYTES)) for _ in range(records)],
            nonce=nonce,
            expiry=height + genesis.limits.replay_window // 2,
        ).raw
        for nonce in nonces
    ]


@click.command()
@click.option("--transactions", default=20_000, show_default=True, help="Of one record each.")
@click.option("--batched", default=600, show_default=True, help="Transactions of 100 records each.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write it there."
)
def stages(transactions: int, batched: int, json_file: Path | None) -> None:
    """Processor time of a node for each step of a transaction, and of a record in a hundred.

    Example: python -m benchmarks stages --transactions 5000
    """
    single, many = measure(transactions, 1), measure(batched, 100)
    click.echo(f"{'microseconds of processor time':<32}{'transaction':>24}{'record of 100':>24}")
    click.echo(f"{'':<32}{'where done':>12}{'a node':>12}{'where done':>12}{'a node':>12}")
    for stage in STAGES:
        click.echo(
            f"{stage:<32}{single.stages_us[stage]:>12.2f}{single.node_us(stage):>12.2f}"
            f"{many.stages_us[stage] / 100:>12.2f}{many.node_us(stage) / 100:>12.2f}"
        )
    for name, one, hundredth in (
        ("all", single.total_us, many.total_us / 100),
        ("all but the signature", single.unsigned_us, many.unsigned_us / 100),
    ):
        click.echo(f"{name:<32}{'':>12}{one:>12.2f}{'':>12}{hundredth:>12.2f}")
    if json_file is not None:
        rows = {"transaction": single.stages_us, "hundred records": many.stages_us}
        json_file.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
