"""What may stand between a replica and its host, to break one promise on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from consensus.interface import Now
from consensus.io import HostEvent, Output, Step
from ledger.store import Write
from sim.watcher import Machine

ChangeWrite = Callable[[Write], list[Write]]
ChangeOutput = Callable[[Output], list[Output]]


@dataclass
class Meddler:
    """A machine that lets another one work and changes what it says."""

    machine: Machine
    write: ChangeWrite = field(default=lambda write: [write])
    output: ChangeOutput = field(default=lambda output: [output])
    is_syncing: bool = True

    def step(self, now: Now, event: HostEvent) -> Step:
        step = self.machine.step(now, event)
        return replace(
            step,
            writes=[changed for write in step.writes for changed in self.write(write)],
            outputs=[changed for output in step.outputs for changed in self.output(output)],
            sync=step.sync and self.is_syncing,
        )
