"""Real processes that are killed, or run out of space, and what the next opening finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ledger.errors import StorageError
from storage.home import create, open_store

ROOT = Path(__file__).parents[2]
NETWORK = bytes(range(32))

WRITER = """
import sys
from pathlib import Path
from storage.home import open_store
store = open_store(Path(sys.argv[1]))
for number in range(1, 20_000):
    data = [(b"data/%05d/%d" % (number, part), b"%d" % number * 300) for part in range(3)]
    store.write(data, sync=False)
    store.write([(b"vote", b"%d" % number)], sync=True, certified_height=number)
    print(number, flush=True)
"""

FILLER = """
import resource, sys
from pathlib import Path
from ledger.errors import StorageError
from storage.home import open_store
limit = 600_000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
store = open_store(Path(sys.argv[1]))
number = 0
try:
    while number < 20_000:
        data = [(b"data/%05d/%d" % (number + 1, part), b"%d" % (number + 1) * 300)
                for part in range(3)]
        store.write(data + [(b"vote", b"%d" % (number + 1))], sync=True)
        number += 1
except StorageError as error:
    print(error)
for attempt in (
    lambda: store.write([(b"vote", b"again")], sync=True),
    lambda: store.get(b"vote"),
    lambda: list(store.scan(b"", b"z")),
):
    try:
        attempt()
        print("accepted")
    except StorageError as error:
        print(error)
print(number)
"""


def check_prefix(home: Path, acknowledged: int) -> None:
    """Every acknowledged batch is there, none is there in part, and none between is missing."""
    with open_store(home) as store:
        count = store.verify_all()
        vote = store.get(b"vote")
        last = int(vote) if vote is not None else 0
        parts = [key.split(b"/") for key, _ in store.scan(b"data/", b"data0")]
        assert count == len(parts) + (vote is not None)
    numbers = sorted({int(part[1]) for part in parts})
    assert acknowledged <= last <= acknowledged + 1
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(parts) == 3 * len(numbers)
    assert last <= len(numbers) <= last + 1


@pytest.mark.parametrize("lines", [1, 60, 250])
def test_a_killed_writer_leaves_every_acknowledged_batch(
    tmp_path: Path, disk_engine: str, lines: int
) -> None:
    create(tmp_path, disk_engine, network=NETWORK).close()
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        heard = [writer.stdout.readline() for _ in range(lines)]
        writer.kill()
        heard += writer.stdout.readlines()
    acknowledged = int([line for line in heard if line.endswith(b"\n")][-1])

    assert acknowledged >= lines
    check_prefix(tmp_path, acknowledged)


def test_a_full_disk_ends_the_engine_and_keeps_what_was_acknowledged(
    tmp_path: Path, disk_engine: str
) -> None:
    create(tmp_path, disk_engine, network=NETWORK).close()

    done = subprocess.run(
        [sys.executable, "-c", FILLER, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    *refusals, acknowledged = done.stdout.splitlines()
    assert len(refusals) == 4
    assert all("unknown; restart the node" in line for line in refusals)
    assert int(acknowledged) > 10
    check_prefix(tmp_path, int(acknowledged))


def test_a_process_that_cannot_write_its_home_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    create(tmp_path / "home", "sqlite", network=NETWORK).close()
    (tmp_path / "home" / "lock").unlink()
    (tmp_path / "home" / "lock").mkdir()

    with pytest.raises(StorageError, match="cannot lock the home"):
        open_store(tmp_path / "home")


DEAF_DISK = """
import os, sys
from pathlib import Path
from ledger.errors import StorageError
from storage.home import open_store
store = open_store(Path(sys.argv[1]))
store.write([(b"vote", b"1")], sync=True)
null = os.open("/dev/null", os.O_RDWR)  # takes every write; a sync of it fails
for descriptor in os.listdir("/proc/self/fd"):
    path = Path("/proc/self/fd", descriptor)
    if path.is_symlink() and os.readlink(path).endswith((".log", "-wal")):
        os.dup2(null, int(descriptor))
store.write([(b"data", b"2")], sync=False)
print("unsynced: accepted")
for write in (
    lambda: store.engine.write([], sync=True),  # nothing to write is no reason not to sync
    lambda: store.write([(b"vote", b"2")], sync=True),
):
    try:
        write()
        print("synced: accepted")
    except StorageError as error:
        print(error)
os._exit(0)
"""


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")
def test_a_sync_is_asked_of_the_disk_and_its_failure_is_final(
    tmp_path: Path, disk_engine: str
) -> None:
    create(tmp_path, disk_engine, network=NETWORK).close()

    done = subprocess.run(
        [sys.executable, "-c", DEAF_DISK, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    unsynced, *synced = done.stdout.splitlines()
    assert unsynced == "unsynced: accepted"
    assert len(synced) == 2
    assert all("unknown; restart the node" in line for line in synced)
    with open_store(tmp_path) as store:
        assert (store.get(b"vote"), store.get(b"data")) == (b"1", None)
