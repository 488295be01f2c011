"""The network of a scenario: its genesis, and the keys of everyone in it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from consensus.interface import Consensus
from ledger.applications import documents, identity_body, payments, records
from ledger.genesis import EpochRecord, Genesis, Member
from ledger.keys import ConsensusSigner, Signer, suite_named
from ledger.limits import Limits
from ledger.validators import QuorumRule, Validator, ValidatorSet
from sim.scenario import Scenario

SCHEME = "keyed-hash"


def unlinked(validators: Sequence[ConsensusSigner]) -> tuple[Validator, ...]:
    """Validators of a network without real links: none has a transport key or certificate."""
    return tuple(
        Validator(
            f"v{index}",
            keys.statements.public_key,
            hashlib.sha256(keys.statements.public_key).digest(),
            b"none",
            keys.own_checkpoint_key,
        )
        for index, keys in enumerate(validators)
    )


def make_network(
    scenario: Scenario, protocol: type[Consensus], scheme_name: str = SCHEME
) -> tuple[Genesis, list[ConsensusSigner], list[Signer]]:
    """(genesis, validators' signers by index, members' signers) of a scenario's test network."""
    suite = suite_named(scheme_name)

    def seed(kind: str, number: int) -> bytes:
        return hashlib.sha256(f"{scenario.seed} {kind} {number}".encode()).digest()

    validators = [
        suite.consensus_signer(seed("validator", index), seed("checkpoints", index))
        for index in range(scenario.nodes)
    ]
    members: list[Signer] = [
        suite.members.signer(seed("member", number)) for number in range(scenario.load.members)
    ]
    rule = QuorumRule.CRASH if scenario.crash_only else QuorumRule.BYZANTINE
    epoch = EpochRecord(
        number=0,
        protocol=scenario.protocol,
        protocol_version=protocol.version,
        parameters=scenario.parameters,
        validators=ValidatorSet(unlinked(validators), rule),
        first_height=1,
        previous_block=bytes(32),
    )
    genesis = Genesis(
        name="simulated",
        epoch=epoch,
        limits=replace(Limits(), **dict(scenario.limits)),
        applications=(
            *([(documents.NAME, documents.VERSION)] if scenario.load.documents else []),
            *([(identity_body.NAME, identity_body.VERSION)] if scenario.load.identity else []),
            *([(payments.NAME, payments.VERSION)] if scenario.load.payments else []),
            (records.NAME, records.VERSION),
        ),
        members=tuple(
            Member(f"m{number}", key.public_key, _roles(scenario, number))
            for number, key in enumerate(members)
        ),
        approvals=min(2, len(members)) if scenario.load.identity else 0,
        policy="members",
        scheme=scheme_name,
        test_network=True,
    )
    return genesis, validators, members


def _roles(scenario: Scenario, number: int) -> tuple[str, ...]:
    load = scenario.load
    is_first = number == 0 and (load.payments > 0 or load.documents > 0)
    administers = load.identity > 0 or is_first
    return ("submitter", "administrator") if administers else ("submitter",)
