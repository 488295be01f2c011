from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import replace

import pytest
import trio

from ledger.errors import PeerFault
from p2p.frames import HEADER_BYTES, PAYLOAD_BYTES_MAX, Channel, Frame, encode_frames
from p2p.hello import encode_hello
from p2p.outbound import OutboundBounds
from p2p.peers import PeerRecord
from p2p.tls import make_contexts
from p2p.transport import Address, LinkKind, dial, listen, make_listener

pytestmark = pytest.mark.trio
MIB = 1024 * 1024


async def test_a_mesh_has_exactly_one_link_a_pair(mesh) -> None:
    nodes = await mesh.start_all(4)

    for node in nodes:
        others = [other.index for other in nodes if other is not node]
        assert sorted(node.links) == [("up", other) for other in others]
        assert node.peers.connected() == others
        assert {hello.node for hello in node.hellos} == {f"node{other}" for other in others}


async def test_messages_of_every_channel_arrive_in_order(mesh) -> None:
    left, right = await mesh.start_all(2)
    sent = [
        (channel, b"%d" % number) for number in range(50) for channel in Channel if channel.value
    ]
    for channel, payload in sent:
        assert left.peers.send(1, channel, payload)

    await right.until(lambda: len(right.frames) == len(sent))
    assert right.frames == [(0, channel, payload) for channel, payload in sent]


async def test_the_largest_payload_of_every_channel_arrives(mesh) -> None:
    left, right = await mesh.start_all(2)
    channels = [channel for channel in Channel if channel is not Channel.LINK]
    for channel in channels:
        right.peers.send(0, channel, bytes(PAYLOAD_BYTES_MAX[channel]))

    await left.until(lambda: len(left.frames) == len(channels))
    assert [len(payload) for _, _, payload in left.frames] == [
        PAYLOAD_BYTES_MAX[channel] for channel in channels
    ]


async def test_a_broadcast_reaches_every_peer(mesh) -> None:
    nodes = await mesh.start_all(4)
    nodes[2].peers.broadcast(Channel.CHECKPOINT, b"signature")

    for node in (nodes[0], nodes[1], nodes[3]):
        await node.until(lambda node=node: len(node.frames) == 1)
        assert node.frames == [(2, Channel.CHECKPOINT, b"signature")]
    assert nodes[2].frames == []


async def test_many_small_messages_share_a_write_and_are_counted_by_channel(mesh) -> None:
    left, right = await mesh.start_all(2)
    before = left.peers.status()[0].traffic.writes
    for _ in range(1000):
        left.peers.send(1, Channel.PROTOCOL, b"vote")
    await right.until(lambda: len(right.frames) == 1000)

    out, into = left.peers.status()[0].traffic, right.peers.status()[0].traffic
    assert out.writes - before <= 3
    assert out.messages_out[Channel.PROTOCOL] == into.messages_in[Channel.PROTOCOL] == 1000
    assert out.bytes_out[Channel.PROTOCOL] == into.bytes_in[Channel.PROTOCOL]
    assert into.bytes_in[Channel.PROTOCOL] == 1000 * (HEADER_BYTES + 4)


async def test_nagles_delay_is_off_at_both_ends() -> None:
    (listener,) = await listen(Address("127.0.0.1", 0))
    address = Address("127.0.0.1", listener.socket.getsockname()[1])
    dialed = await dial([address], connect_ms=5_000)
    accepted = await listener.accept()

    for stream in (dialed, accepted):
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    for resource in (dialed, accepted, listener):
        await resource.aclose()


async def test_sending_to_whom_there_is_no_link_is_refused_at_once(mesh) -> None:
    node = await mesh.start(1, size=2)

    assert not node.peers.send(0, Channel.PROTOCOL, b"vote")
    assert not node.peers.send(7, Channel.PROTOCOL, b"vote")
    with pytest.raises(AssertionError):
        node.peers.send(0, Channel.CHECKPOINT, bytes(PAYLOAD_BYTES_MAX[Channel.CHECKPOINT] + 1))


@pytest.mark.parametrize("victim", [0, 1])
async def test_a_restarted_peer_is_linked_again(mesh, victim: int, greeting) -> None:
    nodes = await mesh.start_all(2)
    other = nodes[1 - victim]
    await nodes[victim].stop()
    await other.until(lambda: other.links == [("up", victim), ("down", victim)])
    assert not other.peers.send(victim, Channel.PROTOCOL, b"lost")

    hello = replace(greeting(victim), certified_height=99)
    again = await mesh.start(victim, size=2, hello=hello)
    await other.until_connected(victim)

    assert other.hellos[-1].certified_height == 99
    other.peers.send(victim, Channel.PROTOCOL, b"welcome back")
    await again.until(lambda: again.payloads(other.index, Channel.PROTOCOL) == [b"welcome back"])


