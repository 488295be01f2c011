from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.frames import HEADER_BYTES, PAYLOAD_BYTES_MAX, Channel, Frame
from p2p.outbound import GIVES_WAY, Outbound, OutboundBounds, QueueFull

BYTES_MAX = PAYLOAD_BYTES_MAX[Channel.SYNC] + 2 * HEADER_BYTES
FEW = OutboundBounds(frames_max=4, bytes_max=BYTES_MAX)
ALL = 1 << 40


def frame(channel: Channel, label: str) -> Frame:
    return Frame(channel, label.encode())


def filled(bounds: OutboundBounds, *frames: Frame) -> Outbound:
    queue = Outbound(bounds)
    for each in frames:
        queue.put(each)
    return queue


def test_all_channels_leave_in_the_order_of_their_arrival() -> None:
    frames = [frame(channel, str(at)) for at in range(3) for channel in reversed(Channel)]

    assert filled(OutboundBounds(), *frames).drain(ALL) == frames


def test_a_drain_is_bounded_but_takes_one_frame_at_least() -> None:
    votes = [frame(Channel.PROTOCOL, "vote") for _ in range(3)]
    queue = filled(OutboundBounds(), *votes)
    size = HEADER_BYTES + 4

    assert queue.drain(2 * size) == votes[:2]
    assert queue.drain(1) == votes[2:]
    assert queue.drain(1) == []
    assert queue.bytes_waiting == len(queue) == 0


def test_the_oldest_of_catch_up_gives_way_first_and_then_the_oldest_batch() -> None:
    batch, other = frame(Channel.DISSEMINATION, "b1"), frame(Channel.DISSEMINATION, "b2")
    votes = [frame(Channel.PROTOCOL, f"v{at}") for at in range(3)]
    queue = filled(FEW, batch, frame(Channel.SYNC, "s"), other, *votes)

    assert queue.drain(ALL) == [other, *votes]
    assert queue.dropped == {Channel.SYNC: 1, Channel.DISSEMINATION: 1}


def test_a_batch_itself_gives_way_to_votes() -> None:
    votes = [frame(Channel.PROTOCOL, f"v{at}") for at in range(4)]
    queue = filled(FEW, *votes, frame(Channel.DISSEMINATION, "b"))

    assert queue.drain(ALL) == votes
    assert queue.dropped[Channel.DISSEMINATION] == 1


@pytest.mark.parametrize("channel", [Channel.PROTOCOL, Channel.CHECKPOINT])
def test_a_queue_full_of_votes_refuses_and_keeps_what_it_has(channel: Channel) -> None:
    votes = [frame(Channel.PROTOCOL, f"v{at}") for at in range(4)]
    queue = filled(FEW, *votes)

    with pytest.raises(QueueFull):
        queue.put(frame(channel, "one too many"))

    assert queue.drain(ALL) == votes


def test_bytes_are_bounded_too() -> None:
    large = Frame(Channel.SYNC, bytes(PAYLOAD_BYTES_MAX[Channel.SYNC]))
    queue = filled(OutboundBounds(bytes_max=BYTES_MAX), large, frame(Channel.PROTOCOL, "vote"))

    assert queue.dropped[Channel.SYNC] == 1
    assert queue.bytes_waiting == HEADER_BYTES + 4


@given(
    st.lists(
        st.one_of(
            st.sampled_from(Channel),
            st.integers(min_value=1, max_value=60),
        ),
        max_size=60,
    )
)
def test_whatever_happens_the_queue_is_a_bounded_ordered_part_of_what_was_put(
    actions: list[Channel | int],
) -> None:
    queue, put, out, refused = Outbound(FEW), [], [], 0
    for number, action in enumerate(actions):
        if not isinstance(action, Channel):
            out += queue.drain(action)
            continue
        try:
            queue.put(frame(action, str(number)))
        except QueueFull:
            refused += 1
        else:
            put.append(frame(action, str(number)))
        assert len(queue) <= FEW.frames_max
    out += queue.drain(ALL)

    kept = iter(put)
    assert all(each in kept for each in out), "order"
    assert len(out) + sum(queue.dropped.values()) == len(put)
    lost = [each for each in put if each not in out]
    assert all(each.channel in GIVES_WAY for each in lost)
