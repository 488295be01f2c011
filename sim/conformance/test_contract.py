"""The contract: what the replica relies on, whatever the protocol.

The rules are those of `consensus/interface.py` and of the design behind it; each test names its id.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from consensus.guard import CHECKPOINT_PHASE
from consensus.interface import (
    MESSAGE_BYTES_MAX,
    Consensus,
    Message,
    Send,
    SetTimer,
    Settle,
)
from ledger import encoding
from ledger.errors import Fault
from ledger.limits import NAME_CHARS_MAX
from ledger.statement import VALUE_BYTES_MAX
from sim.conformance.processes import trace_hashes, trace_hashes_elsewhere
from sim.conformance.recording import corpus, lives, messages, samples
from sim.conformance.sources import wrong_reaches
from sim.conformance.subject import Subject
from sim.conformance.vectors import decoded, encoded
from sim.plugins import PluginScenario, run

FLIPS = 12
"""Bytes of a field that are changed, one at a time."""
FAULT_MODELS = ("byzantine", "crash", "none")


def test_a_plugin_says_what_it_is(subject: Subject) -> None:
    """[CONTRACT-1] Name, version, fault model and parameters are what genesis can hold."""
    protocol = subject.protocol

    assert 0 < len(protocol.name) <= NAME_CHARS_MAX
    assert type(protocol.version) is int
    assert protocol.version >= 1
    assert protocol.fault_model in FAULT_MODELS
    assert issubclass(protocol, Consensus)
    for name, number in protocol.PARAMETERS.items():
        assert 0 < len(name) <= NAME_CHARS_MAX
        assert type(number) is int, f"{name} is {number!r}"
        assert number >= 0


def test_messages_are_told_apart_by_their_kind(subject: Subject) -> None:
    """[CONTRACT-2] Kinds are unique, from 1 to 63; a message is a frozen dataclass."""
    kinds = [message.KIND for message in subject.protocol.MESSAGES]

    assert len(set(kinds)) == len(kinds)
    assert all(1 <= kind <= 63 for kind in kinds)
    for message in subject.protocol.MESSAGES:
        assert dataclasses.is_dataclass(message), message.__name__
        assert message.__dataclass_params__.frozen, f"{message.__name__} is not frozen"


def test_every_message_survives_the_wire(subject: Subject) -> None:
    """[CONTRACT-3] Rows are canonical and come back equal; a wrong row is a Fault, nothing else.

    All kinds must come up in fair and faulty runs: one that is never said is checked by nobody.
    """
    assert {type(message) for message in messages(subject)} == set(subject.protocol.MESSAGES)
    for message in samples(subject):
        raw = encoded(message)
        assert len(raw) <= MESSAGE_BYTES_MAX
        assert decoded(type(message), raw) == message
        assert encoded(decoded(type(message), raw)) == raw
        for row in changed_rows(message.row()):
            again = parsed(type(message), row)
            if again is not None:
                assert encoding.encode(row) == encoded(again), f"{again} has two encodings"


def test_a_statement_binds_what_is_said(subject: Subject) -> None:
    """[CONTRACT-4] Another message of the same kind is another statement.

    Only certificates may differ unsigned: they prove themselves, and the replica checks them.
    """
    for message in samples(subject):
        for row in changed_rows(message.row()):
            other = parsed(type(message), row)
            if other is None or other.certificates() != message.certificates():
                continue
            assert other.statement() != message.statement(), f"nothing signed tells {row} apart"


def test_a_statement_fits_what_is_signed(subject: Subject) -> None:
    """[CONTRACT-5] Phases are short words, slots are numbers, values at most 96 bytes."""
    for message in messages(subject):
        phase, slot, value = message.statement()
        assert 0 < len(phase) <= NAME_CHARS_MAX
        assert phase != CHECKPOINT_PHASE
        assert slot
        assert all(type(number) is int and number >= 0 for number in slot)
        assert len(value) <= VALUE_BYTES_MAX


def test_one_value_is_said_in_a_phase_and_slot(subject: Subject) -> None:
    """[CONTRACT-6] Within a life: at most one value a phase and slot, none below what is settled.

    That restarts keep it too is what the groups safety and recovery show.
    """
    for life in lives(subject):
        said: dict[Any, bytes] = {}
        floors: dict[str, Any] = {}
        for step in life.steps:
            for effect in step.effects:
                what = getattr(effect, "what", None)
                if isinstance(effect, Settle):
                    floors[effect.phase] = max(floors.get(effect.phase, ()), effect.floor)
                elif isinstance(what, Message):
                    phase, slot, value = what.statement()
                    assert said.setdefault((phase, slot), value) == value, f"two in {phase} {slot}"
                    assert slot >= floors.get(phase, ()), f"{phase} {slot} is settled"


def test_effects_name_what_exists(subject: Subject) -> None:
    """[CONTRACT-7] Receivers are validators, delays are not negative, timers have a name."""
    for life in lives(subject):
        for step in life.steps:
            for effect in step.effects:
                if isinstance(effect, Send):
                    assert 0 <= effect.to < life.context.validators.size
                elif isinstance(effect, SetTimer):
                    assert type(effect.delay_ms) is int
                    assert effect.delay_ms >= 0
                    assert effect.timer.name


def test_the_own_copy_counts(subject: Subject) -> None:
    """[CONTRACT-8] A broadcast includes ourselves: a single validator decides alone."""
    report = run(PluginScenario(subject.protocol, nodes=1, rule=subject.rule))

    assert not report.violations
    assert report.decided


def test_the_same_events_have_the_same_effects(subject: Subject) -> None:
    """[CONTRACT-9] A step depends on nothing but its past: no clock, randomness, set order."""
    for life in lives(subject):
        again = subject.protocol(life.context, life.recovery)
        for step in life.steps:
            assert tuple(again.step(step.now, step.event)) == step.effects


def test_another_process_makes_the_same_run(subject: Subject) -> None:
    """[CONTRACT-10] Nor on PYTHONHASHSEED: never iterate over a set, never call hash()."""
    here = trace_hashes(subject)

    assert len(set(here)) == len(corpus(subject))
    assert trace_hashes_elsewhere(subject.protocol, 1) == here
    assert trace_hashes_elsewhere(subject.protocol, 2) == here


def test_the_code_reaches_for_nothing_outside(subject: Subject) -> None:
    """[CONTRACT-11] No clocks, randomness, files, sockets, threads, logs; no replica, no host."""
    assert not wrong_reaches(subject.protocol)


def parsed(kind: type[Message], row: Any) -> Message | None:
    """The message of a row, where it is one; only a Fault may say that it is not."""
    try:
        return decoded(kind, encoding.encode(row))
    except Fault:
        return None


def changed_rows(field: Any) -> Iterator[Any]:
    """The field with one number, byte or word in it changed a little."""
    if type(field) is int:
        yield field + 1
        if field > 0:
            yield field - 1
    elif type(field) is bool:
        yield not field
    elif type(field) is bytes:
        yield field + b"\x00"
        if field:
            yield b""
        for place in range(0, len(field), max(1, len(field) // FLIPS)):
            yield field[:place] + bytes([field[place] ^ 1]) + field[place + 1 :]
    elif type(field) is str:
        yield field + "x"
    elif type(field) is tuple:
        for place, part in enumerate(field):
            for changed in changed_rows(part):
                yield (*field[:place], changed, *field[place + 1 :])
