"""Disks that the kernel makes slow: a control group a node, whose writes to the device are counted.

A group lets so many writes a second through to the disk below the homes; a synced write is one to
three of them, since the file system keeps a journal.  It works by the controller `blkio` of version
1 and by `io` of version 2, and takes root and a real block device below the temporary directory.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import UnreachableError

TRIAL_IOPS, TRIAL_SYNCS = 20, 4
TRIALS = 3
TRIAL_S = 0.1
"""So much longer must the syncs of a trial take, of which each is a write at least."""
SYNC = """
import os, sys, time
began = time.perf_counter()
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o600)
for _ in range(int(sys.argv[2])):
    os.write(file, b"x" * 512)
    os.fsync(file)
print(time.perf_counter() - began)
"""


@dataclass(frozen=True, slots=True)
class Controller:
    """How one version of control groups limits writes."""

    base: Path
    """Where groups are made."""
    file: str
    """Of a group, for its limit."""
    line: str
    none: str
    """The word for no limit."""

    def is_here(self) -> bool:
        if self.file.startswith("blkio"):
            return (self.base / self.file).exists()
        given = self.base / "cgroup.subtree_control"
        return given.exists() and "io" in given.read_text(encoding="ascii").split()


CONTROLLERS = (
    Controller(
        Path("/sys/fs/cgroup/blkio"), "blkio.throttle.write_iops_device", "{device} {limit}", "0"
    ),
    Controller(Path("/sys/fs/cgroup"), "io.max", "{device} wiops={limit}", "max"),
)


class Throttle:
    """The groups of the nodes of one network."""

    def __init__(self, folder: Path, size: int) -> None:
        """For the network in this folder.  Raises UnreachableError where it cannot be."""
        here = [one for one in CONTROLLERS if one.is_here()]
        if not here:
            raise UnreachableError("no controller of control groups limits writes here")
        self._how = here[0]
        self._device = device_below(folder)
        self._groups = [
            self._how.base / f"{folder.parent.name}.{folder.name}-{node}" for node in range(size)
        ]
        try:
            for group in self._groups:
                group.mkdir()
        except OSError as error:
            self.remove()
            raise UnreachableError(f"no control group can be made: {error.strerror}") from None

    def prefix(self, node: int) -> tuple[str, ...]:
        """The words before the command of a node, which then begins in its group."""
        return ("sh", "-c", 'echo $$ > "$0" && exec "$@"', f"{self._groups[node]}/cgroup.procs")

    def limit(self, node: int, delay_ms: float) -> None:
        """Let each write of a node take so long; 0: as long as it takes.

        Raises UnreachableError where the kernel refuses.
        """
        limit = f"{max(1.0, 1000 / delay_ms):.0f}" if delay_ms else self._how.none
        line = self._how.line.format(device=self._device, limit=limit)
        file = self._groups[node] / self._how.file
        try:
            file.write_text(line, encoding="ascii")
        except OSError as error:
            raise UnreachableError(f"{file}: {error.strerror}") from None

    def remove(self) -> None:
        """Take the groups away, whose processes have ended."""
        for group in self._groups:
            with suppress(OSError):
                group.rmdir()


@contextmanager
def open_throttle(folder: Path, size: int) -> Iterator[Throttle]:
    """Groups for the nodes of the network in this folder, gone with the block."""
    throttle = Throttle(folder, size)
    try:
        yield throttle
    finally:
        throttle.remove()


def remove_groups(workspace: Path) -> bool:
    """Take away what was made for networks in this folder, whose processes have ended.

    False where one stays: a thread of an ended process may still wait for a slow disk.
    """
    left = [group for one in CONTROLLERS for group in one.base.glob(f"{workspace.name}.*")]
    for group in left:
        with suppress(OSError):
            group.rmdir()
    return not any(group.exists() for group in left)


def device_below(folder: Path) -> str:
    """MAJOR:MINOR of the disk that a folder is on.  Raises UnreachableError where there is none."""
    number = os.stat(folder).st_dev
    entry = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not entry.exists():
        raise UnreachableError(f"{folder} is on no block device of its own")
    entry = entry.resolve()
    if (entry / "partition").exists():
        # Limits are for whole disks.
        entry = entry.parent
    return (entry / "dev").read_text(encoding="ascii").strip()


def complaint(place: Path) -> str:
    """Why no disk can be made slow here; empty where it can: tried with a few syncs, and undone.

    place: an empty folder whose janitor knows what to take away.
    """
    folder = place / "slow"
    folder.mkdir()
    try:
        with open_throttle(folder, 1) as throttle:
            # A disk that others use as well may hide it once.
            slows = any(_slows(throttle, folder) for _ in range(TRIALS))
    except UnreachableError as error:
        return str(error)
    return "" if slows else "the limit of a group does not hold up a sync"


def _slows(throttle: Throttle, folder: Path) -> bool:
    throttle.limit(0, 0)
    quick_s = _sync_s(throttle, folder)
    throttle.limit(0, 1000 / TRIAL_IOPS)
    return _sync_s(throttle, folder) > quick_s + TRIAL_S


def _sync_s(throttle: Throttle, folder: Path) -> float:
    words = [*throttle.prefix(0), sys.executable, "-c", SYNC, str(folder / "f"), str(TRIAL_SYNCS)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnreachableError(done.stderr.strip().splitlines()[-1])
    return float(done.stdout)
