"""What a checked state proof says, for people and programs."""

from __future__ import annotations

from ledger.applications import payments
from ledger.light import VerifiedState


def state_facts(verified: VerifiedState) -> dict[str, object]:
    """What the proof proves; of a balance, in the words of payments."""
    key, value = verified.key, verified.value
    facts: dict[str, object] = {"application": verified.application, "key": key.hex()}
    if verified.application == payments.NAME and key[:1] == payments.ACCOUNT and len(key) == 33:
        facts = {"account": key[1:].hex(), "balance": payments.balance_of(value)}
    elif value is None:
        facts["absent"] = "no value stands under this key"
    else:
        facts["value"] = value.hex()
    validators = verified.log.epoch.validators
    return facts | {
        "height": verified.height,
        "signed_by": f"{len(verified.log.signers)} of {validators.size} validators",
        "rests_on": verified.log.fault_model,
    }
