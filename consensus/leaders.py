"""Who leads: a function of the validator count and agreed numbers alone."""

from __future__ import annotations


def round_robin(size: int, number: int) -> int:
    """Index of the validator whose turn `number` is, of `size` validators that take turns."""
    assert size > 0
    assert number >= 0
    return number % size