async def test_a_new_link_is_told_the_latest_height_and_epoch(mesh) -> None:
    nodes = await mesh.start_all(2)
    nodes[0].peers.update_hello(500, epoch=3, epoch_id=b"\x33" * 32)
    await nodes[1].stop()
    again = await mesh.start(1, size=2)

    await again.until_connected(0)
    told = again.hellos[0]
    assert (told.certified_height, told.epoch, told.epoch_id) == (500, 3, b"\x33" * 32)


async def test_the_second_address_is_tried_when_the_first_is_dead(mesh, greeting) -> None:
    dead = await listen(Address("127.0.0.1", 0))
    dead_port = dead[0].socket.getsockname()[1]
    await dead[0].aclose()
    node = await mesh.start(1, size=2)
    caller = await mesh.start(0, size=1)
    record = mesh.record(1)
    addresses = (Address("127.0.0.1", dead_port), *record.addresses)

    caller.peers.set_peers({1: PeerRecord(record.certificate, addresses)})

    await node.until_connected(0)


async def test_a_bound_socket_may_be_handed_in(mesh) -> None:
    bound = socket.create_server(("127.0.0.1", 0))
    listener = make_listener(bound)
    stream = await trio.open_tcp_stream("127.0.0.1", bound.getsockname()[1])

    accepted = await listener.accept()
    await accepted.send_all(b"hello")

    assert await stream.receive_some() == b"hello"
    for resource in (accepted, stream, listener):
        await resource.aclose()


async def test_a_caller_that_reaches_another_member_hangs_up(mesh) -> None:
    await mesh.start(2, size=3)
    caller = await mesh.start(0, size=1)
    misled = PeerRecord(mesh.record(1).certificate, mesh.record(2).addresses)

    caller.peers.set_peers({1: misled, 2: PeerRecord(mesh.record(2).certificate, ())})

    await caller.until_refused("tls.other-member")
    assert caller.links == []


async def test_a_caller_that_reaches_a_stranger_hangs_up(mesh) -> None:
    await mesh.start(2, size=3)
    caller = await mesh.start(0, size=1)

    caller.peers.set_peers({1: PeerRecord(mesh.record(1).certificate, mesh.record(2).addresses)})

    await caller.until_refused("tls.unknown-certificate")
    assert caller.links == []


async def test_the_newest_link_of_a_caller_replaces_the_older(mesh) -> None:
    node = await mesh.start(1, size=2)
    older = await mesh.impersonate(0, 1)
    await node.until_connected(0)

    newer = await mesh.impersonate(0, 1)
    await older.until_closed()
    await newer.send(Channel.PROTOCOL, b"from the newer")

    await node.until(lambda: len(node.frames) == 1)
    assert node.links == [("up", 0), ("down", 0), ("up", 0)]
    assert node.peers.refusals() == {"link.replaced": 1}


async def test_frames_right_behind_the_hello_are_not_lost(mesh, member, greeting) -> None:
    node = await mesh.start(1, size=2)
    contexts = make_contexts(member(0), [member(1).certificate])
    rogue = await mesh.shake_hands(contexts.client, 1)
    hello = Frame(Channel.LINK, b"\0" + encode_hello(greeting(0)))
    votes = [Frame(Channel.PROTOCOL, b"%d" % number) for number in range(3)]

    await rogue.stream.send_all(encode_frames([hello, *votes]))

    await node.until(lambda: len(node.frames) == 3)
    assert node.payloads(0, Channel.PROTOCOL) == [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xff\xff\xff\x01x", "frame.too-long"),
        (b"\x00\x00\x00\x00\x09", "frame.unknown-channel"),
        (encode_frames([Frame(Channel.LINK, b"")]), "link.malformed"),
        (encode_frames([Frame(Channel.LINK, b"\x01short")]), "link.malformed"),
        (encode_frames([Frame(Channel.LINK, b"\x00again")]), "link.malformed"),
    ],
)
async def test_a_peer_that_breaks_a_rule_loses_its_link_and_is_held_off(
    mesh, member, data: bytes, reason: str
) -> None:
    mesh.bounds = replace(mesh.bounds, backoff_first_ms=60_000, backoff_last_ms=60_000)
    await mesh.start(2, size=3)
    node = await mesh.start(1, size=3)
    rogue = await mesh.impersonate(0, 1)
    await node.until_connected(0, 2)

    await rogue.send(Channel.PROTOCOL, b"good")
    await rogue.stream.send_all(data)
    await rogue.until_closed()
    await node.until_connected(2)
    contexts = make_contexts(member(0), [member(1).certificate])
    await (await mesh.shake_hands(contexts.client, 1)).until_closed()
    await node.until_refused("link.held-off")

    assert node.payloads(0, Channel.PROTOCOL) == [b"good"]
    assert node.peers.refusals() == {reason: 1, "link.held-off": 1}
    assert ("down", 2) not in node.links


