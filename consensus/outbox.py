"""One step in the making: what the parts of a replica want written, sent, timed and computed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

from consensus.interface import Now
from consensus.io import (
    Halt,
    Job,
    Loop,
    Output,
    Report,
    SendFrame,
    StartJob,
    StartTimer,
    Step,
    StopTimer,
)
from consensus.packets import Packet, encode_packet
from ledger.store import Write

STOP_TIMER = "stop"
STOP_MS = 500
"""In which the last words of a node reach its peers."""
FEW_ABOVE = 8
"""With more peers than this, what everybody tells everybody goes to a few at a time: at a hundred
validators it would be most of the traffic."""
FEW = 6
"""How many those are; who they are moves on each time."""


class Outbox:
    """Collects one step at a time; the only thing that the parts of a replica share."""

    def __init__(self, epoch: int, me: int | None) -> None:
        self.epoch = epoch
        """Number of the epoch that packets are sent in."""
        self.me = me
        self.now = Now(0, 0)
        self.connected: dict[int, None] = {}
        """Peers with a live link, in the order in which they came."""
        self._step = Step()
        self._put_off: list[Write] = []
        """What the next synced batch begins with."""
        self.stopping: str | None = None
        """Why the node stops, once what had to be said before has left."""
        self._last: Step | None = None
        self._turn = me or 0
        """Whose turn it is among the peers that are told a few at a time."""
        self._jobs: dict[int, Callable[[Any], None]] = {}
        self._next_job = 0

    def begin(self, now: Now) -> None:
        self.now = now
        self._step = Step()

    def finish(self) -> Step:
        if self.stopping is not None:
            step, self._last = self._last or Step(), None
            return step
        if self._step.sync and self._put_off:
            self._step.writes[:0] = self._put_off
            self._put_off = []
        return self._step

    def write(self, writes: Iterable[Write], *, sync: bool) -> None:
        """Add to the step's batch; sync where it holds a promise."""
        self._step.writes.extend(writes)
        self._step.sync = self._step.sync or sync

    def put_off(self, writes: Iterable[Write]) -> None:
        """Write this in one batch with the next promise, which may rest on it.

        Written before, it could be lost where that promise is kept: a disk that loses power or
        fails keeps unsynced batches in any order.
        """
        self._put_off.extend(writes)

    def flush(self) -> None:
        """Let what was put off wait no longer for a promise."""
        self._step.sync = self._step.sync or bool(self._put_off)

    def send(self, peer: int, packet: Packet) -> None:
        payload = encode_packet(packet, self.epoch)
        self._step.outputs.append(SendFrame(peer, packet.CHANNEL, payload))

    def send_all(self, packet: Packet) -> None:
        """To every other validator."""
        payload = encode_packet(packet, self.epoch)
        self._step.outputs.append(SendFrame(None, packet.CHANNEL, payload))

    def send_some(self, packet: Packet) -> None:
        """To every other validator in a small network, in a large one to the next few peers."""
        if len(self.connected) <= FEW_ABOVE:
            self.send_all(packet)
            return
        payload = encode_packet(packet, self.epoch)
        for peer in self.next_few():
            self._step.outputs.append(SendFrame(peer, packet.CHANNEL, payload))

    def next_few(self) -> list[int]:
        """The peers whose turn it is: all in a small network."""
        peers = list(self.connected)
        if len(peers) <= FEW_ABOVE:
            return peers
        start = self._turn % len(peers)
        self._turn = start + FEW
        return (peers + peers)[start : start + FEW]

    def start_timer(self, timer: Hashable, delay_ms: int) -> None:
        self._step.outputs.append(StartTimer(timer, delay_ms))

    def stop_timer(self, timer: Hashable) -> None:
        self._step.outputs.append(StopTimer(timer))

    def start(self, job: Job, then: Callable[[Any], None]) -> None:
        """Have the host run a job; `then` gets its result in a later step."""
        self._next_job += 1
        self._jobs[self._next_job] = then
        self._step.outputs.append(StartJob(self._next_job, job))

    def job_done(self, number: int, result: Any) -> None:
        self._jobs.pop(number)(result)

    @property
    def jobs_open(self) -> int:
        """Jobs whose results are on their way."""
        return len(self._jobs)

    def loop(self, content: Any) -> None:
        self._step.outputs.append(Loop(content))

    def put(self, output: Output) -> None:
        self._step.outputs.append(output)

    def report(self, name: str, **fields: Any) -> None:
        self._step.outputs.append(Report(name, tuple(sorted(fields.items()))))

    def halt(self, reason: str) -> None:
        """Stop the node now: nothing of this step is written or sent."""
        self._step.outputs.append(Halt(reason))

    def stop(
        self, reason: str, *, writes: Iterable[Write] = (), last_words: Iterable[Packet] = ()
    ) -> None:
        """Stop the node once these writes are durable and these words have had time to leave.

        Nothing else of this step, and nothing of any later one, is written or sent.
        """
        if self.stopping is not None:
            return
        self.stopping = reason
        outputs: list[Output] = [
            SendFrame(None, packet.CHANNEL, encode_packet(packet, self.epoch))
            for packet in last_words
        ]
        outputs += [
            Report("stopping", (("reason", reason),)),
            StartTimer(STOP_TIMER, STOP_MS),
        ]
        kept = list(writes)
        self._last = Step(kept, sync=bool(kept), outputs=outputs)
