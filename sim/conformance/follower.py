"""A single plugin that is led by hand: its questions are answered, and what it says is kept."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from consensus.interface import (
    Broadcast,
    Consensus,
    Context,
    Decide,
    DecisionReceived,
    Effect,
    Event,
    Fetch,
    Now,
    PayloadReady,
    Received,
    Recovery,
    RequestPayload,
    Root,
    Send,
    SetTimer,
    Start,
    Tell,
    Timer,
    TimerFired,
    Validate,
    ValueReceived,
    Verdict,
)
from ledger.value import Value

NOW = Now(1_000, 1_700_000_000_000)


class Follower:
    """A new plugin, and the replica's part: verdicts are favourable, payloads empty."""

    def __init__(self, protocol: type[Consensus], context: Context, me: int | None) -> None:
        root = Root(b"", (0,), 0)
        self.plugin = protocol(replace(context, me=me), Recovery(root, None, ()))
        self.said: list[Effect] = []
        """Whatever it sent."""
        self.decided: list[Value] = []
        self._known: dict[bytes, Value] = {}
        self._timers: dict[Timer, None] = {}
        self._events: deque[Event] = deque()
        self.give(Start())

    def give(self, event: Event) -> None:
        """Let it take an event, and the answers to what it asks then."""
        self._events.append(event)
        while self._events:
            event = self._events.popleft()
            self._keep(event)
            for effect in self.plugin.step(NOW, event):
                self._serve(effect)

    def ring(self) -> None:
        """Fire every timer that runs."""
        timers, self._timers = self._timers, {}
        for timer in timers:
            self.give(TimerFired(timer))

    def _keep(self, event: Event) -> None:
        values: tuple[Value, ...] = ()
        if isinstance(event, Received):
            values = event.signed.message.values()
        elif isinstance(event, DecisionReceived):
            values = (*event.values, *event.proof.values)
        self._known.update((value.digest, value) for value in values)

    def _serve(self, effect: Effect) -> None:
        if isinstance(effect, Broadcast | Send | Tell):
            self.said.append(effect)
        elif isinstance(effect, Decide):
            self.decided += effect.values
        elif isinstance(effect, SetTimer):
            self._timers[effect.timer] = None
        elif isinstance(effect, Validate):
            self._events.append(Verdict(effect.value, True))
        elif isinstance(effect, RequestPayload):
            self._events.append(PayloadReady(effect.slot, ()))
        elif isinstance(effect, Fetch) and effect.value in self._known:
            self._events.append(ValueReceived(self._known[effect.value]))
