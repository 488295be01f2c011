"""Records: a file's digest or opaque bytes, found again by digest in ledger order."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import applications, layout
from ledger.applications.interface import Origin
from ledger.applications.records import Records, find, make_record, parse_record
from ledger.encoding import encode, normal_text
from ledger.errors import DecodeFault, Fault
from tests.ledger.builders import Chain, damaged, loose_encodings, make_genesis, make_signed

FILE = hashlib.sha256(b"a file").digest()
EXAMPLE = make_record("report.csv", FILE, b"note")
names = st.text("ab/. é\u0301中", max_size=40).map(normal_text)


def reason_of(body: bytes) -> str:
    with pytest.raises(DecodeFault) as caught:
        Records().check(body)
    return caught.value.reason


@given(names, st.just(FILE) | st.just(b""), st.binary(min_size=1, max_size=300))
def test_what_is_made_is_parsed_and_has_one_encoding(
    name: str, digest: bytes, content: bytes
) -> None:
    body = make_record(name, digest, content).body

    assert body == encode((name, digest, content))
    assert parse_record(body) == (name, digest, content)
    for loose in loose_encodings((name, digest, content)):
        assert reason_of(loose).startswith("record.")


@given(damaged(EXAMPLE.body))
def test_damaged_bytes_are_refused_or_encode_what_they_parse_to(body: bytes) -> None:
    try:
        fields = parse_record(body)
    except DecodeFault:
        return

    assert encode(fields) == body


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (encode(("a", b"", b"")), "record.empty"),
        (encode(("a", bytes(31), b"")), "record.digest"),
        (encode(("a", bytes(33), b"x")), "record.digest"),
        (encode(("a" * 513, FILE, b"")), "record.name"),
        (encode(("e\u0301", FILE, b"")), "record.name"),
        (encode(("a", FILE, bytes(60_001))), "record.content"),
        (encode((b"a", FILE, b"")), "record.malformed"),
        (encode(("a", FILE, "x")), "record.malformed"),
        (encode(("a", None, b"x")), "record.malformed"),
        (encode(("a", FILE)), "record.malformed"),
        (encode(("a", FILE, b"", 1)), "record.malformed"),
        (encode((("a",), FILE, b"")), "record.malformed"),
        (encode("abc"), "record.malformed"),
        (b"", "record.malformed"),
        (b"\x91" * 2_000, "record.malformed"),
        (EXAMPLE.body + b"\x00", "record.malformed"),
        (EXAMPLE.body[:-1], "record.malformed"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    assert reason_of(body) == reason


def test_the_largest_record_fits_into_a_transaction() -> None:
    genesis = make_genesis()
    record = make_record("é" * 512, FILE, bytes(60_000))

    assert make_signed(genesis, "alice", 0, operations=[record]).operations


def test_names_are_brought_into_normal_form_and_must_have_a_utf_8_form() -> None:
    assert parse_record(make_record("e\u0301", FILE).body)[0] == "é"
    with pytest.raises(DecodeFault, match=r"record\.name"):
        make_record("not\udcffutf-8", FILE)


def test_records_of_one_digest_are_found_in_ledger_order() -> None:
    chain = Chain(make_genesis())
    of_file, of_content = make_record("a", FILE), make_record("", b"", b"a file")
    other = make_record("b", hashlib.sha256(b"other").digest())
    chain.block(make_signed(chain.genesis, "alice", 0, operations=[other, of_file]))
    chain.block(
        make_signed(chain.genesis, "alice", 1, operations=[other]),
        make_signed(chain.genesis, "bob", 1, operations=[of_file, other, of_content]),
    )

    assert find(chain.store, FILE) == [(1, 0, 1), (2, 1, 0), (2, 1, 2)]
    assert find(chain.store, bytes(32)) == []


def test_neighbouring_digests_and_other_applications_are_not_mixed_up() -> None:
    chain = Chain(make_genesis())
    digests = [b"\xff" * 31 + bytes([last]) for last in (0xFD, 0xFE, 0xFF)]
    chain.block(
        *(
            make_signed(chain.genesis, "alice", nonce, operations=[make_record("", digest)])
            for nonce, digest in enumerate(digests)
        )
    )
    chain.store.write([(layout.state_key("recordsx", digests[0]), b"")])

    assert [find(chain.store, digest) for digest in digests] == [
        [(1, 0, 0)],
        [(1, 1, 0)],
        [(1, 2, 0)],
    ]


def test_a_place_sorts_as_the_ledger_does() -> None:
    places = [(1, 0, 0), (1, 0, 1), (1, 0, 256), (1, 1, 0), (2, 0, 0), (256, 0, 0)]

    keys = [Origin(*place, bytes(32), bytes(32), 0).key() for place in places]

    assert keys == sorted(keys)
    assert [Origin.place_of(key) for key in keys] == places


@pytest.mark.parametrize(
    ("content", "shown"),
    [(b"caf\xc3\xa9", {"content_text": "café"}), (b"\xff\x00", {"content_hex": "ff00"})],
)
def test_a_record_is_described_in_json_values(content: bytes, shown: dict[str, str]) -> None:
    described = Records().describe(make_record("a", b"", content).body)

    assert described == {
        "name": "a",
        "sha256": hashlib.sha256(content).hexdigest(),
        "content_bytes": len(content),
        **shown,
    }
    assert json.loads(json.dumps(described)) == described
    with pytest.raises(Fault):
        Records().describe(b"")


def test_a_network_runs_the_applications_that_its_genesis_names() -> None:
    genesis = make_genesis()

    assert [each.name for each in applications.named(genesis)] == ["provenance", "records"]
    assert applications.named(replace(genesis, applications=())) == ()
    for unknown in (("records", 2), ("unheard-of", 1)):
        with pytest.raises(Fault, match=r"application\.unknown"):
            applications.named(replace(genesis, applications=(unknown,)))
