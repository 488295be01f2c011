"""Provenance: every kind of PROV-DM, valid alone, and found by what it names."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.applications.provenance import (
    ELEMENTS,
    KINDS,
    QUALIFIED_NAME,
    STATEMENT_BYTES_MAX,
    STRING,
    TIMES,
    Provenance,
    Statement,
    make_statement,
    parse_statement,
)
from ledger.applications.provenance_index import Mention, statements_about
from ledger.encoding import encode
from ledger.errors import DecodeFault
from tests.ledger.builders import Chain, damaged, loose_encodings, make_genesis, make_signed

SPACES = {"ex": "http://example.org/", "": "urn:default:", "z": "urn:z:", "a": "urn:a:"}
TIME = "2024-06-03T16:10:59.140+01:00"
EXAMPLE = make_statement(
    "wasGeneratedBy",
    "ex:g",
    namespaces=SPACES,
    arguments={"entity": "ex:e", "activity": ":a", "time": TIME},
    attributes=[("prov:role", "out", STRING), ("prov:type", "ex:T", QUALIFIED_NAME)],
    bundle="ex:b",
)
FIELDS: tuple[Any, ...] = msgpack.unpackb(EXAMPLE.operation().body, use_list=False)


def full(kind: str, *, leave_out: str = "") -> Statement:
    """A statement of this kind with every argument but one."""
    given = {
        name: TIME if name in TIMES else f"ex:{name}"
        for name in KINDS[kind].arguments
        if name != leave_out
    }
    return make_statement(kind, "ex:id", namespaces=SPACES, arguments=given)


def reason_of(body: bytes) -> str:
    with pytest.raises(DecodeFault) as caught:
        Provenance().check(body)
    return caught.value.reason


def with_field(index: int, value: object) -> bytes:
    return encode((*FIELDS[:index], value, *FIELDS[index + 1 :]))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_made_and_parsed(kind: str) -> None:
    statement = full(kind)

    assert parse_statement(statement.operation().body) == statement
    assert [name for name, _ in statement.arguments] == list(KINDS[kind].arguments)


@pytest.mark.parametrize(
    ("kind", "argument"), [(kind, name) for kind in KINDS for name in KINDS[kind].arguments]
)
def test_an_argument_may_be_absent_exactly_where_prov_dm_says(kind: str, argument: str) -> None:
    if argument in KINDS[kind].arguments[: KINDS[kind].required]:
        with pytest.raises(DecodeFault, match=r"provenance\.argument"):
            full(kind, leave_out=argument)
    else:
        assert full(kind, leave_out=argument).argument(argument) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_elements_need_an_identifier_and_relations_do_not(kind: str) -> None:
    nameless = replace(full(kind), identifier="").operation().body

    if kind in ELEMENTS:
        assert reason_of(nameless) == "provenance.identifier"
    else:
        assert parse_statement(nameless).identifier == ""


def test_the_layout_is_the_documented_one() -> None:
    assert EXAMPLE.operation().body == encode(
        (
            "wasGeneratedBy",
            "ex:b",
            (("", "urn:default:"), ("ex", "http://example.org/")),
            "ex:g",
            (("entity", "ex:e"), ("activity", ":a"), ("time", TIME)),
            (("prov:role", "out", STRING), ("prov:type", "ex:T", QUALIFIED_NAME)),
        )
    )
    assert EXAMPLE.operation().application == "provenance"


def test_no_statement_has_a_second_encoding() -> None:
    for loose in loose_encodings(FIELDS):
        assert reason_of(loose).startswith("encoding.")


@given(damaged(EXAMPLE.operation().body))
def test_damaged_bytes_are_refused_or_are_another_whole_statement(body: bytes) -> None:
    try:
        statement = parse_statement(body)
    except DecodeFault:
        return

    assert statement.operation().body == body
    for name in statement.things():
        assert statement.expand(name)


attributes = st.tuples(
    st.sampled_from(("ex:x", "prov:role", "z:y")),
    st.text('ab\n é"', max_size=20),
    st.sampled_from((STRING, "xsd:int", "@en-GB", "a:b")),
)


@given(st.permutations(("ex", "", "z", "a")), st.lists(attributes, max_size=6))
def test_the_order_in_which_parts_are_given_does_not_matter(
    prefixes: list[str], given_attributes: list[tuple[str, str, str]]
) -> None:
    def make(order: list[str], rows: list[tuple[str, str, str]]) -> Statement:
        spaces = {prefix: SPACES[prefix] for prefix in order}
        arguments = dict(sorted({"entity": "ex:e", "activity": ":a"}.items(), reverse=bool(rows)))
        return make_statement("used", namespaces=spaces, arguments=arguments, attributes=rows)

    one = make(prefixes, given_attributes)

    assert one == make(prefixes[::-1], given_attributes[::-1] + given_attributes)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (with_field(0, "wasForgottenBy"), "provenance.kind"),
        (with_field(0, ""), "encoding.length"),
        (with_field(1, "nocolon"), "provenance.name"),
        (with_field(1, "other:b"), "provenance.namespaces"),
        (with_field(2, ()), "provenance.namespaces"),
        (with_field(2, FIELDS[2][::-1]), "provenance.namespaces"),
        (with_field(2, (*FIELDS[2], ("z", "urn:z:"))), "provenance.namespaces"),
        (with_field(2, (FIELDS[2][0], ("ex", ""))), "provenance.namespaces"),
        (with_field(2, (FIELDS[2][0], ("ex", "two words"))), "provenance.namespaces"),
        (with_field(2, (*FIELDS[2], ("prov", "urn:mine:"))), "provenance.namespaces"),
        (with_field(3, "ex:\n"), "provenance.name"),
        (with_field(4, ()), "provenance.argument"),
        (with_field(4, FIELDS[4][::-1]), "provenance.argument"),
        (with_field(4, (FIELDS[4][0], FIELDS[4][0])), "provenance.argument"),
        (with_field(4, (*FIELDS[4], ("plan", "ex:p"))), "provenance.argument"),
        (with_field(4, (("entity", "nocolon"),)), "provenance.name"),
        (with_field(4, (("entity", ""),)), "provenance.name"),
        (with_field(5, FIELDS[5][::-1]), "provenance.attributes"),
        (with_field(5, (FIELDS[5][0],) * 2), "provenance.attributes"),
        (with_field(5, (("role", "x", STRING),)), "provenance.name"),
        (with_field(5, (("prov:role", "x", ""),)), "provenance.name"),
        (with_field(5, (("prov:role", "nocolon", QUALIFIED_NAME),)), "provenance.name"),
        (with_field(5, (("prov:role", "x", "@"),)), "provenance.attributes"),
        (with_field(5, (("prov:role", "x", "@en_GB"),)), "provenance.attributes"),
        (with_field(5, (("prov:role", b"x", STRING),)), "encoding.type"),
        (with_field(5, (("prov:role", "e\u0301", STRING),)), "encoding.text"),
        (encode((*FIELDS, 1)), "encoding.type"),
        (encode(FIELDS[:5]), "encoding.type"),
        (b"", "encoding.malformed"),
        (bytes(STATEMENT_BYTES_MAX + 1), "encoding.size"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    assert reason_of(body) == reason


@pytest.mark.parametrize(
    ("time", "is_right"),
    [
        ("2011-11-16T16:00:00", True),
        ("2011-11-16T16:00:00Z", True),
        ("2011-11-16T16:00:00.000Z", True),
        ("2011-11-16T16:00:00-14:00", True),
        ("-0044-03-15T12:00:00", True),
        ("2011-11-16", False),
        ("2011-11-16 16:00:00", False),
        ("2011-13-16T16:00:00", False),
        ("2011-11-32T16:00:00", False),
        ("2011-11-16T25:00:00", False),
        ("2011-11-16T16:60:00", False),
        ("2011-11-16T16:00:00+15:00", False),
        ("2011-11-16T16:00:00Z\n", False),
        ("２011-11-16T16:00:00", False),
        ("now", False),
    ],
)
def test_times_are_xsd_date_times(time: str, is_right: bool) -> None:
    body = with_field(4, (*FIELDS[4][:2], ("time", time)))

    if is_right:
        assert parse_statement(body).argument("time") == time
    else:
        assert reason_of(body) == "provenance.time"


def test_what_cannot_be_made_says_why() -> None:
    def reason(kind: str, **parts: Any) -> str:
        with pytest.raises(DecodeFault) as caught:
            make_statement(kind, namespaces=SPACES, **parts)
        return caught.value.reason

    assert reason("bundle") == "provenance.kind"
    assert reason("used", arguments={"activity": "ex:a", "agent": "ex:b"}) == (
        "provenance.argument"
    )
    assert reason("used", arguments={"activity": "unknown:a"}) == "provenance.namespaces"
    assert reason("entity", identifier="ex:e", attributes=[("ex:n", "\ud800", STRING)]) == (
        "provenance.text"
    )
    many = [("ex:n", str(n), STRING) for n in range(513)]
    assert reason("entity", identifier="ex:e", attributes=many) == "provenance.attributes"


def test_names_expand_to_uris() -> None:
    assert EXAMPLE.expand("ex:e") == "http://example.org/e"
    assert EXAMPLE.expand(":a:b") == "urn:default:a:b"
    assert EXAMPLE.expand("prov:Plan") == "http://www.w3.org/ns/prov#Plan"
    assert list(EXAMPLE.things()) == ["ex:b", "ex:g", "ex:e", ":a", "ex:T"]


def test_statements_are_found_by_the_uri_of_anything_they_name() -> None:
    chain = Chain(make_genesis())
    entity = make_statement("entity", "other:e", namespaces={"other": "http://example.org/"})
    chain.block(make_signed(chain.genesis, "alice", 0, operations=[EXAMPLE.operation()]))
    chain.block(
        make_signed(
            chain.genesis, "bob", 0, operations=[full("agent").operation(), entity.operation()]
        )
    )

    def about(uri: str) -> list[Mention]:
        return statements_about(chain.store, uri)

    assert about("http://example.org/e") == [(1, 0, 0, "wasGeneratedBy"), (2, 0, 1, "entity")]
    assert about("http://example.org/g") == [(1, 0, 0, "wasGeneratedBy")]
    assert about("http://example.org/b") == [(1, 0, 0, "wasGeneratedBy")]
    assert about("http://example.org/T") == [(1, 0, 0, "wasGeneratedBy")]
    assert about("urn:default:a") == [(1, 0, 0, "wasGeneratedBy")]
    assert about("http://example.org/id") == [(2, 0, 0, "agent")]
    assert about("http://www.w3.org/ns/prov#role") == []
    assert about("http://example.org/\ud800") == []


def test_a_statement_is_described_in_json_values() -> None:
    described = Provenance().describe(EXAMPLE.operation().body)

    assert json.loads(json.dumps(described)) == described
    assert described["kind"] == "wasGeneratedBy"
    assert described["bundle"] == "ex:b"
    assert described["arguments"] == {"entity": "ex:e", "activity": ":a", "time": TIME}
    assert described["namespaces"] == {"": "urn:default:", "ex": "http://example.org/"}
