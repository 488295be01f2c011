"""Real Chromium over a page: its document after the script has run."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LIMIT_S = 60


def document(page: Path, fragment: str, *, width: int = 1400) -> str:
    """The page's markup, once it is drawn, at an address with this fragment."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom",
            f"--window-size={width},1000", f"--user-data-dir={page.parent / 'profile'}",
            f"{page.as_uri()}#{fragment}",
        ],
        capture_output=True,
        timeout=LIMIT_S,
        check=True,
    )  # fmt: skip
    return done.stdout.decode()


class Texts(HTMLParser):
    """The text of each element with an id, and the rows of each table by its id."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self.rows: dict[str, list[list[str]]] = {}
        self._open: list[str] = []
        self._table = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = dict(attrs).get("id")
        if name and tag in ("p", "span", "h1"):
            self._open.append(name)
            self.texts[name] = ""
        if tag == "table" and name:
            self._table = name
            self.rows[name] = []
        elif tag == "tr":
            self.rows[self._table].append([])
        elif tag in ("td", "th"):
            self.rows[self._table][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "h1") and self._open:
            self._open.pop()
        elif tag == "table":
            self._table = ""

    def handle_data(self, data: str) -> None:
        for name in self._open:
            self.texts[name] += data
        if self._table and self.rows[self._table] and self.rows[self._table][-1]:
            self.rows[self._table][-1][-1] += data
