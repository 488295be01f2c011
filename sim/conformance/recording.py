"""Recorded lives: every event that a plugin took and every effect that it said, in whole runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from consensus.interface import (
    AnyCertificate,
    Broadcast,
    CertificateReceived,
    Consensus,
    Context,
    Decide,
    Effect,
    Event,
    Message,
    Now,
    Received,
    Recovery,
    Send,
)
from sim.conformance.subject import Subject
from sim.plugins import Crash, PluginScenario, PluginWorld, draw_scenario

HONEST_FAULTS = (
    "crash", "partition", "loss", "duplicate", "replay", "slow", "split", "withhold", "pause",
)  # fmt: skip

SAMPLES_A_KIND = 24


@dataclass(frozen=True, slots=True)
class Step:
    """One event and what followed."""

    now: Now
    event: Event
    effects: tuple[Effect, ...]


@dataclass(slots=True)
class RecordedLife:
    """One life of one plugin, from its start to its crash or the end."""

    context: Context
    recovery: Recovery
    steps: list[Step] = field(default_factory=list)

    def said(self) -> Iterator[Message | AnyCertificate]:
        """What it sent, in order, re-sends included."""
        for step in self.steps:
            for effect in step.effects:
                if isinstance(effect, Broadcast | Send):
                    yield effect.what

    def heard(self) -> Iterator[AnyCertificate]:
        """The certificates that it was given, bare or inside a message."""
        for step in self.steps:
            if isinstance(step.event, CertificateReceived):
                yield step.event.certificate
            elif isinstance(step.event, Received):
                yield from step.event.signed.message.certificates()

    def decisions(self) -> Iterator[Decide]:
        for step in self.steps:
            yield from (effect for effect in step.effects if isinstance(effect, Decide))


@dataclass(slots=True)
class Recording:
    """A run with all its lives."""

    world: PluginWorld
    lives: list[RecordedLife]


def recorded(protocol: type[Consensus], lives: list[RecordedLife]) -> type[Consensus]:
    """The protocol, unchanged but that each of its lives is added to `lives`."""

    class Recorded(protocol):  # type: ignore[valid-type, misc]
        def __init__(self, context: Context, recovery: Recovery) -> None:
            super().__init__(context, recovery)
            self.__life = RecordedLife(context, recovery)
            lives.append(self.__life)

        def step(self, now: Now, event: Event) -> list[Effect]:
            effects: list[Effect] = super().step(now, event)
            self.__life.steps.append(Step(now, event, tuple(effects)))
            return effects

    return Recorded


def record(scenario: PluginScenario) -> Recording:
    """Play a scenario to its end."""
    lives: list[RecordedLife] = []
    protocol = recorded(scenario.protocol, lives)
    world = PluginWorld(replace(scenario, protocol=protocol))
    world.run()
    return Recording(world, lives)


def fair_scenario(subject: Subject) -> PluginScenario:
    """No fault at all."""
    return PluginScenario(subject.protocol, rule=subject.rule, payloads=6)


@lru_cache(maxsize=4)
def corpus(subject: Subject) -> tuple[Recording, ...]:
    """Runs in which every kind of message is said: fair, with one validator down, with faults."""
    fair = fair_scenario(subject)
    scenarios = [fair]
    if subject.withstands_crashes:
        scenarios += [replace(fair, crashes=(Crash(seat, 3, None),)) for seat in range(4)]
    scenarios += [
        replace(
            draw_scenario(subject.protocol, seed, faults=HONEST_FAULTS, rule=subject.rule),
            parameters=subject.hasty,
        )
        for seed in range(8)
    ]
    return tuple(record(scenario) for scenario in scenarios)


def messages(subject: Subject) -> list[Message]:
    """Every message that the corpus holds, once, in the order of its first appearance."""
    said = (
        what
        for recording in corpus(subject)
        for life in recording.lives
        for what in life.said()
        if isinstance(what, Message)
    )
    return list(dict.fromkeys(said))


def samples(subject: Subject) -> list[Message]:
    """Some messages of every kind."""
    return [
        message
        for kind in subject.protocol.MESSAGES
        for message in [one for one in messages(subject) if type(one) is kind][:SAMPLES_A_KIND]
    ]


def lives(subject: Subject) -> list[RecordedLife]:
    """Every recorded life."""
    return [life for recording in corpus(subject) for life in recording.lives]
