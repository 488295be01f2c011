"""Checkpoints: one text for one state of the log, and no other text is one."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint, body, parse_checkpoint
from ledger.errors import DecodeFault
from ledger.keys import Ed25519
from ledger.limits import INTEGER_MAX
from ledger.merkle import EMPTY_ROOT
from ledger.note import ED25519, Signature, VerifierKey, check_signatures, make_note, open_note

VECTOR = json.loads((Path(__file__).parents[1] / "vectors" / "signed_note.json").read_text())[
    "checkpoint"
]
ROOT = sha256(b"root").digest()
CODE = b64encode(ROOT).decode()
LONGER = b64encode(ROOT + b"\x00").decode()
SHORTER = b64encode(ROOT[:-1]).decode()


def test_the_published_checkpoint_is_read_and_written_back() -> None:
    checkpoint = parse_checkpoint(VECTOR["text"].encode())

    assert checkpoint == Checkpoint(VECTOR["origin"], VECTOR["size"], bytes.fromhex(VECTOR["root"]))
    assert checkpoint.text() == VECTOR["text"].encode()


@pytest.mark.parametrize("size", [1, 9, 10, 2**32, INTEGER_MAX])
@pytest.mark.parametrize("origin", ["a", "network/" + "0f" * 32, "Ångström log", "— x AAAA"])
def test_a_checkpoint_is_read_back(origin: str, size: int) -> None:
    checkpoint = Checkpoint(origin, size, ROOT)

    assert checkpoint.text() == f"{origin}\n{size}\n{CODE}\n".encode()
    assert checkpoint.text() == body(origin, size, ROOT)
    assert parse_checkpoint(checkpoint.text()) == checkpoint


def test_the_empty_log_has_a_checkpoint_and_one_root() -> None:
    empty = Checkpoint("log", 0, EMPTY_ROOT)

    assert parse_checkpoint(empty.text()) == empty
    with pytest.raises(DecodeFault, match=r"checkpoint\.root"):
        parse_checkpoint(f"log\n0\n{CODE}\n".encode())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "checkpoint.lines"),
        ("\n", "checkpoint.lines"),
        ("log\n5\n", "checkpoint.lines"),
        (f"log\n5\n{CODE}", "checkpoint.lines"),
        (f"log\n5\n{CODE}\n\n", "checkpoint.lines"),
        (f"log\n5\n{CODE}\nextension\n", "checkpoint.lines"),
        (f"log\n5\n{CODE}\nextension", "checkpoint.lines"),
        (f"log\n5\n{CODE}\none\ntwo\n", "checkpoint.lines"),
        (f"\nlog\n5\n{CODE}\n", "checkpoint.lines"),
        (f"\n5\n{CODE}\n", "checkpoint.origin"),
        (f"lo\x00g\n5\n{CODE}\n", "checkpoint.origin"),
        (f"log\r\n5\n{CODE}\n", "checkpoint.origin"),
        (f"log\n\n{CODE}\n", "checkpoint.size"),
        (f"log\n05\n{CODE}\n", "checkpoint.size"),
        (f"log\n00\n{CODE}\n", "checkpoint.size"),
        (f"log\n+5\n{CODE}\n", "checkpoint.size"),
        (f"log\n-5\n{CODE}\n", "checkpoint.size"),
        (f"log\n-0\n{CODE}\n", "checkpoint.size"),
        (f"log\n 5\n{CODE}\n", "checkpoint.size"),
        (f"log\n5 \n{CODE}\n", "checkpoint.size"),
        (f"log\n5_0\n{CODE}\n", "checkpoint.size"),
        (f"log\n0x5\n{CODE}\n", "checkpoint.size"),
        (f"log\n5.0\n{CODE}\n", "checkpoint.size"),
        (f"log\n٥\n{CODE}\n", "checkpoint.size"),
        (f"log\nbananas\n{CODE}\n", "checkpoint.size"),
        (f"log\n{INTEGER_MAX + 1}\n{CODE}\n", "checkpoint.size"),
        (f"log\n3438945738945739845734895735\n{CODE}\n", "checkpoint.size"),
        (f"log\n{'9' * 5000}\n{CODE}\n", "checkpoint.size"),
        ("log\n5\n\n", "checkpoint.root"),
        (f"log\n5\n{SHORTER}\n", "checkpoint.root"),
        (f"log\n5\n{LONGER}\n", "checkpoint.root"),
        (f"log\n5\n{CODE[:-1]}\n", "checkpoint.root"),
        (f"log\n5\n{CODE}=\n", "checkpoint.root"),
        (f"log\n5\n {CODE}\n", "checkpoint.root"),
        (f"log\n5\n{ROOT.hex()}\n", "checkpoint.root"),
        ("log\n5\nThisIsn'tBase64\n", "checkpoint.root"),
    ],
)
def test_anything_else_is_no_checkpoint(text: str, reason: str) -> None:
    with pytest.raises(DecodeFault) as caught:
        parse_checkpoint(text.encode())
    assert caught.value.reason == reason


def test_an_origin_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(DecodeFault, match=r"checkpoint\.origin"):
        parse_checkpoint(b"\xff" + Checkpoint("log", 5, ROOT).text())


def test_the_unused_bits_of_a_root_are_zero() -> None:
    """32 bytes leave two bits of the last character free: three more spellings of one root."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet.index(CODE[-2])
    for spare in (1, 2, 3):
        spelled = CODE[:-2] + alphabet[last + spare] + "="
        with pytest.raises(DecodeFault, match=r"checkpoint\.root"):
            parse_checkpoint(f"log\n5\n{spelled}\n".encode())


@given(st.integers(0, 8 * len(VECTOR["text"]) - 1))
@settings(max_examples=200, deadline=None)
def test_a_flipped_bit_is_another_checkpoint_or_none(position: int) -> None:
    text = VECTOR["text"].encode()
    changed = bytearray(text)
    changed[position // 8] ^= 1 << position % 8

    try:
        checkpoint = parse_checkpoint(bytes(changed))
    except DecodeFault:
        return
    assert checkpoint != parse_checkpoint(text)
    assert checkpoint.text() == bytes(changed)


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [
        ("", 5, ROOT),
        ("a\nb", 5, ROOT),
        ("a", -1, ROOT),
        ("a", INTEGER_MAX + 1, ROOT),
        ("a", 5, ROOT[:-1]),
        ("a", 0, ROOT),
    ],
)
def test_nothing_is_signed_that_could_not_be_read_back(origin: str, size: int, root: bytes) -> None:
    with pytest.raises(AssertionError):
        body(origin, size, root)


def test_a_checkpoint_signed_as_a_note_is_checked_from_its_bytes_alone() -> None:
    checkpoint = Checkpoint("network/00", 42, ROOT)
    signer = Ed25519().signer(b"\x05" * 32)
    key = VerifierKey("network/00", ED25519, signer.public_key)
    signature = Signature(key.name, key.key_id, signer.sign(checkpoint.text()))
    raw = make_note(checkpoint.text(), [signature])

    text, signatures = open_note(raw)

    assert check_signatures(text, signatures, [key], Ed25519().verify) == [key]
    assert parse_checkpoint(text) == checkpoint
