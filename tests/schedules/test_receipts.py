"""Receipts of a running network: no second way of writing one passes."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import cache

import pytest

from ledger import note, queries
from ledger.errors import DecodeFault, ProofFault
from ledger.keys import scheme_named
from ledger.light import LightClient
from tests.schedules.network import make_network
from tests.schedules.stage import Stage

GENESIS, SIGNERS, _ = make_network(4, "tendermint", {}, {}, "keyed-hash")
DASH = "— ".encode()


@cache
def receipts() -> tuple[bytes, ...]:
    """Receipts of one transaction as the nodes give them after a few blocks."""
    stage = Stage("tendermint")
    assert stage.genesis == GENESIS
    stage.run_ms(200)
    for nonce in range(4):
        stage.submit(nonce, stage.transaction(nonce))
        assert stage.until(lambda nonce=nonce: stage.holds(stage.transaction(nonce)))
    identity = stage.transaction(1).id
    made = [queries.receipt(node.engine, stage.genesis, identity) for node in stage.nodes]
    return tuple(raw for raw in made if raw is not None)


def receipt() -> bytes:
    return receipts()[0]


def passes(raw: bytes) -> bool:
    """Whether the offline check takes a receipt."""
    try:
        LightClient(GENESIS).check_receipt(raw)
    except (ProofFault, DecodeFault):
        return False
    return True


def read_like_c2sp(raw: bytes) -> bytes:
    """What a reader makes of a receipt that skips unknown keys and unused bits of base64.

    This is the mutant: it writes again in the one way what it has understood.
    """
    head, _, certificate = raw.partition(b"\n\n")
    text, _, block = certificate.partition(b"\n\n")
    lines = head.split(b"\n")
    lines[1] = b"extra " + again(lines[1].removeprefix(b"extra "))
    lines[3:] = [again(line) for line in lines[3:]]
    stated = text.split(b"\n")
    stated[2] = again(stated[2])
    ids = {
        note.key_id(GENESIS.origin, note.ED25519, signer.checkpoints.public_key): number
        for number, signer in enumerate(SIGNERS)
    }
    signatures = []
    for line in block.splitlines():
        mark, name, encoded = line.split(b" ")
        key_id = b64decode(encoded)[:4]
        if key_id in ids and ids[key_id] not in [number for number, _ in signatures]:
            signatures.append((ids[key_id], b" ".join((mark, name, again(encoded)))))
    quorum = [line for _, line in sorted(signatures)[:3]]
    note_text = b"\n".join((*stated, b"", *quorum, b""))
    return b"\n".join((*lines, b"", note_text))


def again(encoded: bytes) -> bytes:
    return b64encode(b64decode(encoded))


def flip_unused_bit(encoded: bytes) -> bytes:
    """Another base64 text of the same bytes."""
    assert encoded.endswith(b"=")
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    place = len(encoded.rstrip(b"=")) - 1
    other = bytes([alphabet[alphabet.index(encoded[place]) ^ 1]])
    changed = encoded[:place] + other + encoded[place + 1 :]
    assert b64decode(changed) == b64decode(encoded)
    return changed


def in_line(number: int, change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """A change of one line of a receipt."""

    def apply(raw: bytes) -> bytes:
        lines = raw.split(b"\n")
        lines[number] = change(lines[number])
        return b"\n".join(lines)

    return apply


def last_word(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda line: b" ".join((*line.split(b" ")[:-1], change(line.split(b" ")[-1])))


def signature_by(index: int) -> bytes:
    """A right signature of a validator under the receipt's checkpoint."""
    text = receipt().partition(b"\n\n")[2].partition(b"\n\n")[0] + b"\n"
    signer = SIGNERS[index].checkpoints
    key_id = note.key_id(GENESIS.origin, note.ED25519, signer.public_key)
    return note.signature_line(GENESIS.origin, key_id, signer.sign(text))


def missing_signer() -> int:
    """The validator that is not among the three of the certificate."""
    return next(index for index in range(4) if signature_by(index) not in receipt())


def strangers_line() -> bytes:
    stranger = scheme_named("keyed-hash").signer(bytes(32))
    key_id = note.key_id("elsewhere", note.ED25519, stranger.public_key)
    return note.signature_line("elsewhere", key_id, stranger.sign(b"anything"))


SECOND_WRITINGS: dict[str, Callable[[bytes], bytes]] = {
    "unused bits of a hash of the path": in_line(3, flip_unused_bit),
    "unused bits of a signature": in_line(-2, last_word(flip_unused_bit)),
    "a line of an unknown key": lambda raw: raw + strangers_line(),
    "a fourth signature": lambda raw: raw + signature_by(missing_signer()),
    "a signature twice": lambda raw: raw + raw.splitlines(keepends=True)[-1],
    "signatures in another order": lambda raw: b"".join(
        (*raw.splitlines(keepends=True)[:-2], *reversed(raw.splitlines(keepends=True)[-2:]))
    ),
}


def test_the_receipts_of_all_nodes_of_a_running_network_pass() -> None:
    assert [passes(raw) for raw in receipts()] == [True] * 4
    assert read_like_c2sp(receipt()) == receipt()
    assert receipt().count(DASH) == 3


@pytest.mark.parametrize("name", SECOND_WRITINGS)
def test_a_second_writing_of_a_receipt_is_refused(name: str) -> None:
    changed = SECOND_WRITINGS[name](receipt())

    assert changed != receipt()
    assert passes(read_like_c2sp(changed)), "who reads it like this takes it"
    assert not passes(changed)


def test_no_flipped_bit_of_a_receipt_passes() -> None:
    raw = receipt()
    for place in range(len(raw)):
        for bit in range(8):
            changed = bytearray(raw)
            changed[place] ^= 1 << bit
            assert not passes(bytes(changed)), f"bit {bit} of byte {place}"


def test_a_receipt_proves_nothing_in_another_network() -> None:
    other, _, _ = make_network(4, "jolteon", {}, {}, "keyed-hash")
    with pytest.raises(ProofFault):
        LightClient(other).check_receipt(receipt())
