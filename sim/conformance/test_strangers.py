"""The contract at its edges: observers, garbage, and decisions that prove nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from consensus.interface import (
    CertificateReceived,
    Certified,
    Decide,
    DecisionProof,
    DecisionReceived,
    Event,
    Hint,
    Pending,
    Received,
)
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.value import Value
from sim.conformance.checks import findings
from sim.conformance.follower import Follower
from sim.conformance.recording import Recording, corpus, fair_scenario, messages
from sim.conformance.subject import Subject
from sim.plugins import Script

GARBAGE = (b"", b"\xff" * 7, bytes(range(96)))
HEARD = (Received, CertificateReceived, DecisionReceived, Certified, Hint)


def fair(subject: Subject) -> Recording:
    return corpus(subject)[0]


def test_an_observer_follows_and_never_speaks(subject: Subject) -> None:
    """[CONTRACT-12] With `me` None it hears what a validator hears, decides, and says nothing."""
    recording = fair(subject)
    life = next(life for life in recording.lives if life.context.me == 1)
    observer = Follower(subject.protocol, life.context, None)

    observer.give(Pending(0))
    for step in life.steps:
        if isinstance(step.event, HEARD):
            observer.give(step.event)
    for _ in range(20):
        observer.give(Pending(0))
        observer.ring()

    assert not observer.said
    log = recording.world.oracles.log
    assert observer.plugin.root.value == log[-1].digest
    assert observer.decided == [value for value in log if value in observer.decided]


def test_garbage_does_no_harm(subject: Subject) -> None:
    """[CONTRACT-13] Hints of any bytes, certificates of phases that are none: nothing changes."""
    script = Script(replace(fair_scenario(subject), protocol=subject.protocol))
    script.run_ms(5)

    garbage: list[Event] = [*garbage_hints(), *garbage_certificates()]
    for seat in script.seats:
        for event in garbage:
            seat.take(event)
    script.run_ms(100)
    for event in garbage:
        script.seats[2].take(event)

    assert not findings(script.run())


def garbage_hints() -> Iterator[Hint]:
    for peer in range(4):
        yield from (Hint(peer, hint) for hint in GARBAGE)


def garbage_certificates() -> Iterator[CertificateReceived]:
    signatures = tuple((index, bytes([index]) * 64) for index in range(3))
    for slot in ((0,), (1,), (1, 0), (1, 2, 3), (1_000_000,)):
        for value in GARBAGE:
            entries = tuple((index, value, signature) for index, signature in signatures)
            yield CertificateReceived(Certificate("no such phase", slot, value, signatures))
            yield CertificateReceived(TimeoutCertificate("no such phase", slot, entries))


def test_a_liar_among_those_who_left_a_slot_does_no_harm(subject: Subject) -> None:
    """[CONTRACT-14] An entry of a timeout certificate may be any bytes: up to f signers lie."""
    for certificate in timeout_certificates(subject):
        for garbage in GARBAGE:
            (index, _, signature), *others = certificate.entries
            lie = replace(certificate, entries=((index, garbage, signature), *others))
            follower = Follower(subject.protocol, fair(subject).world.context, 1)

            follower.give(CertificateReceived(lie))
            follower.ring()

            assert not follower.decided


def timeout_certificates(subject: Subject) -> list[TimeoutCertificate]:
    """Those of the recorded runs, one a slot."""
    found = {
        certificate.slot: certificate
        for recording in corpus(subject)
        for life in recording.lives
        for certificate in life.heard()
        if isinstance(certificate, TimeoutCertificate)
    }
    return list(found.values())


def decisions(subject: Subject) -> list[Decide]:
    """The decisions of one validator in a fair run, from the first on."""
    return next(
        decided
        for life in fair(subject).lives
        if (decided := list(life.decisions())) and not life.recovery.root.value
    )


def test_a_decision_convinces_whoever_missed_it(subject: Subject) -> None:
    """[CONTRACT-15] The proof of a decision is all that another node needs to decide the same."""
    follower = Follower(subject.protocol, fair(subject).world.context, None)
    proven = decisions(subject)

    for decision in proven:
        follower.give(DecisionReceived(decision.values, decision.proof))

    assert follower.decided == [value for decision in proven for value in decision.values]


def test_a_proof_of_something_else_decides_nothing(subject: Subject) -> None:
    """[CONTRACT-16] Right certificates of another value, phase or order are no proof."""
    context = fair(subject).world.context
    first = decisions(subject)[0]

    for values, proof in forgeries(subject, first):
        follower = Follower(subject.protocol, context, None)
        follower.give(DecisionReceived(values, proof))
        assert not follower.decided, f"decided {values} for {proof}"


def forgeries(
    subject: Subject, decision: Decide
) -> Iterator[tuple[tuple[Value, ...], DecisionProof]]:
    """Decisions that the plugin's commit rule must refuse."""
    values, proof = decision.values, decision.proof
    last = values[-1]
    changed = replace(last, timestamp_ms=last.timestamp_ms + 1)
    yield (*values[:-1], changed), proof
    for place, certificate in enumerate(proof.certificates):
        others = [Certificate(phase, certificate.slot, certificate.value, certificate.signatures)
                  for phase in phases(subject) if phase != certificate.phase]  # fmt: skip
        for other in (*others, replace(certificate, value=changed.digest)):
            certificates = (*proof.certificates[:place], other, *proof.certificates[place + 1 :])
            yield values, replace(proof, certificates=certificates)
    for slot in sorted({each.message.statement()[1] for each in proof.signed}):
        kept = tuple(each for each in proof.signed if each.message.statement()[1] != slot)
        yield values, replace(proof, signed=kept)


def phases(subject: Subject) -> list[str]:
    """Every phase in which the plugin says anything."""
    return sorted({message.statement()[0] for message in messages(subject)})
