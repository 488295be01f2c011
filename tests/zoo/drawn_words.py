"""Drawn words for an inspector alone: of here, of another network or epoch, and padded proofs.

The same validators decide one value here and another one elsewhere.  Two that listen here hear
words of both places in a drawn order, as a liar may replay them; each inspects what it hears and
gives the rest to its plugin.  They must not decide differently (P1), and no certificate passes that
is not exactly a quorum of right signatures (P4).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from random import Random

from consensus.inspector import Inspector
from consensus.interface import (
    Context,
    Decide,
    Event,
    Fetch,
    Now,
    Received,
    Recovery,
    Root,
    Signed,
    Start,
    Validate,
    ValueReceived,
    Verdict,
)
from consensus.packets import SignedPacket
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import PRECOMMIT, Precommit, Prevote
from ledger.certificate import Certificate
from ledger.encoding import encode
from ledger.errors import Fault
from ledger.genesis import Genesis
from ledger.value import Value
from tests.ledger.builders import make_genesis, signer_of
from tests.schedules import test_words as words
from tests.zoo.drawn import Part

KINDS: dict[str, type[Inspector]] = {
    "N1m": words.ForgetsNetwork,
    "D21": words.ForgetsEpoch,
    "D22": words.BelievesCertificates,
}
HERE = make_genesis(scheme="keyed-hash")
BESIDE = replace(HERE, name="beside.example")
"""Another network of the same validators."""
LATER = replace(HERE.epoch, number=1)
"""Another epoch of the same network: no genesis has it, handovers lead there."""
VALIDATORS = 4
QUORUM = 3
SIGNERS = tuple(signer_of(f"node{index} consensus", "keyed-hash") for index in range(VALIDATORS))
NOW = Now(1_000, 1_700_000_000_000)
SLOT = (1, 0)


def broken(kind: type[Inspector], number: int) -> tuple[str, ...]:
    """The properties that inspectors of this kind break over the words of this number."""
    draw = Random(f"words {number}")
    here = inspector_of(kind)
    elsewhere = inspector_of(kind, BESIDE) if draw.random() < 0.5 else inspector_of(kind)
    if elsewhere._network == here._network:
        elsewhere._epoch = LATER
    values = {place: _value(place, draw) for place in (0, 1)}
    said = [
        _packet(inspector, signer, message)
        for place, inspector in enumerate((here, elsewhere))
        for signer in range(VALIDATORS)
        for message in (
            Prevote(*SLOT, values[place].digest),
            Precommit(*SLOT, values[place].digest),
        )
    ]
    listeners = [Listener(kind, values) for _ in range(2)]
    for listener in listeners:
        for packet in draw.sample(said, draw.randrange(len(said) + 1)):
            listener.hear(packet)
    first = [listener.decided[0] for listener in listeners if listener.decided]
    if len(set(first)) > 1:
        return ("P1",)
    return _padded(kind, values[0], draw)


def _value(place: int, draw: Random) -> Value:
    """What is decided in a place; its bytes name the epoch of the listeners in both."""
    return Value(HERE.epoch.id, b"", SLOT, 0, NOW.wall_ms + place, (draw.randbytes(32),))


def inspector_of(kind: type[Inspector], genesis: Genesis = HERE) -> Inspector:
    """What says in this network, and its first epoch, what is signed."""
    return kind(genesis, genesis.suite, Tendermint)


def _packet(inspector: Inspector, signer: int, message: Prevote | Precommit) -> SignedPacket:
    signature = SIGNERS[signer].sign(inspector.signed_bytes(*message.statement()))
    return SignedPacket(signer, message.KIND, encode(message.row()), signature)


class Listener:
    """An observer of the protocol behind an inspector."""

    def __init__(self, kind: type[Inspector], values: dict[int, Value]) -> None:
        self._inspector = inspector_of(kind)
        self._values = {value.digest: value for value in values.values()}
        self.decided: list[bytes] = []
        context = Context(network=HERE.network, epoch=HERE.epoch.id, me=None,
                          validators=HERE.epoch.validators, parameters=Tendermint.PARAMETERS,
                          slot_window=100)  # fmt: skip
        self._plugin = Tendermint(context, Recovery(Root(b"", (0,), 0), None, ()))
        self._give(Start())

    def hear(self, packet: SignedPacket) -> None:
        """A packet arrives; what is wrong in it never reaches the plugin."""
        try:
            message = self._inspector.message(packet)
        except Fault:
            return
        self._give(Received(Signed(packet.sender, message, packet.signature)))

    def _give(self, event: Event) -> None:
        events = [event]
        while events:
            for effect in self._plugin.step(NOW, events.pop(0)):
                if isinstance(effect, Decide):
                    self.decided += [value.digest for value in effect.values]
                elif isinstance(effect, Fetch):
                    events.append(ValueReceived(self._values[effect.value]))
                elif isinstance(effect, Validate):
                    events.append(Verdict(effect.value, True))


def _padded(kind: type[Inspector], value: Value, draw: Random) -> tuple[str, ...]:
    """A certificate by drawn signers: whether one passes that is not exactly a quorum's."""
    signers = draw.choices(range(VALIDATORS), k=draw.choice((2, 3, 3, 4)))
    if draw.random() < 0.5:
        signers.sort()
    is_forged = draw.random() < 0.2
    statement = (PRECOMMIT, SLOT, value.digest)
    here = inspector_of(Inspector)
    signatures = [(who, SIGNERS[who].sign(here.signed_bytes(*statement))) for who in signers]
    if is_forged:
        signatures[0] = (signers[0], hashlib.sha256(b"forged").digest() * 2)
    is_right = not is_forged and len(signers) == QUORUM and signers == sorted(set(signers))
    try:
        inspector_of(kind).check_certificate(Certificate(*statement, tuple(signatures)))
    except Fault:
        return ()
    return () if is_right else ("P4",)


PART = Part("words", Inspector, KINDS, broken)
