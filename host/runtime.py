"""Host 1: runs one replica on trio, real links, a database and the real clock.

One task owns the replica and feeds it one event at a time.  Outputs are released, in step order,
once the writes of their steps are durable.  A small write to a quick disk happens on the spot, for
a hop to another thread and back would take longer; all others are joined by the disk task into one
batch and one sync.  Jobs that are not brief run in worker threads, executions strictly one after
another.  No peer's fault ends another peer's task; a failed write or a halt stops the node with a
plain line.
"""

from __future__ import annotations

import heapq
import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial

import trio

from consensus.interface import Now
from consensus.io import (
    Admission,
    Answer,
    Channel,
    Confirmed,
    FrameArrived,
    Halt,
    HostEvent,
    Job,
    JobDone,
    Loop,
    Looped,
    Output,
    PeerDown,
    PeerUp,
    Report,
    SendFrame,
    Started,
    StartJob,
    StartTimer,
    Step,
    StopTimer,
    Submitted,
    TimerRang,
)
from consensus.packets import asks_everyone, proves_itself
from consensus.recovery import Setup, recover
from consensus.replica import Replica
from host.counters import Counters, counted
from ledger.errors import StorageError
from ledger.store import Write
from p2p import frames
from p2p.certificate import make_identity
from p2p.hello import Hello
from p2p.overlay import Overlay, SignedSeals
from p2p.peers import Callbacks, PeerRecord, Peers
from p2p.relay import Reach
from p2p.transport import Address
from storage.home import Store

WORKERS = 2
"""Threads that check signatures and read; two suffice, since checks release the interpreter."""
STEPS_WAITING_MAX = 256
"""Steps that may wait for the disk before peers are slowed."""
SUBMISSIONS_MAX = 1_024
"""Client requests whose admission is open at once."""


QUICK_WRITE_S = 0.002
"""A disk that takes less for a small write may write while nothing else happens."""
STUCK_WRITE_S = 0.01
"""A small write that takes more sends the next ones to a thread at once; one quick one there, and
they are written on the spot again."""
SMALL_WRITE_BYTES = 32_768
"""What is a small write."""


class NodeHalted(StorageError):
    """The node stopped itself; the message says why."""


