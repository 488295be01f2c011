"""Tables and bars: for terminals that can show them, plain or silent for others."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Iterator
from typing import Any, TextIO

import pytest

from host import progress
from host.display import COLUMNS, is_able_terminal, status_row, table_lines
from host.progress import Bar

STATUS: dict[str, Any] = {
    "name": "validator0",
    "certified": 12,
    "slot": [13, 1],
    "leader": "",
    "applied": 40,
    "pending": 0,
    "peers": [{"connected": True}, {"connected": False}],
    "refusal": None,
    "catching_up": False,
    "voting": True,
}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, TextIO]]:
    """(what a person sees, the stream that writes to it)."""
    main, follower = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with os.fdopen(follower, "w") as stream:
        yield main, stream
    os.close(main)


def test_a_row_says_where_a_node_stands() -> None:
    row = status_row("http://127.0.0.1:1", STATUS)

    assert row == ("validator0", "12", "13.1", "-", "40", "0", "1/2", "voting")


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"voting": False}, "following"),
        ({"catching_up": True}, "catching up"),
        ({"refusal": "a disk was rolled back"}, "refuses to vote"),
    ],
)
def test_a_row_says_what_a_node_does(change: dict[str, Any], state: str) -> None:
    assert status_row("", STATUS | change)[-1] == state


def test_a_node_out_of_reach_is_named_by_its_address() -> None:
    row = status_row("http://127.0.0.1:1", None)

    assert (row[0], row[-1]) == ("127.0.0.1:1", "out of reach")


def test_a_narrow_table_spares_the_least_important_columns() -> None:
    row = status_row("", STATUS)

    wide = table_lines(COLUMNS, [row], width=100)
    narrow = table_lines(COLUMNS, [row], width=40)
    tiny = table_lines(COLUMNS, [row], width=10)

    assert wide[0].split() == list(COLUMNS)
    assert max(map(len, narrow)) <= 40
    assert {"node", "height", "state"} <= set(narrow[0].split())
    assert tiny[0].split() == ["node", "height", "state"]


def test_a_bar_shows_what_takes_long(
    terminal: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, stream = terminal
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "PATIENCE_S", 0.0)

    with Bar("counting", 2) as bar:
        bar.advance()

    stream.write("end of it\n")
    stream.flush()
    shown = b""
    while b"end of it" not in shown:  # A terminal hands over what it has, not what was written.
        shown += os.read(seen, 65_536)
    assert b"counting" in shown
    assert b"1/2" in shown


@pytest.mark.parametrize("hidden", [True, False])
def test_a_bar_is_silent_where_it_is_not_wanted_or_soon_over(
    terminal: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch, hidden: bool
) -> None:
    seen, stream = terminal
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "PATIENCE_S", 0.0 if hidden else 3600.0)

    with Bar("counting", 2, hidden=hidden) as bar:
        bar.advance()
    stream.write("end")
    stream.flush()

    assert os.read(seen, 65_536) == b"end"


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("NO_COLOR", "1")])
def test_a_terminal_may_be_asked_to_stay_plain(
    terminal: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    _, stream = terminal
    assert is_able_terminal(stream)

    monkeypatch.setenv(name, value)

    assert not is_able_terminal(stream)
