"""A progress bar on standard error, for whatever takes longer than a second at a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from host.display import is_able_terminal

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE_S = 1.0
"""What is over sooner needs no bar."""
REFRESH_S = 0.1


class Bar:
    """How much of a known amount of work is done; silent where nobody watches."""

    def __init__(self, label: str, total: int, *, hidden: bool = False) -> None:
        self._label = label
        self._total = total
        self._hidden = hidden or not is_able_terminal(sys.stderr)
        self._shows_from = time.monotonic() + PATIENCE_S
        self._shown: Progress | None = None
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown is not None:
            self._shown.stop()

    def advance(self, count: int = 1, *, label: str | None = None) -> None:
        """This much more is done, and perhaps there is something new to say beside it."""
        self._done = min(self._total, self._done + count)
        self._label = label or self._label
        now = time.monotonic()
        if self._hidden or now < self._shows_from:
            return
        self._shows_from = now + REFRESH_S
        if self._shown is None:
            self._shown = _rich_progress()
            self._shown.start()
            self._shown.add_task(self._label, total=self._total)
        self._shown.update(
            self._shown.task_ids[0], completed=self._done, description=self._label, refresh=True
        )


def _rich_progress() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        auto_refresh=False,
    )
