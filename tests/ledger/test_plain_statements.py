"""The short way through `parse_statement` gives what the long one gives, or nothing."""

from __future__ import annotations

from itertools import product

import pytest

from ledger import encoding
from ledger.applications import provenance
from ledger.applications.provenance import (
    ARGUMENTS_MAX,
    KIND_CHARS_MAX,
    NAMESPACES_MAX,
    QUALIFIED_NAME,
    QUALIFIED_NAME_CHARS_MAX,
    STATEMENT_BYTES_MAX,
    STRING,
    make_statement,
)
from ledger.encoding import encode
from ledger.errors import DecodeFault

NAMESPACES = {"ex": "urn:ex:"}
BODIES = [
    make_statement("entity", "ex:e", namespaces=NAMESPACES).operation().body,
    make_statement(
        "activity",
        "ex:a",
        namespaces=NAMESPACES,
        arguments={"startTime": "2012-01-01T00:00:00"},
        attributes=[("prov:type", "ex:t", QUALIFIED_NAME), ("ex:n", "1", "xsd:int")],
        bundle="ex:b",
    )
    .operation()
    .body,
    make_statement("entity", "ex:é", namespaces=NAMESPACES).operation().body,
]


def long_way(body: bytes) -> object:
    """The fields, or the reason why there are none."""
    try:
        return encoding.decode(
            body, provenance.shape, size_max=STATEMENT_BYTES_MAX, what="statement"
        )
    except DecodeFault as fault:
        return fault.reason


def test_plain_statements_take_the_short_way() -> None:
    plain, also_plain, accented = BODIES

    assert provenance._plain_fields(plain) == long_way(plain)
    assert provenance._plain_fields(also_plain) == long_way(also_plain)
    assert provenance._plain_fields(accented) is None


@pytest.mark.parametrize("body", BODIES)
def test_whatever_is_changed_the_short_way_agrees_or_leaves_it(body: bytes) -> None:
    changed = [
        body[:place] + bytes([body[place] ^ mask]) + body[place + 1 :]
        for place, mask in product(range(len(body)), (1, 2, 4, 8, 16, 32, 64, 128, 0x60, 0xFF))
    ]
    changed += [body[:place] for place in range(len(body))]
    changed += [body[:place] + b"\xc0" + body[place:] for place in range(len(body) + 1)]

    for each in changed:
        found = provenance._plain_fields(each)
        assert found is None or found == long_way(each)


def row(**changes: object) -> bytes:
    fields: dict[str, object] = {
        "kind": "used",
        "bundle": "",
        "namespaces": (("ex", "urn:ex:"),),
        "identifier": "ex:u",
        "arguments": (("activity", "ex:a"),),
        "attributes": (("ex:n", "v", STRING),),
    }
    return encode(tuple({**fields, **changes}.values()))


LONG = "x" * (QUALIFIED_NAME_CHARS_MAX + 1)


@pytest.mark.parametrize(
    "body",
    [
        row(kind=""),
        row(kind="k" * (KIND_CHARS_MAX + 1)),
        row(kind=1),
        row(kind=None),
        row(bundle=LONG),
        row(bundle=b""),
        row(namespaces=(("ex", "urn:ex:"),) * (NAMESPACES_MAX + 1)),
        row(namespaces=()),
        row(namespaces=""),
        row(namespaces=("ex",)),
        row(namespaces=(("ex", "urn:", "x"),)),
        row(arguments=(("a", "b"),) * (ARGUMENTS_MAX + 1)),
        row(arguments=(("", "b"),)),
        row(arguments=(("k" * (KIND_CHARS_MAX + 1), "b"),)),
        row(arguments=(("a", 7),)),
        row(attributes=(("ex:n", LONG, STRING),)),
        row(attributes=(("ex:n", "v"),)),
        row(attributes=(("ex:n", True, STRING),)),
        row(attributes=((("a", "b"), "v", STRING),)),
        encode(("used",)),
        encode("used"),
        b"",
        b"\xc1",
        b"\x81\xa1a\xa1b",
        bytes(STATEMENT_BYTES_MAX + 1),
    ],
)
def test_what_is_out_of_bounds_is_left_to_the_long_way(body: bytes) -> None:
    found = provenance._plain_fields(body)

    assert found is None or found == long_way(body)
    if isinstance(long_way(body), str):
        assert found is None
