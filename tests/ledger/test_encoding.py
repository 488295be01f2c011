"""Canonical MessagePack: one encoding per value, and nothing is allocated before it is bounded."""

from __future__ import annotations

import struct

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import encoding
from ledger.encoding import decode, encode, encoder, is_normal_text, normal_text
from ledger.errors import DecodeFault
from ledger.limits import INTEGER_MAX
from tests.ledger.builders import damaged, loose_encodings

SHAPE = encoding.row(
    encoding.exactly(1),
    encoding.uint(),
    encoding.blob(400),
    encoding.text(400),
    encoding.boolean(),
    encoding.optional(encoding.digest),
    encoding.array(encoding.row(encoding.uint(), encoding.text(8)), 20),
)
texts = st.text("aB9 \x00é\u0301中\U0001f600", max_size=400).map(normal_text)
values = st.tuples(
    st.just(1),
    st.integers(0, INTEGER_MAX),
    st.binary(max_size=400),
    texts,
    st.booleans(),
    st.none() | st.binary(min_size=32, max_size=32),
    st.lists(st.tuples(st.integers(0, INTEGER_MAX), st.text("abcé", max_size=8)), max_size=20).map(
        tuple
    ),
)
EXAMPLE = (1, 300, b"bytes", "text", True, bytes(32), ((7, "é"), (2**40, "")))


def read(data: bytes) -> object:
    return decode(data, SHAPE, size_max=4_096)


def reason_of(data: bytes, shape: encoding.Shape, size_max: int = 4_096) -> str:
    with pytest.raises(DecodeFault) as caught:
        decode(data, shape, size_max=size_max)
    return caught.value.reason


@given(values)
def test_what_is_encoded_is_decoded(value: tuple[object, ...]) -> None:
    assert read(encode(value)) == value
    assert encoder()(value) == encode(value)


@given(values)
def test_no_value_has_a_second_encoding(value: tuple[object, ...]) -> None:
    for loose in loose_encodings(value):
        with pytest.raises(DecodeFault):
            read(loose)


@given(values.flatmap(lambda value: damaged(encode(value))))
def test_damaged_bytes_are_refused_or_encode_what_they_decode_to(data: bytes) -> None:
    try:
        value = read(data)
    except DecodeFault:
        return

    assert encode(value) == data


@given(st.binary(max_size=200))
def test_any_bytes_at_all_are_refused_in_the_one_way(data: bytes) -> None:
    with pytest.raises(DecodeFault):
        read(data)


def test_all_truncations_and_trailing_bytes_are_refused() -> None:
    raw = encode(EXAMPLE)

    for length in range(len(raw)):
        assert reason_of(raw[:length], SHAPE) == "encoding.malformed"
    assert reason_of(raw + b"\x00", SHAPE) == "encoding.malformed"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x81\x01\x02", "encoding.malformed"),  # a map
        (b"\xca" + struct.pack(">f", 1.0), "encoding.type"),
        (b"\xcb" + struct.pack(">d", 1.0), "encoding.type"),
        (b"\xd4\x01\x00", "encoding.malformed"),  # an extension
        (b"\xd6\xff\x00\x00\x00\x00", "encoding.malformed"),  # a timestamp
        (b"\xc1", "encoding.malformed"),  # never used
        (b"\xff", "encoding.range"),  # -1
        (b"\xc3", "encoding.type"),  # true is not 1
        (b"\xc0", "encoding.type"),
        (b"\xcf" + (2**63).to_bytes(8, "big"), "encoding.range"),
        (b"\xd3" + (2**63 - 1).to_bytes(8, "big"), "encoding.not-canonical"),
        (b"\xcc\x01", "encoding.not-canonical"),
        (b"\x01\x01", "encoding.malformed"),
        (b"", "encoding.malformed"),
    ],
)
def test_other_types_and_other_forms_of_an_integer_are_refused(data: bytes, reason: str) -> None:
    assert reason_of(data, encoding.uint()) == reason


def test_every_listed_encoding_of_one_but_the_shortest_is_refused() -> None:
    listed = [b"\x01", b"\xcc\x01", b"\xcd\0\x01", b"\xce\0\0\0\x01", b"\xcf" + bytes(7) + b"\x01"]
    listed += [b"\xd0\x01", b"\xd1\0\x01", b"\xd2\0\0\0\x01", b"\xd3" + bytes(7) + b"\x01"]

    taken = [data for data in listed if msgpack.unpackb(data) == 1 and _is_taken(data)]

    assert taken == [b"\x01"]


