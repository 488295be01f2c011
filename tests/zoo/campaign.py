"""Hunting all mutants at once, in processes, with one budget.

Fair shares: the mutant that had the least time is next, with the strategy that has spent the least
on it for what it deserves, and every slice doubles what that strategy spent.  So easy mutants are
out of the way at once, an expensive strategy cannot starve a cheap one, and the hard mutants get
all that is left.  What a strategy deserves is learned as the hunt goes on, from what it found among
mutants of the same sort and how long that took (a bandit, as Auer et al., "Finite-time analysis of
the multiarmed bandit problem", 2002, but for its bounds, which would need more pulls): never more
than four times as much as its weight says, and never less than a quarter.

A worker's exception is a finding about the zoo itself: it ends that strategy for that mutant,
stands in the table, and makes the run fail; the hunt for the others goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context

from tests.zoo.model import Case, Effort, Mutant
from tests.zoo.registry import MUTANTS
from tests.zoo.strategies import BY_NAME, Slice, work

FIRST_SLICE_S = 0.2
LONGEST_SLICE_S = 12.0
PRIOR_S = 5.0
"""A strategy of which nothing is known counts as one that finds something in so long."""
FAVOUR = 4.0
Told = Callable[[Case, Slice], None]
"""Called after every slice."""


def work_on(identity: str, strategy: str, first: int, seconds: float) -> Slice:
    """`work` in another process, which knows the mutants by their ids."""
    mutant = next(mutant for mutant in MUTANTS if mutant.id == identity)
    return work(mutant, strategy, first, seconds)


@dataclass(slots=True)
class _Yield:
    """What the strategies found among mutants of one sort."""

    kills: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def took(self, name: str, seconds: float, *, has_found: bool) -> None:
        """A slice of a strategy is over."""
        self.kills[name] = self.kills.get(name, 0) + has_found
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def rate(self, name: str) -> float:
        """Finds a second, with one find in `PRIOR_S` to begin with."""
        return (self.kills.get(name, 0) + 1) / (self.seconds.get(name, 0.0) + PRIOR_S)

    def deserves(self, name: str, others: Sequence[str]) -> float:
        """Its rate by the mean rate, between a quarter and four."""
        mean = sum(self.rate(other) for other in others) / len(others)
        return min(max(self.rate(name) / mean, 1 / FAVOUR), FAVOUR)


@dataclass(slots=True)
class _Turn:
    """Where a mutant stands in the rotation."""

    case: Case
    strategies: list[str]
    learned: _Yield
    attempts: dict[str, int] = field(default_factory=dict)
    is_busy: bool = False

    @property
    def seconds(self) -> float:
        return sum(effort.seconds for effort in self.case.efforts.values())

    def open_strategies(self) -> list[str]:
        """What may still find something."""
        efforts = self.case.efforts
        over = [name for name, effort in efforts.items() if effort.exhausted or effort.kill]
        return [name for name in self.strategies if name not in over]

    def spent(self, name: str) -> float:
        """The seconds that a strategy has spent on this mutant."""
        effort = self.case.efforts.get(name)
        return effort.seconds if effort else 0.0

    def due(self, name: str) -> float:
        """What a strategy will have spent with one more slice, by what it deserves.

        With the slice, so that whoever deserves much need not wait until all others had a first.
        """
        share = BY_NAME[name].weight * self.learned.deserves(name, self.strategies)
        return (self.spent(name) + FIRST_SLICE_S) / share

    def choose(self) -> tuple[str, float]:
        """The strategy whose turn it is, and for how long."""
        name = min(self.open_strategies(), key=lambda one: (self.due(one), -BY_NAME[one].weight))
        return name, min(max(FIRST_SLICE_S, self.spent(name)), LONGEST_SLICE_S)


@dataclass(frozen=True, slots=True)
class _Job:
    """A slice that is under way."""

    turn: _Turn
    strategy: str
    first: int
    """The number of its first attempt."""


class Campaign:
    """One run of the zoo; `cases` is the outcome so far at any time."""

    def __init__(
        self, mutants: Iterable[Mutant], strategies: Sequence[str], *, is_exhaustive: bool = False
    ) -> None:
        self.strategies = tuple(strategies)
        self.cases = [Case(mutant) for mutant in mutants if not mutant.equivalent]
        self._is_exhaustive = is_exhaustive
        learned: dict[tuple[str, bool], _Yield] = {}
        self._turns = {
            case.mutant.id: _Turn(
                case,
                [name for name in strategies if BY_NAME[name].fits(case.mutant)],
                learned.setdefault(_sort(case.mutant), _Yield()),
            )
            for case in self.cases
        }
        self._spent_s = 0.0

    def run(
        self,
        budget_s: float,
        workers: int,
        told: Told = lambda case, slice_: None,
        *,
        is_processor_time: bool = False,
    ) -> None:
        """Hunt until all are killed, nothing is left to try, or the budget is spent.

        The budget is wall time, or processor time of each worker, which on a machine that does
        nothing else is the same.
        """
        end = time.monotonic() + budget_s

        def left_s() -> float:
            if is_processor_time:
                return budget_s - self._spent_s / workers
            return end - time.monotonic()

        running: dict[Future[Slice], _Job] = {}
        pool = _pool(workers)
        try:
            while True:
                while len(running) < workers and left_s() > 0:
                    turn = self._next()
                    if turn is None:
                        break
                    future, job = self._start(pool, turn, left_s())
                    running[future] = job
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    self._ended(running.pop(future), future, told)
                if any(isinstance(future.exception(), BrokenProcessPool) for future in done):
                    # Whatever else was under way in this pool died with it, and says so itself.
                    for future in wait(running).done:
                        self._ended(running.pop(future), future, told)
                    pool.shutdown(wait=False)
                    pool = _pool(workers)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _next(self) -> _Turn | None:
        """Who had the least time of those who are still to be found."""
        waiting = [
            turn
            for turn in self._turns.values()
            if not turn.is_busy
            and turn.open_strategies()
            and (self._is_exhaustive or not turn.case.is_killed)
        ]
        return min(waiting, key=lambda turn: (turn.case.is_killed, turn.seconds), default=None)

    def _start(
        self, pool: ProcessPoolExecutor, turn: _Turn, left_s: float
    ) -> tuple[Future[Slice], _Job]:
        name, length_s = turn.choose()
        turn.is_busy = True
        seconds = max(0.05, min(length_s, left_s))
        job = _Job(turn, name, turn.attempts.get(name, 0))
        return pool.submit(work_on, turn.case.mutant.id, name, job.first, seconds), job

    def _ended(self, job: _Job, future: Future[Slice], told: Told) -> None:
        error = future.exception()
        if error is None:
            self._took(job.turn, future.result())
            told(job.turn.case, future.result())
            return
        job.turn.is_busy = False
        job.turn.case.efforts.setdefault(job.strategy, Effort()).exhausted = True
        words = " ".join(str(error).split())
        job.turn.case.crashes.append(
            f"{job.strategy} from attempt {job.first} on: {type(error).__name__}: {words}"
        )

    def _took(self, turn: _Turn, slice_: Slice) -> None:
        turn.is_busy = False
        how = BY_NAME[slice_.strategy]
        effort = turn.case.efforts.setdefault(slice_.strategy, Effort())
        self._spent_s += slice_.seconds
        turn.learned.took(slice_.strategy, slice_.seconds, has_found=slice_.verdict.is_kill)
        effort.scenarios += slice_.scenarios
        effort.seconds += slice_.seconds
        attempts = turn.attempts.get(slice_.strategy, 0) + slice_.attempts
        turn.attempts[slice_.strategy] = attempts
        effort.exhausted = how.attempts_max is not None and attempts >= how.attempts_max
        verdict = slice_.verdict
        if verdict.is_kill:
            effort.kill = verdict
        elif verdict.unsound:
            turn.case.unsound.append(f"{verdict.replay}: {', '.join(verdict.unsound)}")

    @property
    def score(self) -> tuple[int, int]:
        """(killed, all that are not proven equivalent)."""
        return sum(case.is_killed for case in self.cases), len(self.cases)

    @property
    def is_perfect(self) -> bool:
        """Whether all mutants were found, the protocols had no findings, and no worker failed."""
        killed, count = self.score
        return killed == count and not any(case.unsound or case.crashes for case in self.cases)


def _sort(mutant: Mutant) -> tuple[str, bool]:
    """Mutants of which one teaches something about the other: of what, and whether of liveness."""
    return mutant.protocol, "P10" in mutant.expected


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("forkserver"))
