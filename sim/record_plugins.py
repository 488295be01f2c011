"""Recording a run of bare plugins.

recorder = PluginRecorder()
report = run(PluginScenario(Tendermint, seed=7), recorder=recorder)
recording = recorder.recording()
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from consensus.interface import (
    Accuse,
    AnyCertificate,
    Broadcast,
    CertificateReceived,
    Certified,
    Effect,
    Event,
    Message,
    Note,
    Persist,
    Received,
    Send,
    Signed,
    TimerFired,
    Verdict,
)
from ledger.statement import Slot
from ledger.value import Value
from sim.plugin_scenario import MS, PluginScenario
from sim.record import Fate, Line, Notebook, Recording, Span
from sim.record_words import slot_text

if TYPE_CHECKING:
    from sim.plugins import PluginWorld

Packet = Signed | AnyCertificate | bytes
WITHHELD = "withheld by the schedule"
CUT = "cut off from the receiver"
LOST = "lost on the way"
DOWN = "the receiver was down"
AGAIN = "came again"
LATE = "was withheld, and released later"


class PluginRecorder:
    """What a world of bare plugins calls while somebody records it."""

    def __init__(self) -> None:
        self._sayings: dict[tuple[int, int], int] = {}
        """By the identity of a packet, which crosses links as it is, and its sender."""
        self._packets: list[Packet] = []
        """Kept, so that no identity is used twice."""
        self._pending: dict[tuple[int, int, int], deque[int]] = {}
        """By packet, sender and receiver: copies that are under way, oldest first."""
        self._last: dict[tuple[int, int, int], int] = {}
        self._stated: dict[tuple[int, str, Slot, bytes], None] = {}
        """(seat, phase, slot, value) of every statement that a step has made."""
        self._violations = 0

    def begin(self, world: PluginWorld) -> None:
        """A world is complete; nothing has happened in it."""
        scenario = world.scenario
        self._world = world
        self._book = Notebook(
            scenario.protocol, world.context.validators, lambda: world.agenda.now_us
        )
        self._book.lines += _lines(scenario)
        for partition in scenario.partitions:
            sides = " | ".join(
                " ".join(self._book.lines[seat].name for seat in group) or "nobody"
                for group in partition.groups
            )
            self._book.spans.append(
                Span("partition", partition.at_ms * MS, partition.until_ms * MS,
                     partition.groups[0] if partition.groups else (), f"partition: {sides}")
            )  # fmt: skip

    # --- what the world calls ---------------------------------------------------------------------

    def lived(self, seat: int, what: str) -> None:
        """A seat booted, crashed, paused or resumed."""
        self._look()
        self._book.happened(seat, what, what)

    def said(self, seat: int, packet: Packet) -> None:
        """A packet leaves a seat, for one validator or for all."""
        self._look()
        book = self._book
        if isinstance(packet, Signed):
            saying = book.say_message(seat, packet.sender, packet.message)
        elif isinstance(packet, bytes):
            saying = book.say(seat, "hint", "hint", f"hint {packet.hex()[:32]}")
        else:
            saying = book.say_certificate(seat, packet)
        self._sayings[id(packet), book.lines[seat].validator] = saying
        self._packets.append(packet)

    def sent(self, seat: int, receiver: int, packet: Packet) -> None:
        """A copy of what a seat said last goes to another one."""
        validator = self._book.lines[seat].validator
        key = (id(packet), validator, receiver)
        passage = self._book.post(self._sayings[id(packet), validator], receiver)
        self._pending.setdefault(key, deque()).append(passage)
        self._last[key] = passage

    def lost(self, seat: int, receiver: int, packet: Packet, why: str) -> None:
        """The copy that was sent last does not arrive."""
        key = (id(packet), self._book.lines[seat].validator, receiver)
        self._book.end(self._pending[key].pop(), Fate.LOST, why)

    def arrived(self, receiver: int, sender: int, packet: Packet) -> None:
        """A packet of a validator reaches a seat."""
        key = (id(packet), sender, receiver)
        waiting = self._pending.get(key)
        passages = self._book.passages
        why = ""
        if waiting:
            passage = waiting.popleft()
        elif key in self._last and passages[self._last[key]].why == WITHHELD:
            passage, why = self._last[key], LATE
        else:
            if key[:2] not in self._sayings:
                self.said(self._seat_of(sender), packet)
            elif key in self._last:
                why = AGAIN
            passage = self._book.post(self._sayings[key[:2]], receiver)
            self._last[key] = passage
        is_up = self._world.seats[receiver].is_up
        self._book.end(passage, Fate.ARRIVED if is_up else Fate.LOST, why if is_up else DOWN)

    def stepped(self, seat: int, event: Event, effects: list[Effect]) -> None:
        """A plugin took an event, and this came of it."""
        self._look()
        book = self._book
        speaks = self._speaks(seat, effects)
        if isinstance(event, Received):
            book.heard(seat, event.signed.sender, event.signed.message)
        elif isinstance(event, CertificateReceived):
            book.holds(seat, event.certificate)
        elif isinstance(event, TimerFired):
            name, slot = event.timer
            is_new = speaks or any(isinstance(effect, Persist | Note) for effect in effects)
            words = f"timeout {name} {slot_text(slot)} ended"
            book.happened(seat, "timeout", words, is_routine=not is_new)
        elif isinstance(event, Verdict) and not event.valid:
            book.happened(seat, "note", f"judged {book.names.told(event.value)} invalid")
        elif isinstance(event, Certified):
            self._take_over(seat)
        for effect in effects:
            # What a plugin notes of its own votes and proposals is seen as they leave.
            if isinstance(effect, Note) and not (speaks and effect.name in ("voted", "proposed")):
                book.noted(seat, effect.name, effect.fields)
            elif isinstance(effect, Accuse):
                phase, slot, _ = effect.first.message.statement()
                words = f"accused v{effect.first.sender} of two in {phase} {slot_text(slot)}"
                book.happened(seat, "accused", words)

    def decided(self, seat: int, ordinal: int, value: Value) -> None:
        """A seat durably decided a value."""
        self._book.decided(seat, ordinal, value)
        self._look()

    # --- afterwards -------------------------------------------------------------------------------

    def recording(self) -> Recording:
        """The recording of the run so far."""
        self._look()
        return self._book.recording(_about(self._world))

    def _take_over(self, seat: int) -> None:
        """What a certificate covers is decided, whether this seat saw why or not."""
        known = self._world.seats[seat]
        for ordinal in range(known.certified):
            self._book.decided(seat, ordinal, known.log[ordinal], how="took over")
        self._book.happened(seat, "certified", f"certified {known.certified} decisions")

    def _speaks(self, seat: int, effects: list[Effect]) -> bool:
        """Whether a step makes a statement that this seat never made."""
        statements = [
            (seat, *effect.what.statement())
            for effect in effects
            if isinstance(effect, Broadcast | Send) and isinstance(effect.what, Message)
        ]
        is_new = any(statement not in self._stated for statement in statements)
        self._stated.update(dict.fromkeys(statements))
        return is_new

    def _seat_of(self, validator: int) -> int:
        return next(seat.index for seat in self._world.seats if seat.validator == validator)

    def _look(self) -> None:
        """Write down what the oracles have found since."""
        violations = self._world.oracles.violations
        for violation in violations[self._violations :]:
            words = f"{violation.property} is violated: {violation.sentence}"
            self._book.happened(None, "violated", words)
        self._violations = len(violations)


def _lines(scenario: PluginScenario) -> list[Line]:
    attacks = dict(scenario.attacks)
    lines = []
    for seat, validator in enumerate(scenario.seats):
        role = "twin" if validator in scenario.twins else attacks.get(validator, "")
        lines.append(Line(f"v{validator}" + "'" * (seat >= scenario.nodes), validator, role))
    return lines


def _about(world: PluginWorld) -> tuple[tuple[str, str], ...]:
    scenario = world.scenario
    names = ("loss", "duplicate", "replay", "split", "withhold", "mutate", "bad")
    rates = [f"{name} {getattr(scenario, name)}" for name in names if getattr(scenario, name)]
    faults = [f"twins of v{validator}" for validator in scenario.twins]
    faults += [f"v{validator} {attack}" for validator, attack in scenario.attacks]
    incidents = (
        ("crashes", len(scenario.crashes)),
        ("pauses", len(scenario.pauses)),
        ("partitions", len(scenario.partitions)),
        ("planned rounds", len(scenario.rounds)),
    )
    faults += [f"{name}: {count}" for name, count in incidents if count]
    faults += [f"{', '.join(rates)} per thousand"] if rates else []
    return (
        ("protocol", f"{scenario.protocol.name}, {scenario.nodes} validators, bare plugins"),
        ("seed", str(scenario.seed)),
        ("faults", "; ".join(faults) or "none"),
        ("network stable", f"after {scenario.stable_ms} ms"),
        ("decided", f"{len(world.oracles.log)} values"),
        ("trace hash", world.trace.hexdigest()),
    )
