"""What stands on a stage beside replicas: puppets, and machines whose disks forget."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from consensus.interface import Now
from consensus.io import FrameArrived, HostEvent, SendFrame, Step
from consensus.packets import Packet, WhatDidISay, YouSaid, decode_packet, encode_packet
from sim.node import Node


@dataclass
class Puppet:
    """A validator that a schedule speaks for: by itself it only answers greetings."""

    me: int
    memory: tuple[Any, Any] = ((), None)
    """(statements, checkpoint) that it claims to have heard from whoever asks."""
    heard: list[tuple[int, Packet]] = field(default_factory=list)
    """(sender, packet), in order."""

    def step(self, now: Now, event: HostEvent) -> Step:
        step = Step()
        if isinstance(event, FrameArrived):
            _, packet = decode_packet(event.channel, event.payload)
            self.heard.append((event.peer, packet))
            if isinstance(packet, WhatDidISay):
                answer = YouSaid(packet.salt, *self.memory)
                payload = encode_packet(answer, 0)
                step.outputs.append(SendFrame(event.peer, answer.CHANNEL, payload))
        return step


class ForgetfulNode(Node):
    """A machine whose disk keeps nothing in a crash that was not synced."""

    keeps_last = False
    """Whether it keeps the last batch all the same, and only that."""

    def crash(self) -> None:
        if self.is_up:
            count = self.disk.unsynced_count
            self.disk.crash(keep=[count - 1] if self.keeps_last and count else 0)
        super().crash()
