"""What a node holds against validators, as a file that anyone can check."""

from __future__ import annotations

import httpx
import pytest

from ledger import layout
from ledger.evidence import Judge, make_equivocation
from tests.api.memory_node import MemoryNode
from tests.ledger.accused import X, Y, say

pytestmark = pytest.mark.trio


async def test_evidence_is_served_as_the_file_that_verify_takes(
    http: httpx.AsyncClient, node: MemoryNode
) -> None:
    assert (await http.get("/v1/evidence")).status_code == 404
    genesis = node.genesis
    epoch = genesis.epoch.id
    said = [say(2, value, genesis=genesis, epoch=epoch) for value in (X, Y)]
    piece = make_equivocation(epoch, 2, "prevote", (7, 1), *said)
    key = layout.equivocation_key(2, "prevote", (7, 1))
    node.ledger.store.store.write([(key, piece.encode())])

    answer = await http.get("/v1/evidence")

    (conviction,) = Judge(genesis).check(answer.content)
    assert conviction.culprits == (2,)
