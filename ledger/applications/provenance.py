"""Provenance: statements of the W3C PROV data model, one per operation.

    body    (kind, bundle, namespaces, identifier, arguments, attributes)

`kind` is the PROV-N word, such as "wasGeneratedBy".  `arguments` are (name, value) in the order of
PROV-DM, absent ones left out; `attributes` are (name, value, datatype).  Names are qualified,
"prefix:local", and `namespaces` holds (prefix, URI) for exactly the prefixes in use, so that every
statement can be read alone; prov and xsd mean what the Recommendations say.  Source: PROV-DM and
PROV-N, W3C Recommendations of 30 April 2013; mentionOf: PROV-Links.

State: an index from things to statements (`ledger.applications.provenance_index`).  Whether
statements agree with each other (PROV-CONSTRAINTS) is a question to ask of the ledger, not a reason
to refuse one of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import msgpack

from ledger import encoding
from ledger.applications.interface import Application, Origin, State
from ledger.applications.provenance_index import NAME as NAME
from ledger.applications.provenance_index import entries
from ledger.encoding import encode, normal_text
from ledger.errors import DecodeFault
from ledger.transaction import Operation

VERSION = 1
STATEMENT_BYTES_MAX = 60_000
"""Leaves room for the transaction around it within 65,535 bytes."""
KIND_CHARS_MAX = 32
"""Of a kind, or of an argument's name."""
ARGUMENTS_MAX = 5
NAMESPACES_MAX = 64
ATTRIBUTES_MAX = 512
QUALIFIED_NAME_CHARS_MAX = 2_048
"""Of a qualified name or a URI; longer ones do not work in browsers either."""
PREDEFINED = {
    "prov": "http://www.w3.org/ns/prov#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
"""Prefixes that are never declared (PROV-N, 3.7.3 and 3.7.4)."""
QUALIFIED_NAME = "prov:QUALIFIED_NAME"
"""Datatype of an attribute value that is itself the name of a thing."""
STRING = "xsd:string"


class Kind(NamedTuple):
    """What PROV-DM says about one kind of statement."""

    arguments: tuple[str, ...]
    required: int
    """How many of the arguments, counted from the first, must be there."""


ELEMENTS = ("entity", "activity", "agent")
"""Kinds that need an identifier."""
KINDS: dict[str, Kind] = {
    "entity": Kind((), 0),
    "activity": Kind(("startTime", "endTime"), 0),
    "agent": Kind((), 0),
    "wasGeneratedBy": Kind(("entity", "activity", "time"), 1),
    "used": Kind(("activity", "entity", "time"), 1),
    "wasInformedBy": Kind(("informed", "informant"), 2),
    "wasStartedBy": Kind(("activity", "trigger", "starter", "time"), 1),
    "wasEndedBy": Kind(("activity", "trigger", "ender", "time"), 1),
    "wasInvalidatedBy": Kind(("entity", "activity", "time"), 1),
    "wasDerivedFrom": Kind(("generatedEntity", "usedEntity", "activity", "generation", "usage"), 2),
    "wasAttributedTo": Kind(("entity", "agent"), 2),
    "wasAssociatedWith": Kind(("activity", "agent", "plan"), 1),
    "actedOnBehalfOf": Kind(("delegate", "responsible", "activity"), 2),
    "wasInfluencedBy": Kind(("influencee", "influencer"), 2),
    "specializationOf": Kind(("specificEntity", "generalEntity"), 2),
    "alternateOf": Kind(("alternate1", "alternate2"), 2),
    "hadMember": Kind(("collection", "entity"), 2),
    "mentionOf": Kind(("specificEntity", "generalEntity", "bundle"), 3),
}
TIMES = ("time", "startTime", "endTime")
"""Arguments that are an xsd:dateTime; every other one names a thing."""

_TEXT_ALONE = {str}

_date_time = re.compile(
    r"-?[0-9]{4,9}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,12})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])?"
)
_language = re.compile(r"@[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
_prefix = re.compile(r"[^\x00-\x20\x7f:<>\"'(),;=\[\]{}]*")
_uri = re.compile(r"[^\x00-\x20\x7f<>\"]+")
_control = re.compile(r"[\x00-\x1f\x7f]")

_name = encoding.text(QUALIFIED_NAME_CHARS_MAX)
_value = encoding.text(STATEMENT_BYTES_MAX)
shape = encoding.row(
    encoding.text(KIND_CHARS_MAX, low=1),
    _name,
    encoding.array(encoding.row(_name, _name), NAMESPACES_MAX),
    _name,
    encoding.array(encoding.row(encoding.text(KIND_CHARS_MAX, low=1), _name), ARGUMENTS_MAX),
    encoding.array(encoding.row(_name, _value, _name), ATTRIBUTES_MAX),
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One well-formed PROV statement."""

    kind: str
    bundle: str
    """Identifier of the bundle that it is part of; empty outside of bundles."""
    namespaces: tuple[tuple[str, str], ...]
    """(prefix, URI), ascending by prefix; the default namespace has an empty prefix."""
    identifier: str
    """Empty for a relation without one."""
    arguments: tuple[tuple[str, str], ...]
    attributes: tuple[tuple[str, str, str], ...]
    """(name, value, datatype), strictly ascending; a datatype "@fr" is a language."""

    def argument(self, name: str) -> str:
        """The argument's value; empty where it is absent."""
        return dict(self.arguments).get(name, "")

    def expand(self, name: str) -> str:
        """The URI of a qualified name."""
        prefix, _, local = name.partition(":")
        for declared, uri in self.namespaces:
            if declared == prefix:
                return uri + local
        return PREDEFINED[prefix] + local

    def things(self) -> Iterator[str]:
        """Every qualified name that stands for a thing: not kinds, attribute names, datatypes."""
        for name in (self.bundle, self.identifier):
            if name:
                yield name
        for name, value in self.arguments:
            if name not in TIMES:
                yield value
        for _, value, datatype in self.attributes:
            if datatype == QUALIFIED_NAME:
                yield value

    def names(self) -> Iterator[str]:
        """Every qualified name, once or more."""
        yield from self.things()
        for name, _, datatype in self.attributes:
            yield name
            if not datatype.startswith("@"):
                yield datatype

    def operation(self) -> Operation:
        """The operation that puts the statement on the ledger."""
        row = (self.kind, self.bundle, self.namespaces, self.identifier, self.arguments)
        return Operation(NAME, VERSION, encode((*row, self.attributes)))


def make_statement(
    kind: str,
    identifier: str = "",
    *,
    namespaces: Mapping[str, str],
    arguments: Mapping[str, str] | None = None,
    attributes: Sequence[tuple[str, str, str]] = (),
    bundle: str = "",
) -> Statement:
    """The statement of these parts in canonical order, with those namespaces that it uses.

    Empty arguments are left out.  Raises DecodeFault where PROV-DM or a limit is broken.
    """
    if kind not in KINDS:
        raise DecodeFault("provenance.kind", kind)
    given = {name: value for name, value in (arguments or {}).items() if value}
    if not set(given) <= set(KINDS[kind].arguments):
        raise DecodeFault("provenance.argument", f"{kind} has {', '.join(KINDS[kind].arguments)}")
    if len(attributes) > ATTRIBUTES_MAX:
        raise DecodeFault("provenance.attributes", f"more than {ATTRIBUTES_MAX}")
    draft = Statement(
        kind,
        bundle,
        (),
        identifier,
        tuple((name, given[name]) for name in KINDS[kind].arguments if name in given),
        tuple(sorted({(name, normal_text(value), type_) for name, value, type_ in attributes})),
    )
    used = {name.partition(":")[0] for name in draft.names()} - set(PREDEFINED)
    rows = tuple((prefix, namespaces[prefix]) for prefix in sorted(used) if prefix in namespaces)
    try:
        row = (kind, bundle, rows, identifier, draft.arguments, draft.attributes)
        return parse_statement(encode(row))
    except UnicodeEncodeError as error:
        raise DecodeFault("provenance.text", "has no UTF-8 form") from error


def parse_statement(body: bytes) -> Statement:
    """The statement that a body encodes, valid by PROV-DM's rules for its kind.

    Raises DecodeFault.
    """
    fields = _plain_fields(body)
    if fields is None:
        fields = encoding.decode(body, shape, size_max=STATEMENT_BYTES_MAX, what="statement")
    statement = Statement(*fields)
    kind = KINDS.get(statement.kind)
    if kind is None:
        raise DecodeFault("provenance.kind", statement.kind)
    if statement.kind in ELEMENTS and not statement.identifier:
        raise DecodeFault("provenance.identifier", f"{statement.kind} needs one")
    _check_arguments(statement, kind)
    _check_namespaces(statement)
    _check_attributes(statement)
    return statement


def _plain_fields(body: bytes) -> tuple[Any, ...] | None:
    """What `encoding.decode` gives, in a third of its time; None for what is not plain enough.

    Plain is what nearly every statement is: short and ASCII.  Nothing is refused here, so that each
    mistake has one reason, which the decoder names.
    """
    if len(body) > STATEMENT_BYTES_MAX:
        return None
    try:
        row = msgpack.unpackb(
            body,
            raw=False,
            use_list=False,
            max_array_len=ATTRIBUTES_MAX,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, TypeError, RecursionError):
        return None
    if type(row) is not tuple or len(row) != 6:
        return None
    kind, bundle, namespaces, identifier, arguments, attributes = row
    texts = [kind, bundle, identifier]
    for rows, width in ((namespaces, 2), (arguments, 2), (attributes, 3)):
        if type(rows) is not tuple:
            return None
        for part in rows:
            if type(part) is not tuple or len(part) != width:
                return None
            texts += part
    is_plain = (
        len(namespaces) <= NAMESPACES_MAX
        and len(arguments) <= ARGUMENTS_MAX
        and set(map(type, texts)) == _TEXT_ALONE
        and 0 < len(kind) <= KIND_CHARS_MAX
        and all(0 < len(name) <= KIND_CHARS_MAX for name, _ in arguments)
        and max(map(len, texts)) <= QUALIFIED_NAME_CHARS_MAX
        and "".join(texts).isascii()
        and encode(row) == body
    )
    return row if is_plain else None


def _check_arguments(statement: Statement, kind: Kind) -> None:
    names = [name for name, _ in statement.arguments]
    if names != [name for name in kind.arguments if name in names]:
        raise DecodeFault("provenance.argument", f"{statement.kind} has {kind.arguments}, in order")
    missing = [name for name in kind.arguments[: kind.required] if name not in names]
    if missing:
        raise DecodeFault("provenance.argument", f"{statement.kind} needs {missing[0]}")
    for name, value in statement.arguments:
        if name in TIMES and not _date_time.fullmatch(value):
            raise DecodeFault("provenance.time", f"{name} is not an xsd:dateTime")


def _check_namespaces(statement: Statement) -> None:
    declared = [prefix for prefix, _ in statement.namespaces]
    used = set()
    names = list(statement.names())
    # One search over all of them is quicker, and nearly always enough.
    may_have_control = _control.search("".join(names)) is not None
    for name in names:
        prefix, colon, local = name.partition(":")
        if not colon or (may_have_control and _control.search(local)):
            raise DecodeFault("provenance.name", "not a qualified name")
        if prefix not in PREDEFINED:
            used.add(prefix)
    if declared != sorted(used):
        raise DecodeFault("provenance.namespaces", "not exactly those in use, ascending")
    for prefix, uri in statement.namespaces:
        if not _prefix.fullmatch(prefix) or not _uri.fullmatch(uri):
            raise DecodeFault("provenance.namespaces", "not a prefix and a URI")


def _check_attributes(statement: Statement) -> None:
    if list(statement.attributes) != sorted(set(statement.attributes)):
        raise DecodeFault("provenance.attributes", "not strictly ascending")
    for _, _, datatype in statement.attributes:
        if datatype.startswith("@") and not _language.fullmatch(datatype):
            raise DecodeFault("provenance.attributes", "not a language tag")


class Provenance(Application):
    """Keeps an index from things to statements; the statements themselves are in the blocks."""

    name: ClassVar[str] = NAME
    version: ClassVar[int] = VERSION

    def check(self, body: bytes) -> None:
        parse_statement(body)

    def apply(self, state: State, origin: Origin, body: bytes) -> None:
        statement = parse_statement(body)
        for key, value in entries(statement, body, origin.key()):
            state.put(key, value)

    def describe(self, body: bytes) -> dict[str, object]:
        statement = parse_statement(body)
        return {
            "kind": statement.kind,
            "bundle": statement.bundle,
            "identifier": statement.identifier,
            "arguments": dict(statement.arguments),
            "attributes": [
                {"name": name, "value": value, "datatype": datatype}
                for name, value, datatype in statement.attributes
            ],
            "namespaces": dict(statement.namespaces),
        }