async def test_a_frame_that_its_handler_faults_ends_that_link_only(mesh) -> None:
    nodes = await mesh.start_all(3)

    async def judge(peer: int, channel: Channel, payload: bytes) -> None:
        if payload == b"junk":
            raise PeerFault("statement.malformed", culprit=peer)

    nodes[1].handler = judge
    nodes[0].peers.send(1, Channel.PROTOCOL, b"junk")

    await nodes[1].until_refused("statement.malformed")
    assert ("down", 0) in nodes[1].links
    assert ("down", 2) not in nodes[1].links
    nodes[2].peers.send(1, Channel.PROTOCOL, b"vote")
    await nodes[1].until(lambda: nodes[1].payloads(2, Channel.PROTOCOL) == [b"vote"])


async def test_a_fault_found_later_ends_the_link_too(mesh) -> None:
    nodes = await mesh.start_all(2)

    nodes[1].peers.close(0, "vote.bad-signature")

    await nodes[1].until(lambda: ("down", 0) in nodes[1].links)
    assert nodes[1].peers.refusals()["vote.bad-signature"] == 1


async def test_a_waiting_handler_slows_its_peer_only_and_loses_nothing(mesh) -> None:
    nodes = await mesh.start_all(3)
    gate = trio.Event()

    async def wait_for_gate(peer: int, channel: Channel, payload: bytes) -> None:
        if peer == 0:
            await gate.wait()

    nodes[1].handler = wait_for_gate
    blocks = [number.to_bytes(2, "big") * (MIB // 2) for number in range(40)]
    for block in blocks:
        nodes[0].peers.send(1, Channel.PROTOCOL, block)
    await nodes[1].until(lambda: len(nodes[1].frames) == 1)
    nodes[2].peers.send(1, Channel.PROTOCOL, b"vote")
    await nodes[1].until(lambda: nodes[1].payloads(2, Channel.PROTOCOL) == [b"vote"])

    assert nodes[0].peers.status()[0].bytes_waiting > 10 * MIB
    assert len(nodes[1].payloads(0, Channel.PROTOCOL)) == 1
    gate.set()
    await nodes[1].until(lambda: len(nodes[1].payloads(0, Channel.PROTOCOL)) == len(blocks))
    assert nodes[1].payloads(0, Channel.PROTOCOL) == blocks


async def test_in_a_full_queue_batches_give_way_to_votes(mesh) -> None:
    mesh.link_bounds(outbound=OutboundBounds(frames_max=4))
    left, right = await mesh.start_all(2)
    for number in range(6):
        left.peers.send(1, Channel.DISSEMINATION, b"batch %d" % number)
    for number in range(3):
        left.peers.send(1, Channel.PROTOCOL, b"vote %d" % number)

    await right.until(lambda: len(right.frames) == 4)
    assert [payload for _, _, payload in right.frames] == [
        b"batch 5",
        b"vote 0",
        b"vote 1",
        b"vote 2",
    ]
    assert left.peers.status()[0].dropped[Channel.DISSEMINATION] == 5
    assert left.links == [("up", 1)]


async def test_a_queue_full_of_votes_ends_the_link_and_never_the_sender(mesh) -> None:
    mesh.link_bounds(outbound=OutboundBounds(frames_max=4))
    left, _ = await mesh.start_all(2)
    for number in range(10):
        left.peers.send(1, Channel.PROTOCOL, b"vote %d" % number)

    await left.until(lambda: left.links == [("up", 1), ("down", 1), ("up", 1)])
    assert left.peers.refusals()["queue.overflow"] == 1


async def test_a_silent_peer_is_dropped_at_the_idle_deadline(mesh) -> None:
    mesh.link_bounds(idle_ms=300)
    node = await mesh.start(1, size=2)
    rogue = await mesh.impersonate(0, 1)

    await node.until_refused("link.idle")
    assert node.links == [("up", 0), ("down", 0)]
    await rogue.until_closed()


async def test_pings_alone_keep_a_link_up_and_measure_it(mesh) -> None:
    mesh.link_bounds(idle_ms=300, keepalive_ms=50)
    node = await mesh.start(1, size=2)
    rogue = await mesh.impersonate(0, 1)
    number = b""
    # Twenty pings take a second, three times the idle deadline.
    for _ in range(20):
        number = (await rogue.next_of(LinkKind.PING))[1:]
        await rogue.send(Channel.LINK, bytes([LinkKind.PONG]) + number)
        await rogue.send(Channel.LINK, bytes([LinkKind.PING]) + number)

    while (await rogue.next_of(LinkKind.PONG))[1:] != number:
        pass
    assert node.links == [("up", 0)]
    assert node.peers.status()[0].round_trip_ms is not None


async def test_a_flood_of_pings_is_answered_by_few(mesh) -> None:
    node = await mesh.start(1, size=2)
    rogue = await mesh.impersonate(0, 1)
    pings = [Frame(Channel.LINK, b"\x01" + number.to_bytes(8, "big")) for number in range(5000)]
    await rogue.stream.send_all(encode_frames(pings))

    answer = b""
    while answer[1:] != (4999).to_bytes(8, "big"):
        answer = await rogue.next_of(LinkKind.PONG)

    assert node.peers.status()[0].traffic.messages_out[Channel.LINK] < 500


async def test_a_peer_that_takes_nothing_is_dropped(mesh) -> None:
    mesh.link_bounds(write_ms=300)
    node = await mesh.start(1, size=2)
    await mesh.impersonate(0, 1)
    await node.until_connected(0)
    for _ in range(4):
        node.peers.send(0, Channel.DISSEMINATION, bytes(8 * MIB))

    await node.until_refused("link.stalled")
    assert node.links == [("up", 0), ("down", 0)]


async def test_a_frame_that_dribbles_in_is_a_fault(mesh) -> None:
    mesh.link_bounds(frame_ms=30, keepalive_ms=40)
    node = await mesh.start(1, size=2)
    rogue = await mesh.impersonate(0, 1)
    await rogue.stream.send_all(b"\x00\x00\x00\xff\x01")
    # One byte upon each of its pings: never silent, and never done.
    with suppress(trio.BrokenResourceError):
        while True:
            await rogue.next_of(LinkKind.PING)
            await rogue.stream.send_all(b"x")

    await node.until_refused("frame.slow")
    assert node.frames == []


async def test_a_removed_member_loses_its_link_and_is_a_stranger_from_then_on(mesh) -> None:
    nodes = await mesh.start_all(3)
    nodes[1].peers.set_peers({2: mesh.record(2)})

    await nodes[1].until(lambda: ("down", 0) in nodes[1].links)
    await nodes[1].until_refused("tls.unknown-certificate")
    assert nodes[1].peers.connected() == [2]
    assert ("down", 2) not in nodes[1].links


async def test_a_removed_member_is_not_called_again(mesh, member) -> None:
    nodes = await mesh.start_all(2)
    absent = PeerRecord(member(2).certificate, ())
    nodes[0].peers.set_peers({2: absent})

    # The absent member is tried with the same waits as the removed one would be.
    await nodes[0].until_refused("dial.unreachable", times=20)

    assert set(nodes[0].peers.refusals()) == {"link.removed", "dial.unreachable"}
    assert nodes[1].links == [("up", 0), ("down", 0)]


@pytest.mark.parametrize("joiner", [0, 2])
async def test_a_new_member_is_linked_without_disturbing_others(mesh, joiner: int) -> None:
    old = [2, 1] if joiner == 0 else [1, 0]
    running = {index: await mesh.start(index, size=0) for index in old}
    for index, node in running.items():
        node.peers.set_peers({other: mesh.record(other) for other in old if other != index})
    for index, node in running.items():
        await node.until_connected(*(other for other in old if other != index))

    newcomer = await mesh.start(joiner, size=3)
    for index, node in running.items():
        node.peers.set_peers({other: mesh.record(other) for other in range(3) if other != index})

    await newcomer.until_connected(*old)
    for node in running.values():
        assert not any(event == "down" for event, _ in node.links)


async def test_a_member_with_a_new_key_gets_a_new_link(mesh, member) -> None:
    nodes = await mesh.start_all(2)
    other_key = PeerRecord(member(8).certificate, ())

    nodes[1].peers.set_peers({0: other_key})
    await nodes[1].until(lambda: nodes[1].links == [("up", 0), ("down", 0)])
    nodes[1].peers.set_peers({0: mesh.record(0)})
    await nodes[1].until_connected(0)


async def test_a_network_of_one_runs_alone(mesh) -> None:
    node = await mesh.start(0, size=1)

    node.peers.broadcast(Channel.PROTOCOL, b"vote")
    stream = await mesh.connect(0)
    await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
    await node.until_refused("tls.http-request")
    assert node.peers.connected() == node.peers.status() == []


async def test_stopping_tells_of_every_link_that_goes(mesh) -> None:
    nodes = await mesh.start_all(3)

    await nodes[1].stop()

    assert sorted(nodes[1].links) == [("down", 0), ("down", 2), ("up", 0), ("up", 2)]
    assert nodes[1].peers.connected() == []
