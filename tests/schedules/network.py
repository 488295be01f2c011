"""The test networks of schedules: keys, validators and members that follow from their numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from ledger.applications.records import NAME, VERSION
from ledger.genesis import EpochRecord, Genesis, Member
from ledger.keys import ConsensusSigner, Signer, suite_named
from ledger.limits import Limits
from ledger.validators import QuorumRule, ValidatorSet
from sim.founding import unlinked


def make_network(
    nodes: int,
    protocol: str,
    limits: Mapping[str, int],
    parameters: Mapping[str, int],
    scheme_name: str,
) -> tuple[Genesis, list[ConsensusSigner], list[Signer]]:
    """(genesis, validators' signers by index, two members' signers) of a test network."""
    suite = suite_named(scheme_name)

    def seed(name: str) -> bytes:
        return hashlib.sha256(name.encode()).digest()

    validators = [
        suite.consensus_signer(seed(f"validator {index}"), seed(f"checkpoints {index}"))
        for index in range(nodes)
    ]
    members = [suite.members.signer(seed(f"member {number}")) for number in range(2)]
    epoch = EpochRecord(
        number=0,
        protocol=protocol,
        protocol_version=1,
        parameters=tuple(sorted(parameters.items())),
        validators=ValidatorSet(unlinked(validators), QuorumRule.BYZANTINE),
        first_height=1,
        previous_block=bytes(32),
    )
    genesis = Genesis(
        name="stage",
        epoch=epoch,
        limits=replace(Limits(), **limits),
        applications=((NAME, VERSION),),
        members=tuple(
            Member(f"m{number}", key.public_key, ("submitter",))
            for number, key in enumerate(members)
        ),
        approvals=0,
        policy="members",
        scheme=scheme_name,
        test_network=True,
    )
    return genesis, validators, members
