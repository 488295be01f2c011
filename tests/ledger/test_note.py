"""Signed notes and verifier keys against published examples, and against every kind of mangling."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import DecodeFault, Fault, ProofFault
from ledger.keys import Ed25519
from ledger.note import (
    ED25519,
    SIGNATURES_MAX,
    Signature,
    VerifierKey,
    check_name,
    check_signatures,
    decode_base64,
    key_id,
    make_note,
    open_note,
    parse_vkey,
    signature_line,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "signed_note.json").read_text())
EXAMPLE, TWO_SIGNERS = VECTORS["notes"]
verify = Ed25519().verify

TEXT = b"one\n\nthree\n"
LINE = Signature("a.example/b", b"\x00\x01\x02\x03", b"\xff" * 64)


def signer_key(seed: int, name: str = "a.example/b") -> tuple[VerifierKey, Signature]:
    """A key, and its signature over TEXT."""
    signer = Ed25519().signer(bytes([seed]) * 32)
    key = VerifierKey(name, ED25519, signer.public_key)
    return key, Signature(name, key.key_id, signer.sign(TEXT))


# Verifier keys


@pytest.mark.parametrize("case", VECTORS["vkeys"], ids=lambda case: case["name"])
def test_published_verifier_keys_are_read_and_written_back(case: dict[str, Any]) -> None:
    key = parse_vkey(case["vkey"])

    assert key.name == case["name"]
    assert key.signature_type == case["signature_type"]
    assert key.public_key.hex() == case["public_key"]
    assert key.key_id.hex() == case["key_id"]
    assert key.encode() == case["vkey"]


@pytest.mark.parametrize("case", VECTORS["refused_vkeys"], ids=lambda case: case["why"])
def test_published_bad_verifier_keys_are_refused(case: dict[str, Any]) -> None:
    with pytest.raises(DecodeFault, match=r"note\.vkey"):
        parse_vkey(case["vkey"])


def test_no_part_of_a_verifier_key_is_one() -> None:
    vkey = VECTORS["vkeys"][0]["vkey"]
    for start in range(len(vkey)):
        for stop in range(start, len(vkey) + 1):
            if (start, stop) == (0, len(vkey)):
                continue
            with pytest.raises(Fault):
                parse_vkey(vkey[start:stop])


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_verifier_key_with_one_other_character_is_refused(data: st.DataObject) -> None:
    vkey = VECTORS["vkeys"][0]["vkey"]
    place = data.draw(st.integers(0, len(vkey) - 1))
    other = data.draw(st.characters().filter(lambda character: character != vkey[place]))

    with pytest.raises(Fault):
        parse_vkey(vkey[:place] + other + vkey[place + 1 :])


def test_a_key_id_in_capitals_is_a_second_spelling_and_refused() -> None:
    vkey = VECTORS["vkeys"][0]["vkey"]

    with pytest.raises(DecodeFault, match=r"note\.vkey"):
        parse_vkey(vkey.replace("530d903a", "530D903A"))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_an_ed25519_key_of_another_length_is_refused(length: int) -> None:
    vkey = VerifierKey("a", ED25519, bytes(length)).encode()

    with pytest.raises(DecodeFault, match=r"note\.vkey"):
        parse_vkey(vkey)


def test_a_verifier_key_with_a_name_that_would_break_a_note_is_refused() -> None:
    vkey = VerifierKey("a b", ED25519, bytes(32)).encode()

    with pytest.raises(Fault, match=r"note\.name"):
        parse_vkey(vkey)


def test_a_key_id_binds_name_type_and_key() -> None:
    key = b"\x07" * 32
    ids = {
        key_id("a", ED25519, key),
        key_id("b", ED25519, key),
        key_id("a", 0x04, key),
        key_id("a", ED25519, key[:-1] + b"\x06"),
    }

    assert len(ids) == 4


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "a+b",
        "a\nb",
        "a\tb",
        "a\u00a0b",
        "a\u2003b",
        "a\u2028b",
        "a\x00b",
        "a\x1fb",
        "\ud800",
    ],
)
def test_names_that_would_break_a_note_are_refused(name: str) -> None:
    with pytest.raises(Fault, match=r"note\.name"):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "example.com/foo", "Ångström/5", "—", "a/b#c?d=e"])
def test_any_other_name_may_be_a_key_name(name: str) -> None:
    check_name(name)
    signature = Signature(name, b"abcd", b"s")

    assert open_note(make_note(TEXT, [signature])) == (TEXT, [signature])
    key = VerifierKey(name, ED25519, b"\x01" * 32)
    assert parse_vkey(key.encode()) == key


@pytest.mark.parametrize("case", VECTORS["notes"], ids=lambda case: case["name"])
def test_published_notes_open_and_their_signatures_are_right(case: dict[str, Any]) -> None:
    keys = [parse_vkey(vkey) for vkey in case["vkeys"]]

    text, signatures = open_note(case["note"].encode())

    assert text == case["text"].encode()
    assert [(name, signer) for name, signer, _ in signatures] == [
        (key.name, key.key_id) for key in keys
    ]
    assert check_signatures(text, signatures, keys, verify) == keys
    assert make_note(text, signatures) == case["note"].encode()


def test_a_published_checkpoint_opens_as_a_note() -> None:
    text, signatures = open_note(VECTORS["checkpoint"]["note"].encode())

    assert text.decode() == VECTORS["checkpoint"]["text"]
    assert [len(signature.signature) for signature in signatures] == [64]


def test_every_flipped_bit_of_a_published_note_is_refused() -> None:
    note = EXAMPLE["note"].encode()
    key = parse_vkey(EXAMPLE["vkeys"][0])
    for position in range(len(note) * 8):
        changed = bytearray(note)
        changed[position // 8] ^= 1 << position % 8

        with pytest.raises(Fault):
            check_signatures(*open_note(bytes(changed)), [key], verify)


# Opening


def test_the_text_ends_at_the_last_blank_line() -> None:
    forged = TEXT + b"\n" + signature_line("forged", b"abcd", b"sig")
    note = make_note(forged, [LINE])

    assert open_note(note) == (forged, [LINE])


@pytest.mark.parametrize("text", [b"\n", b"a\n", b"a\n\n", b"\n\n\n", "— é\n".encode()])
def test_any_text_that_ends_in_a_newline_makes_a_note(text: bytes) -> None:
    assert open_note(make_note(text, [LINE, LINE])) == (text, [LINE, LINE])


@pytest.mark.parametrize(
    ("text", "signatures"),
    [
        (b"", [LINE]),
        (b"no newline", [LINE]),
        (b"a\n\nno newline", [LINE]),
        (b"carriage\r\n", [LINE]),
        (b"\xff\n", [LINE]),
        (b"a\n", []),
        (b"a\n", [LINE._replace(name="a b")]),
        (b"a\n", [LINE._replace(name="a\n\nb")]),
    ],
)
def test_what_cannot_stand_in_a_note_makes_none(text: bytes, signatures: list[Signature]) -> None:
    with pytest.raises(DecodeFault):
        make_note(text, signatures)


GOOD_LINE = signature_line(*LINE)
CODE = GOOD_LINE.split(b" ")[2]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "note.text"),
        (b"a\n", "note.text"),
        (b"a\n\n", "note.signature"),
        (b"a\n\n\n", "note.signature"),
        (b"a\n" + GOOD_LINE, "note.text"),
        (b"a\n\n" + GOOD_LINE[:-1], "note.text"),
        (b"\x01a\n\n" + GOOD_LINE, "note.text"),
        (b"a\x00\n\n" + GOOD_LINE, "note.text"),
        (b"a\ta\n\n" + GOOD_LINE, "note.text"),
        (b"a\x1fa\n\n" + GOOD_LINE, "note.text"),
        (b"a\r\n\r\n" + GOOD_LINE, "note.text"),
        (b"\xff\n\n" + GOOD_LINE, "note.text"),
        (b"\xed\xa0\x80\n\n" + GOOD_LINE, "note.text"),
        (b"\xc0\x8a\n\n" + GOOD_LINE, "note.text"),
        (b"a\n\n" + GOOD_LINE + b"more\n", "note.signature"),
        (b"a\n\n" + GOOD_LINE + b"\n", "note.signature"),
        (b"a\n\n" + GOOD_LINE + b"\n\n", "note.signature"),
        (b"a\n\n" + GOOD_LINE + b" \n", "note.signature"),
        (b"a\n\n- name " + CODE, "note.signature"),
        (b"a\n\n" + GOOD_LINE[1:], "note.text"),
        (b"a\n\n " + GOOD_LINE, "note.signature"),
        ("a\n\n— name\n".encode(), "note.signature"),
        ("a\n\n—  ".encode() + CODE, "note.signature"),
        ("a\n\n— na+me ".encode() + CODE, "note.signature"),
        ("a\n\n— na\u00a0me ".encode() + CODE, "note.signature"),
        ("a\n\n— bad name ".encode() + CODE, "note.base64"),
        ("a\n\n— name ".encode() + CODE[:-1] + b" \n", "note.base64"),
        ("a\n\n— name  ".encode() + CODE, "note.base64"),
        ("a\n\n— name \n".encode(), "note.signature"),
        ("a\n\n— name AAECAw==\n".encode(), "note.signature"),
        ("a\n\n— name AAECAwQ\n".encode(), "note.base64"),
        ("a\n\n— name AAECAwR=\n".encode(), "note.base64"),
        ("a\n\n— name AAECAwQ==\n".encode(), "note.base64"),
        ("a\n\n— name AAECAwQ=AAAA\n".encode(), "note.base64"),
        ("a\n\n— name AAEC_-Q=\n".encode(), "note.base64"),
        ("a\n\n— name AAEC\u00e9wQ=\n".encode(), "note.base64"),
    ],
)
def test_anything_else_is_no_note(raw: bytes, reason: str) -> None:
    with pytest.raises(DecodeFault) as caught:
        open_note(raw)
    assert caught.value.reason == reason


def test_the_shortest_signature_has_one_byte() -> None:
    raw = "a\n\n— name AAECAwQ=\n".encode()

    assert open_note(raw) == (b"a\n", [Signature("name", b"\x00\x01\x02\x03", b"\x04")])


def test_the_number_of_signatures_is_bounded() -> None:
    most = b"a\n\n" + GOOD_LINE * SIGNATURES_MAX

    assert SIGNATURES_MAX >= 16, "the standard asks readers for as many"
    assert len(open_note(most)[1]) == SIGNATURES_MAX
    with pytest.raises(DecodeFault, match=r"note\.count"):
        open_note(most + GOOD_LINE)
    with pytest.raises(DecodeFault, match=r"note\.count"):
        open_note(most, signatures_max=SIGNATURES_MAX - 1)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_are_a_note_or_a_fault(raw: bytes) -> None:
    try:
        text, signatures = open_note(raw)
    except DecodeFault:
        return
    assert make_note(text, signatures) == raw


@given(
    st.text(st.characters(min_codepoint=32, exclude_categories=("Cs",)), max_size=60),
    st.lists(
        st.builds(
            Signature,
            st.text(
                st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1
            ).map(lambda name: name.replace("+", "-")),
            st.binary(min_size=4, max_size=4),
            st.binary(min_size=1, max_size=100),
        ),
        min_size=1,
        max_size=5,
    ),
)
@settings(max_examples=100, deadline=None)
def test_a_note_opens_to_what_it_was_made_of(line: str, signatures: list[Signature]) -> None:
    text = f"{line}\n\n{line}\n".encode()
    note = make_note(text, signatures)

    assert open_note(note) == (text, signatures)


@given(st.binary(max_size=48), st.data())
@settings(max_examples=200, deadline=None)
def test_bytes_have_one_base64_form(decoded: bytes, data: st.DataObject) -> None:
    encoded = b64encode(decoded)
    assert decode_base64(encoded, reason="x") == decoded

    place = data.draw(st.integers(0, len(encoded)))
    other = encoded[:place] + data.draw(st.binary(max_size=2)) + encoded[place + 1 :]
    try:
        again = decode_base64(other, reason="x")
    except DecodeFault:
        return
    assert (again == decoded) == (other == encoded)


# Whose signatures count


def test_signatures_of_unknown_keys_are_ignored() -> None:
    key, signature = signer_key(1)
    stranger, strange = signer_key(2)
    same_name, _ = signer_key(3)
    same_id = Signature("another.name", key.key_id, b"x" * 64)
    wrong_id = Signature(key.name, stranger.key_id, b"x" * 64)

    found = check_signatures(
        TEXT, [strange, same_id, wrong_id, signature], [same_name, key], verify
    )

    assert found == [key]


def test_a_wrong_signature_of_a_known_key_refuses_the_note_whatever_else_it_has() -> None:
    key, signature = signer_key(1)
    other, other_signature = signer_key(2)
    wrong = other_signature._replace(signature=signature.signature)

    with pytest.raises(ProofFault, match=r"note\.signature") as caught:
        check_signatures(TEXT, [signature, wrong], [key, other], verify)
    assert caught.value.culprit == other


def test_a_second_wrong_line_of_one_key_is_not_hidden_by_the_first() -> None:
    key, signature = signer_key(1)
    wrong = signature._replace(signature=bytes(64))

    with pytest.raises(ProofFault, match=r"note\.signature"):
        check_signatures(TEXT, [signature, wrong], [key], verify)


def test_a_note_that_no_known_key_signed_is_refused() -> None:
    key, _ = signer_key(1)
    _, strange = signer_key(2)

    with pytest.raises(ProofFault, match=r"note\.unsigned"):
        check_signatures(TEXT, [strange], [key], verify)


def test_a_key_that_signed_twice_counts_once_and_order_is_that_of_the_keys() -> None:
    key, signature = signer_key(1)
    other, other_signature = signer_key(2)

    found = check_signatures(
        TEXT, [other_signature, signature, signature, other_signature], [key, other], verify
    )

    assert found == [key, other]


def test_keys_that_cannot_be_told_apart_are_refused() -> None:
    key, signature = signer_key(1)

    with pytest.raises(Fault, match=r"note\.keys"):
        check_signatures(TEXT, [signature], [key, key], verify)


def test_keys_of_another_signature_type_are_refused() -> None:
    key, signature = signer_key(1)
    witness = VerifierKey("witness", 0x04, key.public_key)

    with pytest.raises(Fault, match=r"note\.keys"):
        check_signatures(TEXT, [signature], [key, witness], verify)
