"""What must hold in every run of bare plugins, judged on what is durable or has left a seat.

They rest on the world's own log of what each seat decided, never on what a plugin believes:

    agreement      no two honest seats decide different values as the same number
    prefix         what a seat decided stays, across restarts, and each value extends the last one
    once           no value and no payload is decided twice
    validity       no decided value is one that an honest validator must refuse
    proof          a decision's certificates, and those that honest seats send, hold a quorum of
                   right signatures of different validators (sim/quorums.py)
    certificates   no phase and slot has certificates for two values
    equivocation   no honest validator says two things in one phase and slot
    accusation     nobody honest is accused, and every accusation proves itself
    memory         what a seat keeps stays bounded
    breakdown      no plugin raises an error
    codec, liveness, silence: see `sim/plugins.py`

Agreement, certificates and liveness rest on quorums: where liars are more than the rule bears they
are not judged, and `is_forked` tells.  Everything else is judged always.
"""

from __future__ import annotations

from collections.abc import Callable

from consensus.interface import Accuse, AnyCertificate, DecisionProof, Signed
from ledger.keys import Scheme
from ledger.statement import Slot, Statement
from ledger.validators import QuorumRule, ValidatorSet
from ledger.value import Value
from sim.plugin_scenario import PluginViolation
from sim.quorums import CertificateOracle

VIOLATIONS_ALIKE_MAX = 5
"""Of one property, so that others find a place."""
VIOLATIONS_MAX = 20
"""A broken run breaks everywhere; the first findings say why."""


KEPT_MAX = 5_000
"""Things that a plugin may keep for each validator, whatever liars send it; some 100 is usual."""
KEPT_AT_REST_MAX = 100
"""Things that it may still keep for each validator once nothing is outstanding."""
TIMERS_MAX = 32
"""Timers that a plugin may have running."""


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
        model: str,
        now_ms: Callable[[], int],
    ) -> None:
        self.violations: list[PluginViolation] = []
        self.log: list[Value] = []
        """What the first honest seat decided, by ordinal."""
        self.accused: dict[int, None] = {}
        faults = validators.faults if validators.rule is QuorumRule.BYZANTINE else 0
        self.is_quorum_honest = len(byzantine) <= faults
        """Whether all that rests on quorums is judged: liars are no more than the rule bears."""
        self.is_forked = False
        """Whether two honest seats decided different values as the same number."""
        self.certificates = CertificateOracle(
            validators,
            scheme.verify,
            lambda phase, slot, value: Statement(network, epoch, phase, slot, value),
            self.violated,
            model=model,
            quorum_is_honest=self.is_quorum_honest,
        )
        self._logs: dict[int, list[Value]] = {}
        """What each honest validator decided, kept apart from its seat."""
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
        alike = sum(one.property == name for one in self.violations)
        if len(self.violations) < VIOLATIONS_MAX and alike < VIOLATIONS_ALIKE_MAX:
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
        self._extends(validator, ordinal, value)
        if ordinal < len(self.log):
            first = self.log[ordinal]
            if first.digest != value.digest:
                self.is_forked = True
            if first.digest != value.digest and self.is_quorum_honest:
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

    def _extends(self, validator: int, ordinal: int, value: Value) -> None:
        """Whether a validator's log only grew, by a value that goes on where it ended."""
        log = self._logs.setdefault(validator, [])
        if ordinal != len(log):
            if ordinal > len(log) or log[ordinal].digest != value.digest:
                place = f"number {ordinal} of {len(log)}"
                self.violated("prefix", f"{validator} decided {_name(value)} as {place}")
            return
        if value.parent and value.parent != (log[-1].digest if log else b""):
            self.violated(
                "prefix", f"{_name(value)} does not extend number {ordinal - 1} of {validator}"
            )
        log.append(value)

    def proven(self, validator: int, values: tuple[Value, ...], proof: DecisionProof) -> None:
        """A seat durably decided values for a reason."""
        if validator not in self._byzantine:
            self.certificates.decided_by(proof.certificates, _name(values[-1]))
            if proof.signed:
                said = [(*each.message.statement(), each) for each in proof.signed]
                statements = [(phase, slot, (each.sender, value, each.signature))
                              for phase, slot, value, each in said]  # fmt: skip
                self.certificates.said_by(statements, _name(values[-1]))
            elif not proof.certificates:
                self.violated("proof", f"{_name(values[-1])} was decided without a certificate")

    def sent(self, validator: int, certificates: tuple[AnyCertificate, ...]) -> None:
        """A seat sent certificates, by themselves or in a message."""
        for certificate in certificates:
            if not self.certificates.signers(certificate) and validator not in self._byzantine:
                self.violated(
                    "proof",
                    f"validator {validator} sent a wrong certificate of {certificate.phase} "
                    f"{certificate.slot}",
                )

    def kept(self, validator: int, count: int, timers: int, *, most: int) -> None:
        """What an honest seat keeps in memory, and how many timers it runs."""
        if count > most * self._validators.size or timers > TIMERS_MAX:
            self.violated("memory", f"validator {validator} keeps {count} things, {timers} timers")

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
            key = self._validators.statement_key(signed.sender)
            if not self._scheme.verify(key, statement.signed_bytes(), signed.signature):
                self.violated("accusation", f"a signature of {signed.sender} is wrong")


def _name(value: Value) -> str:
    return f"value {value.digest.hex()[:8]} of {value.slot}"
