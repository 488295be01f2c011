"""Ledgers of set lengths: filled piece by piece, measured, and tampered with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from benchmarks.harness import proofs
from benchmarks.harness.suite import Proofs

LIMIT_S = 120


@pytest.mark.trio
async def test_a_ledger_has_the_length_that_was_asked_for_however_many_pieces_that_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: list[float] = []
    measure = proofs.measure

    async def look(*arguments: Any, **options: Any) -> Any:
        offered.append(options["duration_s"] * arguments[1])
        return await measure(*arguments, **options)

    monkeypatch.setattr(proofs, "measure", look)
    monkeypatch.setattr(proofs, "PIECE_S", 0.2)
    rows: list[dict[str, Any]] = []
    one = Proofs("p", (30, 50), rate_per_s=100.0, receipts=5, flips=20, store_flips=4)
    (tmp_path / "work").mkdir()

    with trio.fail_after(LIMIT_S):
        verdict = await proofs.run_proofs(one, 1, tmp_path / "work", rows.append)

    assert verdict.sound
    assert offered == pytest.approx([20, 10, 20])
    assert [row["transactions"] for row in rows] == [30, 50]
    assert [row["flips_silent"] for row in rows] == [0, 0]
    found = [row["flips_found"] + row["flips_harmless"] for row in rows]
    assert found == [24, 20]
    assert rows[0]["leaves"] < rows[1]["leaves"]
