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
