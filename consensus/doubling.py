"""Timers that double: what protocols add up to say how fast they recover (`recovery_bound_ms`)."""

from __future__ import annotations


def growing_ms(first_ms: int, enough_ms: int, *, each: int = 1) -> int:
    """What timers take that are too short for a view, from the first one on.

    So many views in a row (`each`) have timers of one length; from `enough_ms` on they suffice.
    """
    spent_ms = 0
    while first_ms < enough_ms:
        spent_ms += each * first_ms
        first_ms *= 2
    return spent_ms


def failing_ms(
    timeout_ms: int, longest_ms: int, *, views: int, between_ms: int, each: int = 1
) -> int:
    """What so many views take that all fail after one whose timer took timeout_ms.

    After each timer it takes between_ms until everybody is in the next view.
    """
    spent_ms = 0
    for number in range(views):
        if number % each == 0:
            timeout_ms = min(2 * timeout_ms, longest_ms)
        spent_ms += timeout_ms + between_ms
    return spent_ms
