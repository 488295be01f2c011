"""Broken twins of any plugin, each in one place: what the suite must notice.

A twin counts how often it really differed from the plugin.  One that never did, such as one that
drops the records of a plugin that persists nothing, is no different plugin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from consensus.interface import (
    Broadcast,
    Certified,
    Consensus,
    Context,
    DecisionProof,
    Effect,
    Event,
    Message,
    Now,
    Persist,
    Recovery,
    Send,
    Start,
    Timer,
    TimerFired,
)
from ledger.validators import ValidatorSet, quorum_size
from ledger.value import Value


@dataclass(slots=True)
class Differences:
    """How often a twin differed from its original."""

    count: int = 0

    def add(self) -> None:
        self.count += 1


Make = Callable[[Any, Differences], type[Consensus]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A way to break a plugin."""

    name: str
    sentence: str
    """What the twin does wrong."""
    make: Make
    needs_liars: bool = False
    """Whether only a liar's doing shows it."""
    needs_patience: bool = False
    """Whether only slots that wait until they succeed show it: in lock step each is a new start,
    with new statements, and nothing that was said in an earlier one has to arrive."""


class _SmallerSet(ValidatorSet):
    """A validator set whose quorum is one too small, and that knows whether anybody looked."""

    __slots__ = ("_differences",)
    _differences: Differences

    def __init__(self, validators: ValidatorSet, differences: Differences) -> None:
        object.__setattr__(self, "_differences", differences)
        super().__init__(validators.members, validators.rule)

    @property
    def quorum(self) -> int:
        self._differences.add()
        return max(1, quorum_size(len(self.members), self.rule) - 1)

    @quorum.setter
    def quorum(self, _: int) -> None:
        pass


def _smaller_quorum(protocol: Any, differences: Differences) -> type[Consensus]:
    class SmallerQuorum(protocol):  # type: ignore[misc]
        def __init__(self, context: Context, recovery: Recovery) -> None:
            smaller = _SmallerSet(context.validators, differences)
            super().__init__(replace(context, validators=smaller), recovery)

        @classmethod
        def certificate_quorum(cls, phase: str, validators: ValidatorSet) -> int:
            smaller = _SmallerSet(validators, differences)
            quorum: int = super().certificate_quorum(phase, smaller)
            return quorum

    return SmallerQuorum


def _no_record(protocol: Any, differences: Differences) -> type[Consensus]:
    class NoRecord(protocol):  # type: ignore[misc]
        def __init__(self, context: Context, recovery: Recovery) -> None:
            if recovery.record is not None:
                differences.add()
            super().__init__(context, replace(recovery, record=None))

    return NoRecord


def _no_sent(protocol: Any, differences: Differences) -> type[Consensus]:
    class NoSent(protocol):  # type: ignore[misc]
        def __init__(self, context: Context, recovery: Recovery) -> None:
            if recovery.sent:
                differences.add()
            super().__init__(context, replace(recovery, sent=()))

    return NoSent


def _persists_once(protocol: Any, differences: Differences) -> type[Consensus]:
    class PersistsOnce(protocol):  # type: ignore[misc]
        def __init__(self, context: Context, recovery: Recovery) -> None:
            super().__init__(context, recovery)
            self.__has_persisted = recovery.record is not None

        def step(self, now: Now, event: Event) -> list[Effect]:
            kept: list[Effect] = []
            for effect in super().step(now, event):
                if isinstance(effect, Persist):
                    if self.__has_persisted:
                        differences.add()
                        continue
                    self.__has_persisted = True
                kept.append(effect)
            return kept

    return PersistsOnce


def _says_yes(protocol: Any, differences: Differences) -> type[Consensus]:
    class SaysYes(protocol):  # type: ignore[misc]
        def on_verdict(self, value: Value, valid: bool) -> None:
            if not valid:
                differences.add()
            super().on_verdict(value, True)

    return SaysYes


def _newest_first(protocol: Any, differences: Differences) -> type[Consensus]:
    class NewestFirst(protocol):  # type: ignore[misc]
        def decide(self, values: tuple[Value, ...], proof: DecisionProof) -> None:
            if len(values) > 1:
                differences.add()
            super().decide(tuple(reversed(values)), proof)

    return NewestFirst


def _deaf(kind: type) -> Make:
    def make(protocol: Any, differences: Differences) -> type[Consensus]:
        class Deaf(protocol):  # type: ignore[misc]
            def step(self, now: Now, event: Event) -> list[Effect]:
                if isinstance(event, kind):
                    differences.add()
                    return []
                effects: list[Effect] = super().step(now, event)
                return effects

        return Deaf

    return make


def _says_once(protocol: Any, differences: Differences) -> type[Consensus]:
    class SaysOnce(protocol):  # type: ignore[misc]
        def __init__(self, context: Context, recovery: Recovery) -> None:
            super().__init__(context, recovery)
            self.__sent: dict[Effect, None] = {}

        def step(self, now: Now, event: Event) -> list[Effect]:
            kept: list[Effect] = []
            for effect in super().step(now, event):
                if isinstance(effect, Broadcast | Send):
                    if effect in self.__sent:
                        differences.add()
                        continue
                    self.__sent[effect] = None
                kept.append(effect)
            return kept

    return SaysOnce


CHATTER_MS = 700


def _never_silent(protocol: Any, differences: Differences) -> type[Consensus]:
    class NeverSilent(protocol):  # type: ignore[misc]
        def step(self, now: Now, event: Event) -> list[Effect]:
            chatter = Timer("chatter", (0,))
            if isinstance(event, Start) or event == TimerFired(chatter):
                differences.add()
                self.set_timer(*chatter, CHATTER_MS)
            if event == TimerFired(chatter):
                event = Start()
            effects: list[Effect] = super().step(now, event)
            return effects

    return NeverSilent


def _speaks_anew(protocol: Any, differences: Differences) -> type[Consensus]:
    class SpeaksAnew(protocol):  # type: ignore[misc]
        def said(self, phase: str, slot: tuple[int, ...]) -> Message | None:
            if super().said(phase, slot) is not None:
                differences.add()
            return None

    return SpeaksAnew


MUTANTS = (
    Mutant("small-quorum", "counts one signature too few", _smaller_quorum),
    Mutant("no-record", "restarts without its record", _no_record),
    Mutant("no-sent", "restarts without what it said", _no_sent),
    Mutant("persists-once", "persists its first record, and no later one", _persists_once),
    Mutant("says-yes", "takes every value for valid", _says_yes, needs_liars=True),
    Mutant("newest-first", "hands decided values over newest first", _newest_first),
    Mutant("no-timers", "ignores its timers", _deaf(TimerFired)),
    Mutant("no-catch-up", "ignores certified roots", _deaf(Certified)),
    Mutant("says-once", "says nothing a second time", _says_once, needs_patience=True),
    Mutant("never-silent", "starts again and again while nothing is to do", _never_silent),
    Mutant("speaks-anew", "does not ask what it said before", _speaks_anew),
)
