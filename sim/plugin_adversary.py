"""What one mind behind all Byzantine seats knows, and what it makes of it.

It hears every word that leaves any seat, also those that a partition stops, and holds the keys of
its validators: the strongest adversary of the usual model, but for what signatures keep it from.

* It *hoards*: of all signatures that it has heard, and its own, it makes every certificate that
  they suffice for, and shows one to whom it likes, when it likes.
* It *splices*: in a message of its own it puts pieces of what was said before in the place of
  others: an older value, a certificate that nobody else has seen, the number that goes with it.
  Only what the strict decoder lets pass is said (grammar-aware fuzzing by recombination: Holler,
  Herzig, Zeller, "Fuzzing with Code Fragments", USENIX Security 2012).
* It *claims* decisions, with a certificate that may prove something else.

Nothing here knows a protocol: messages are dataclasses of values, certificates, numbers and
digests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from random import Random
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from consensus.byzantine.rows import rebuilt
from consensus.interface import AnyCertificate, Consensus, Decide, DecisionProof, Message, Signed
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.errors import DecodeFault
from ledger.keys import Signer
from ledger.statement import Slot, Statement
from ledger.validators import ValidatorSet
from ledger.value import Value

SLOTS_KEPT = 24
"""(phase, slot) pairs of which signatures are kept, the latest ones."""
PIECES_KEPT = 6
"""Values of one field of one kind of message that are kept."""
TRIES = 24
"""Recombinations that are tried until one is a message."""
T = TypeVar("T")
Heard = dict[int, dict[bytes, bytes]]
"""Validator -> what it said -> its signature."""


class Adversary:
    """Everything that was heard in one run, and the keys of the Byzantine validators."""

    def __init__(
        self,
        protocol: type[Consensus],
        validators: ValidatorSet,
        keys: dict[int, Signer],
        place: tuple[bytes, bytes],
        draw: Random,
    ) -> None:
        self._protocol = protocol
        self._validators = validators
        self._keys = keys
        self._network, self._epoch = place
        self._draw = draw
        self._heard: dict[tuple[str, Slot], Heard] = {}
        self._values: dict[bytes, Value] = {}
        self._pieces: dict[tuple[type[Message], str], dict[Any, None]] = {}
        self._forms: dict[tuple[type[AnyCertificate], str], None] = {}
        """The kinds of certificate that this protocol makes of its phases, as far as seen."""

    # --- hearing ----------------------------------------------------------------------------------

    def hear(self, packet: Signed | AnyCertificate) -> None:
        """Remember what left a seat."""
        if not isinstance(packet, Signed):
            self._forms[type(packet), packet.phase] = None
            return
        message = packet.message
        phase, slot, value = message.statement()
        heard = self._heard.setdefault((phase, slot), {})
        heard.setdefault(packet.sender, {})[value] = packet.signature
        while len(self._heard) > SLOTS_KEPT:
            del self._heard[next(iter(self._heard))]
        for each in message.values():
            _keep(self._values, each.digest, each, 2 * PIECES_KEPT)
        for certificate in message.certificates():
            self._forms[type(certificate), certificate.phase] = None
        for field in fields(message):  # type: ignore[arg-type]
            if field.init:
                pieces = self._pieces.setdefault((type(message), field.name), {})
                _keep(pieces, getattr(message, field.name), None, PIECES_KEPT)

    # --- hoarding ---------------------------------------------------------------------------------

    def certificate(self, *kinds: type[AnyCertificate]) -> AnyCertificate | None:
        """One of the certificates that can be made by now, the latest ones more often."""
        places = list(self._heard)
        self._draw.shuffle(places)
        for place in sorted(places[: len(places) // 2 + 1], key=lambda one: _newest(one[1])):
            made = [
                each
                for kind in kinds or (Certificate, TimeoutCertificate)
                if self._is_made(kind, place[0])
                for each in self._made(kind, *place)
            ]
            if made:
                return self._draw.choice(made)
        return None

    def _is_made(self, kind: type[AnyCertificate], phase: str) -> bool:
        return (kind, phase) in self._forms or not any(kind is one for one, _ in self._forms)

    def _made(self, kind: type[AnyCertificate], phase: str, slot: Slot) -> Iterable[AnyCertificate]:
        heard = self._heard[phase, slot]
        quorum = self._protocol.certificate_quorum(phase, self._validators)
        said = list(dict.fromkeys(value for words in heard.values() for value in words))
        if kind is Certificate:
            for value in said:
                signers = [who for who, words in heard.items() if value in words]
                whom = self._quorum_of(signers, quorum)
                if whom:
                    signatures = (
                        (who, self._signature(heard, who, phase, slot, value)) for who in whom
                    )
                    yield Certificate(phase, slot, value, tuple(signatures))
            return
        whom = self._quorum_of(list(heard), quorum)
        if whom:
            words = [self._draw.choice(list(heard.get(who) or said)) for who in whom]
            entries = (
                (who, word, self._signature(heard, who, phase, slot, word))
                for who, word in zip(whom, words, strict=True)
            )
            yield TimeoutCertificate(phase, slot, tuple(entries))

    def _quorum_of(self, signers: list[int], quorum: int) -> list[int]:
        """Drawn signers, ascending, of these and our own; nobody where they do not suffice."""
        willing = list(dict.fromkeys((*signers, *self._keys)))
        if len(willing) < quorum:
            return []
        return sorted(self._draw.sample(willing, quorum))

    def _signature(self, heard: Heard, who: int, phase: str, slot: Slot, value: bytes) -> bytes:
        known = heard.get(who, {}).get(value)
        if known is not None:
            return known
        statement = Statement(self._network, self._epoch, phase, slot, value)
        return self._keys[who].sign(statement.signed_bytes())

    # --- claiming ---------------------------------------------------------------------------------

    def decision(self) -> Decide | None:
        """A value as decided, with a right certificate, whatever that certifies."""
        certificate = self.certificate(Certificate)
        if not isinstance(certificate, Certificate) or not self._values:
            return None
        values = list(self._values.values())
        meant = self._values.get(certificate.value)
        below = self._values.get(meant.parent) if meant is not None else None
        decided = self._draw.choice([*values, *(one for one in (meant, below) if one is not None)])
        beside = (meant,) if meant is not None and self._draw.random() < 0.5 else ()
        return Decide((decided,), DecisionProof((certificate,), beside))

    # --- splicing ---------------------------------------------------------------------------------

    def spliced(self, message: Message) -> Message | None:
        """Another message of this kind that the decoder lets pass; None where none was hit upon.

        Mostly of the same slot, where what its sender says counts.
        """
        slot = message.statement()[1]
        elsewhere = self._draw.random() < 0.1
        for _ in range(TRIES):
            drawn = self._recombined(message)
            # What no decoder lets pass would be refused before any plugin saw it, and what the wire
            # does not carry is not there.
            other = rebuilt(drawn, drawn.row()) if drawn is not None else None
            if other is None or other.statement()[2:] == message.statement()[2:]:
                continue
            if elsewhere or other.statement()[1] == slot:
                return other
        return None

    def _recombined(self, message: Any) -> Message | None:
        """The message with some fields exchanged: certificates first, and what goes with them.

        None where fields came together that no message can have.
        """
        draw = self._draw
        kind: type[Message] = type(message)
        changed: dict[str, Any] = {}
        shown: list[AnyCertificate] = []
        hints = _certificate_fields(kind)
        for name, (wanted, may_lack) in hints.items():
            if draw.random() < 0.6:
                least = None if may_lack else getattr(message, name)
                options: list[AnyCertificate | None] = [*self._seen(kind, name), least]
                made = self.certificate(wanted)
                changed[name] = draw.choice([*options, *(4 * [made] if made is not None else ())])
            current = changed.get(name, getattr(message, name))
            if current is not None:
                shown.append(current)
        for field in fields(message):
            if field.name in hints or not field.init or draw.random() < 0.4:
                continue
            changed[field.name] = self._other(
                getattr(message, field.name), self._seen(kind, field.name), shown
            )
        try:
            other: Message = replace(message, **changed)
        except DecodeFault:
            return None
        return other

    def _seen(self, kind: type[Message], name: str) -> list[Any]:
        return list(self._pieces.get((kind, name), ()))

    def _other(self, now: Any, seen: Sequence[Any], shown: Sequence[AnyCertificate]) -> Any:
        """Something else of the same sort, mostly what a certificate that is shown speaks of."""
        draw = self._draw
        if isinstance(now, Value):
            return draw.choice(self._other_values(now, shown))
        if type(now) is int:
            spoken = [number for one in shown for number in one.slot]
            return draw.choice([now, *seen, *spoken, *spoken])
        if type(now) is bytes:
            digests = list(self._values)[-PIECES_KEPT:]
            spoken_of = [one.value for one in shown if isinstance(one, Certificate)]
            return draw.choice([now, *seen, *digests, *spoken_of])
        return draw.choice([now, *seen])

    def _other_values(self, now: Value, shown: Sequence[AnyCertificate]) -> list[Value]:
        certified = [one.value for one in shown if isinstance(one, Certificate)]
        known = [self._values[one] for one in certified if one in self._values]
        payloads = [one.payload for one in self._values.values() if one.payload != now.payload]
        other = draw_payload(self._draw, payloads)
        return [
            now,
            replace(now, payload=other),
            *list(self._values.values())[-PIECES_KEPT:],
            *known,
            *known,
            *(replace(now, parent=digest) for digest in (*certified, *certified, b"")),
            *(replace(now, parent=digest, payload=other) for digest in certified),
        ]


def draw_payload(draw: Random, payloads: Sequence[tuple[bytes, ...]]) -> tuple[bytes, ...]:
    """A payload that was proposed before, or none."""
    return draw.choice([*payloads, ()])


def _newest(slot: Slot) -> int:
    return -sum(slot)


def _keep(kept: dict[Any, T], key: Any, what: T, most: int) -> None:
    """Remember something as the latest; the oldest one goes where there are too many."""
    kept.pop(key, None)
    kept[key] = what
    if len(kept) > most:
        del kept[next(iter(kept))]


@lru_cache(maxsize=64)
def _certificate_fields(kind: type[Message]) -> dict[str, tuple[type[AnyCertificate], bool]]:
    """The fields of a kind of message that hold one certificate: of which kind, or else none."""
    found: dict[str, tuple[type[AnyCertificate], bool]] = {}
    for name, hint in get_type_hints(kind).items():
        for wanted in (Certificate, TimeoutCertificate):
            if hint is wanted or (get_origin(hint) is not tuple and wanted in get_args(hint)):
                found[name] = (wanted, hint is not wanted)
    return found
