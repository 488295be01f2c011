from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import PeerFault
from p2p.frames import HEADER_BYTES, PAYLOAD_BYTES_MAX, Channel, Frame, FrameReader, encode_frames

frames = st.builds(Frame, st.sampled_from(Channel), st.binary(max_size=40))
streams = st.one_of(
    st.lists(frames, max_size=8).map(encode_frames),
    st.tuples(st.lists(frames, max_size=4).map(encode_frames), st.binary(max_size=60)).map(
        lambda parts: parts[0] + parts[1]
    ),
)


def read(pieces: list[bytes]) -> tuple[list[Frame], str | None]:
    """Everything a reader makes of a stream that arrives in these pieces, and how it ends."""
    reader, found = FrameReader(), []
    try:
        for piece in pieces:
            batch = reader.feed(piece)
            while batch:
                found += batch
                batch = reader.feed(b"")
    except PeerFault as fault:
        return found, fault.reason
    return found, None


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(edges)]


@given(st.lists(frames, max_size=8))
def test_what_is_encoded_is_read_back(sent: list[Frame]) -> None:
    assert read([encode_frames(sent)]) == (sent, None)


@given(streams, st.lists(st.integers(min_value=0), max_size=10))
def test_any_split_of_any_stream_gives_the_same_frames(data: bytes, cuts: list[int]) -> None:
    assert read(split(data, cuts)) == read([data])


@given(streams)
def test_byte_by_byte_gives_the_same_frames(data: bytes) -> None:
    assert read([bytes([byte]) for byte in data]) == read([data])


@pytest.mark.parametrize("channel", Channel)
def test_the_bound_of_each_channel_is_checked_on_the_prefix(channel: Channel) -> None:
    largest = PAYLOAD_BYTES_MAX[channel]
    reader = FrameReader()

    assert reader.feed(largest.to_bytes(4, "big") + bytes([channel])) == []
    with pytest.raises(PeerFault, match=r"frame\.too-long"):
        FrameReader().feed((largest + 1).to_bytes(4, "big") + bytes([channel]))


def test_a_frame_of_the_largest_size_passes() -> None:
    frame = Frame(Channel.CHECKPOINT, bytes(PAYLOAD_BYTES_MAX[Channel.CHECKPOINT]))

    assert read([encode_frames([frame])]) == ([frame], None)


def test_our_own_over_long_payload_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        encode_frames([Frame(Channel.LINK, bytes(PAYLOAD_BYTES_MAX[Channel.LINK] + 1))])


@pytest.mark.parametrize("number", [5, 6, 127, 128, 255])
def test_an_unknown_channel_is_a_fault(number: int) -> None:
    with pytest.raises(PeerFault, match=r"frame\.unknown-channel"):
        FrameReader().feed(b"\0\0\0\0" + bytes([number]))


def test_a_claim_of_4_gib_keeps_nothing() -> None:
    reader = FrameReader()

    with pytest.raises(PeerFault, match=r"frame\.too-long"):
        reader.feed(b"\xff\xff\xff\xff\x01" + bytes(1000))

    assert reader.is_between_frames


def test_frames_before_a_bad_header_are_returned_before_the_fault() -> None:
    good = Frame(Channel.PROTOCOL, b"vote")
    reader = FrameReader()

    assert reader.feed(encode_frames([good]) + b"\xff" * HEADER_BYTES) == [good]
    with pytest.raises(PeerFault):
        reader.feed(b"")


def test_a_broken_reader_stays_broken() -> None:
    reader = FrameReader()
    with pytest.raises(PeerFault):
        reader.feed(b"\xff" * HEADER_BYTES)

    with pytest.raises(PeerFault, match=r"frame\.(unknown-channel|too-long)"):
        reader.feed(encode_frames([Frame(Channel.PROTOCOL, b"vote")]))


def test_a_cut_frame_is_noticed() -> None:
    reader = FrameReader()
    data = encode_frames([Frame(Channel.SYNC, b"block")])

    reader.feed(data[:-1])
    assert not reader.is_between_frames
    reader.feed(data[-1:])
    assert reader.is_between_frames
