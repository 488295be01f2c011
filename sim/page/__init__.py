"""A page with the space-time diagram of one run, or of several to compare: one file, no network.

Markup, style and script are package data beside this file; the runs go in as JSON.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from sim.record import Fate, Recording

SCRIPTS = ("model.js", "scale.js", "draw.js", "marks.js", "panel.js", "page.js")
"""In the order in which they are put together."""
_FATES = {Fate.ARRIVED: 0, Fate.LOST: 1, Fate.UNDER_WAY: 2}


@dataclass(frozen=True, slots=True)
class Shown:
    """One run on a page."""

    name: str
    """What tells it from the other runs of the page."""
    story: str
    """What there is to see, in a few sentences; may be empty."""
    recording: Recording


def page(recording: Recording) -> str:
    """The page of one run."""
    return pages(f"A run of {recording.protocol}", [Shown("run", "", recording)])


def pages(title: str, runs: Sequence[Shown]) -> str:
    """The page of some runs, of which it shows one at a time."""
    text = _data("page.html")
    script = "\n".join(_data(name) for name in SCRIPTS)
    parts = {
        "@TITLE@": html.escape(title),
        "@STYLE@": _data("page.css"),
        "@DATA@": embedded({"title": title, "runs": [_run(shown) for shown in runs]}),
        "@SCRIPT@": f'(() => {{\n"use strict";\n{script}}})();',
    }
    # One pass, so that nothing in the data is taken for a place to fill.
    pieces = text.split("@@")
    return "".join(parts.get(f"@{piece}@", piece) for piece in pieces)


def embedded(value: object) -> str:
    """JSON that no text inside can end: neither the script element nor a comment."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


class _Texts:
    """Every text once, by its number."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))


def _run(shown: Shown) -> dict[str, Any]:
    """One run in short rows; `model.js` gives the columns their names back."""
    recording, text = shown.recording, _Texts()
    kinds = recording.kinds
    sayings = [
        (
            one.at_us, one.line, kinds.index(one.kind), _number(one.value),
            text(one.label), text(one.words), int(one.is_again),
        )
        for one in recording.sayings
    ]  # fmt: skip
    passages = [
        (
            one.saying, one.receiver, one.sent_us, _number(one.ended_us),
            _FATES[one.fate], text(one.why),
        )
        for one in recording.passages
    ]  # fmt: skip
    facts = [
        (
            one.at_us, _number(one.line), text(one.kind), _number(one.value), text(one.words),
            int(one.is_routine), one.fields,
        )
        for one in recording.facts
    ]  # fmt: skip
    spans = [
        (one.kind, one.from_us, min(one.until_us, recording.end_us), one.lines, one.words)
        for one in recording.spans
        if one.from_us <= recording.end_us
    ]
    return {
        "name": shown.name,
        "story": shown.story,
        "about": recording.about,
        "lines": [(line.name, line.role) for line in recording.lines],
        "values": recording.values,
        "kinds": kinds,
        "sayings": sayings,
        "passages": passages,
        "facts": facts,
        "spans": spans,
        "end": recording.end_us,
        "texts": list(text.numbers),
    }


def _number(value: int | None) -> int:
    return -1 if value is None else value
