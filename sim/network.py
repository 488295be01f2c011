"""The simulated network: links that delay, lose, double, reorder and replay frames, and break.

A pair of nodes shares a connection.  While it is up, frames cross in both directions as the bytes
of `p2p/frames`; what is under way when it breaks is lost.  Each end learns that the connection is
up before the first frame comes out of it, learns that it broke after a delay of its own, and only
when both have learned it can they connect again.  A cut is not a broken connection: it swallows
frames in one direction, and neither end is told.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import log
from random import Random
from typing import Protocol

from consensus.io import Channel, FrameArrived, HostEvent, PeerDown, PeerUp
from p2p.frames import Channel as FrameChannel
from p2p.frames import Frame, FrameReader, encode_frames
from sim.agenda import MS, Agenda
from sim.scenario import Weather

IN_FLIGHT_MAX = 4_096
"""Frames under way on one link; a real node's outbound queue is shorter still."""
REMEMBERED_MAX = 256
"""Earlier frames of a link that may be replayed."""
_CONNECT_MS_MAX = 40
_NOTICE_MS_MAX = 60
_FRAME_CHANNELS = {channel: FrameChannel(int(channel)) for channel in Channel}
_CHANNELS = {frame_channel: channel for channel, frame_channel in _FRAME_CHANNELS.items()}


class Station(Protocol):
    """What the network needs to know of a node."""

    @property
    def is_reachable(self) -> bool:
        """Whether its process answers."""

    def receive(self, event: HostEvent) -> None:
        """Hand over what came over a link, or befell it."""


class Postmark(Protocol):
    """What a recorder is told of every frame, as the bytes that cross the link."""

    def posted(self, source: int, dest: int, data: bytes) -> None: ...
    def lost(self, source: int, dest: int, data: bytes) -> None: ...
    def arrived(self, source: int, dest: int, data: bytes) -> None: ...


@dataclass(slots=True)
class _Link:
    """One direction of a connection."""

    source: int
    dest: int
    reader: FrameReader = field(default_factory=FrameReader)
    last_arrival_us: int = 0
    in_flight: int = 0
    remembered: list[bytes] = field(default_factory=list)
    """Frames sent before, also over earlier connections."""


@dataclass(slots=True)
class _Pair:
    """The connection between two nodes."""

    generation: int = 0
    """Grows with every connection and every break: what an earlier one sent is void."""
    is_connected: bool = False
    believes: dict[int, bool] = field(default_factory=dict)
    """Whether each end thinks that the connection is up."""


