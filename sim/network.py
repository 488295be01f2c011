"""The simulated network: links that delay, lose, double, reorder and replay frames, and break.

Two neighbours share a connection.  While it is up, frames cross in both directions as the bytes
of `p2p/frames`; what is under way when it breaks is lost.  Each end learns that the connection is
up before the first frame comes out of it, learns that it broke after a delay of its own, and only
when both have learned it can they connect again.  A cut is not a broken connection: it swallows
frames in one direction, and neither end is told; but no connection outlives a cut of `SILENT_MS`.

A frame first waits for its turn to leave its node, whose links share one bandwidth; then it takes
the distance between the two regions, the weather's delay and what chance adds to both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
SILENT_MS = 10_000
"""How long an end hears nothing, no ping either, before it ends the connection: the `idle_ms` of
`p2p/transport.py`."""
TAIL_MS_MAX = 10_000
"""The longest that the heavy tail of the weather holds a frame."""
_TAIL_SHAPE = 1.5
_SECOND_US = 1_000 * MS
_PARSED_MAX = 4_096
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
class _Pair:
    """The connection between two nodes."""

    generation: int = 0
    """Grows with every connection and every break: what an earlier one sent is void."""
    is_connected: bool = False
    believes: dict[int, bool] = field(default_factory=dict)
    """Whether each end thinks that the connection is up."""


@dataclass(slots=True)
class _Link:
    """One direction of a connection."""

    source: int
    dest: int
    pair: _Pair
    last_arrival_us: int = 0
    in_flight: int = 0
    is_bursting: bool = False
    """Whether it is losing frames in a row just now."""
    cut_number: int = 0
    """How many cuts began on it."""
    remembered: list[bytes] = field(default_factory=list)
    """Frames sent before, also over earlier connections."""


class Network:
    """All links of one world: in a full mesh, or between neighbours only."""

    def __init__(
        self,
        size: int,
        agenda: Agenda,
        draw: Random,
        *,
        weather: Weather,
        neighbours: Sequence[Sequence[int]] | None = None,
        distance_us: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """`distance_us` is what each way takes beside the weather; None for no distances."""
        self.weather = weather
        self.frames: Counter[Channel] = Counter()
        self.bytes: Counter[Channel] = Counter()
        self.dropped = 0
        """Frames lost by the weather, a cut, a break, or a full link or queue."""
        self.in_flight_max = 0
        self.recorder: Postmark | None = None
        self.queued_us_max = 0
        """The longest that a frame waited for its turn to leave a node."""
        self._agenda = agenda
        self._draw = draw
        self._stations: list[Station] = []
        self._others: Sequence[Sequence[int]] = neighbours or [
            [other for other in range(size) if other != me] for me in range(size)
        ]
        self._pairs = {
            (low, high): _Pair(believes={low: False, high: False})
            for high in range(size)
            for low in self._others[high]
            if low < high
        }
        self._links = {
            (source, dest): _Link(source, dest, self._pair(source, dest))
            for source in range(size)
            for dest in self._others[source]
        }
        self._outward = [
            [self._links[source, dest] for dest in self._others[source]] for source in range(size)
        ]
        self._cuts = [[0] * size for _ in range(size)]
        self._distance_us = distance_us
        self._free_us = [0] * size
        """When the last frame that waits at each node will have left it."""
        self._last_channel: Channel | None = None
        self._last_payload = self._last_data = b""
        """What was sent last, and its bytes on the link: the same often goes to several peers."""
        self._parsed: dict[bytes, list[tuple[Channel, bytes]]] = {}
        """What the bytes that were sent lately hold: a broadcast is taken apart once."""

    @property
    def weather(self) -> Weather:
        """How links treat frames from now on."""
        return self._weather

    @weather.setter
    def weather(self, weather: Weather) -> None:
        self._weather = weather
        self._is_fair = not (
            weather.loss
            or weather.burst
            or weather.duplicate
            or weather.reorder
            or weather.replay
            or weather.tail_us
            or weather.bandwidth
        )

    @property
    def is_full(self) -> bool:
        """Whether everybody is linked to everybody."""
        return all(len(others) == len(self._others) - 1 for others in self._others)

    def attach(self, stations: list[Station]) -> None:
        """Name the nodes, in index order; done once."""
        self._stations = stations

    # --- frames -----------------------------------------------------------------------------------

    def send(self, source: int, peer: int | None, channel: Channel, payload: bytes) -> None:
        """Carry a frame to one node, or to all others, as far as links and weather allow."""
        if payload is not self._last_payload or channel is not self._last_channel:
            self._last_channel, self._last_payload = channel, payload
            self._last_data = encode_frames([Frame(_FRAME_CHANNELS[channel], payload)])
        data = self._last_data
        links = self._outward[source] if peer is None else (self._links[source, peer],)
        self.frames[channel] += len(links)
        self.bytes[channel] += len(links) * len(data)
        is_simple = self._is_fair and self.recorder is None
        send_one = self._send_fairly if is_simple else self._send_one
        for link in links:
            send_one(link, data)

    def _send_fairly(self, link: _Link, data: bytes) -> None:
        """`_send_one` where weather only delays; the same, in fewer words."""
        pair, agenda, weather = link.pair, self._agenda, self._weather
        in_flight = link.in_flight + 1
        if not pair.is_connected or self._cuts[link.source][link.dest] or in_flight > IN_FLIGHT_MAX:
            self.dropped += 1
            return
        jitter_us = int(weather.jitter_us * log(1 - self._draw.random()))
        arrival_us = agenda.now_us + weather.delay_us - jitter_us
        if self._distance_us is not None:
            arrival_us += self._distance_us[link.source][link.dest]
        if arrival_us <= link.last_arrival_us:
            arrival_us = link.last_arrival_us + 1
        link.last_arrival_us = arrival_us
        link.in_flight = in_flight
        if in_flight > self.in_flight_max:
            self.in_flight_max = in_flight
        agenda.at(arrival_us, self._arrive, link, pair.generation, data)

    def _send_one(self, link: _Link, data: bytes) -> None:
        if self.recorder is not None:
            self.recorder.posted(link.source, link.dest, data)
        weather, draw = self._weather, self._draw
        is_lost = weather.loss and draw.random() * 1000 < weather.loss
        is_full = link.in_flight >= IN_FLIGHT_MAX
        if weather.burst and self._is_in_burst(link):
            is_lost = draw.random() * 1000 < weather.burst_loss or is_lost
        if weather.replay:
            self._replay(link, data)
        is_up = link.pair.is_connected and not self._cuts[link.source][link.dest]
        leaves_us = self._leaves_us(link.source, data) if is_up else None
        if leaves_us is None or is_lost or is_full:
            self.dropped += 1
            if self.recorder is not None:
                self.recorder.lost(link.source, link.dest, data)
            return
        self._carry(link, leaves_us, data)
        if weather.duplicate and draw.random() * 1000 < weather.duplicate:
            self._carry(link, leaves_us, data)

    def _is_in_burst(self, link: _Link) -> bool:
        """Whether a burst of loss holds on, or begins, on this link."""
        rate = 1000 / self.weather.burst_frames if link.is_bursting else self.weather.burst
        if self._draw.random() * 1000 < rate:
            link.is_bursting = not link.is_bursting
        return link.is_bursting

    def _leaves_us(self, source: int, data: bytes) -> int | None:
        """When a frame has left its node behind those before it; None where too much waits."""
        now_us, bandwidth = self._agenda.now_us, self.weather.bandwidth
        if not bandwidth:
            return now_us
        waits_us = max(0, self._free_us[source] - now_us)
        if waits_us * bandwidth > self.weather.queue_bytes * _SECOND_US:
            return None
        self.queued_us_max = max(self.queued_us_max, waits_us)
        self._free_us[source] = now_us + waits_us + len(data) * _SECOND_US // bandwidth
        return self._free_us[source]

    def _carry(self, link: _Link, leaves_us: int, data: bytes) -> None:
        weather, draw, agenda = self._weather, self._draw, self._agenda
        arrival_us = leaves_us + weather.delay_us - int(weather.jitter_us * log(1 - draw.random()))
        if self._distance_us is not None:
            arrival_us += self._distance_us[link.source][link.dest]
        if weather.tail_us:
            arrival_us += self._tail_us()
        if weather.reorder and draw.random() * 1000 < weather.reorder:
            arrival_us += draw.randrange(1 + 4 * (weather.delay_us + weather.jitter_us))
        else:
            arrival_us = max(arrival_us, link.last_arrival_us + 1)
            link.last_arrival_us = arrival_us
        link.in_flight += 1
        if link.in_flight > self.in_flight_max:
            self.in_flight_max = link.in_flight
        agenda.at(arrival_us, self._arrive, link, link.pair.generation, data)

    def _tail_us(self) -> int:
        stretch = (1.0 - self._draw.random()) ** (-1 / _TAIL_SHAPE) - 1.0
        return min(TAIL_MS_MAX * MS, int(self.weather.tail_us * stretch))

    def _replay(self, link: _Link, data: bytes) -> None:
        draw = self._draw
        if link.remembered and draw.random() * 1000 < self._weather.replay:
            earlier = link.remembered[draw.randrange(len(link.remembered))]
            if link.pair.is_connected and not self._cuts[link.source][link.dest]:
                self._carry(link, self._agenda.now_us, earlier)
        if len(link.remembered) < REMEMBERED_MAX:
            link.remembered.append(data)
        else:
            link.remembered[draw.randrange(REMEMBERED_MAX)] = data

    def _arrive(self, link: _Link, generation: int, data: bytes) -> None:
        is_void = link.pair.generation != generation
        if self.recorder is not None:
            tell = self.recorder.lost if is_void else self.recorder.arrived
            tell(link.source, link.dest, data)
        if is_void:
            self.dropped += 1
            return
        link.in_flight -= 1
        frames = self._parsed.get(data)
        if frames is None:
            frames = self._parse(data)
        receive = self._stations[link.dest].receive
        for channel, payload in frames:
            receive(FrameArrived(link.source, channel, payload))

    def _parse(self, data: bytes) -> list[tuple[Channel, bytes]]:
        """The frames in these bytes, by the real reader; every send is of whole frames."""
        reader = FrameReader()
        frames = [(_CHANNELS[frame.channel], frame.payload) for frame in reader.feed(data)]
        assert reader.is_between_frames
        if len(self._parsed) >= _PARSED_MAX:
            self._parsed.clear()
        self._parsed[data] = frames
        return frames

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
            link = self._links[source, dest]
            link.last_arrival_us = link.in_flight = 0
            pair.believes[source] = True
        for end in (low, high):
            self._stations[end].receive(PeerUp(high if end == low else low))

    def disconnect(self, one: int, other: int) -> None:
        """Break a connection, if there is one; each end learns it later, and then tries again."""
        pair = self._pairs.get((min(one, other), max(one, other)))
        if pair is None or not pair.is_connected:
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
        if self._cuts[source][dest] == 1 and (source, dest) in self._links:
            link = self._links[source, dest]
            link.cut_number += 1
            self._agenda.after(SILENT_MS * MS, self._fall_silent, link, link.cut_number)

    def _fall_silent(self, link: _Link, cut_number: int) -> None:
        if self._cuts[link.source][link.dest] and link.cut_number == cut_number:
            self.disconnect(link.source, link.dest)

    def mend(self, source: int, dest: int) -> None:
        """Take back one cut."""
        assert self._cuts[source][dest] > 0
        self._cuts[source][dest] -= 1
        if (source, dest) in self._links:
            self._try_soon(source, dest)

    def is_open(self, one: int, other: int) -> bool:
        """Whether two nodes are linked and neither direction is cut."""
        cuts = self._cuts
        return (one, other) in self._links and not (cuts[one][other] or cuts[other][one])

    def _pair(self, one: int, other: int) -> _Pair:
        return self._pairs[(one, other) if one < other else (other, one)]
