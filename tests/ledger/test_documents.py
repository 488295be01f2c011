"""Documents: versions in one line, kept as long as they must be, ended without a trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ledger.applications import documents
from ledger.applications.documents import (
    Act,
    Body,
    Document,
    Documents,
    commitment,
    document_key,
    make_act,
    parse_act,
    parse_document,
    parse_version,
    version_key,
)
from ledger.encoding import encode
from ledger.errors import DecodeFault
from ledger.layout import state_key
from ledger.light import LightClient
from ledger.proving import prove_state
from ledger.queries import receipt
from ledger.transaction import Operation
from tests.ledger.governed import GENESIS as GOVERNED
from tests.ledger.governed import Network, key

GENESIS = replace(
    GOVERNED,
    applications=(("documents", 1), *(row for row in GOVERNED.applications if row[0] > "j")),
)
FIRST, SECOND, THIRD = (commitment(bytes([n]) * 32, bytes(32)) for n in range(3))


def put(name: str, new: bytes, previous: bytes = b"", until_ms: int = 0) -> Operation:
    return make_act(Body(Act.PUT, name, new, previous, "tax", until_ms))


def give(name: str, to: str) -> Operation:
    return make_act(Body(Act.GIVE, name, key=key(to)))


def tombstone(name: str) -> Operation:
    return make_act(Body(Act.TOMBSTONE, name, reason="the customer asked"))


class Archive(Network):
    """A network with documents; Ada is an administrator, Sam is none."""

    def __init__(self) -> None:
        super().__init__(GENESIS)

    def document(self, name: str) -> Document:
        raw = self.store.get(state_key("documents", document_key(name)))
        assert raw is not None
        return parse_document(raw)


def with_versions() -> Archive:
    """Sam's plan, two versions, kept until five seconds at least: that is the fifth block."""
    archive = Archive()
    assert archive.send("sam", put("plan", FIRST, until_ms=4_000)) == ""
    assert archive.send("sam", put("plan", SECOND, FIRST, until_ms=5_000)) == ""
    return archive


def test_a_version_supersedes_the_one_before_and_both_stay() -> None:
    archive = with_versions()

    assert archive.document("plan") == Document(
        key("sam"), 2, SECOND, "tax", 5_000, False, "", 2, 2_000
    )
    rows = [archive.store.get(state_key("documents", version_key("plan", n))) for n in (1, 2)]
    chain = [parse_version(row) for row in rows if row is not None]
    assert [(row.commitment, row.previous, row.height) for row in chain] == [
        (FIRST, b"", 1),
        (SECOND, FIRST, 2),
    ]


def test_two_writers_do_not_miss_each_other() -> None:
    archive = with_versions()

    assert archive.send("sam", put("plan", THIRD, FIRST, 5_000)) == "document.previous"
    assert archive.send("sam", put("plan", THIRD, until_ms=5_000)) == "document.previous"
    assert archive.send("sam", put("new", THIRD, FIRST)) == "document.previous"
    assert archive.document("plan").commitment == SECOND


def test_a_document_is_its_owners() -> None:
    archive = with_versions()

    for other in ("ada", "ben"):
        assert archive.send(other, put("plan", THIRD, SECOND, 5_000)) == "document.owner"
    assert archive.send("sam", give("plan", "ben")) == ""
    assert archive.send("sam", put("plan", THIRD, SECOND, 5_000)) == "document.owner"
    assert archive.send("ben", put("plan", THIRD, SECOND, 5_000)) == ""


def test_administrators_give_and_end_what_is_anothers_and_others_do_not() -> None:
    archive = with_versions()
    assert archive.send("ada", put("ada's", FIRST)) == ""

    assert archive.send("sam", give("ada's", "sam")) == "document.owner"
    assert archive.send("sam", tombstone("ada's")) == "document.owner"
    assert archive.send("ada", give("plan", "ben")) == ""
    assert archive.send("cleo", tombstone("plan")) == ""


def test_what_has_to_be_kept_is_kept() -> None:
    archive = with_versions()

    assert archive.send("sam", put("plan", THIRD, SECOND, 4_999)) == "document.retention"
    assert archive.send("ada", tombstone("plan")) == "document.retained"
    assert archive.send("sam", tombstone("plan")) == ""


