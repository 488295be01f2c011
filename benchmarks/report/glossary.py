"""Every figure by name: its title, unit and definition, from glossary.toml beside this file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("glossary.toml")
NEVER = frozenset({"sustained_s", "heal_s", "quorum_block_s", "first_block_s"})
"""Figures that are absent because what they wait for never came."""


@dataclass(frozen=True, slots=True)
class Figure:
    """How a figure is called, written and judged."""

    name: str
    """As in results.csv."""
    title: str
    unit: str
    digits: int
    better: int
    """1 where more is better, -1 where less is, 0 where neither."""
    meaning: str


def _read() -> dict[str, Figure]:
    table = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {
        name: Figure(name, **{**row, "meaning": " ".join(row["meaning"].split())})
        for group in table.values()
        for name, row in group.items()
    }


ALL = _read()


def text_of(figure: Figure, value: float | None) -> str:
    """A value as it stands in a table."""
    if value is None:
        return "never" if figure.name in NEVER else "–"
    scaled = value * 100 if figure.unit == "%" else value
    return f"{scaled:,.{figure.digits}f}"
