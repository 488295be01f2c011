"""The chart of a run for a terminal: one row an event, one column a validator.

    time ms   v0   v1   v2   v3
        5.5   <    <    <    o    proposal 1/0 #1
        9.7   o    >    >    x    prevote 1/0 #1

Colours are the host's: each row says what kind of thing it tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sim.record import Fact, Fate, Passage, Recording, Saying

COLUMNS_MIN = 80
ROWS_MAX = 200
"""Unless the caller says otherwise."""
_HEAD_ROWS = 12
"""Rows of the beginning that stay where a violation is what the chart is about."""
_TAIL_ROWS = 4
"""Rows that stay after the first violation."""
_TIME_COLUMNS = 10
_WORDS_COLUMNS_MIN = 24
_SYMBOLS = {
    "booted": "^", "crashed": "X", "robbed": "X", "stopped": "X", "paused": "=", "resumed": "^",
    "entered": "+", "locked": "L", "timeout": "T", "quorum": "Q", "certificate": "q",
    "certified": "C", "accused": "A", "note": "*",
}  # fmt: skip
_RANKS = {
    "violated": 0, "decided": 0, "crashed": 0, "robbed": 0, "stopped": 0, "accused": 0,
    "certificate": 2, "certified": 2, "note": 2,
}  # fmt: skip
_USUAL_RANK = 1
_ROUTINE_RANK = 3
_LEGEND = (
    "o said to < > heard by   x lost   ~ still under way   | up   : paused",
    "^ up again   X down   = paused   T timeout   + new round or view   L locked",
    "Q has a quorum   q was shown a certificate   C certified   A accused   * noted",
    "#1 decided that value: two different ones beside the same number are a fork",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the chart."""

    kind: str
    """The kind of its fact; "said", "fault", "elided", "head" or "legend" for the others."""
    text: str


@dataclass(frozen=True, slots=True)
class _Event:
    at_us: int
    order: int
    rank: int
    row: Callable[[list[str]], tuple[str, list[str], str]]
    """Column marks of the moment -> (kind, cells, words)."""
    fact: Fact | None = None


def chart(
    recording: Recording, *, columns: int = COLUMNS_MIN, rows_max: int = ROWS_MAX
) -> list[Row]:
    """The rows of a recording, at most rows_max beside head and legend, columns wide or wider.

    Where there are more events than rows, those that only repeat go first, then small print, then
    a stretch of time; the first violation always stays.
    """
    lines = recording.lines
    width = 5 if len(lines) <= 6 else 4 if len(lines) <= 10 else 3
    words_at = _TIME_COLUMNS + width * len(lines) + 1
    words_columns = max(_WORDS_COLUMNS_MIN, columns - words_at)
    events = sorted(_events(recording), key=lambda event: (event.at_us, event.order))
    kept = _choose(events, rows_max)
    alive = [" "] * len(lines)
    rows = [Row("head", _head([line.name for line in lines], width))]
    for index, event in enumerate(events):
        kind, cells, words = event.row(alive)
        if event.fact is not None:
            _live(alive, event.fact)
        if index not in kept:
            continue
        if kept[index]:
            rows.append(_elided(kept[index]))
        time = f"{event.at_us / 1_000:.1f}".rjust(_TIME_COLUMNS - 2)
        marks = "".join(_fit(cell, width) for cell in cells)
        first, *more = _wrap(words, words_columns) if kind == "violated" else [
            _cut(words, words_columns)
        ]  # fmt: skip
        rows.append(Row(kind, f"{time}  {marks} {first}".rstrip()))
        rows += [Row(kind, " " * words_at + part) for part in more]
    rest = len(events) - 1 - max(kept, default=-1)
    if any(event.rank < _ROUTINE_RANK for event in events[len(events) - rest :]):
        rows.append(_elided(rest))
    return rows + _legend(recording, columns)


def _head(names: list[str], width: int) -> str:
    """Names of the columns; v10 is 10 where columns are narrow."""
    shown = [name[1:] if width <= len(max(names, key=len)) else name for name in names]
    head = "time ms".rjust(_TIME_COLUMNS - 2) + "  "
    return (head + "".join(_fit(name, width) for name in shown)).rstrip()


def _elided(count: int) -> Row:
    return Row("elided", f"{'...':>{_TIME_COLUMNS - 2}}  {count} more events")


def _legend(recording: Recording, columns: int) -> list[Row]:
    roles = [f"{line.name} is {_role(line.role)}" for line in recording.lines if line.role]
    values = [
        f"#{number} is {words}"
        for number, words in enumerate(_decided_values(recording), 1)
        if words
    ]
    return [Row("legend", _cut(line, columns)) for line in (*_LEGEND, *roles, *values)]


def _role(role: str) -> str:
    return "one of twins under one key" if role == "twin" else f"an attacker ({role})"