class Node:
    """One running node."""

    def __init__(
        self,
        *,
        setup: Setup,
        store: Store,
        transport_seed: bytes,
        addresses: dict[int, tuple[Address, ...]],
        listeners: list[trio.SocketListener],
        report: Callable[[Report], None],
        clock_skew_ms: int = 0,
        relays: bool = False,
    ) -> None:
        """With `relays` the addresses are those of neighbours, over which all others are reached;
        otherwise they are those of all other validators."""
        self.setup = setup
        self.genesis = setup.genesis
        self.store = store
        self.counters = Counters()
        self.started_at = trio.current_time()
        self.replica: Replica | None = None
        self.last_proposer = ""
        """Name of the validator that proposed the last decided block."""
        self._report = report
        self._clock_skew_ms = clock_skew_ms
        self._addresses = addresses
        self.relays = relays
        self._transport_seed = transport_seed
        self._listeners = listeners
        self._steps: deque[Step] = deque()
        self._disk_wake = trio.Event()
        self._behind = False
        self._write_s = QUICK_WRITE_S
        """The least that a small write took of late: more is the machine's load, not the disk."""
        self._failure: StorageError | None = None
        self._disk_done = trio.Event()
        self._timers: list[tuple[float, int, Hashable]] = []
        self._timer_versions: dict[Hashable, int] = {}
        self._timer_numbers = itertools.count()
        self._timer_wake = trio.Event()
        self._executions: deque[StartJob] = deque()
        self._executing = False
        self._execution_wake = trio.Event()
        self._requests = itertools.count(1)
        self._answers: dict[int, _Pending] = {}
        self._workers = trio.CapacityLimiter(WORKERS)
        self._confirmed = 0
        self._confirmed_event = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._feeding = False
        self._events: deque[HostEvent] = deque()
        self.peers: Peers
        self._links: Peers | Overlay

    # --- running ---

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled.  Raises StorageError where the disk fails or the replica halts."""
        setup = counted(self.setup, self.counters)
        recovered = await trio.to_thread.run_sync(recover, self.store, setup)
        self._confirmed = recovered.certified
        self.replica = Replica(setup, recovered)
        self._links = self._make_links(recovered.certified)
        self.peers = self._links.peers if isinstance(self._links, Overlay) else self._links
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._disk)
            nursery.start_soon(self._clock)
            nursery.start_soon(self._execute)
            self.feed(Started(int.from_bytes(os.urandom(7), "big")))
            await nursery.start(self._links.run)
            task_status.started()

    def _make_links(self, certified: int) -> Peers | Overlay:
        epoch = self.genesis.epoch
        validators = epoch.validators.members
        me = self.setup.me
        assert me is not None
        hello = Hello(
            network_id=self.genesis.network,
            epoch=epoch.number,
            epoch_id=epoch.id,
            certified_height=certified,
            node=validators[me].name,
        )
        records = {
            index: PeerRecord(validators[index].transport_certificate, addresses)
            for index, addresses in self._addresses.items()
        }
        make_peers = partial(
            Peers,
            me=me,
            identity=make_identity(self._transport_seed),
            hello=hello,
            peers=records,
            listeners=self._listeners,
        )
        callbacks = Callbacks(
            on_frame=self._on_frame,
            on_up=lambda peer, _hello: self.feed(PeerUp(peer)),
            on_down=lambda peer: self.feed(PeerDown(peer)),
            on_refused=self._on_refused,
        )
        if not self.relays:
            return make_peers(callbacks=callbacks)
        return Overlay(
            me,
            sorted(records),
            Reach(proves_itself, asks_everyone),
            SignedSeals(
                self.genesis.network,
                self._transport_seed,
                [validator.transport_certificate for validator in validators],
            ),
            callbacks,
            lambda inner: make_peers(callbacks=inner),
        )

    async def _on_frame(self, peer: int, channel: frames.Channel, payload: bytes) -> None:
        while len(self._steps) > STEPS_WAITING_MAX:
            # The disk is behind: slow the peers, not the memory.
            await self._disk_done.wait()
        self.feed(FrameArrived(peer, Channel(channel), payload))

    def _on_refused(self, reason: str, count: int, detail: str) -> None:
        self._report(
            Report("link refused", (("count", count), ("detail", detail), ("reason", reason)))
        )

    def feed(self, event: HostEvent) -> None:
        """Give the replica one event; the outputs follow once the step is durable."""
        self._events.append(event)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._events and self._failure is None:
                event = self._events.popleft()
                self._accept(self._step(event), after_job=isinstance(event, JobDone))
        except StorageError as failure:
            # Whoever brought the event, a peer's task or a client's request, it is not theirs to
            # report: the disk task ends the node.
            self._failure = failure
            self._disk_wake.set()
        finally:
            self._feeding = False

    def _step(self, event: HostEvent) -> Step:
        """Let the replica take one event.  Raises NodeHalted."""
        wall_ms = time.time_ns() // 1_000_000 + self._clock_skew_ms
        now = Now(int(trio.current_time() * 1000), wall_ms)
        assert self.replica is not None
        step = self.replica.step(now, event)
        self.counters.steps += 1
        for output in step.outputs:
            if isinstance(output, Halt):
                raise NodeHalted(output.reason)
        return step

    def _accept(self, step: Step, *, after_job: bool) -> None:
        if self._steps or self._behind:
            self._steps.append(step)
            self._disk_wake.set()
            return
        if not step.writes:
            self._release(step.outputs)
        elif self._may_write_now(step.writes):
            self._write_now([step] if after_job else self._with_execution(step))
        else:
            self._steps.append(step)
            self._disk_wake.set()

    def _with_execution(self, step: Step) -> list[Step]:
        """A step, and the one of the brief execution that it asks for: one write holds both.

        Not where the step holds an execution itself: the next must find it in the store.
        """
        for output in step.outputs:
            if isinstance(output, StartJob) and output.job.sequential and self._may_run_now(output):
                step.outputs.remove(output)
                return [step, self._step(self._done(output))]
        return [step]

    def _write_now(self, steps: list[Step]) -> None:
        self._write([write for step in steps for write in step.writes], any(s.sync for s in steps))
        for step in steps:
            self._release(step.outputs)

    # --- disk ---

    async def _disk(self) -> None:
        """Join the steps that wait into one write, then release their outputs in order."""
        while True:
            if self._failure is not None:
                raise self._failure
            if not self._steps:
                self._disk_wake = trio.Event()
                await self._disk_wake.wait()
                continue
            steps = list(self._steps)
            self._steps.clear()
            # Until the last of them is released, later steps must wait behind them.
            self._behind = True
            writes: list[Write] = [write for step in steps for write in step.writes]
            if writes:
                sync = any(step.sync for step in steps)
                await trio.to_thread.run_sync(self._write, writes, sync)
            for step in steps:
                self._release(step.outputs)
            self._behind = False
            self._disk_done.set()
            self._disk_done = trio.Event()

    def _may_write_now(self, writes: list[Write]) -> bool:
        return self._write_s < QUICK_WRITE_S and _size(writes) <= SMALL_WRITE_BYTES

    def _write(self, writes: list[Write], sync: bool) -> None:
        began = time.perf_counter()
        self.store.write(writes, sync=sync, certified_height=self._confirmed)
        self.counters.writes += 1
        self.counters.synced_writes += sync
        if sync and _size(writes) <= SMALL_WRITE_BYTES:
            took = time.perf_counter() - began
            # So slow is a disk that became slow: waiting on it here would hold up everything.
            is_stuck = took > STUCK_WRITE_S
            self._write_s = took if is_stuck else min(took, self._write_s * 1.02)

    # --- outputs ---

    def _release(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, SendFrame):
                channel = frames.Channel(output.channel)
                if output.peer is None:
                    self._links.broadcast(channel, output.payload)
                else:
                    self._links.send(output.peer, channel, output.payload)
            elif isinstance(output, Loop):
                self.feed(Looped(output.content))
            elif isinstance(output, StartTimer):
                self._start_timer(output)
            elif isinstance(output, StopTimer):
                self._timer_versions.pop(output.timer, None)
            elif isinstance(output, StartJob):
                self._start_job(output)
            elif isinstance(output, Answer):
                pending = self._answers.pop(output.request, None)
                if pending is not None:
                    pending.admissions = output.admissions
                    pending.done.set()
            elif isinstance(output, Confirmed):
                self._on_confirmed(output.height)
            elif isinstance(output, Report):
                self._count(output)

    def _count(self, report: Report) -> None:
        self.counters.report(report)
        if report.name == "decided":
            proposer = dict(report.fields)["proposer"]
            self.last_proposer = self.genesis.epoch.validators.members[proposer].name
        self._report(report)

    def _on_confirmed(self, height: int) -> None:
        self._confirmed = max(self._confirmed, height)
        self.peers.update_hello(self._confirmed)
        self._confirmed_event.set()
        self._confirmed_event = trio.Event()

    # --- jobs ---

    def _start_job(self, start: StartJob) -> None:
        if self._may_run_now(start):
            self.feed(self._done(start))
        elif start.job.sequential:
            self._executions.append(start)
            self._execution_wake.set()
        else:
            assert self._nursery is not None
            self._nursery.start_soon(self._run_job, start)

    def _may_run_now(self, start: StartJob) -> bool:
        in_turn = not start.job.sequential or not (self._executing or self._executions)
        return start.job.is_brief and in_turn

    def _done(self, start: StartJob) -> JobDone:
        return JobDone(start.number, start.job.run(self.store))

    async def _run_job(self, start: StartJob) -> None:
        result = await trio.to_thread.run_sync(self._job, start.job, limiter=self._workers)
        self.feed(JobDone(start.number, result))

    async def _execute(self) -> None:
        while True:
            if not self._executions:
                self._execution_wake = trio.Event()
                await self._execution_wake.wait()
            start = self._executions.popleft()
            self._executing = True
            result = await trio.to_thread.run_sync(self._job, start.job)
            self._executing = False
            self.feed(JobDone(start.number, result))

    def _job(self, job: Job) -> object:
        return job.run(self.store)

    # --- time ---

    def _start_timer(self, start: StartTimer) -> None:
        number = next(self._timer_numbers)
        self._timer_versions[start.timer] = number
        due = trio.current_time() + start.delay_ms / 1000
        if not self._timers or due < self._timers[0][0]:
            self._timer_wake.set()
        heapq.heappush(self._timers, (due, number, start.timer))

    async def _clock(self) -> None:
        """Ring the timers; one that was stopped or moved rings no more."""
        while True:
            self._timer_wake = trio.Event()
            due = self._timers[0][0] if self._timers else float("inf")
            with trio.move_on_at(due):
                await self._timer_wake.wait()
            now = trio.current_time()
            while self._timers and self._timers[0][0] <= now:
                _, number, timer = heapq.heappop(self._timers)
                if self._timer_versions.get(timer) == number:
                    del self._timer_versions[timer]
                    self.feed(TimerRang(timer))

    # --- for the API ---

    @property
    def confirmed(self) -> int:
        """The highest certified height that is durable here."""
        return self._confirmed

    def metrics(self) -> dict[str, float]:
        """What the node has counted since it started, by metric name."""
        return self.counters.figures(self.peers)

    async def submit(self, transactions: tuple[bytes, ...]) -> tuple[Admission, ...]:
        """Hand transactions to the replica; what became of each at the door."""
        if len(self._answers) >= SUBMISSIONS_MAX:
            busy = Admission(b"", "node.busy", "too many submissions at once; try again")
            return (busy,) * len(transactions)
        request = next(self._requests)
        pending = _Pending()
        self._answers[request] = pending
        try:
            self.feed(Submitted(request, transactions))
            await pending.done.wait()
        finally:
            self._answers.pop(request, None)
        return pending.admissions

    async def wait_confirmed(self, above: int) -> int:
        """Wait until a height above this one is confirmed; the new confirmed height."""
        while self._confirmed <= above:
            await self._confirmed_event.wait()
        return self._confirmed


@dataclass(slots=True)
class _Pending:
    done: trio.Event = field(default_factory=trio.Event)
    admissions: tuple[Admission, ...] = ()


def _size(writes: list[Write]) -> int:
    return sum(len(key) + len(value or b"") for key, value in writes)