def _is_taken(data: bytes) -> bool:
    try:
        decode(data, encoding.uint(), size_max=16)
    except DecodeFault:
        return False
    return True


def test_text_that_is_not_in_normal_form_c_or_not_utf_8_is_refused() -> None:
    text = encoding.text(8)

    assert decode(encode("é"), text, size_max=16) == "é"
    assert reason_of(encode("e\u0301"), text) == "encoding.text"
    assert reason_of(b"\xa2\xc3\x28", text) == "encoding.malformed"
    assert reason_of(b"\xa3\xed\xa0\x80", text) == "encoding.malformed"  # a lone surrogate
    assert reason_of(b"\xa2\xc0\xaf", text) == "encoding.malformed"  # an over-long slash
    assert reason_of(encode("123456789"), text) == "encoding.length"


def test_normal_text_does_not_depend_on_the_interpreters_unicode_version() -> None:
    # U+1ABF came with Unicode 13: tables from then on re-order the two, earlier ones do not.
    assert is_normal_text("b\u0301\u1abf")
    assert is_normal_text("b\u1abf\u0301")
    assert not is_normal_text("b\u1abfe\u0301")


@given(st.text("ab\u0301\u0323\u1abfé\u1e69\uac00\u11a8\u2126"))
def test_normal_text_is_normal_and_stays_so(text: str) -> None:
    assert is_normal_text(normal_text(text))
    assert normal_text(normal_text(text)) == normal_text(text)


def test_size_width_count_and_depth_are_bounded() -> None:
    narrow = encoding.array(encoding.array(encoding.uint(), 3), 2)

    assert decode(b"\x92\x91\x01\x90", narrow, size_max=4) == ((1,), ())
    assert reason_of(b"\x92\x91\x01\x90", narrow, size_max=3) == "encoding.size"
    assert reason_of(b"\x94\x01\x01\x01\x01", narrow) == "encoding.malformed"
    assert reason_of(b"\xdd\xff\xff\xff\xff", narrow) == "encoding.malformed"
    assert reason_of(b"\xc6\xff\xff\xff\xff", encoding.blob(9)) == "encoding.malformed"
    assert reason_of(b"\x93\x90\x90\x90", narrow) == "encoding.count"
    assert reason_of(b"\x91" * 900 + b"\x90", narrow) == "encoding.count"
    assert reason_of(b"\x91" * 4_000 + b"\x90", narrow, size_max=5_000) == "encoding.malformed"


def test_a_row_an_array_and_a_bound_mean_what_they_say() -> None:
    assert reason_of(encode((1, 2)), encoding.row(encoding.uint())) == "encoding.malformed"
    assert reason_of(encode((1,)), encoding.row(encoding.uint(), encoding.uint())) == (
        "encoding.type"
    )
    assert reason_of(encode(()), encoding.array(encoding.uint(), 2, low=1)) == "encoding.length"
    assert reason_of(encode(2), encoding.exactly(1)) == "encoding.range"
    assert reason_of(encode(0), encoding.uint(9, low=1)) == "encoding.range"
    assert reason_of(encode(b"1"), encoding.fixed(2)) == "encoding.length"
    assert reason_of(encode("1"), encoding.fixed(1)) == "encoding.type"
    assert reason_of(encode(1), encoding.optional(encoding.digest)) == "encoding.type"
    assert reason_of(encode(1), encoding.boolean()) == "encoding.type"
    assert reason_of(encode((1, 2, 3, 4, 5)), encoding.slot) == "encoding.malformed"


def test_the_one_wrong_item_of_an_array_is_named() -> None:
    shape = encoding.array(encoding.blob(3, low=1), 9)

    for wrong, reason in (
        (b"", "encoding.length"),
        (b"long", "encoding.length"),
        ("t", "encoding.type"),
    ):
        with pytest.raises(DecodeFault, match=r"value\.1 ") as caught:
            decode(encode((b"abc", wrong, b"a")), shape, size_max=100)
        assert caught.value.reason == reason
    assert decode(encode((b"abc", b"a")), shape, size_max=100) == (b"abc", b"a")
    assert decode(encode(()), shape, size_max=100) == ()


@given(texts, st.binary(max_size=400), st.sampled_from((0, 31, 32, 255, 256, 65_535, 65_536)))
def test_sizes_are_those_of_the_encoding(text: str, content: bytes, count: int) -> None:
    for value in (text, "x" * count, "é" * count):
        assert encoding.text_size(value) == len(encode(value))
    for octets in (content, bytes(count)):
        assert encoding.blob_size(len(octets)) == len(encode(octets))
