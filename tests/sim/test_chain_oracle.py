"""The oracle over stores passes what a sound run wrote, and finds whatever is changed in it."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgpack
import pytest

from ledger import layout
from ledger.keys import REAL_SCHEMES
from sim.chain_oracle import MAJORITIES, QUORUMS, ChainOracle, naive_root
from sim.oracles import Findings, Violation
from sim.run import Run
from tests.sim.fixed_leader import FixedLeader
from tests.sim.planted import FAIR, set_field, unpack, with_leaf


@dataclass(frozen=True)
class Stored:
    """What one node of a sound run left on its disk."""

    world: Run
    pairs: dict[bytes, bytes]
    certificates: dict[int, bytes]
    height: int


@cache
def sound_store(scheme: str = "keyed-hash") -> Stored:
    world = Run(FAIR, FixedLeader, scheme=scheme)
    assert world.lead().is_sound
    pairs = dict(world.world.nodes[1].engine.scan(b"\x00", b"\xff"))
    certificates = {
        int.from_bytes(key[1:], "big"): value
        for key, value in pairs.items()
        if key[:1] == layout.CERT
    }
    return Stored(world, pairs, certificates, len(world.chain.entries))


class Shelf(dict[bytes, bytes]):
    """A store made of a dictionary."""

    def scan(self, start: bytes, stop: bytes, *, reverse: bool = False) -> Any:
        return iter(sorted(p for p in self.items() if start <= p[0] < stop))


def judge(pairs: dict[bytes, bytes], scheme: str = "keyed-hash") -> list[Violation]:
    """What a fresh oracle says of a store that one node writes in order of height."""
    findings = Findings(lambda: 0)
    oracle = ChainOracle(sound_store(scheme).world.genesis, findings)
    shelf = Shelf(pairs)
    kinds = (layout.HEADER, layout.BLOCK, layout.CERT)
    for height in range(1, sound_store(scheme).height + 1):
        for kind in kinds:
            key = layout.height_key(kind, height)
            if key in pairs:
                oracle.written(0, [(key, pairs[key])], shelf)  # type: ignore[arg-type]
    return findings.found


def with_header(raw: bytes, place: int, value: object) -> bytes:
    """A block entry, one field of whose header is changed, and its outcome accordingly."""
    header = list(unpack(unpack(unpack(raw)[1][0])[2]))
    header[place] = value
    packed = msgpack.packb(tuple(header))
    changed = with_leaf(raw, 0, lambda leaf: (*leaf[:2], packed))
    digest = hashlib.sha256(packed).digest()
    return with_leaf(changed, -1, lambda leaf: (*leaf[:3], digest, *leaf[4:]))


def repeat_transaction(raw: bytes) -> bytes:
    """A block entry with one transaction of another block in it for a second time."""
    earlier = next(
        unpack(sound_store().pairs[layout.height_key(layout.BLOCK, height)])[1][1]
        for height in range(1, sound_store().height)
        if len(unpack(sound_store().pairs[layout.height_key(layout.BLOCK, height)])[1]) > 2
    )
    first, leaves = unpack(raw)
    packed: bytes = msgpack.packb((first, (leaves[0], earlier, *leaves[1:])))
    return packed


BLOCK_FAULTS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "link": ("P3", lambda raw: with_header(raw, 4, bytes(32))),
    "height": ("P3", lambda raw: with_header(raw, 3, 1)),
    "network": ("P3", lambda raw: with_header(raw, 1, bytes(32))),
    "time": ("P3", lambda raw: with_header(raw, 8, 1)),
    "block hash": ("P3", lambda raw: with_leaf(raw, -1, set_field(3, bytes(32)))),
    "entry count": ("P3", lambda raw: with_leaf(raw, -1, set_field(4, 9))),
    "first leaf": ("P3", lambda raw: msgpack.packb((1, unpack(raw)[1]))),
    "signature": ("P6", lambda raw: with_leaf(raw, 1, set_field(7, bytes(64)))),
    "result": ("P6", lambda raw: with_leaf(raw, 1, set_field(4, 1))),
    "batch": ("P6", lambda raw: with_header(raw, 9, (bytes(32),))),
    "repeated": ("P7", repeat_transaction),
    "left out": (
        "P6",
        lambda raw: msgpack.packb((unpack(raw)[0], (unpack(raw)[1][0], *unpack(raw)[1][2:]))),
    ),
}


def last_full_block(scheme: str = "keyed-hash") -> int:
    """The highest block that holds a transaction."""
    store = sound_store(scheme)
    return max(
        height
        for height in range(2, store.height + 1)
        if len(unpack(store.pairs[layout.height_key(layout.BLOCK, height)])[1]) > 2
    )


@pytest.mark.parametrize("scheme", ["keyed-hash", *REAL_SCHEMES])
def test_a_sound_store_passes(scheme: str) -> None:
    assert judge(sound_store(scheme).pairs, scheme) == []


@pytest.mark.parametrize("fault", BLOCK_FAULTS)
def test_a_corrupted_block_is_found(fault: str) -> None:
    name, corrupt = BLOCK_FAULTS[fault]
    key = layout.height_key(layout.BLOCK, last_full_block())
    pairs = dict(sound_store().pairs)
    pairs[key] = corrupt(pairs[key])

    assert name in {violation.property for violation in judge(pairs)}


def without_a_line(note: bytes) -> bytes:
    lines = note.split(b"\n")
    return b"\n".join([*lines[:4], *lines[5:]])


def with_a_line_twice(note: bytes) -> bytes:
    lines = note.split(b"\n")
    return b"\n".join([*lines[:5], lines[4], *lines[6:]])


def with_lines_swapped(note: bytes) -> bytes:
    lines = note.split(b"\n")
    return b"\n".join([*lines[:4], lines[5], lines[4], *lines[6:]])


def with_a_changed_signature(note: bytes) -> bytes:
    lines = note.split(b"\n")
    line = lines[4]
    other = b"A" if line[-9:-8] != b"A" else b"B"
    return b"\n".join([*lines[:4], line[:-9] + other + line[-8:], *lines[5:]])


def with_another_timestamp(note: bytes) -> bytes:
    """A line of ML-DSA-44 has four bytes of key id, eight of time, and the signature."""
    lines = note.split(b"\n")
    mark, name, encoded = lines[4].split(b" ")
    line = bytearray(b64decode(encoded))
    line[11] ^= 1
    return b"\n".join([*lines[:4], b" ".join((mark, name, b64encode(line))), *lines[5:]])


@pytest.mark.parametrize(
    ("scheme", "corrupt"),
    [
        ("ed25519", with_a_changed_signature),
        ("ml-dsa-44", with_a_changed_signature),
        ("ml-dsa-44", with_another_timestamp),
        ("ml-dsa-65", with_a_changed_signature),
        ("ml-dsa-65", with_another_timestamp),
    ],
)
def test_a_wrong_signature_of_a_real_scheme_is_found(
    scheme: str, corrupt: Callable[[bytes], bytes]
) -> None:
    store = sound_store(scheme)
    note = layout.height_key(layout.CERT, max(store.certificates))
    changed = {**store.pairs, note: corrupt(store.pairs[note])}
    found = judge(changed, scheme)
    assert [violation.property for violation in found] == ["P4"]
    assert found[0].sentence.endswith("with a wrong signature")

    block = layout.height_key(layout.BLOCK, last_full_block(scheme))
    signature = unpack(unpack(store.pairs[block])[1][1])[7]
    other = bytes([signature[0] ^ 1]) + signature[1:]
    changed = {**store.pairs, block: with_leaf(store.pairs[block], 1, set_field(7, other))}
    assert any(v.sentence.endswith("a wrong signature") for v in judge(changed, scheme))


def of_another_height(_: bytes) -> bytes:
    certificates = sound_store().certificates
    return certificates[min(certificates)]


@pytest.mark.parametrize(
    "corrupt",
    [
        without_a_line,
        with_a_line_twice,
        with_lines_swapped,
        with_a_changed_signature,
        of_another_height,
        lambda note: note.replace(b"simulated", b"simulatec"),
    ],
)
def test_a_corrupted_certificate_is_found(corrupt: Callable[[bytes], bytes]) -> None:
    pairs = dict(sound_store().pairs)
    key = layout.height_key(layout.CERT, max(sound_store().certificates))
    pairs[key] = corrupt(pairs[key])

    assert [violation.property for violation in judge(pairs)] == ["P4"]


def test_a_certificate_of_other_leaves_is_found() -> None:
    pairs = dict(sound_store().pairs)
    key = layout.height_key(layout.BLOCK, 1)
    pairs[key] = with_leaf(pairs[key], -1, set_field(6, bytes(32)))

    assert "P4" in {violation.property for violation in judge(pairs)}


@pytest.mark.parametrize("kind", [layout.BLOCK, layout.HEADER])
def test_two_nodes_that_store_different_blocks_are_a_fork(kind: bytes) -> None:
    store = sound_store()
    findings = Findings(lambda: 0)
    oracle = ChainOracle(store.world.genesis, findings)
    shelf = Shelf(store.pairs)
    key = layout.height_key(kind, 1)
    other = store.pairs[layout.height_key(kind, 2)]

    oracle.written(0, [(key, store.pairs[key])], shelf)  # type: ignore[arg-type]
    oracle.written(1, [(key, store.pairs[key])], shelf)  # type: ignore[arg-type]
    assert findings.found == []
    oracle.written(2, [(key, other)], shelf)  # type: ignore[arg-type]

    assert [(v.property, v.nodes) for v in findings.found] == [("P1", (0, 2))]


def test_quorums_are_what_the_rules_say() -> None:
    for count in range(1, 101):
        faults = (count - 1) // 3
        # Any two quorums share an honest validator, and the honest alone make one.
        assert 2 * QUORUMS[count] - count > faults
        assert QUORUMS[count] <= count - faults
        assert 2 * MAJORITIES[count] > count >= 2 * MAJORITIES[count] - 1 - (count % 2 == 0)


def test_the_naive_root_is_that_of_rfc_9162() -> None:
    def node(left: bytes, right: bytes) -> bytes:
        return hashlib.sha256(b"\x01" + left + right).digest()

    a, b, c, d, e = (bytes([number]) * 32 for number in range(5))

    assert naive_root([]) == hashlib.sha256(b"").digest()
    assert naive_root([a]) == a
    assert naive_root([a, b, c]) == node(node(a, b), c)
    assert naive_root([a, b, c, d, e]) == node(node(node(a, b), node(c, d)), e)