def _decided_values(recording: Recording) -> list[str]:
    """What each value is, where somebody decided it and there are few of them."""
    decided = {fact.value for fact in recording.facts if fact.kind == "decided"}
    if len(decided) > 8:
        return []
    return [words if n in decided else "" for n, words in enumerate(recording.values)]


# --- events ---------------------------------------------------------------------------------------


def _events(recording: Recording) -> Iterable[_Event]:
    order = 0
    copies: dict[int, list[Passage]] = {}
    for passage in recording.passages:
        copies.setdefault(passage.saying, []).append(passage)
    for number, saying in enumerate(recording.sayings):
        order += 1
        rank = _ROUTINE_RANK if saying.is_again else _USUAL_RANK
        row = _row_of_saying(saying, copies.get(number, []))
        yield _Event(saying.at_us, order, rank, row)
    for fact in recording.facts:
        order += 1
        rank = _ROUTINE_RANK if fact.is_routine else _RANKS.get(fact.kind, _USUAL_RANK)
        yield _Event(fact.at_us, order, rank, _row_of_fact(recording, fact), fact)
    for span in recording.spans:
        for at_us, what in ((span.from_us, "begins"), (span.until_us, "is over")):
            if at_us <= recording.end_us:
                order += 1
                yield _Event(at_us, order, _USUAL_RANK, _row_of_span(f"{span.words} {what}"))


def _row_of_saying(
    saying: Saying, copies: list[Passage]
) -> Callable[[list[str]], tuple[str, list[str], str]]:
    def row(alive: list[str]) -> tuple[str, list[str], str]:
        cells = list(alive)
        cells[saying.line] = "o"
        for passage in copies:
            toward = ">" if passage.receiver > saying.line else "<"
            mark = {Fate.ARRIVED: toward, Fate.LOST: "x", Fate.UNDER_WAY: "~"}[passage.fate]
            cells[passage.receiver] = mark
        return "said", cells, saying.label + (" again" if saying.is_again else "")

    return row


def _row_of_fact(
    recording: Recording, fact: Fact
) -> Callable[[list[str]], tuple[str, list[str], str]]:
    def row(alive: list[str]) -> tuple[str, list[str], str]:
        cells = list(alive)
        if fact.line is None:
            return fact.kind, ["!"] * len(cells), fact.words
        name = recording.lines[fact.line].name
        if fact.kind == "decided" and fact.value is not None:
            cells[fact.line] = f"#{fact.value + 1}"
        else:
            cells[fact.line] = _SYMBOLS.get(fact.kind, "*")
        return fact.kind, cells, f"{name} {fact.words}"

    return row


def _row_of_span(words: str) -> Callable[[list[str]], tuple[str, list[str], str]]:
    def row(alive: list[str]) -> tuple[str, list[str], str]:
        return "fault", ["-"] * len(alive), words

    return row


def _live(alive: list[str], fact: Fact) -> None:
    """Change what the column of a validator looks like between events."""
    if fact.line is None:
        return
    if fact.kind in ("booted", "resumed"):
        alive[fact.line] = "|"
    elif fact.kind == "paused":
        alive[fact.line] = ":"
    elif fact.kind in ("crashed", "stopped"):
        alive[fact.line] = " "


# --- choosing and fitting -------------------------------------------------------------------------


def _choose(events: list[_Event], rows_max: int) -> dict[int, int]:
    """Index of each event that is shown -> how many events in a row were left out before it.

    Repetitions and small print that are left out all along make no gap in the story.
    """
    limit = _ROUTINE_RANK
    chosen = [n for n, event in enumerate(events) if event.rank < limit]
    if len(chosen) > rows_max:
        limit = _RANKS["note"]
        chosen = [n for n in chosen if events[n].rank < limit]
    if len(chosen) > rows_max:
        chosen = _window(events, chosen, rows_max)
    kept = {}
    before = -1
    for n in chosen:
        is_gap = any(event.rank < limit for event in events[before + 1 : n])
        kept[n] = n - before - 1 if is_gap else 0
        before = n
    return kept


def _window(events: list[_Event], chosen: list[int], rows_max: int) -> list[int]:
    """The beginning, and what leads to the first violation; without one, the end."""
    head = min(_HEAD_ROWS, rows_max // 3)
    broken = (
        place
        for place, n in enumerate(chosen)
        if (fact := events[n].fact) is not None and fact.kind == "violated"
    )
    stop = min(len(chosen), next(broken, len(chosen)) + _TAIL_ROWS)
    start = max(0, stop - (rows_max - head))
    return chosen[: min(head, start)] + chosen[start:stop]


def _fit(cell: str, width: int) -> str:
    return cell[: width - 1].ljust(width)


def _wrap(words: str, columns: int) -> list[str]:
    """The words in lines of this width, broken between words."""
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > columns:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".lstrip()
    return lines


def _cut(words: str, columns: int) -> str:
    return words if len(words) <= columns else words[: columns - 3] + "..."
