"""Values: what consensus agrees on, with one encoding and one digest each."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.encoding import encode
from ledger.errors import DecodeFault
from ledger.limits import INTEGER_MAX
from ledger.value import NO_PARENT, PAYLOAD_MAX, Value, parse_value
from tests.ledger.builders import damaged, loose_encodings

EPOCH = b"\x05" * 32
EXAMPLE = Value(EPOCH, bytes(32), (3, 1), 2, 1_700_000_000_000, (b"\x01" * 32,), b"extra")
digests = st.binary(min_size=32, max_size=32)
values = st.builds(
    Value,
    epoch=digests,
    parent=st.just(NO_PARENT) | digests,
    slot=st.lists(st.integers(0, INTEGER_MAX), min_size=1, max_size=4).map(tuple),
    proposer=st.integers(0, 255),
    timestamp_ms=st.integers(0, INTEGER_MAX),
    payload=st.lists(digests, max_size=5).map(tuple),
    extra=st.binary(max_size=60),
)


def reason_of(raw: bytes) -> str:
    with pytest.raises(DecodeFault) as caught:
        parse_value(raw)
    return caught.value.reason


@given(values)
def test_what_is_encoded_is_parsed(value: Value) -> None:
    assert parse_value(value.raw) == value
    assert value.digest == hashlib.sha256(value.raw).digest()


def test_the_layout_is_the_documented_one() -> None:
    fields = (1, EPOCH, bytes(32), (3, 1), 2, 1_700_000_000_000, (b"\x01" * 32,), b"extra")

    assert EXAMPLE.raw == encode(fields)


def test_no_value_has_a_second_encoding() -> None:
    for loose in loose_encodings(msgpack.unpackb(EXAMPLE.raw, use_list=False)):
        assert reason_of(loose).startswith("encoding.")


@given(damaged(EXAMPLE.raw))
def test_damaged_bytes_are_refused_or_are_another_whole_value(raw: bytes) -> None:
    try:
        value = parse_value(raw)
    except DecodeFault:
        return

    assert value.raw == raw


def test_every_field_is_in_the_digest() -> None:
    changed = [
        replace(EXAMPLE, epoch=bytes(32)),
        replace(EXAMPLE, parent=NO_PARENT),
        replace(EXAMPLE, slot=(3, 2)),
        replace(EXAMPLE, proposer=3),
        replace(EXAMPLE, timestamp_ms=0),
        replace(EXAMPLE, payload=()),
        replace(EXAMPLE, extra=b""),
    ]

    assert len({value.digest for value in (EXAMPLE, *changed)}) == 8


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"epoch": bytes(31)}, "encoding.length"),
        ({"parent": bytes(33)}, "encoding.length"),
        ({"slot": ()}, "encoding.length"),
        ({"slot": (1, 2, 3, 4, 5)}, "encoding.length"),
        ({"slot": (-1,)}, "encoding.range"),
        ({"proposer": 256}, "encoding.range"),
        ({"timestamp_ms": -1}, "encoding.range"),
        ({"payload": (bytes(31),)}, "encoding.length"),
        ({"payload": (bytes(32),) * (PAYLOAD_MAX + 1)}, "encoding.malformed"),
        ({"extra": bytes(4_097)}, "encoding.length"),
    ],
)
def test_what_breaks_a_bound_is_refused(changes: dict[str, object], reason: str) -> None:
    assert reason_of(replace(EXAMPLE, **changes).raw) == reason  # type: ignore[arg-type]


def test_another_version_a_missing_field_and_an_oversize_value_are_refused() -> None:
    fields = msgpack.unpackb(EXAMPLE.raw, use_list=False)

    assert reason_of(encode((2, *fields[1:]))) == "encoding.range"
    assert reason_of(encode(fields[:-1])) == "encoding.type"
    assert reason_of(encode((*fields, b""))) == "encoding.type"
    assert reason_of(bytes(64 * 1024 + 1)) == "encoding.size"


def test_the_largest_payload_is_allowed() -> None:
    full = replace(EXAMPLE, payload=tuple(n.to_bytes(32, "big") for n in range(PAYLOAD_MAX)))

    assert parse_value(full.raw) == full
