"""What a seat needs of the world around it, and what one step of its plugin leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from consensus.interface import (
    Accuse,
    AnyCertificate,
    CancelTimer,
    Consensus,
    Context,
    Decide,
    Dismiss,
    Fetch,
    Message,
    RequestPayload,
    SetTimer,
    Signed,
    Tell,
    Validate,
)
from ledger.statement import Slot
from sim.agenda import Agenda
from sim.plugin_oracles import PluginOracles
from sim.plugin_scenario import PluginScenario
from sim.record_plugins import PluginRecorder
from sim.trace import Trace

Packet = Signed | AnyCertificate | bytes
"""What crosses links: a signed message, a bare certificate, or a hint."""
Output = tuple[int | None, Packet] | SetTimer | CancelTimer | Tell | Accuse
"""What leaves with a durable step; a packet goes to one validator or to all."""
Request = RequestPayload | Validate | Dismiss | Fetch
"""What a plugin asks of its replica."""


class Surroundings(Protocol):
    """What a seat needs of the world around it; a seat says who it is by its index."""

    scenario: PluginScenario
    agenda: Agenda
    draw: Random
    trace: Trace
    oracles: PluginOracles
    context: Context
    protocols: list[type[Consensus]]
    events: int
    recorder: PluginRecorder | None

    def transmit(self, index: int, to: int | None, packet: Packet) -> None: ...
    def sign(self, validator: int, message: Message) -> Signed: ...
    def rang(self) -> None: ...
    def has_decided(self, index: int, first: int) -> None: ...
    def ask_for_value(self, index: int, digest: bytes) -> None: ...
    def has_right_certificates(self, certificates: tuple[AnyCertificate, ...]) -> bool: ...
    def bad_payload(self) -> bytes: ...


@dataclass(slots=True)
class Step:
    """What one step leaves behind once it is durable."""

    record: bytes | None = None
    signed: list[tuple[str, Slot]] = field(default_factory=list)
    """Keys of statements signed for the first time."""
    decided: list[tuple[int, Decide]] = field(default_factory=list)
    """(ordinal of its first value, decision)."""
    outputs: list[Output] = field(default_factory=list)
    is_promise: bool = False
    """Whether it holds a record, a new signature or a decision: it waits for the disk then."""