def test_after_a_tombstone_nothing_changes() -> None:
    archive = with_versions()
    for _ in range(3):
        archive.send("sam", put("other", FIRST))
    assert archive.send("sam", tombstone("plan")) == ""

    assert archive.document("plan").is_gone
    for operation in (
        put("plan", THIRD, SECOND, 9_000),
        put("plan", THIRD),
        give("plan", "ben"),
        tombstone("plan"),
    ):
        assert archive.send("sam", operation) == "document.gone"


def test_what_is_not_there_is_not_given_or_ended() -> None:
    archive = Archive()

    assert archive.send("sam", give("plan", "ben")) == "document.unknown"
    assert archive.send("sam", tombstone("plan")) == "document.unknown"


def test_every_proof_holds_after_the_tombstone() -> None:
    archive = Archive()
    signed = archive.sign("sam", put("plan", FIRST))
    archive.block(signed)
    archive.certify()
    before = receipt(archive.store, GENESIS, signed.id)
    early = prove_state(archive.store, GENESIS, "documents", version_key("plan", 1))
    archive.send("sam", tombstone("plan"))
    archive.certify()
    light = LightClient(GENESIS)

    assert before is not None
    assert light.check_receipt(before).body == put("plan", FIRST).body
    assert receipt(archive.store, GENESIS, signed.id) == before
    for raw in (early, prove_state(archive.store, GENESIS, "documents", version_key("plan", 1))):
        value = light.check_state(raw).value
        assert value is not None
        assert parse_version(value).commitment == FIRST
    end = light.check_state(prove_state(archive.store, GENESIS, "documents", document_key("plan")))
    facts = Documents().describe_state(end.key, end.value)
    assert (facts["status"], facts["reason"]) == ("tombstone", "the customer asked")
    none = light.check_state(prove_state(archive.store, GENESIS, "documents", document_key("x")))
    assert "absent" in Documents().describe_state(none.key, none.value)


def test_a_commitment_without_its_salt_fits_any_content() -> None:
    digests = [bytes([n]) * 32 for n in range(3)]

    assert len({commitment(bytes(32), digest) for digest in digests}) == 3
    assert commitment(bytes(32), digests[0]) != commitment(bytes([1]) * 32, digests[0])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        encode(("put", "plan", b"", b"", "", 0, b"", "")),
        encode(("put", "plan", bytes(31), b"", "", 0, b"", "")),
        encode(("put", "", bytes(32), b"", "", 0, b"", "")),
        encode(("put", "pl\x00an", bytes(32), b"", "", 0, b"", "")),
        encode(("put", "pl\x9ban", bytes(32), b"", "", 0, b"", "")),
        encode(("put", "plan", bytes(32), b"", "a\x7f", 0, b"", "")),
        encode(("tombstone", "plan", b"", b"", "", 0, b"", "\x1b[2J")),
        encode(("put", "plan", bytes(32), b"", "", 0, bytes(32), "")),
        encode(("put", "plan", bytes(32), b"", "", 0, b"", "why")),
        encode(("give", "plan", b"", b"", "", 0, b"", "")),
        encode(("tombstone", "plan", b"", b"", "", 5, b"", "")),
        encode(("burn", "plan", b"", b"", "", 0, b"", "")),
    ],
)
def test_a_malformed_body_is_refused_at_the_door(body: bytes) -> None:
    with pytest.raises(DecodeFault):
        Documents().check(body)


def test_a_body_is_described() -> None:
    assert parse_act(tombstone("plan").body).reason == "the customer asked"
    assert Documents().describe(put("plan", SECOND, FIRST, 7).body) == {
        "act": "put",
        "name": "plan",
        "commitment": SECOND.hex(),
        "previous": FIRST.hex(),
        "retention": "tax",
        "keep_until_ms": "7",
    }


def nothing(*_: object) -> None:
    """A rule that asks for nothing."""


@pytest.mark.parametrize(
    ("name", "test"),
    [
        ("require_latest", test_two_writers_do_not_miss_each_other),
        ("require_owner", test_a_document_is_its_owners),
        (
            "require_owner_or_administrator",
            test_administrators_give_and_end_what_is_anothers_and_others_do_not,
        ),
        ("require_retention_kept", test_what_has_to_be_kept_is_kept),
        ("require_retention_over", test_what_has_to_be_kept_is_kept),
        ("require_alive", test_after_a_tombstone_nothing_changes),
    ],
)
def test_a_test_fails_without_the_rule(
    monkeypatch: pytest.MonkeyPatch, name: str, test: Callable[[], object]
) -> None:
    test()
    monkeypatch.setattr(documents, name, nothing)

    with pytest.raises(AssertionError):
        test()
