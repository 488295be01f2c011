"""Load clients as processes: one that fails says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from benchmarks.harness.drive import start_clients
from ledger.errors import UnreachableError

LIMIT_S = 60


def job(folder: Path) -> dict[str, Any]:
    """Of a client whose genesis is missing."""
    return {
        "client": 0,
        "urls": [],
        "interval_s": 0.01,
        "resend_s": 1.0,
        "settle_s": 0.0,
        "height": 0,
        "duration_s": 1.0,
        "genesis": str(folder / "nowhere" / "genesis.json"),
        "rows": str(folder / "rows.csv"),
    }


@pytest.mark.trio
async def test_a_client_that_does_not_start_says_why(tmp_path: Path) -> None:
    clients = await start_clients([job(tmp_path)])
    try:
        with trio.fail_after(LIMIT_S):
            with pytest.raises(UnreachableError, match=r"did not start: .*nowhere/genesis\.json"):
                await clients.ready()
    finally:
        clients.kill()


@pytest.mark.trio
async def test_a_client_that_is_killed_has_no_words_but_a_code(tmp_path: Path) -> None:
    clients = await start_clients([job(tmp_path)])

    clients.kill()

    with trio.fail_after(LIMIT_S):
        with pytest.raises(UnreachableError, match="without a result: without a word.*-9"):
            await clients.results(0.0)
