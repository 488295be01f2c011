"""What the demo shows: lines of a story, and below them a table that moves where it can."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from host.display import (
    Row,
    is_able_terminal,
    is_rich_terminal,
    rich_table,
    table_lines,
    terminal_columns,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

LINE_COLUMNS_MAX = 100
NAME_COLUMNS = 11


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that was shown, or was not."""

    name: str
    holds: bool
    text: str
    """For people."""
    figures: dict[str, Any] = field(default_factory=dict)
    """For programs."""


class Screen:
    """Lines, facts and a table.  Without an able terminal all of it is plain text."""

    def __init__(self, *, quiet: bool) -> None:
        """`quiet` shows nothing: what happened is in `facts`."""
        self.facts: list[Fact] = []
        self.doing = ""
        """What is being waited for."""
        self._quiet = quiet
        self._started = time.monotonic()
        self._live: Live | None = None
        self._console: Console | None = None
        self._shown: list[str] = []

    @property
    def holds(self) -> bool:
        """Whether every fact holds."""
        return all(fact.holds for fact in self.facts)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._started

    def step(self, text: str) -> None:
        """Say what is being done now."""
        self.doing = text
        if self._live is None:
            self._line("", text, "")

    def note(self, text: str) -> None:
        """Say something by the way."""
        self._line("", text, "")

    def fact(self, name: str, text: str, *, holds: bool = True, **figures: Any) -> None:
        """Record and say that something was shown, or was not."""
        self.facts.append(Fact(name, holds, text, figures))
        self._line(name if holds else f"{name}!", text, "green" if holds else "red")

    def table(self, columns: Row, rows: Sequence[Row]) -> None:
        """Show where the nodes stand: in place where that is possible, else if it has changed."""
        if self._quiet:
            return
        if self._live is not None:
            from rich.console import Group
            from rich.text import Text

            doing = Text(
                f"{self.seconds:5.1f} s  {self.doing}",
                style="dim",
                no_wrap=True,
                overflow="ellipsis",
            )
            self._live.update(Group(rich_table(columns, rows), doing), refresh=True)
            return
        lines = table_lines(columns, rows, width=_width())
        if lines != self._shown:
            click.echo("\n".join(lines))
        self._shown = lines

    @contextmanager
    def moving(self) -> Iterator[bool]:
        """Keep the table in place at the bottom while inside; yields whether that is possible."""
        if self._quiet or not is_rich_terminal():
            yield False
            return
        from rich.console import Console
        from rich.live import Live

        self._console = Console(highlight=False)
        with Live(console=self._console, auto_refresh=False, redirect_stderr=False) as live:
            self._live = live
            try:
                yield True
            finally:
                self._live = None

    def summary(self, closing: Sequence[str]) -> None:
        """Every fact once more, and some last lines."""
        if self._quiet:
            return
        held = sum(fact.holds for fact in self.facts)
        click.echo("\nsummary")
        for fact in self.facts:
            mark = "ok    " if fact.holds else "FAILED"
            for line in _wrapped(f"  {mark}  {fact.name:<{NAME_COLUMNS}}", fact.text):
                self._echo(line, "" if fact.holds else "red")
        click.echo(f"{held} of {len(self.facts)} facts hold, {self.seconds:.1f} s")
        for line in closing:
            click.echo(line)

    def _echo(self, line: str, style: str) -> None:
        click.secho(line, fg=style) if style and is_able_terminal(sys.stdout) else click.echo(line)

    def _line(self, name: str, text: str, style: str) -> None:
        if self._quiet:
            return
        lines = _wrapped(f"{self.seconds:5.1f} s  {name:<{NAME_COLUMNS}}", text)
        if self._live is None or self._console is None:
            click.echo("\n".join(lines))
            return
        from rich.text import Text

        self._console.print(Text("\n".join(lines), style=style))


def _width() -> int:
    return min(terminal_columns(), LINE_COLUMNS_MAX)


def _wrapped(head: str, text: str) -> list[str]:
    """The text beside its head where there is room, else below it."""
    width = _width()
    room = width - len(head) - 1
    if room >= 30:
        first, *rest = textwrap.wrap(text, room) or [""]
        return [f"{head} {first}", *(f"{'':<{len(head)}} {line}" for line in rest)]
    return [head.rstrip(), *textwrap.wrap(text, max(20, width), initial_indent="  ",
                                          subsequent_indent="  ")]  # fmt: skip
