"""The page as a file: whole, self-contained, and safe whatever a run says."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from consensus.protocols.tendermint import Tendermint
from sim.page import Shown, embedded, page, pages
from sim.record import Fate, Recording
from tests.consensus.mutants_tendermint import IgnoresLock
from tests.pictures import lock_page, lock_run

EVIL = '</script><script>alert(1)</script><!-- &lt; " \u2028'


class Reader(HTMLParser):
    """Collects elements, the data, and every address that a browser would load."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data = ""
        self._is_data = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._is_data = dict(attrs).get("id") == "data"

    def handle_data(self, data: str) -> None:
        if self._is_data:
            self.data += data

    def handle_endtag(self, tag: str) -> None:
        self._is_data = False


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    return reader


@pytest.fixture(scope="module")
def forked() -> Recording:
    return lock_run(IgnoresLock)


def test_the_page_holds_the_whole_recording(forked: Recording) -> None:
    (run,) = json.loads(read(page(forked)).data)["runs"]

    assert len(run["sayings"]) == len(forked.sayings)
    assert len(run["facts"]) == len(forked.facts)
    assert [row[4] for row in run["passages"]].count(1) == sum(
        passage.fate is Fate.LOST for passage in forked.passages
    )
    said = forked.sayings[3]
    row = run["sayings"][3]
    assert (row[0], row[1], run["texts"][row[4]], run["texts"][row[5]]) == (
        said.at_us,
        said.line,
        said.label,
        said.words,
    )
    assert run["lines"][4] == ["v3'", "twin"]


def test_nothing_is_loaded_from_anywhere(forked: Recording) -> None:
    text = page(forked)
    tags = read(text).tags

    assert not any({"src", "href", "srcset", "data"} & set(attributes) for _, attributes in tags)
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttpRequest|WebSocket|import\(", text)
    policy = next(a["content"] for _, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_no_text_of_a_run_breaks_out_of_its_place(forked: Recording) -> None:
    text = pages(EVIL, [Shown(EVIL, EVIL, forked)])
    reader = read(text)

    assert [tag for tag, _ in reader.tags].count("script") == 2
    shown = json.loads(reader.data)["runs"][0]
    assert (shown["name"], shown["story"]) == (EVIL, EVIL)
    assert "<" not in embedded({"a": EVIL})
    assert json.loads(embedded({"a": EVIL})) == {"a": EVIL}


def test_the_teaching_page_holds_both_runs() -> None:
    runs = json.loads(read(lock_page()).data)["runs"]

    forks, holds = (
        [row for row in run["facts"] if run["texts"][row[2]] == "violated"] for run in runs
    )
    assert forks
    assert not holds
    assert [run["name"] for run in runs] == ["Without the lock rule", "With the lock rule"]


def test_equal_runs_make_equal_pages() -> None:
    assert page(lock_run(Tendermint)) == page(lock_run(Tendermint))


def colours(style: str, theme: str) -> dict[str, str]:
    """The named colours of a theme; the dark one changes some of the light ones."""
    light = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", style.split("}", 1)[0]))
    dark = re.search(r'\[data-theme="dark"\] \{(.*?)\}', style, re.DOTALL)
    assert dark is not None
    changed = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", dark[1]))
    return light if theme == "light" else {**light, **changed}


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read_against_what_is_behind_it(theme: str, forked: Recording) -> None:
    """Level AA: 4.5 to 1, also for the lines of messages, whose captions have their colour."""
    style = page(forked).split("<style>")[1].split("</style>")[0]
    named = colours(style, theme)
    pairs = [("ink", "ground"), ("soft", "ground"), ("bad", "ground"), ("split-ink", "ground")]
    pairs += [(f"k{number}", "ground") for number in range(6)]
    pairs += [("ink", "plate"), ("ink", "actor"), ("bad", "bad-ground"), ("good", "good-ground")]
    pairs += [("bad", "plate"), ("ground", "bad"), ("ground", "focus"), ("focus", "ground")]
    ratios = {pair: contrast(named[pair[0]], named[pair[1]]) for pair in pairs}
    for value, text in re.findall(r"\.(v\d) \{ --value: var\(--v\d\); --on: (#\w{6})", style):
        ratios[value, text] = contrast(named[value], text)

    assert len(ratios) == len(pairs) + 8
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}


def test_everything_that_can_be_pressed_has_a_name(forked: Recording) -> None:
    text = page(forked)

    buttons = re.findall(r"<button([^>]*)>(.*?)</button>", text.split("<script")[0], re.DOTALL)
    assert len(buttons) >= 11
    for attributes, inside in buttons:
        shown = re.sub(r"<[^>]*>", "", inside)
        assert re.search(r"[A-Za-z]{2}", shown) or "aria-label" in attributes
    assert 'role="status" aria-live="polite"' in text
    assert ":focus-visible" in text
