"""Ill disks: small ones below the homes of nodes, a tmpfs each, which takes root, and those that
nodes make slow, full or failing themselves, by orders (`host/ill_disk.py`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from host.ill_disk import write_orders
from ledger.errors import UnreachableError
from storage.faulty import DiskFault

FILLER = "filler"
"""The file in a home that takes all the room there is."""


def can_mount(folder: Path) -> bool:
    """Whether a tmpfs can be mounted over a folder: tried, and undone."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not mount(folder, 1):
        return False
    unmount(folder)
    return True


def mount(folder: Path, mib: int) -> bool:
    """Put a tmpfs of this size over a folder; whether it worked."""
    words = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "ledger-benchmark", str(folder)]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def unmount(folder: Path) -> None:
    """Take it away, in use or not."""
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


@contextmanager
def small_disk(home: Path, mib: int) -> Iterator[None]:
    """Let a home stand on a disk of its own.  Raises UnreachableError where that fails."""
    kept = home.with_name(f"{home.name}.kept")
    home.rename(kept)
    home.mkdir()
    if not mount(home, mib):
        raise UnreachableError(f"no tmpfs of {mib} MiB can be mounted at {home}")
    shutil.copytree(kept, home, dirs_exist_ok=True)
    shutil.rmtree(kept)
    try:
        yield
    finally:
        unmount(home)


def fill(homes: list[Path]) -> None:
    """Leave no room on the disk that each home stands on."""
    for home in homes:
        with (home / FILLER).open("wb", buffering=0) as file:
            for size in (64 * 1024, 512):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))


class IllDisks(ABC):
    """The disks of some nodes; what several faults do to one adds up."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._faults: dict[int, tuple[frozenset[int], DiskFault]] = {}
        self._count = 0

    def begin(self, nodes: Sequence[int], fault: DiskFault) -> int:
        """Put a fault on the disks of some nodes; the number to end it by."""
        self._count += 1
        self._faults[self._count] = (frozenset(nodes), fault)
        self._apply_all()
        return self._count

    def end(self, number: int) -> None:
        """Take a fault away."""
        del self._faults[number]
        self._apply_all()

    def clear(self) -> None:
        """Take all away."""
        self._faults.clear()
        self._apply_all()

    def _apply_all(self) -> None:
        for node in range(self._size):
            here = [fault for nodes, fault in self._faults.values() if node in nodes]
            delay_ms = sum(fault.delay_ms for fault in here)
            fails, full = any(each.fails for each in here), any(each.full for each in here)
            self.apply(node, DiskFault(delay_ms, fails, full))

    def make_ready(self, node: int) -> None:
        """Before a node is started again: what an operator would do to its disk."""

    @abstractmethod
    def apply(self, node: int, fault: DiskFault) -> None:
        """Make the disk of a node so."""


class OrderedDisks(IllDisks):
    """Disks of nodes that look for orders."""

    def __init__(self, folder: Path, size: int) -> None:
        super().__init__(size)
        self._orders = [folder / f"node{node}.orders" for node in range(size)]

    def options(self, node: int) -> tuple[str, ...]:
        """The words with which a node looks for its orders."""
        return ("--disk-orders", str(self._orders[node]))

    def apply(self, node: int, fault: DiskFault) -> None:
        write_orders(self._orders[node], fault)