class Network:
    """All links of one world, in a full mesh."""

    def __init__(self, size: int, agenda: Agenda, draw: Random, *, weather: Weather) -> None:
        self.weather = weather
        self.frames: Counter[Channel] = Counter()
        self.bytes: Counter[Channel] = Counter()
        self.dropped = 0
        """Frames lost by the weather, a cut, a break or a full link."""
        self.in_flight_max = 0
        self.recorder: Postmark | None = None
        self._agenda = agenda
        self._draw = draw
        self._stations: list[Station] = []
        ends = [(low, high) for high in range(size) for low in range(high)]
        self._pairs = {end: _Pair(believes={end[0]: False, end[1]: False}) for end in ends}
        self._links = [[_Link(source, dest) for dest in range(size)] for source in range(size)]
        self._cuts = [[0] * size for _ in range(size)]
        self._others = [[o for o in range(size) if o != me] for me in range(size)]

    def attach(self, stations: list[Station]) -> None:
        """Name the nodes, in index order; done once."""
        self._stations = stations

    # --- frames -----------------------------------------------------------------------------------

    def send(self, source: int, peer: int | None, channel: Channel, payload: bytes) -> None:
        """Carry a frame to one node, or to all others, as far as links and weather allow."""
        data = encode_frames([Frame(_FRAME_CHANNELS[channel], payload)])
        dests = self._others[source] if peer is None else (peer,)
        self.frames[channel] += len(dests)
        self.bytes[channel] += len(dests) * len(data)
        for dest in dests:
            self._send_one(source, dest, data)

    def _send_one(self, source: int, dest: int, data: bytes) -> None:
        if self.recorder is not None:
            self.recorder.posted(source, dest, data)
        pair = self._pair(source, dest)
        link = self._links[source][dest]
        weather, draw = self.weather, self._draw
        is_lost = weather.loss and draw.randrange(1000) < weather.loss
        is_full = link.in_flight >= IN_FLIGHT_MAX
        if weather.replay:
            self._replay(link, pair, data)
        if not pair.is_connected or self._cuts[source][dest] or is_lost or is_full:
            self.dropped += 1
            if self.recorder is not None:
                self.recorder.lost(source, dest, data)
            return
        self._carry(link, pair, data)
        if weather.duplicate and draw.randrange(1000) < weather.duplicate:
            self._carry(link, pair, data)

    def _carry(self, link: _Link, pair: _Pair, data: bytes) -> None:
        weather, draw, agenda = self.weather, self._draw, self._agenda
        delay_us = weather.delay_us - int(weather.jitter_us * _log_of(draw))
        arrival_us = agenda.now_us + delay_us
        if weather.reorder and draw.randrange(1000) < weather.reorder:
            arrival_us += draw.randrange(1 + 4 * (weather.delay_us + weather.jitter_us))
        else:
            arrival_us = max(arrival_us, link.last_arrival_us + 1)
            link.last_arrival_us = arrival_us
        link.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, link.in_flight)
        agenda.at(arrival_us, self._arrive, link, pair, pair.generation, data)

    def _replay(self, link: _Link, pair: _Pair, data: bytes) -> None:
        draw = self._draw
        if link.remembered and draw.randrange(1000) < self.weather.replay:
            earlier = link.remembered[draw.randrange(len(link.remembered))]
            if pair.is_connected and not self._cuts[link.source][link.dest]:
                self._carry(link, pair, earlier)
        if len(link.remembered) < REMEMBERED_MAX:
            link.remembered.append(data)
        else:
            link.remembered[draw.randrange(REMEMBERED_MAX)] = data

    def _arrive(self, link: _Link, pair: _Pair, generation: int, data: bytes) -> None:
        is_void = pair.generation != generation
        if self.recorder is not None:
            tell = self.recorder.lost if is_void else self.recorder.arrived
            tell(link.source, link.dest, data)
        if is_void:
            self.dropped += 1
            return
        link.in_flight -= 1
        station = self._stations[link.dest]
        for frame in link.reader.feed(data):
            station.receive(FrameArrived(link.source, _CHANNELS[frame.channel], frame.payload))

    # --- connections ------------------------------------------------------------------------------

    def connect_soon(self, node: int) -> None:
        """Let a node that came up, or out of a cut, look for every other."""
        for other in self._others[node]:
            self._try_soon(node, other)

    def _try_soon(self, one: int, other: int) -> None:
        delay_us = self._draw.randrange(1, _CONNECT_MS_MAX * MS)
        self._agenda.after(delay_us, self._connect, min(one, other), max(one, other))

    def _connect(self, low: int, high: int) -> None:
        pair = self._pairs[low, high]
        are_up = self._stations[low].is_reachable and self._stations[high].is_reachable
        is_cut = self._cuts[low][high] or self._cuts[high][low]
        if pair.is_connected or any(pair.believes.values()) or not are_up or is_cut:
            return
        pair.generation += 1
        pair.is_connected = True
        for source, dest in ((low, high), (high, low)):
            link = self._links[source][dest]
            link.reader, link.last_arrival_us, link.in_flight = FrameReader(), 0, 0
            pair.believes[source] = True
        for end in (low, high):
            self._stations[end].receive(PeerUp(high if end == low else low))

    def disconnect(self, one: int, other: int) -> None:
        """Break a connection; each end learns it after a while, and then tries again."""
        pair = self._pair(one, other)
        if not pair.is_connected:
            return
        pair.generation += 1
        pair.is_connected = False
        for end, peer in ((one, other), (other, one)):
            if pair.believes[end]:
                delay_us = self._draw.randrange(1, _NOTICE_MS_MAX * MS)
                self._agenda.after(delay_us, self._notice, pair, pair.generation, end, peer)

    def _notice(self, pair: _Pair, generation: int, end: int, peer: int) -> None:
        if pair.generation != generation or not pair.believes[end]:
            return
        pair.believes[end] = False
        self._stations[end].receive(PeerDown(peer))
        self._try_soon(end, peer)

    def crashed(self, node: int) -> None:
        """A process ended: its connections break, and it knows of none."""
        for other in self._others[node]:
            self._pair(node, other).believes[node] = False
            self.disconnect(node, other)

    def cut(self, source: int, dest: int) -> None:
        """Swallow every frame in this direction until as many `mend`s as cuts were made."""
        self._cuts[source][dest] += 1

    def mend(self, source: int, dest: int) -> None:
        """Take back one cut."""
        assert self._cuts[source][dest] > 0
        self._cuts[source][dest] -= 1
        self._try_soon(source, dest)

    def _pair(self, one: int, other: int) -> _Pair:
        return self._pairs[(one, other) if one < other else (other, one)]


def _log_of(draw: Random) -> float:
    """The logarithm of a uniform number in (0, 1]: minus an exponential one with mean 1."""
    return log(1.0 - draw.random())
