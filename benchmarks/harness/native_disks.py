"""Disks that the kernel itself makes slow or failing, below the homes of real nodes.

A failing sync is what it is: the home stands on a file system (ext4) in a file, through a loop
device, and below that file there is no room any more.  The sync gets EIO from the kernel, the page
that was not written is in nobody's memory after the next mount, and what was synced before is
there.  Before the node starts again its file system is mounted anew, as an operator would do it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.harness.disks import FILLER, IllDisks, fill, mount, unmount
from benchmarks.harness.throttle import Throttle, open_throttle
from ledger.errors import UnreachableError
from storage.faulty import DiskFault

ROOM_MIB = 64
"""Of a disk that is to fail, unless a suite says how much."""
SPARSE = 4
"""The file system believes in so many times the room there is."""
IMAGE = "image"


class FailingDisk:
    """A home on a file system without a floor."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._below = below(home)
        self._was_ill = False

    def make(self, mib: int) -> None:
        """Make the file system and mount it over an empty home."""
        self._below.mkdir()
        if not mount(self._below, mib):
            raise UnreachableError(f"no tmpfs of {mib} MiB can be mounted at {self._below}")
        image = self._below / IMAGE
        with image.open("wb") as file:
            file.truncate(mib * SPARSE << 20)
        _do("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
        self._mount()

    def apply(self, *, fails: bool) -> None:
        """Leave no room below, or give it back."""
        filler = self._below / FILLER
        if fails and not filler.exists():
            fill([self._below])
            self._was_ill = True
        elif not fails:
            filler.unlink(missing_ok=True)

    def make_ready(self) -> None:
        """Mount it anew where it has failed; no process may use it."""
        if self._was_ill and not (self._below / FILLER).exists():
            _do("umount", str(self._home))
            self._mount()
            self._was_ill = False

    def remove(self) -> None:
        """Whatever of it is there."""
        unmount(self._home)
        unmount(self._below)

    def _mount(self) -> None:
        _do("mount", "-o", "loop", str(self._below / IMAGE), str(self._home))


@contextmanager
def failing_disk(home: Path, mib: int) -> Iterator[FailingDisk]:
    """Let a home stand on one.  Raises UnreachableError where that fails."""
    disk = FailingDisk(home)
    kept = home.with_name(f"{home.name}.kept")
    home.rename(kept)
    home.mkdir()
    try:
        disk.make(mib)
        shutil.copytree(kept, home, dirs_exist_ok=True)
        shutil.rmtree(kept)
        # What stands there before the fault is there after it.
        _do("sync", "-f", str(home))
        yield disk
    finally:
        disk.remove()


def below(home: Path) -> Path:
    """The folder of the small disk that the file system of a home is on."""
    return home.with_name(f"{home.name}.below")


class NativeDisks(IllDisks):
    """Those of one network."""

    def __init__(
        self, size: int, throttle: Throttle | None, failing: dict[int, FailingDisk]
    ) -> None:
        super().__init__(size)
        self._throttle = throttle
        self._failing = failing

    def prefix(self, node: int) -> tuple[str, ...]:
        """The words before the command of a node whose disk may become slow."""
        return () if self._throttle is None else self._throttle.prefix(node)

    def apply(self, node: int, fault: DiskFault) -> None:
        if self._throttle is not None:
            self._throttle.limit(node, fault.delay_ms)
        if node in self._failing:
            self._failing[node].apply(fails=fault.fails)

    def make_ready(self, node: int) -> None:
        if node in self._failing:
            self._failing[node].make_ready()


@contextmanager
def native_disks(
    folder: Path, homes: list[Path], *, slow: bool, failing: Mapping[int, int]
) -> Iterator[NativeDisks]:
    """Disks for the nodes of a network that does not run yet, gone with the block.

    failing: MiB of room by node, 0 for `ROOM_MIB`.  Raises UnreachableError where that fails.
    """
    with ExitStack() as stack:
        throttle = stack.enter_context(open_throttle(folder, len(homes))) if slow else None
        disks = {
            node: stack.enter_context(failing_disk(homes[node], mib or ROOM_MIB))
            for node, mib in failing.items()
        }
        yield NativeDisks(len(homes), throttle, disks)


def complaint(place: Path) -> str:
    """Why no sync can be made to fail here; empty where it can: tried, and undone.

    place: an empty folder whose janitor knows what to take away.
    """
    home = place / "failing"
    home.mkdir()
    try:
        with failing_disk(home, 16) as disk:
            disk.apply(fails=True)
            if _syncs(home):
                return "a disk without room lets a sync succeed"
            disk.apply(fails=False)
            disk.make_ready()
            return "" if _syncs(home) else "the disk does not recover"
    except UnreachableError as error:
        return str(error)


def _syncs(home: Path) -> bool:
    """Whether a file of some size can be written and synced; by another process, as nodes are."""
    words = ["dd", "if=/dev/zero", f"of={home / 'file'}", "bs=64k", "count=4", "conv=fsync"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _do(*words: str) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UnreachableError(f"{words[0]}: {error.strerror}") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it failed"]
        raise UnreachableError(said[-1])
