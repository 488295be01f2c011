"""Whether the ledger is sound after a trial: all logs equal, one of them re-executed in full.

A figure without this beside it says nothing: a network that forgets or forks can be very fast.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from host.home import GENESIS_FILE, read_genesis
from host.network import homes_of, interpreter
from ledger import queries
from ledger.errors import StorageError
from storage.home import open_store


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of the stores of a stopped network."""

    sound: bool
    height: int
    """Certified at all nodes."""
    transactions: int
    """In the log, by the audit."""
    audited: int
    """Homes re-executed from the genesis, every signature and certificate checked."""
    text: str
    """In words: what is sound, or what is not."""


async def judge(folder: Path, audits: int, forks: list[str], lost: int) -> Verdict:
    """Judge a stopped network; `lost` counts transactions confirmed to a client that none has."""
    homes = homes_of(folder)
    try:
        found = [await trio.to_thread.run_sync(_tip, home) for home in homes]
    except StorageError as error:
        return Verdict(False, 0, 0, 0, f"a store is damaged: {error}")
    height = min(certified for certified, _ in found)
    hashes = {
        await trio.to_thread.run_sync(_block_hash, home, height) for home in homes if height
    }  # fmt: skip
    wrong = list(forks)
    if len(hashes) > 1:
        wrong.append(f"the logs differ at height {height}")
    if len(set(found)) > 1:
        tops = ", ".join(str(certified) for certified, _ in found)
        wrong.append(f"not every node has everything: certified heights are {tops}")
    if lost:
        wrong.append(f"{lost} transactions were confirmed and are gone")
    transactions = 0
    for home in homes[:audits]:
        told = await _audit(home)
        if not told.get("valid"):
            wrong.append(f"{home.name}: {told.get('detail', 'the audit failed')}")
        transactions = max(transactions, int(told.get("transactions", 0)))
    if wrong:
        return Verdict(False, height, transactions, audits, "; ".join(wrong))
    text = (
        f"all {len(homes)} logs are equal at height {height}, "
        f"{audits} re-executed with {transactions} transactions"
    )
    return Verdict(True, height, transactions, audits, text)


def _tip(home: Path) -> tuple[int, bytes]:
    """(certified height, root of the log that the newest certificate signs)."""
    genesis = read_genesis(home / GENESIS_FILE)
    with open_store(home, network=genesis.network) as store, store.snapshot() as reader:
        newest = queries.latest_certificate(reader, genesis)
        return (newest.height, newest.root) if newest is not None else (0, b"")


def _block_hash(home: Path, height: int) -> bytes:
    genesis = read_genesis(home / GENESIS_FILE)
    with open_store(home, network=genesis.network) as store, store.snapshot() as reader:
        header = queries.header(reader, height)
        return header.hash if header is not None else b""


async def _audit(home: Path) -> dict[str, Any]:
    done = await trio.run_process(
        [*interpreter(), "audit", str(home), "--json"],
        capture_stdout=True,
        check=False,
        stderr=subprocess.DEVNULL,
    )
    told: dict[str, Any] = json.loads(done.stdout or b"{}")
    return told
