"""A node's disk that is slow, full or failing on command: what `run` says, or a file of orders.

The file, which may be written while the node runs, holds one line: the delay of a synced write in
milliseconds and, where the next one is to fail, the word `fail`, and where there is to be no room
for any write, the word `full`.  No file, no fault.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from storage.contract import Engine
from storage.faulty import DiskFault, FaultyEngine

FAIL, FULL = "fail", "full"


@dataclass(frozen=True, slots=True)
class IllDisk:
    """What the disk of one node is made to suffer."""

    delay_ms: int = 0
    """How much longer each synced write takes."""
    fail_sync_after: int | None = None
    """Synced writes until one fails."""
    orders: Path | None = None
    """The file of orders, whose faults come on top."""

    @property
    def is_ill(self) -> bool:
        return self != IllDisk()

    def fault(self, synced: int) -> DiskFault:
        """What holds after this many synced writes."""
        ordered = DiskFault() if self.orders is None else read_orders(self.orders)
        fails = ordered.fails or (
            self.fail_sync_after is not None and synced >= self.fail_sync_after
        )
        return DiskFault(self.delay_ms + ordered.delay_ms, fails, ordered.full)

    def around(self) -> Callable[[Engine], Engine]:
        """Puts this disk below an engine; a healthy one changes nothing."""
        if not self.is_ill:
            return lambda engine: engine
        return lambda engine: FaultyEngine(engine, self.fault, time.sleep)


def write_orders(path: Path, fault: DiskFault) -> None:
    """Order a fault, or, with none in it, that there is none any more."""
    if fault == DiskFault():
        path.unlink(missing_ok=True)
        return
    new = path.with_suffix(".new")
    words = [f"{fault.delay_ms:g}", *[FAIL] * fault.fails, *[FULL] * fault.full]
    new.write_text(" ".join(words) + "\n", encoding="ascii")
    # The node reads the old line or the new one, never half a line.
    new.replace(path)


def read_orders(path: Path) -> DiskFault:
    """The fault that is ordered now."""
    try:
        words = path.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return DiskFault()
    return DiskFault(float(words[0]), FAIL in words[1:], FULL in words[1:])
