"""Leaves nothing behind, however the harness ends: `python -m benchmarks.harness.janitor`.

The harness starts it first, is told the folder that it has made, and holds its standard input.
When that ends, because the harness is done, was interrupted or killed, or crashed, the janitor
kills every process that carries the folder's name in its environment, a stopped one too, which ends
their network namespaces as well, takes small disks and control groups away, and removes the folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.harness.disks import unmount
from benchmarks.harness.throttle import remove_groups

VARIABLE = "LEDGER_BENCHMARK_FOLDER"
GONE_S = 10.0
LOOK_S = 0.1
EMPTY_LOOKS = 2


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder for networks; it and every process started inside the block are gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.harness.janitor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
        # Ctrl-C in the terminal is for the harness.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        folder = Path(os.fsdecode(process.stdout.readline().rstrip(b"\n")))
        os.environ[VARIABLE] = str(folder)
        yield folder
    finally:
        os.environ.pop(VARIABLE, None)
        process.stdout.close()
        process.stdin.close()
        process.wait()


def clean(folder: Path) -> int:
    """Kill what belongs to a folder, and remove it; how many processes there were."""
    deadline = time.monotonic() + GONE_S
    found: set[psutil.Process] = set()
    # Looked for again, and once more a moment later: one that is about to begin has no environment
    # for as long as its program is being loaded, and shows its folder only then.
    empty_looks = 0
    while empty_looks < EMPTY_LOOKS and time.monotonic() < deadline:
        more = {process for process in psutil.process_iter() if _belongs(process, folder)}
        empty_looks = 0 if more else empty_looks + 1
        if not more:
            time.sleep(LOOK_S)
        found |= more
        for process in more:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        while not all(map(_is_gone, more)) and time.monotonic() < deadline:
            time.sleep(0.01)
    for disk in psutil.disk_partitions(all=True):
        if Path(disk.mountpoint).is_relative_to(folder):
            unmount(Path(disk.mountpoint))
    while not remove_groups(folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    shutil.rmtree(folder, ignore_errors=True)
    return len(found)


def _belongs(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(VARIABLE) == str(folder)
    except (psutil.Error, OSError):
        return False  # another user's, or gone


def _is_gone(process: psutil.Process) -> bool:
    """Whether it does nothing any more; that its parent has not asked is not our business."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def main() -> None:
    """Make the folder, tell it, wait until nobody holds the other end, then clean."""
    os.environ.pop(VARIABLE, None)
    # Made here: whoever made it and was killed before there was a janitor would leave it behind.
    folder = Path(tempfile.mkdtemp(prefix="ledger-benchmark-"))
    with suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), os.fsencode(folder) + b"\n")
    sys.stdin.read()
    clean(folder)


if __name__ == "__main__":
    main()
