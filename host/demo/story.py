"""The demo's chapters, in order.  Each waits for facts, and each leaves facts behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median

import trio

from api.client import LedgerClient, Outcome
from host.cluster import Cluster
from host.demo.board import COLUMNS, Board
from host.demo.material import Material, gather, program_records, subject_of
from host.demo.screen import Screen
from host.home import GENESIS_FILE, read_genesis
from ledger.errors import Fault, UnreachableError
from ledger.genesis import Genesis
from ledger.light import LightClient
from ledger.transaction import Operation, Transaction

DEADLINE_S = 110.0
"""For everything up to the summary, so that it is there within two minutes."""
PROBES = 12
"""Transactions one after the other whose confirmation is timed, before and after the kill."""
PROBES_S = 25.0
"""After which fewer have to do."""
RECEIPT_FILE = "demo.receipt"


@dataclass(frozen=True, slots=True)
class Pace:
    """How long single transactions took from submission to confirmation."""

    latencies_ms: list[float]

    @property
    def median_ms(self) -> float:
        return median(self.latencies_ms)

    @property
    def worst_ms(self) -> float:
        return max(self.latencies_ms)

    def __str__(self) -> str:
        return f"median {self.median_ms:.0f} ms, longest {self.worst_ms:.0f} ms"


class Demo:
    """One run, from an empty folder to the last fact."""

    def __init__(
        self,
        folder: Path,
        sources: tuple[Path, ...],
        screen: Screen,
        cluster: Cluster,
        client: LedgerClient,
    ) -> None:
        """`sources` is where to look for a git repository."""
        self.folder = folder
        self.sources = sources
        self.screen = screen
        self.cluster = cluster
        self.client = client
        self.board = Board(cluster, client)
        self.genesis: Genesis = client.genesis
        self.material: Material
        self._probes: Iterator[Operation] = cycle(program_records())
        self._last: tuple[bytes, int, str] | None = None
        """Transaction, number of the operation, and name, of a thing to show a receipt of."""

    async def tell(self) -> None:
        """All chapters.  Raises UnreachableError, Fault."""
        chapters = (
            self.start,
            self.agree,
            self.record,
            self.prove,
            self.lose_one,
            self.get_it_back,
            self.compare,
        )
        for chapter in chapters:
            await chapter()
            self.show_table()
        self.screen.doing = "done"
        self.show_table()

    def show_table(self) -> None:
        self.screen.table(COLUMNS, self.board.rows())

    # --- chapters ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Four processes that reach each other."""
        self.screen.step(f"starting {len(self.cluster.nodes)} processes")
        await self.cluster.start()
        await self.board.until(lambda: all(map(self._is_connected, self.board.live)))
        pids = [node.process.pid for node in self.cluster.nodes if node.process is not None]
        self.screen.fact(
            "started",
            f"processes {', '.join(map(str, pids))}, a database each, all linked by mutual TLS",
            processes=len(pids),
        )

    async def agree(self) -> None:
        """The first block, at every node the same."""
        self.screen.step("waiting until they agree on a first block")
        first = self._sign([next(self._probes)])
        await self._confirm_at(first, *self.board.live)
        hashes = {seen.hashes[1] for seen in self.board.seen}
        self.screen.fact(
            "agreed",
            f"all {len(self.board.seen)} nodes confirmed block 1, {min(hashes)[:16]}...",
            holds=len(hashes) == 1,
            first_block_s=round(self.screen.seconds, 3),
        )

    async def record(self) -> None:
        """Real data, many operations a transaction."""
        self.screen.step("reading real data")
        self.material = await trio.to_thread.run_sync(gather, self.sources)
        groups = self.material.groups()
        count = len(self.material.operations)
        self.screen.step(
            f"recording {self.material.title}: {count:,} statements, {len(groups)} transactions"
        )
        began = trio.current_time()
        transactions = [self._sign(group) for group in groups]
        outcomes = await self._submit_all(transactions)
        ids = [transaction.id for transaction in transactions]
        await self.board.until(
            lambda: all(self.board.is_confirmed(identity, *self.board.live) for identity in ids)
        )
        took = trio.current_time() - began
        for identity, group in zip(ids, groups, strict=True):
            self._remember(identity, group)
        applied = sum(outcome.status == "applied" for outcome in outcomes)
        self.screen.fact(
            "recorded",
            f"{self.material.title}: {count:,} statements in {len(groups)} transactions, "
            f"confirmed at all nodes in {took:.1f} s, {count / took:,.0f} a second",
            holds=applied == len(groups),
            source=self.material.title,
            statements=count,
            transactions=len(groups),
            applied=applied,
            seconds=round(took, 3),
        )

    async def prove(self) -> None:
        """A receipt, checked with nothing but the genesis; then with one byte changed."""
        assert self._last is not None, "every source has an entity"
        identity, number, name = self._last
        self.screen.step(f"fetching the receipt of {name}")
        raw, _ = await self.client.receipt(identity, number)
        path = self.folder / RECEIPT_FILE
        path.write_bytes(raw)
        # From here on as anybody would: two files, and no node.
        light = LightClient(read_genesis(self.folder / GENESIS_FILE))
        verified = light.check_receipt(path.read_bytes())
        validators = self.genesis.epoch.validators
        self.screen.fact(
            "proved",
            f"{len(raw)} bytes prove offline that {name} is in block {verified.height}, "
            f"signed by {len(verified.log.signers)} of {validators.size} validators",
            holds=verified.transaction == identity,
            receipt_bytes=len(raw),
            height=verified.height,
        )
        changed = bytearray(raw)
        place = len(raw) // 2
        changed[place] ^= 1
        try:
            light.check_receipt(bytes(changed))
        except Fault as fault:
            reason = fault.reason
        else:
            reason = ""
        self.screen.fact(
            "refused",
            f"the same receipt with byte {place} changed is "
            + (f"refused: {reason}" if reason else "accepted"),
            holds=bool(reason),
            byte=place,
            reason=reason,
        )

    async def lose_one(self) -> None:
        """SIGKILL for one validator, and what that costs."""
        self.screen.step("timing single transactions while all are well")
        before = await self._time_probes()
        victim = len(self.cluster.nodes) - 1
        name = self._name(victim)
        self.show_table()
        self.board.killed.add(victim)
        self.cluster.kill(victim)
        await self.cluster.wait_ended(victim)
        self.screen.note(f"killed {name} with SIGKILL")
        self.screen.step(f"timing single transactions without {name}")
        height = self.board.height
        after = await self._time_probes()
        blocks = self.board.height - height
        self.screen.fact(
            "survived",
            f"{blocks} more blocks without {name}; confirmation took {before} with it, "
            f"{after} without it, where {self._price(after)}",
            holds=blocks > 0,
            blocks=blocks,
            median_ms_before=round(before.median_ms, 1),
            longest_ms_before=round(before.worst_ms, 1),
            median_ms_after=round(after.median_ms, 1),
            longest_ms_after=round(after.worst_ms, 1),
        )

    async def get_it_back(self) -> None:
        """The killed validator again, from what its disk has kept."""
        victim = len(self.cluster.nodes) - 1
        name, seen, target = self._name(victim), self.board.seen[victim], self.board.height
        missed = target - seen.height
        self.screen.step(f"restarting {name}, which has missed {missed} blocks")
        began = trio.current_time()
        await self.cluster.start(victim)
        self.board.killed.discard(victim)
        await self.board.until(lambda: seen.height >= target and self._is_voting(victim))
        took = trio.current_time() - began
        probe = self._sign([next(self._probes)])
        await self._confirm_at(probe, *self.board.live)
        same = all(each.hashes[target] == seen.hashes[target] for each in self.board.seen)
        self.screen.fact(
            "caught up",
            f"{name} has the {missed} blocks it missed and votes again {took:.1f} s after its "
            "restart",
            holds=same,
            missed_blocks=missed,
            seconds=round(took, 3),
        )

    async def compare(self) -> None:
        """One chain everywhere."""
        height = self.board.height
        self.screen.step("comparing the nodes")
        await self.board.until(
            lambda: (
                all(seen.height >= height for seen in self.board.seen)
                and all(map(self._is_connected, self.board.live))
            )
        )
        self.screen.fact(
            "one chain",
            f"blocks 1 to {height} are the same at all {len(self.board.seen)} nodes",
            holds=self.board.has_one_chain(),
            height=height,
            block=self.board.seen[0].hashes[height],
        )

    # --- helpers ----------------------------------------------------------------------------------

    def _name(self, index: int) -> str:
        return self.genesis.epoch.validators.members[index].name

    def _is_connected(self, index: int) -> bool:
        status = self.board.seen[index].status
        return status is not None and all(peer["connected"] for peer in status["peers"])

    def _is_voting(self, index: int) -> bool:
        status = self.board.seen[index].status
        return status is not None and bool(status["voting"]) and not status["catching_up"]

    def _sign(self, operations: list[Operation]) -> Transaction:
        return self.client.sign(operations, height=self.board.height)

    def _remember(self, identity: bytes, operations: list[Operation]) -> None:
        for number, operation in enumerate(operations):
            name = subject_of(operation)
            if name is not None:
                self._last = (identity, number, name)

    async def _submit_all(self, transactions: list[Transaction]) -> list[Outcome]:
        """Every transaction to its definite end, in bulk."""
        now = trio.current_time()
        self.board.submitted.update((transaction.id, now) for transaction in transactions)
        return await self.client.submit_many(transactions, deadline_s=DEADLINE_S)

    async def _confirm_at(self, transaction: Transaction, *nodes: int) -> None:
        """Hand the transaction to the first of these nodes, and wait until all confirmed it."""
        self.board.submitted[transaction.id] = trio.current_time()
        url = self.cluster.nodes[nodes[0]].url
        # Where the node is gone, though nobody killed it, the board ends the demo and says so.
        with suppress(UnreachableError):
            _, reason, detail = (await self.client.post(url, [transaction.raw]))[0]
            if reason:
                raise Fault(reason, detail)
        await self.board.until(lambda: self.board.is_confirmed(transaction.id, *nodes))

    async def _time_probes(self) -> Pace:
        """Time single transactions, handed to the live nodes in turn."""
        latencies: list[float] = []
        began = trio.current_time()
        for number in range(PROBES):
            if latencies and trio.current_time() - began > PROBES_S:
                break
            node = self.board.live[number % len(self.board.live)]
            probe = self._sign([next(self._probes)])
            await self._confirm_at(probe, node)
            handed_over = self.board.submitted[probe.id]
            latencies.append((self.board.seen[node].times[probe.id] - handed_over) * 1000)
        return Pace(latencies)

    def _price(self, after: Pace) -> str:
        """What the protocol pays for a validator that is gone, in its own timeouts."""
        epoch = self.genesis.epoch
        timeouts = {
            name: value
            for name, value in epoch.parameters
            if "timeout" in name and not name.endswith(("_max_ms", "_delta_ms"))
        }
        if not epoch.parameters:
            return f"nobody waited: {epoch.protocol} has no timeout and needs only its sequencer"
        if not timeouts:
            times = ", ".join(f"{name} {value}" for name, value in epoch.parameters)
            return f"{epoch.protocol} waited as long as its parameters say ({times})"
        waited = sum(latency >= min(timeouts.values()) for latency in after.latencies_ms)
        listed = ", ".join(f"{name} {value}" for name, value in timeouts.items())
        return (
            f"{waited} of {len(after.latencies_ms)} waited for a timeout of {epoch.protocol} "
            f"because it was {self._name(len(self.cluster.nodes) - 1)}'s turn ({listed})"
        )
