"""What a checked state proof says, for people and programs."""

from __future__ import annotations

from ledger import applications
from ledger.applications.interface import plain_facts
from ledger.genesis import Genesis
from ledger.light import VerifiedState

LINE_MAX = 200


def state_facts(genesis: Genesis, verified: VerifiedState) -> dict[str, object]:
    """What the proof proves, in the words of its application where this program has it."""
    name, version = verified.application, dict(genesis.applications).get(verified.application)
    facts = plain_facts(verified.key, verified.value)
    for application in applications.ALL:
        if (application.name, application.version) == (name, version):
            facts = application.for_network(genesis).describe_state(verified.key, verified.value)
    validators = verified.log.epoch.validators
    return (
        {"application": name}
        | facts
        | {
            "height": verified.height,
            "signed_by": f"{len(verified.log.signers)} of {validators.size} validators",
            "rests_on": verified.log.fault_model,
        }
    )


def shown(facts: dict[str, object]) -> list[str]:
    """The facts in lines for people; nested documents are for programs."""
    lines = []
    for name, value in facts.items():
        if not isinstance(value, dict):
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            if len(text) > LINE_MAX:
                # Such as a key of ML-DSA-44.
                text = f"{text[:64]}... ({len(text):,} characters)"
            # What members wrote may hold what a terminal obeys.
            safe = "".join(character if character.isprintable() else "?" for character in text)
            lines.append(f"{name:<12} {safe}")
    return lines
