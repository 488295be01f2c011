"""Small disks below the homes of nodes, to be filled up: a tmpfs each, which takes root."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger.errors import UnreachableError

FILLER = "filler"
"""The file in a home that takes all the room there is."""


def can_mount() -> bool:
    """Whether a tmpfs can be mounted here: tried, and undone."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        if not mount(Path(folder), 1):
            return False
        unmount(Path(folder))
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
