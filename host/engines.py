"""Where the chunks of a hunt are played: processes of this machine, or a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from host.commands.sim import begin_process
from ledger.errors import UnreachableError, UserError

P = ParamSpec("P")
T = TypeVar("T")
CONNECT_S = 3
ENDING_S = 5
Engine = tuple[Executor, int]
"""(who plays, how many chunks at a time)."""


class Inline(Executor):
    """Does everything at once, in this process."""

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:  # fmt: skip
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@contextmanager
def local_engine(workers: int) -> Iterator[Engine]:
    """This many processes; one plays in this one."""
    if workers == 1:
        yield Inline(), 1
        return
    others, threads = multiprocessing.active_children(), threading.enumerate()
    pool = ProcessPoolExecutor(workers, initializer=begin_process)
    try:
        _start(pool)
        yield pool, workers
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        # Whatever they still play interests nobody; a run that never falls silent takes minutes.
        for child in multiprocessing.active_children():
            if child not in others:
                child.terminate()
        # Python 3.11 wakes the pool's own thread once more at its end, and prints a traceback where
        # that closes its pipe at this moment.
        for thread in threading.enumerate():
            if thread not in threads and not thread.daemon:
                thread.join(ENDING_S)


def _start(pool: ProcessPoolExecutor) -> None:
    """Fork the workers while Ctrl-C waits: amid a fork Python would print it and go on."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        pool.submit(os.getpid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def dask_engine(address: str) -> Iterator[Engine]:
    """The workers of a Dask cluster.

    Raises UserError where Dask is not installed, UnreachableError where no scheduler answers.
    """
    try:
        import distributed
    except ImportError:
        raise UserError("--scheduler needs Dask: pip install 'ledger-node[distributed]'") from None
    connect: Any = distributed.Client
    try:
        client: Any = connect(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise UnreachableError(f"no Dask scheduler answers at {address}: {error}") from None
    try:
        threads: dict[str, Any] = client.nthreads()
        if not threads:
            raise UnreachableError(f"the Dask cluster at {address} has no workers")
        yield client.get_executor(), sum(threads.values())
    finally:
        client.close()
