"""What must hold in every run of bare plugins, judged on what is durable or has left a seat.

Agreement, once-only and honesty are judged at every step; they rest on the world's own log of what
each seat decided, never on what a plugin believes.
"""

from __future__ import annotations

from collections.abc import Callable

from consensus.interface import Accuse, Signed
from ledger.keys import Scheme
from ledger.statement import Slot, Statement
from ledger.validators import QuorumRule, ValidatorSet
from ledger.value import Value
from sim.plugin_scenario import PluginViolation

VIOLATIONS_MAX = 20
"""A broken run breaks everywhere; the first findings say why."""


class PluginOracles:
    """The judge of one run."""

    def __init__(
        self,
        *,
        network: bytes,
        epoch: bytes,
        validators: ValidatorSet,
        scheme: Scheme,
        byzantine: tuple[int, ...],
        now_ms: Callable[[], int],
    ) -> None:
        self.violations: list[PluginViolation] = []
        self.log: list[Value] = []
        """What the first honest seat decided, by ordinal."""
        self.accused: dict[int, None] = {}
        faults = validators.faults if validators.rule is QuorumRule.BYZANTINE else 0
        self.is_quorum_honest = len(byzantine) <= faults
        """Whether all that rests on quorums is judged: liars are no more than the rule bears."""
        self._network = network
        self._epoch = epoch
        self._validators = validators
        self._scheme = scheme
        self._byzantine = byzantine
        self._now_ms = now_ms
        self._statements: dict[tuple[int, str, Slot], bytes] = {}
        self._payloads: dict[bytes, int] = {}
        self._values: dict[bytes, int] = {}
        self._bad: dict[bytes, None] = {}

    def violated(self, name: str, sentence: str) -> None:
        """A property is broken."""
        if len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(PluginViolation(name, sentence, self._now_ms()))

    def offered_bad(self, payload: bytes) -> None:
        """This payload is invalid: no honest validator may vote for it."""
        self._bad[payload] = None

    def is_bad(self, payload: bytes) -> bool:
        return payload in self._bad

    def decided(self, validator: int, ordinal: int, value: Value) -> None:
        """A seat durably decided a value; ordinals count from 0."""
        if validator in self._byzantine:
            return
        if ordinal < len(self.log):
            first = self.log[ordinal]
            if first.digest != value.digest:
                self.violated(
                    "agreement",
                    f"validator {validator} decided {_name(value)} as number {ordinal}, "
                    f"another one {_name(first)}",
                )
            return
        assert ordinal == len(self.log), "a seat's log has no gaps"
        self.log.append(value)
        if self._values.setdefault(value.digest, ordinal) != ordinal:
            self.violated("once", f"{_name(value)} was decided twice")
        for payload in value.payload:
            if self._payloads.setdefault(payload, ordinal) != ordinal:
                self.violated("once", f"payload {payload.hex()[:8]} was decided twice")
            if payload in self._bad:
                self.violated("validity", f"invalid payload {payload.hex()[:8]} was decided")
        if len(set(value.payload)) != len(value.payload):
            self.violated("validity", f"{_name(value)} names a payload twice")

    def has_decided(self, payload: bytes) -> bool:
        """Whether any honest seat decided this payload."""
        return payload in self._payloads

    def left(self, signed: Signed) -> None:
        """A signed message left a seat."""
        if signed.sender in self._byzantine:
            return
        phase, slot, value = signed.message.statement()
        if self._statements.setdefault((signed.sender, phase, slot), value) != value:
            self.violated("equivocation", f"validator {signed.sender} said two in {phase} {slot}")

    def accusation(self, effect: Accuse) -> None:
        """A seat accuses a validator: rightly, and by proof."""
        first, second = effect.first, effect.second
        culprit = first.sender
        self.accused[culprit] = None
        phase, slot, value = first.message.statement()
        other_phase, other_slot, other_value = second.message.statement()
        contradict = (phase, slot) == (other_phase, other_slot) and value != other_value
        if culprit not in self._byzantine:
            self.violated("accusation", f"honest validator {culprit} is accused")
        if second.sender != culprit or not contradict:
            self.violated("accusation", f"{phase} {slot} of {culprit} proves nothing")
        for signed in (first, second):
            statement = Statement(self._network, self._epoch, *signed.message.statement())
            key = self._validators.consensus_key(signed.sender)
            if not self._scheme.verify(key, statement.signed_bytes(), signed.signature):
                self.violated("accusation", f"a signature of {signed.sender} is wrong")


def _name(value: Value) -> str:
    return f"value {value.digest.hex()[:8]} of {value.slot}"
