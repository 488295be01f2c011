"""What a simulated node computes beside its main path: the jobs of one life of its process.

Jobs that must follow one another do; the others run at any moment before their result arrives, each
upon what is on the disk by then.  When the process ends, so do its jobs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from consensus.io import HostEvent, JobDone, StartJob
from ledger.store import Reader
from sim.agenda import Agenda


@dataclass(slots=True)
class Works:
    """The jobs of one life."""

    agenda: Agenda
    draw: Random
    reader: Reader
    """The node's disk."""
    takes_us: Callable[[], int]
    """Draws how long one job takes."""
    deliver: Callable[[HostEvent], None]
    """Takes a result."""
    bugs: tuple[type[BaseException], ...]
    """What a mistake in a job looks like."""
    fail: Callable[[BaseException], None]
    """Takes a mistake."""
    is_over: bool = False
    """Whether the process has ended."""

    _queue: deque[StartJob] | None = None
    """Sequential jobs; the first one is running."""

    @property
    def is_busy(self) -> bool:
        """Whether a sequential job runs."""
        return bool(self._queue)

    def start(self, work: StartJob) -> None:
        """Run a job, or let it wait for those before it."""
        if work.job.sequential:
            if self._queue is None:
                self._queue = deque()
            self._queue.append(work)
            if len(self._queue) == 1:
                self._run(work, self._end_first)
        elif self.draw.random() < 0.5:
            self.agenda.after(self.takes_us(), self._run_late, work)
        else:
            self._run(work, self._end)

    def _run(self, work: StartJob, end: Callable[[HostEvent], None]) -> None:
        """Compute a result now and let it arrive after a while."""
        result: Any
        try:
            result = work.job.run(self.reader)
        except self.bugs as error:
            self.fail(error)
            return
        self.agenda.after(self.takes_us(), end, JobDone(work.number, result))

    def _run_late(self, work: StartJob) -> None:
        if not self.is_over:
            self._run(work, self._end)

    def _end(self, event: HostEvent) -> None:
        if not self.is_over:
            self.deliver(event)

    def _end_first(self, event: HostEvent) -> None:
        if self.is_over:
            return
        assert self._queue is not None
        self._queue.popleft()
        if self._queue:
            self._run(self._queue[0], self._end_first)
        self.deliver(event)
