"""The document that imports are measured with: CollabMap's shape, the same each time, and valid."""

from __future__ import annotations

from collections import Counter

from benchmarks.ingest import AGENTS, SHAPE, collabmap
from ledger.constraints import check_statements


def test_the_document_has_the_shape_of_collabmap() -> None:
    kinds = Counter(statement.kind for statement in collabmap(0.1))

    assert kinds == {
        "agent": AGENTS,
        "activity": round(SHAPE["activities"] * 0.1),
        "wasAssociatedWith": round(SHAPE["activities"] * 0.1),
        "entity": round(SHAPE["entities"] * 0.1),
        "wasGeneratedBy": round(SHAPE["entities"] * 0.1),
        "used": round(SHAPE["usages"] * 0.1),
        "wasDerivedFrom": round(SHAPE["derivations"] * 0.1),
    }
    assert AGENTS + 2 * SHAPE["activities"] + 2 * SHAPE["entities"] + SHAPE["usages"] + SHAPE[
        "derivations"
    ] == 41_747  # fmt: skip


def test_the_document_is_valid_and_the_same_each_time() -> None:
    statements = list(collabmap(0.02))

    assert statements == list(collabmap(0.02))
    assert statements != list(collabmap(0.02, seed=2))
    assert check_statements(statements) == []
