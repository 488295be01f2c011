"""The adversary: every certificate that its ears and keys suffice for, and none beyond them."""

from __future__ import annotations

import hashlib
from random import Random

from consensus.byzantine.rows import rebuilt
from consensus.interface import Message
from consensus.pacemaker_messages import Timeout
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.mysticeti import Mysticeti
from consensus.protocols.pbft import Pbft
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import NO_ROUND, Precommit, Prevote, Proposal
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.value import Value
from sim.plugin_adversary import SLOTS_KEPT, Adversary
from sim.plugin_network import EPOCH, NETWORK
from sim.plugin_plots import draw_plot
from sim.plugins import PluginScenario, PluginWorld, run
from tests.consensus.mysticeti_bench import Drawing

LIAR = 3
DIGEST = hashlib.sha256(b"a value").digest()


class Bench:
    """An adversary with the key of one of four validators, and what it is let hear."""

    def __init__(self, protocol: type[Tendermint] | type[Jolteon], seed: int = 0) -> None:
        self.world = PluginWorld(PluginScenario(protocol))
        self.adversary = Adversary(
            protocol,
            self.world.context.validators,
            {LIAR: self.world.signers[LIAR]},
            (NETWORK, EPOCH),
            Random(seed),
        )

    def hear(self, sender: int, *messages: Message) -> None:
        for message in messages:
            self.adversary.hear(self.world.sign(sender, message))

    def is_right(self, certificate: Certificate | TimeoutCertificate) -> bool:
        return self.world.has_right_certificates((certificate,))


def test_two_honest_votes_and_its_own_make_a_certificate_and_one_does_not() -> None:
    bench = Bench(Tendermint)
    bench.hear(0, Prevote(1, 0, DIGEST))
    assert bench.adversary.certificate(Certificate) is None

    bench.hear(1, Prevote(1, 0, DIGEST))
    certificate = bench.adversary.certificate(Certificate)

    assert isinstance(certificate, Certificate)
    assert certificate.value == DIGEST
    assert [who for who, _ in certificate.signatures] == [0, 1, LIAR]
    assert bench.is_right(certificate)


def test_votes_for_different_values_make_no_certificate_of_votes() -> None:
    bench = Bench(Tendermint)

    bench.hear(0, Prevote(1, 0, DIGEST))
    bench.hear(1, Prevote(1, 0, b""))

    assert bench.adversary.certificate(Certificate) is None
    ended = bench.adversary.certificate(TimeoutCertificate)
    assert isinstance(ended, TimeoutCertificate)
    assert bench.is_right(ended)


def test_what_a_protocol_makes_certificates_of_is_learned_from_what_it_sends() -> None:
    bench = Bench(Tendermint)
    for who in (0, 1, 2):
        bench.hear(who, Prevote(1, 0, DIGEST), Precommit(1, 0, DIGEST))
    seen = bench.adversary.certificate(Certificate)
    assert isinstance(seen, Certificate)

    bench.adversary.hear(Certificate("prevote", (1, 0), DIGEST, seen.signatures))

    phases = {bench.adversary.certificate(Certificate).phase for _ in range(20)}  # type: ignore[union-attr]
    assert phases == {"prevote"}


def test_only_the_latest_slots_are_remembered() -> None:
    bench = Bench(Tendermint)

    for number in range(3 * SLOTS_KEPT):
        bench.hear(0, Prevote(1, number, DIGEST))

    assert len(bench.adversary._heard) == SLOTS_KEPT


def test_a_spliced_message_is_another_one_that_the_decoder_lets_pass() -> None:
    bench = Bench(Tendermint)
    old = Value(EPOCH, b"", (1, 0), LIAR, 1, (DIGEST,))
    fresh = Proposal(Value(EPOCH, b"", (1, 2), LIAR, 2, ()), 2, NO_ROUND, None)
    bench.hear(LIAR, Proposal(old, 0, NO_ROUND, None))
    for who in (0, 1):
        bench.hear(who, Prevote(1, 0, old.digest))

    spliced = [bench.adversary.spliced(fresh) for _ in range(200)]

    made = [one for one in spliced if isinstance(one, Proposal)]
    assert made
    assert all(one != fresh and rebuilt(one, one.row()) == one for one in made)
    again = [one for one in made if one.polka is not None]
    assert again, "an older value comes with a certificate that nobody has shown"
    assert {one.value for one in again} == {old}


def test_what_a_message_derives_from_its_value_is_not_exchanged() -> None:
    drawing = Drawing("1.0 1.1 1.2 1.3").full(2, 2)
    blocks = [signed.message for signed in drawing.blocks.values()]
    bench = Bench(Mysticeti)
    for who, block in enumerate(blocks):
        bench.hear(who % 4, block)

    spliced = [bench.adversary.spliced(blocks[-1]) for _ in range(200)]

    made = [one for one in spliced if one is not None]
    assert made
    assert all(one != blocks[-1] and rebuilt(one, one.row()) == one for one in made)


def test_a_claimed_decision_has_a_right_certificate_whatever_it_proves() -> None:
    bench = Bench(Tendermint)
    value = Value(EPOCH, b"", (1, 0), 0, 1, (DIGEST,))
    bench.hear(0, Proposal(value, 0, NO_ROUND, None), Prevote(1, 0, value.digest))
    assert bench.adversary.decision() is None

    bench.hear(1, Prevote(1, 0, value.digest))
    decision = bench.adversary.decision()

    assert decision is not None
    assert decision.values == (value,)
    (certificate,) = decision.proof.certificates
    assert certificate.phase == "prevote"
    assert bench.is_right(certificate)


def test_it_signs_for_itself_alone() -> None:
    bench = Bench(Jolteon)
    for who in (0, 1):
        bench.hear(who, Timeout(1, None, None))

    certificate = bench.adversary.certificate(TimeoutCertificate)

    assert isinstance(certificate, TimeoutCertificate)
    heard = bench.adversary._heard["timeout", (1,)]
    for who, word, signature in certificate.entries:
        assert who == LIAR or heard[who][word] == signature
    assert bench.is_right(certificate)


def test_messages_with_many_certificates_are_put_together_anew() -> None:
    """PBFT's view changes hold a tuple of certificates, its new views one that must be there."""
    for number in range(8):
        assert run(draw_plot(Pbft, number)).violations == (), number
