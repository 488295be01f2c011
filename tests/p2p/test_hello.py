from __future__ import annotations

from dataclasses import replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import PeerFault
from p2p.hello import HELLO_BYTES_MAX, Hello, agree, decode_hello, encode_hello

OURS = Hello(b"\x01" * 32, 3, b"\x02" * 32, certified_height=77, node="älpha")
FIELDS = msgpack.unpackb(encode_hello(OURS))


def test_a_hello_is_an_array_in_the_agreed_order() -> None:
    assert FIELDS == [1, 1, 1, b"\x01" * 32, 3, b"\x02" * 32, 77, "älpha"]


def test_it_is_read_back() -> None:
    assert decode_hello(encode_hello(OURS)) == OURS


def test_the_largest_hello_fits_its_bound() -> None:
    largest = replace(OURS, epoch=2**63 - 1, certified_height=2**63 - 1, node="\U0001f9ed" * 64)

    assert len(encode_hello(largest)) <= HELLO_BYTES_MAX
    assert decode_hello(encode_hello(largest)) == largest


def test_every_truncation_is_malformed() -> None:
    data = encode_hello(OURS)
    for size in range(len(data)):
        with pytest.raises(PeerFault, match=r"hello\.malformed"):
            decode_hello(data[:size])


WRONG = [None, True, -1, 2**63, 1.0, b"", b"\0" * 31, b"\0" * 33, "", "x" * 65, [], {}]


@pytest.mark.parametrize("position", range(8))
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_every_field_refuses_every_wrong_value(position: int, value: object) -> None:
    if position == 7 and value == "":
        return  # a node may go without a name
    fields = [*FIELDS[:position], value, *FIELDS[position + 1 :]]

    with pytest.raises(PeerFault, match=r"hello\.malformed"):
        decode_hello(msgpack.packb(fields))


@pytest.mark.parametrize(
    "data",
    [
        encode_hello(OURS) + b"\0",
        msgpack.packb(FIELDS[:-1]),
        msgpack.packb([*FIELDS, 0]),
        msgpack.packb(dict(enumerate(FIELDS))),
        b"\xdc\x00\x08" + encode_hello(OURS)[1:],
        encode_hello(OURS).replace(b"\x4d", b"\xcc\x4d"),
        encode_hello(replace(OURS, node="a\nb")),
        encode_hello(replace(OURS, node="\x1b[31m")),
        encode_hello(replace(OURS, node="a\u0308")),
        encode_hello(replace(OURS, link_version_min=2)),
        b"\x91" * 600,
        bytes(HELLO_BYTES_MAX + 1),
    ],
)
def test_other_bytes_are_malformed(data: bytes) -> None:
    with pytest.raises(PeerFault, match=r"hello\.malformed"):
        decode_hello(data)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_hello_or_a_fault(data: bytes) -> None:
    try:
        hello = decode_hello(data)
    except PeerFault:
        return
    assert encode_hello(hello) == data


def test_another_format_is_a_matter_of_version() -> None:
    with pytest.raises(PeerFault, match=r"hello\.version"):
        decode_hello(encode_hello(replace(OURS, version=2)))


def test_the_newest_common_link_version_is_spoken() -> None:
    ours = replace(OURS, link_version_min=2, link_version_max=5)
    theirs = replace(OURS, link_version_min=1, link_version_max=4)

    assert agree(ours, theirs) == agree(theirs, ours) == 4


def test_without_a_common_link_version_they_part() -> None:
    ours = replace(OURS, link_version_min=3, link_version_max=5)
    theirs = replace(OURS, link_version_min=1, link_version_max=2)

    with pytest.raises(PeerFault, match=r"hello\.version"):
        agree(ours, theirs)


def test_another_network_is_refused_but_another_epoch_is_not() -> None:
    assert agree(OURS, replace(OURS, epoch=9, epoch_id=b"\x09" * 32)) == 1
    with pytest.raises(PeerFault, match=r"hello\.other-network"):
        agree(OURS, replace(OURS, network_id=b"\x05" * 32))
