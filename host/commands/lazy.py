"""Groups of commands whose modules are imported when one is asked for, not when all are listed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """A group over a table of names and helps; the module of NAME is `host.commands.<prefix>NAME`.

    A table may name another module for a command: (help, module).
    """

    def __init__(
        self,
        *args: Any,
        table: Mapping[str, str | tuple[str, str]],
        prefix: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._table = table
        self._prefix = prefix

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._table:
            return None
        entry = self._table[cmd_name]
        name = f"{self._prefix}{cmd_name}" if isinstance(entry, str) else entry[1]
        command: click.Command = importlib.import_module(f"host.commands.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [
            (name, entry if isinstance(entry, str) else entry[0])
            for name, entry in self._table.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
