"""One changed byte in any file of a stopped home: refused, reported, or without any effect.

Each case copies a home, changes a byte, and does what `audit` and the start of `run` do.  Either
they refuse in plain words, or chain, state, votes and outcomes are what they were; never fewer.

    python -m tests.host.flips --count 1000
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

from consensus.recovery import recover
from consensus.replica import Replica
from host.home import read_genesis, read_home
from host.serve import setup_of
from ledger import layout
from ledger.applications import ALL
from ledger.audit import audit
from ledger.errors import LedgerError
from ledger.store import prefix_stop
from storage.home import open_store, verify_all
from tests.host.program import call, running_cluster

Kept = tuple[object, ...]
"""What a home says: its log, its votes, and what a replica starts from."""


def make_home(folder: Path, *, engine: str, transactions: int = 4) -> Path:
    """The home of a stopped node that has confirmed a few transactions."""
    call("init", folder, "--protocol", "jolteon", "--storage", engine).check()
    with running_cluster(folder):
        for _ in range(transactions):
            call("submit", "--network", folder, "--record", folder / "genesis.json").check()
    return folder / "node0"


def read_all(home: Path) -> Kept:
    """What `audit` and the start of `run` find.  Raises LedgerError where they refuse."""
    genesis = read_genesis(home / "genesis.json")
    with open_store(home, network=genesis.network) as store:
        verify_all(store)
        with store.snapshot() as reader:
            steps = audit(reader, genesis.network, ALL)
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    audited = end.value
                    break
            signed = tuple(reader.scan(layout.SIGNED, prefix_stop(layout.SIGNED)))
            outcomes = tuple(reader.scan(layout.TX, prefix_stop(layout.TX)))
    loaded = read_home(home)
    setup = setup_of(loaded)
    with open_store(home, network=loaded.genesis.network) as store:
        recovered = recover(store, setup)
        Replica(setup, recovered)
    return audited, signed, outcomes, recovered.head, recovered.certified, recovered.said


def flip_one(home: Path, draw: Random) -> str:
    """Change one byte of one file; says where."""
    files = sorted(path for path in home.rglob("*") if path.is_file() and path.stat().st_size)
    path = draw.choice(files)
    content = bytearray(path.read_bytes())
    place = draw.randrange(len(content))
    content[place] ^= draw.randrange(1, 256)
    path.write_bytes(content)
    return f"byte {place} of {path.name}"


def judge(home: Path, count: int) -> Counter[str]:
    """How many of this many changes were refused, and how many had no effect.

    Fails where something else comes out of it.
    """
    whole = read_all(home)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="ledger-flips-") as made:
        for seed in range(count):
            copy = Path(made) / "home"
            shutil.copytree(home, copy)
            where = flip_one(copy, Random(f"flip {seed}"))
            found: Kept | str
            try:
                found = read_all(copy)
            except LedgerError as error:
                found = str(error)
            if isinstance(found, str):
                assert "\n" not in found, f"seed {seed}: {where}: {found}"
            else:
                assert found == whole, f"seed {seed}: {where}: the home says other things"
            outcomes["refused" if isinstance(found, str) else "same"] += 1
            shutil.rmtree(copy)
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--storage", default="leveldb")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ledger-flips-") as made:
        home = make_home(Path(made) / "net", engine=options.storage)
        print(json.dumps(judge(home, options.count)))  # noqa: T201 (a command)


if __name__ == "__main__":
    main()
