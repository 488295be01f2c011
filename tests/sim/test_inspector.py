"""The inspector that replicas of a world share: it remembers what is right, and nothing else."""

from __future__ import annotations

import pytest

from consensus.protocols.solo import Solo
from ledger.batch import Batch
from ledger.errors import Fault
from sim.inspector import SharedInspector
from tests.ledger.builders import make_genesis, make_signed, signer_of
from tests.ledger.proven import Store

GENESIS = make_genesis()


def signed_batch() -> tuple[Batch, bytes]:
    batch = Store(GENESIS).batch([make_signed(GENESIS, "alice", 1)])
    signer = signer_of("node0 consensus", GENESIS.scheme)
    return batch, signer.sign(batch.statement().signed_bytes())


def shared_inspector() -> SharedInspector:
    return SharedInspector(GENESIS, GENESIS.suite, Solo)


def test_a_batch_that_was_found_right_is_not_parsed_again() -> None:
    inspector = shared_inspector()
    batch, signature = signed_batch()

    first = inspector.batch(batch.raw, signature)

    assert first == batch
    assert inspector.batch(batch.raw, signature) is first


def test_a_batch_that_was_found_right_is_refused_under_another_signature() -> None:
    inspector = shared_inspector()
    batch, signature = signed_batch()
    inspector.batch(batch.raw, signature)

    for _ in range(2):
        with pytest.raises(Fault, match=r"batch\.creator-signature"):
            inspector.batch(batch.raw, bytes(len(signature)))
