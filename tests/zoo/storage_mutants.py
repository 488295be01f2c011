"""The mutants of storage: a home is damaged on its disk, and must be refused or be whole.

A scenario fills a small home, damages its files in a drawn way and opens it again.  P2 breaks where
it opens without a record that was synced, P19 where the attempt destroys files that a person could
still have repaired it from.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from ledger.errors import LedgerError
from storage import home, leveldb
from storage.checksum import CHECKSUM_SIZE
from storage.home import create, open_store
from storage.leveldb import LevelDbEngine
from tests.zoo.model import Mutant, Verdict, judged

NETWORK = bytes(range(32))
RECORDS = 40
DAMAGES = ("no CURRENT", "MANIFEST cut", "table flipped", "log cut", "older database", "nothing")
Broken = tuple[str, ...]
Patches = tuple[tuple[Any, str, Any], ...]
"""(owner, name, what stands there instead)."""


@classmethod  # type: ignore[misc]
def _creates(cls: type[LevelDbEngine], directory: Path) -> LevelDbEngine:
    with patch.object(leveldb.plyvel, "DB", _forgiving(error_if_exists=False, create=True)):
        return cls(directory, create=True)


def _forgiving(*, error_if_exists: bool, create: bool) -> Callable[..., Any]:
    database = leveldb.plyvel.DB

    def opened(*arguments: Any, **options: Any) -> Any:
        options |= {"error_if_exists": error_if_exists, "create_if_missing": create}
        return database(*arguments, **options)

    return opened


def _unchecked(source: Any, key: bytes) -> bytes | None:
    """Reads as LevelDB does by default, and believes the value."""
    stored = source.get(key)
    return None if stored is None else stored[CHECKSUM_SIZE:]


MUTATIONS: dict[str, Patches] = {
    "S4": ((LevelDbEngine, "open", _creates),),
    "S5": ((leveldb, "_get", _unchecked),),
    "S7": ((home, "_check_not_behind", lambda *_: None), (leveldb, "check_files", lambda *_: None)),
}


def attempt(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """One damaged home."""
    found = broken(mutant.id, number)
    return judged(mutant, found, partial(broken, "", number), f"disk {number}"), 1


def broken(mutation: str, number: int) -> Broken:
    """What breaks in the home of this number, perhaps with one rule of storage missing."""
    draw = Random(f"disk {number}")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        place = Path(name) / "home"
        content = _fill(place, draw)
        damage = draw.choice(DAMAGES)
        _damage(place, damage, draw)
        tables = sorted(path.name for path in (place / home.DATABASE_NAME).glob("*.ldb"))
        for owner, attribute, replacement in MUTATIONS.get(mutation, ()):
            stack.enter_context(patch.object(owner, attribute, replacement))
        try:
            with open_store(place) as store:
                held = {key: store.engine.get(key) for key in content}
        except LedgerError:
            left = {path.name for path in (place / home.DATABASE_NAME).glob("*.ldb")}
            return () if set(tables) <= left else ("P19",)
        return () if held == content else ("P2",)


def _fill(place: Path, draw: Random) -> dict[bytes, bytes]:
    content: dict[bytes, bytes] = {}
    for life in range(2):
        with create(place, "leveldb", network=NETWORK) if not life else open_store(place) as store:
            for _ in range(RECORDS // 2):
                key, value = b"k%d" % draw.randrange(1 << 30), draw.randbytes(50)
                store.write([(key, value)], sync=True)
                content[key] = value
        if not life:
            shutil.copytree(place / home.DATABASE_NAME, place.with_name("older"))
    return content


def _damage(place: Path, damage: str, draw: Random) -> None:
    database = place / home.DATABASE_NAME
    if damage == "no CURRENT":
        (database / "CURRENT").unlink()
    elif damage == "MANIFEST cut":
        _cut(sorted(database.glob("MANIFEST*"))[-1], draw)
    elif damage == "log cut":
        _cut(sorted(database.glob("*.log"))[-1], draw)
    elif damage == "table flipped" and (tables := sorted(database.glob("*.ldb"))):
        table = draw.choice(tables)
        content = bytearray(table.read_bytes())
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        table.write_bytes(content)
    elif damage == "older database":
        shutil.rmtree(database)
        shutil.copytree(place.with_name("older"), database)


def _cut(path: Path, draw: Random) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(draw.randrange(size) if size else 0)


STORAGE = (
    Mutant("S4", "storage", "storage", "a database is created by `init` alone", ("P2", "P19"),
           label="CreatesWhatIsMissing", easy="disk"),
    Mutant("S5", "storage", "storage", "every read is verified", ("P2",),
           label="BelievesEveryRead", easy="disk"),
    Mutant("S7", "storage", "storage", "a database behind the tripwire is refused", ("P2",),
           label="IgnoresTheTripwire", easy="disk"),
) if leveldb.is_available() else ()  # fmt: skip
"""Where LevelDB is installed: the accidents are its own."""
