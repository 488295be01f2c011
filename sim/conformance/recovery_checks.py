"""Checks of recovery: crashes at every write, amnesia behind a decision, and lost first copies."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from consensus.interface import Consensus, Signed
from sim.conformance.checks import Check, Play, findings, played
from sim.conformance.recording import fair_scenario, messages
from sim.conformance.subject import Subject
from sim.plugin_step import Packet
from sim.plugins import Crash, PluginScenario, Script

CRASHES_MS = range(2, 42)
"""A fair run with short intervals takes about this long: a crash at every millisecond of it."""


def crash_checks(subject: Subject) -> list[Check]:
    """One seat, then all of them, crash at every write boundary of a busy run."""
    busy = replace(fair_scenario(subject), payloads=4, payload_max=1, interval_ms=5)
    checks = []
    for at_ms in CRASHES_MS:
        for boundary in ("before", "after", "amid"):
            for seat in range(4) if boundary == "after" else (at_ms % 4,):
                crash = Crash(seat, at_ms, at_ms + 30, boundary)
                label = f"seat {seat} crashes {boundary} its write at {at_ms} ms"
                scenario = replace(busy, crashes=(crash,), stable_ms=at_ms + 31)
                checks.append(Check("recovery", "RECOVER-1", label, played(scenario)))
    for at_ms in CRASHES_MS:
        crashes = tuple(Crash(seat, at_ms, at_ms + 100) for seat in range(4))
        scenario = replace(busy, crashes=crashes, stable_ms=at_ms + 101)
        label = f"all crash at {at_ms} ms, and what was on its way is lost"
        checks.append(Check("recovery", "RECOVER-2", label, played(scenario)))
        for gone in range(4) if subject.withstands_crashes else ():
            lasting = replace(scenario, crashes=tuple(
                replace(crash, until_ms=None) if crash.seat == gone else crash for crash in crashes
            ))  # fmt: skip
            checks.append(Check("recovery", "RECOVER-2", f"{label}; seat {gone} stays down",
                                played(lasting)))  # fmt: skip
    return checks


HEALED_MS = 6_000
"""When the links of the lossy runs stop losing first copies."""


def again_checks(subject: Subject) -> list[Check]:
    """The first copies of everything are lost for a while; what is said again arrives."""
    checks = []
    for count in (1, 2):
        label = f"the first {count} of everything are lost"
        checks.append(Check("recovery", "PACE-1", label, _lossy(subject, partial(_always, count))))
    for seed in range(24 * subject.depth):
        label = f"the first copies are lost for some, seed {seed}"
        checks.append(Check("recovery", "PACE-1", label, _half_lossy(subject, seed)))
    return checks


Copies = Callable[..., int]
"""(sender, receiver, key) -> how many copies of this are lost."""


class LossyScript(Script):
    """A world that loses the first copies of what one seat says to another, until it heals."""

    def __init__(self, scenario: PluginScenario, copies: Copies) -> None:
        super().__init__(scenario)
        self._copies = copies
        self._left: dict[tuple[int, int, object], int] = {}
        self.allow = self._is_carried

    def _is_carried(self, sender: int, receiver: int, packet: Packet) -> bool:
        if self.agenda.now_ms >= HEALED_MS:
            return True
        key = (sender, receiver, name_of(packet))
        left = self._left.setdefault(key, self._copies(*key))
        self._left[key] = left - 1
        return left <= 0


def name_of(packet: Packet) -> object:
    """What makes two packets copies of one."""
    if isinstance(packet, bytes):
        return packet
    if isinstance(packet, Signed):
        return packet.message.statement()
    return type(packet).__name__, packet.phase, packet.slot


def _lossy(subject: Subject, copies: Copies, parameters: tuple[tuple[str, int], ...] = ()) -> Play:
    def play(protocol: type[Consensus]) -> list[str]:
        scenario = replace(
            fair_scenario(subject),
            protocol=protocol,
            payloads=3,
            parameters=parameters,
            stable_ms=HEALED_MS,
        )
        return findings(LossyScript(scenario, copies).run())

    return play


def _always(count: int, sender: int, receiver: int, key: object) -> int:
    return count


def _half_lossy(subject: Subject, seed: int) -> Play:
    """Who misses what follows from the seed alone, whatever the order of events."""

    def copies(sender: int, receiver: int, key: object) -> int:
        drawn = zlib.crc32(f"{seed} {sender} {receiver} {key}".encode())
        return (0, 0, 1, 2, 5)[drawn % 5]

    return _lossy(subject, copies, subject.hasty if seed % 2 else ())


DEAF_MS = 150
"""For so long nobody hears anybody, so that the decision does not come in the first slot."""
DECIDES_WITHIN_MS = 1_000
FORGETTING_ENDS_MS = 4_000


def promise_checks(subject: Subject) -> list[Check]:
    """One seat decides and is cut off; all others restart: what it relied on must still hold.

    Where liars are withstood, one of the others is a liar: it is gone, and a twin that knows
    nothing takes its place.
    """
    if not subject.withstands_crashes:
        return []
    phases = sorted({message.statement()[0] for message in messages(subject)})
    checks = []
    for phase in ("", *phases):
        for lonely in range(4):
            others = [seat for seat in range(4) if seat != lonely]
            for liar in others if subject.withstands_liars else [None]:
                label = f"seat {lonely} decides, it alone hears {phase or 'no more'}, {liar} lies"
                play = _lonely_decision(subject, lonely, liar, phase)
                checks.append(Check("recovery", "RECOVER-3", label, play))
        if not phase:
            checks += _later_checks(subject)
    return checks


def _later_checks(subject: Subject) -> list[Check]:
    """The same about the second decision: what was durable before the first does not help."""
    liar = None
    checks = []
    for lonely in range(4):
        if subject.withstands_liars:
            liar = (lonely + 1) % 4
        label = f"seat {lonely} decides again, {liar} lies"
        play = _lonely_decision(subject, lonely, liar, "", decided=1)
        checks.append(Check("recovery", "RECOVER-3", label, play))
    return checks


def _lonely_decision(
    subject: Subject, lonely: int, liar: int | None, phase: str, *, decided: int = 0
) -> Play:
    """The decision after so many that everybody has."""
    twin = 4

    def play(protocol: type[Consensus]) -> list[str]:
        scenario = replace(
            fair_scenario(subject),
            protocol=protocol,
            payloads=0,
            withhold=1_000,
            twins=() if liar is None else (liar,),
            parameters=subject.hasty,
            stable_ms=FORGETTING_ENDS_MS,
        )
        script = Script(scenario)
        one = script.seats[lonely]
        for number in range(decided):
            script.submit(bytes([16 + number]) * 32)
            script.run_until(lambda: all(seat.log for seat in script.seats), limit_ms=DEAF_MS)
        before, deaf_until_ms = len(one.log), script.agenda.now_ms + DEAF_MS

        def is_carried(sender: int, receiver: int, packet: Packet) -> bool:
            if script.agenda.now_ms < deaf_until_ms:
                return False
            if len(one.log) > before:
                return not {lonely, liar} & {sender, receiver}
            said = packet.message.statement()[0] if isinstance(packet, Signed) else None
            return twin not in (sender, receiver) and (said != phase or receiver == lonely)

        script.allow = is_carried
        script.run_ms(5)
        script.submit(b"\x01" * 32, *range(4))
        if not script.run_until(lambda: one.durable > before, limit_ms=DECIDES_WITHIN_MS):
            return []
        others = [seat for seat in range(4) if seat not in (lonely, liar)]
        for seat in others:
            script.crash(seat)
        script.run_ms(20)
        for seat in others:
            script.restart(seat)
        script.submit(b"\x02" * 32)
        script.run_ms(max(0, FORGETTING_ENDS_MS - script.agenda.now_ms))
        script.allow = None
        script.submit(b"\x03" * 32)
        return findings(script.run())

    return play
