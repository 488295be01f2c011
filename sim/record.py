"""A recording of one run: past-tense facts with fields, from which pictures are drawn.

A recording holds what was said, which way it went and what became of it (`Saying`, `Passage`), what
happened at each validator (`Fact`), and what lasted a while (`Span`).  It is data alone: the chart
in a terminal and the page are folds of it.  `sim/record_plugins.py` and `sim/record_replicas.py`
make one while a run goes on; a run that nobody records pays nothing, and one that somebody does is
the same run, event by event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from consensus.interface import AnyCertificate, Consensus, Message
from ledger.certificate import Certificate
from ledger.statement import Slot
from ledger.validators import ValidatorSet
from ledger.value import Value
from sim.record_words import Names, describe, describe_certificate, label_of, slot_text

SIGNER_QUORUM_MIN = 2
"""A quorum of one is nothing to tell."""


class Fate(Enum):
    """What became of one copy of a message."""

    ARRIVED = "arrived"
    LOST = "lost"
    UNDER_WAY = "under way"
    """When the recording ended."""


@dataclass(frozen=True, slots=True)
class Line:
    """One column of a chart: a validator, or one of the twins that share a validator's key."""

    name: str
    validator: int
    role: str
    """Empty where it is honest; else "twin" or the name of the attack."""


@dataclass(frozen=True, slots=True)
class Saying:
    """Something left a validator, for one other or for all."""

    at_us: int
    line: int
    kind: str
    """The phase of a statement, or "certificate", "hint", "checkpoint", "decision"."""
    message: str
    """Name of the plugin's message class; empty where there is none."""
    slot: Slot
    value: int | None
    """Number of the value it is about, in `Recording.values`."""
    label: str
    """A few words, such as "prevote 1/0 #2"."""
    words: str
    """All that it says."""
    is_again: bool
    """Whether this validator had said just that before."""


@dataclass(slots=True)
class Passage:
    """The way of one copy to one receiver."""

    saying: int
    receiver: int
    sent_us: int
    ended_us: int | None = None
    fate: Fate = Fate.UNDER_WAY
    why: str = ""
    """Why it was lost, or that it came twice."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something happened at a validator, or, where line is None, to the run."""

    at_us: int
    line: int | None
    kind: str
    """booted, crashed, robbed, paused, resumed, stopped, entered, locked, note, timeout, quorum,
    certificate, decided, certified, accused, violated."""
    words: str
    value: int | None = None
    """Number of the value it is about, in `Recording.values`."""
    is_routine: bool = False
    """Whether nothing new came of it, such as a timer that only sends again."""
    fields: tuple[tuple[str, str], ...] = ()
    """What a plugin noted, in words."""


@dataclass(frozen=True, slots=True)
class Span:
    """A fault that lasted."""

    kind: str
    """partition, one-way, isolate, leader, ring, crash, pause, clock, slow-disk, ..."""
    from_us: int
    until_us: int
    lines: tuple[int, ...]
    """Whom it befell; in a partition, one side."""
    words: str


