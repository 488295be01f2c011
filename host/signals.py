"""Stopping cleanly: signals, a parent that is gone, and one error out of a group."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import trio

from ledger.errors import LedgerError

PARENT_CHECK_S = 0.5


class Stopped:
    """Which signal, if any, ended the run."""

    def __init__(self) -> None:
        self.signal: int | None = None


async def until_stopped(main: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """Run main until it ends, or SIGINT or SIGTERM cancels it; its result, or None.

    Raises KeyboardInterrupt after SIGINT has stopped everything, so that the exit code says so.
    """
    stopped = Stopped()
    result: Any = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch_signals, nursery.cancel_scope, stopped)
        result = await main(*arguments)
        nursery.cancel_scope.cancel()
    if stopped.signal == signal.SIGINT:
        raise KeyboardInterrupt
    return result


async def _watch_signals(scope: trio.CancelScope, stopped: Stopped) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            stopped.signal = number
            scope.cancel()


async def watch_parent(parent: int, scope: trio.CancelScope) -> None:
    """Cancel when the process that started this one is gone, however it went."""
    while os.getppid() == parent:  # noqa: ASYNC110 (no event tells of it on every system)
        await trio.sleep(PARENT_CHECK_S)
    scope.cancel()


@contextlib.contextmanager
def one_error() -> Iterator[None]:
    """Of a group of errors of this project, the first: one line for the user."""
    try:
        yield
    except BaseExceptionGroup as group:
        known, other = group.split(LedgerError)
        if known is None or other is not None:
            stop, rest = group.split(KeyboardInterrupt)
            if stop is not None and rest is None:
                raise KeyboardInterrupt from None
            raise
        first: BaseException = known
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
