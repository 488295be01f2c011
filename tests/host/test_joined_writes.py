"""One synced write for a decision and its brief execution, and none for two executions."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest

from consensus.interface import Now
from consensus.io import HostEvent, Job, JobDone, PeerUp, Report, StartJob, Step
from consensus.recovery import Setup
from consensus.replica import Replica
from host.runtime import Node
from ledger.store import Write
from storage.home import Store


@dataclass
class Disk:
    """Remembers each write's keys, and whether it was synced."""

    log: list[tuple[list[bytes], bool]] = field(default_factory=list)

    def write(self, writes: list[Write], *, sync: bool, **_options: object) -> None:
        self.log.append(([key for key, _ in writes], sync))

    def keys(self) -> list[bytes]:
        return [key for keys, _ in self.log for key in keys]


@dataclass(frozen=True)
class Execution(Job):
    """Looks what is in the store."""

    sequential: ClassVar[bool] = True

    @property
    def is_brief(self) -> bool:
        return True

    def run(self, reader: Any) -> list[bytes]:
        found: list[bytes] = reader.keys()
        return found


class TwoBlocks:
    """A replica that decides two blocks at once and executes them in turn."""

    def __init__(self) -> None:
        self.found: list[list[bytes]] = []

    def step(self, now: Now, event: HostEvent) -> Step:
        step = Step(sync=True)
        if isinstance(event, JobDone):
            self.found.append(cast(list[bytes], event.result))
            step.writes.append((b"executed %d" % len(self.found), b""))
            step.outputs.append(Report(f"executed {len(self.found)}", ()))
            if len(self.found) == 1:
                step.outputs.append(StartJob(2, Execution()))
        else:
            step.writes.append((b"decided 1 and 2", b""))
            step.outputs += [Report("decided both", ()), StartJob(1, Execution())]
        return step


@pytest.mark.trio
async def test_a_brief_execution_shares_its_decisions_write_alone() -> None:
    disk, replica, said = Disk(), TwoBlocks(), []

    def report(report: Report) -> None:
        said.append((report.name, len(disk.log)))

    node = Node(
        setup=cast(Setup, SimpleNamespace(genesis=None)),
        store=cast(Store, disk),
        transport_seed=b"",
        addresses={},
        listeners=[],
        report=report,
    )
    node.replica = cast(Replica, replica)
    node._write([(b"quick", b"")], sync=True)  # so that small ones are written on the spot
    disk.log.clear()
    node.feed(PeerUp(1))

    assert disk.log == [([b"decided 1 and 2", b"executed 1"], True), ([b"executed 2"], True)]
    # The second found the first in the store; what either says has left after its write.
    assert replica.found == [[], [b"decided 1 and 2", b"executed 1"]]
    assert said == [("decided both", 1), ("executed 1", 1), ("executed 2", 2)]