@dataclass(frozen=True, slots=True)
class Recording:
    """One run, ready to be drawn."""

    protocol: str
    about: tuple[tuple[str, str], ...]
    """(name, text) of what a reader wants to know first."""
    lines: tuple[Line, ...]
    values: tuple[str, ...]
    """What each value is, in words; a value's name is # and its number from 1."""
    sayings: tuple[Saying, ...]
    passages: tuple[Passage, ...]
    facts: tuple[Fact, ...]
    """In the order in which they happened."""
    spans: tuple[Span, ...]
    end_us: int

    @property
    def violations(self) -> tuple[Fact, ...]:
        return tuple(fact for fact in self.facts if fact.kind == "violated")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of message, in the order of their first."""
        return tuple(dict.fromkeys(saying.kind for saying in self.sayings))


@dataclass(slots=True)
class Notebook:
    """What both recorders write into; knows what counts as said again and as a quorum."""

    protocol: type[Consensus]
    validators: ValidatorSet
    now_us: Callable[[], int]
    names: Names = field(default_factory=Names)
    lines: list[Line] = field(default_factory=list)
    sayings: list[Saying] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    _said: dict[tuple[int, str, Slot, str], None] = field(default_factory=dict)
    """(line, kind, slot, words)."""
    _signers: dict[tuple[int, str, Slot, bytes], dict[int, None]] = field(default_factory=dict)
    _voters: dict[tuple[int, str, Slot], dict[int, None]] = field(default_factory=dict)
    _held: dict[tuple[int, str, Slot, bytes | None], None] = field(default_factory=dict)
    _decided: dict[int, int] = field(default_factory=dict)

    def say_message(self, line: int, sender: int, message: Message) -> int:
        """A signed message leaves; the number of its saying."""
        phase, slot, said = message.statement()
        carried = [self.names.learn(value) for value in message.values()]
        value = carried[0] if carried else self.names.number(said)
        label = label_of(self.names, message)
        words = describe(self.names, message)
        if self.lines[line].validator != sender:
            label += f" of v{sender}"
            words += f"; passed on for v{sender}"
        return self.say(line, phase, label, words, slot, value, type(message).__name__)

    def say_certificate(self, line: int, certificate: AnyCertificate) -> int:
        """A bare certificate leaves."""
        words = describe_certificate(self.names, certificate)
        value = (
            self.names.number(certificate.value) if isinstance(certificate, Certificate) else None
        )
        label = f"certificate {certificate.phase} {slot_text(certificate.slot)}"
        if isinstance(certificate, Certificate):
            label += f" {self.names.of(certificate.value)}"
        return self.say(line, "certificate", label, words, certificate.slot, value)

    def say(
        self,
        line: int,
        kind: str,
        label: str,
        words: str,
        slot: Slot = (),
        value: int | None = None,
        message: str = "",
    ) -> int:
        """Anything leaves; the number of its saying."""
        key = (line, kind, slot, words)
        is_again = key in self._said
        self._said[key] = None
        self.sayings.append(
            Saying(self.now_us(), line, kind, message, slot, value, label, words, is_again)
        )
        return len(self.sayings) - 1

    def happened(
        self,
        line: int | None,
        kind: str,
        words: str,
        value: int | None = None,
        *,
        is_routine: bool = False,
        fields: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Something happened at a validator, or to the run."""
        told = self.names.put_into(words)
        self.facts.append(Fact(self.now_us(), line, kind, told, value, is_routine, fields))

    def heard(self, line: int, sender: int, message: Message) -> None:
        """A validator took a signed message in: perhaps that makes a quorum."""
        phase, slot, value = message.statement()
        for certificate in message.certificates():
            self.holds(line, certificate)
        quorum = self.protocol.certificate_quorum(phase, self.validators)
        if quorum < SIGNER_QUORUM_MIN:
            return
        signers = self._signers.setdefault((line, phase, slot, value), {})
        voters = self._voters.setdefault((line, phase, slot), {})
        before = len(signers), len(voters)
        signers[sender] = None
        voters[sender] = None
        who = " ".join(f"v{signer}" for signer in sorted(signers))
        if (before[0], len(signers)) == (quorum - 1, quorum):
            self._held[line, phase, slot, value] = None
            what = f" {self.names.of(value)}" if self.names.is_name(value) else ""
            words = f"has a quorum of {phase} {slot_text(slot)}{what}: {who}"
            self.happened(line, "quorum", words, self.names.number(value))
        elif (before[1], len(voters)) == (quorum - 1, quorum):
            words = f"has a quorum of {phase} {slot_text(slot)}, not for one value"
            self.happened(line, "quorum", words, is_routine=True)

    def holds(self, line: int, certificate: AnyCertificate) -> None:
        """A validator saw a right certificate."""
        value = certificate.value if isinstance(certificate, Certificate) else None
        key = (line, certificate.phase, certificate.slot, value)
        if key not in self._held:
            self._held[key] = None
            words = f"was shown the {describe_certificate(self.names, certificate)}"
            number = self.names.number(value) if value is not None else None
            self.happened(line, "certificate", words, number)

    def noted(self, line: int, name: str, fields: tuple[tuple[str, object], ...]) -> None:
        """A plugin tells a fact of its own."""
        told = {key: self.names.told(value) for key, value in fields}
        number = next((self.names.number(v) for _, v in fields if isinstance(v, bytes)), None)
        kind = name if name in ("entered", "locked") else "note"
        words = " ".join([name, *(f"{key} {value}" for key, value in told.items())])
        self.happened(line, kind, words, number, fields=tuple(told.items()))

    def decided(
        self, line: int, number: int, value: Value, *, place: str = "number", how: str = "decided"
    ) -> None:
        """A value is durably decided in this place of the order; told once for each line."""
        if number < self._decided.get(line, 0):
            return
        self._decided[line] = number + 1
        name = self.names.learn(value)
        words = f"{how} {self.names.of(value.digest)} as {place} {number}"
        self.happened(line, "decided", words, name, fields=((place, str(number)),))

    def post(self, saying: int, receiver: int) -> int:
        """A copy goes to a receiver; the number of its passage."""
        self.passages.append(Passage(saying, receiver, self.now_us()))
        return len(self.passages) - 1

    def end(self, passage: int, fate: Fate, why: str = "") -> None:
        """What became of a copy."""
        ended = self.passages[passage]
        ended.ended_us, ended.fate, ended.why = self.now_us(), fate, why

    def recording(self, about: tuple[tuple[str, str], ...]) -> Recording:
        """The recording so far."""
        return Recording(
            protocol=self.protocol.name,
            about=about,
            lines=tuple(self.lines),
            values=tuple(self.names.values),
            sayings=tuple(self.sayings),
            passages=tuple(self.passages),
            facts=tuple(sorted(self.facts, key=lambda fact: fact.at_us)),
            spans=tuple(sorted(self.spans, key=lambda span: (span.from_us, span.kind))),
            end_us=self.now_us(),
        )
