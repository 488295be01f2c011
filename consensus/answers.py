"""How often a validator answers a peer that asks again for what it lacks."""

from __future__ import annotations

from collections.abc import Hashable


class Answers:
    """What each peer was answered with lately.

    Who lost an answer asks again by a timer.  Who forgets at once what it is sent, and asks again,
    would keep everybody at work.
    """

    def __init__(self, rest_ms: int) -> None:
        self._rest_ms = rest_ms
        """So long a peer is not given the same again; shorter than the timer by which it asks."""
        self._given: dict[int, dict[Hashable, None]] = {}
        self._since_ms = 0

    def may_give(self, peer: int, what: Hashable, now_ms: int) -> bool:
        """Whether a peer was not given this just now; it counts as given from here on."""
        if now_ms - self._since_ms >= self._rest_ms:
            self._given, self._since_ms = {}, now_ms
        given = self._given.setdefault(peer, {})
        is_first = what not in given
        given[what] = None
        return is_first
