"""Hunting all mutants at once, in processes, with one budget.

Fair shares: whoever had the least time is next, with its strategies in turn and slices that double,
so that easy mutants are out of the way at once and the hard ones get all that they leave.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context

from tests.zoo.model import Case, Effort, Mutant
from tests.zoo.registry import MUTANTS
from tests.zoo.strategies import BY_NAME, Slice, work

FIRST_SLICE_S = 0.2
LONGEST_SLICE_S = 12.0
Told = Callable[[Case, Slice], None]
"""Called after every slice."""


def work_on(identity: str, strategy: str, first: int, seconds: float) -> Slice:
    """`work` in another process, which knows the mutants by their ids."""
    mutant = next(mutant for mutant in MUTANTS if mutant.id == identity)
    return work(mutant, strategy, first, seconds)


@dataclass(slots=True)
class _Turn:
    """Where a mutant stands in the rotation."""

    case: Case
    strategies: list[str]
    next: int = 0
    """The index of the strategy whose turn it is."""
    attempts: dict[str, int] = field(default_factory=dict)
    slice_s: float = FIRST_SLICE_S
    is_busy: bool = False

    @property
    def seconds(self) -> float:
        return sum(effort.seconds for effort in self.case.efforts.values())

    def open_strategies(self) -> list[str]:
        """What may still find something."""
        efforts = self.case.efforts
        over = [name for name, effort in efforts.items() if effort.exhausted or effort.kill]
        return [name for name in self.strategies if name not in over]

    def choose(self) -> str:
        """The strategy whose turn it is."""
        names = self.open_strategies()
        name = names[self.next % len(names)]
        self.next += 1
        if self.next % len(names) == 0:
            self.slice_s = min(2 * self.slice_s, LONGEST_SLICE_S)
        return name


class Campaign:
    """One run of the zoo; `cases` is the outcome so far at any time."""

    def __init__(
        self, mutants: Iterable[Mutant], strategies: Sequence[str], *, is_exhaustive: bool = False
    ) -> None:
        self.strategies = tuple(strategies)
        self.cases = [Case(mutant) for mutant in mutants if not mutant.equivalent]
        self._is_exhaustive = is_exhaustive
        self._turns = {
            case.mutant.id: _Turn(
                case, [name for name in strategies if BY_NAME[name].fits(case.mutant)]
            )
            for case in self.cases
        }

    def run(self, budget_s: float, workers: int, told: Told = lambda case, slice_: None) -> None:
        """Hunt until all are killed, nothing is left to try, or the budget is spent."""
        end = time.monotonic() + budget_s
        running: dict[Future[Slice], _Turn] = {}
        pool = ProcessPoolExecutor(workers, mp_context=get_context("forkserver"))
        try:
            while True:
                while len(running) < workers and time.monotonic() < end:
                    turn = self._next()
                    if turn is None:
                        break
                    running[self._start(pool, turn, end)] = turn
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    turn = running.pop(future)
                    self._took(turn, future.result())
                    told(turn.case, future.result())
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

    def _start(self, pool: ProcessPoolExecutor, turn: _Turn, end: float) -> Future[Slice]:
        name = turn.choose()
        turn.is_busy = True
        seconds = max(0.05, min(turn.slice_s, end - time.monotonic()))
        first = turn.attempts.get(name, 0)
        return pool.submit(work_on, turn.case.mutant.id, name, first, seconds)

    def _took(self, turn: _Turn, slice_: Slice) -> None:
        turn.is_busy = False
        how = BY_NAME[slice_.strategy]
        effort = turn.case.efforts.setdefault(slice_.strategy, Effort())
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
        """Whether every mutant was found, and the protocols themselves had no findings."""
        killed, count = self.score
        return killed == count and not any(case.unsound for case in self.cases)
