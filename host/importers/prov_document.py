"""PROV documents: read in any form that the `prov` package knows, and written back from the ledger.

A document becomes one statement per record, in its order, with whatever bundle the record is in;
a membership that names several members becomes one statement for each.
What does not survive: an empty bundle, prefixes that nothing uses, and how a number or a time was
spelt.  A document that the `prov` package could read only by dropping or changing a part of it is
refused.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import prov
from prov.constants import PROV, PROV_N_MAP, PROV_RECORD_IDS_MAP
from prov.identifier import Identifier, Namespace, QualifiedName
from prov.model import (
    Literal,
    ProvBundle,
    ProvDocument,
    ProvFutureRejectionWarning,
    ProvRecord,
    canonical_xsd_datatype,
)

from ledger.applications.provenance import (
    PREDEFINED,
    QUALIFIED_NAME,
    STRING,
    TIMES,
    Statement,
    make_statement,
)
from ledger.errors import Fault, UserError
from ledger.transaction import Operation

FORMATS = {
    ".provn": "provn",
    ".pn": "provn",
    ".json": "json",
    ".provx": "xml",
    ".xml": "xml",
    ".jsonld": "jsonld",
    ".ttl": "rdf",
    ".rdf": "rdf",
    ".trig": "rdf",
}
"""File name suffix to the name that the `prov` package has for the form."""

_UNREADABLE = (
    prov.Error,
    ProvFutureRejectionWarning,
    UserWarning,
    ValueError,
    TypeError,
    LookupError,
    SyntaxError,
)
"""Readers of four forms, three of them on top of other parsers: no narrower set is promised."""


def read_document(path: Path) -> ProvDocument:
    """The PROV document in a file, by its suffix.  Raises UserError."""
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise UserError(f"{path}: name a PROV document by its form: {', '.join(sorted(FORMATS))}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ProvFutureRejectionWarning)
            # "... will be ignored": what would be lost is not imported.
            warnings.simplefilter("error", UserWarning)
            document = prov.read(path, format=form)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except _UNREADABLE as error:
        raise UserError(f"{path} is no {form} document: {error}") from error
    assert isinstance(document, ProvDocument)
    return document


def primer() -> list[Operation]:
    """The operations of the W3C PROV primer's example, which the `prov` package ships."""
    try:
        from prov.tests.examples import primer_example
    except ImportError as error:
        raise UserError("this `prov` package ships no examples; install prov 3.2") from error
    document: ProvDocument = primer_example()  # type: ignore[no-untyped-call]
    return to_operations(document)


def to_operations(document: ProvDocument) -> list[Operation]:
    """One operation per record of the document, in its order.  Raises UserError."""
    return [statement.operation() for statement in statements_of(document)]


def statements_of(document: ProvDocument) -> list[Statement]:
    """The document's records as statements.  Raises UserError for one that PROV-DM forbids."""
    names = _Names()
    made: list[Statement] = []
    for container in (document, *document.bundles):
        bundle = names.text(container.identifier) if container.identifier else ""
        for record in container.get_records():
            try:
                made += _statements_of(record, bundle, names)
            except Fault as fault:
                raise UserError(f"cannot take {record}: {fault}") from fault
    return made


class _Names:
    """Prefixes for one document: the document's own, unless two of them clash."""

    def __init__(self) -> None:
        self.namespaces: dict[str, str] = dict(PREDEFINED)
        self._prefixes = {uri: prefix for prefix, uri in PREDEFINED.items()}

    def text(self, name: QualifiedName) -> str:
        """The name as "prefix:local"."""
        uri = name.namespace.uri
        prefix = self._prefixes.get(uri)
        if prefix is None:
            wanted = prefix = name.namespace.prefix
            number = 0
            while prefix in self.namespaces:
                number += 1
                prefix = f"{wanted or 'dn'}_{number}"
            self.namespaces[prefix] = uri
            self._prefixes[uri] = prefix
        return f"{prefix}:{name.localpart}"


def _statements_of(record: ProvRecord, bundle: str, names: _Names) -> Iterator[Statement]:
    """One statement; of a membership one for each member that it names."""
    arguments: dict[str, list[str]] = {}
    for name, value in record.attributes:
        if name in record.FORMAL_ATTRIBUTES:
            text = _time_text(value) if name.localpart in TIMES else names.text(value)
            arguments.setdefault(name.localpart, []).append(text)
    kind = PROV_N_MAP[record.get_type()]
    members = sorted(arguments["entity"]) if kind == "hadMember" and "entity" in arguments else []
    for argument, values in arguments.items():
        if len(values) > 1 and not (members and argument == "entity"):
            raise Fault("provenance.argument", f"{len(values)} values for {argument}")
    for member in members or [""]:
        chosen = {name: values[0] for name, values in arguments.items()}
        yield make_statement(
            kind,
            names.text(record.identifier) if record.identifier else "",
            namespaces=names.namespaces,
            arguments={**chosen, "entity": member} if member else chosen,
            attributes=[
                (names.text(name), *_typed_text(value, names))
                for name, value in record.extra_attributes
            ],
            bundle=bundle,
        )


def _time_text(value: datetime) -> str:
    offset = value.utcoffset()
    # An offset of xsd:dateTime is whole minutes; those before standard time were not.
    if offset is not None and offset.total_seconds() % 60:
        value = value.astimezone(UTC)
    return value.isoformat()


def _typed_text(value: Any, names: _Names) -> tuple[str, str]:
    """(value, datatype) of an attribute's value as the `prov` package holds it."""
    if isinstance(value, str):
        return value, STRING
    if isinstance(value, QualifiedName):
        return names.text(value), QUALIFIED_NAME
    if isinstance(value, Identifier):
        return value.uri, "xsd:anyURI"
    if isinstance(value, datetime):
        return _time_text(value), "xsd:dateTime"
    if isinstance(value, bool):
        return str(value).lower(), "xsd:boolean"
    if isinstance(value, Literal):
        if value.langtag:
            return value.value, f"@{value.langtag}"
        return value.value, names.text(value.datatype) if value.datatype else STRING
    datatype = canonical_xsd_datatype(value)
    if datatype is None:
        raise Fault("provenance.attributes", f"a value of type {type(value).__name__}")
    spelling = {"inf": "INF", "-inf": "-INF", "nan": "NaN"}
    return spelling.get(repr(value), repr(value)), names.text(datatype)


def from_statements(statements: Iterable[Statement]) -> ProvDocument:
    """The document that these statements make, bundles and all."""
    document = ProvDocument()
    bundles: dict[str, ProvBundle] = {"": document}
    for statement in statements:
        uri = statement.expand(statement.bundle) if statement.bundle else ""
        if uri not in bundles:
            bundles[uri] = document.bundle(_qualified(statement, statement.bundle))
        arguments = [
            (PROV[name], value if name in TIMES else _qualified(statement, value))
            for name, value in statement.arguments
        ]
        attributes = [
            (_qualified(statement, name), _value_of(statement, value, datatype, document))
            for name, value, datatype in statement.attributes
        ]
        identifier = _qualified(statement, statement.identifier) if statement.identifier else None
        kind = PROV_RECORD_IDS_MAP[statement.kind]
        bundles[uri].new_record(kind, identifier, arguments, attributes)
    return document


def to_provn(statements: Iterable[Statement]) -> str:
    """The statements as a PROV-N document."""
    return from_statements(statements).get_provn()


def to_provn_line(statement: Statement) -> str:
    """One statement in PROV-N, without the prefixes that it uses."""
    container = from_statements([statement])
    document = next(iter(container.bundles), container)
    return next(iter(document.get_records())).get_provn()


def to_json(statements: Iterable[Statement]) -> str:
    """The statements as a PROV-JSON document."""
    text = from_statements(statements).serialize(format="json")
    assert text is not None, "without a destination, serialize gives text"
    return json.dumps(json.loads(text), indent=2) + "\n"


def to_xml(statements: Iterable[Statement]) -> str:
    """The statements as a PROV-XML document."""
    text = from_statements(statements).serialize(format="xml")
    assert text is not None, "without a destination, serialize gives text"
    return text


def to_dot(statements: Iterable[Statement]) -> str:
    """The statements as a picture in Graphviz's language."""
    # Only here: pydot takes a tenth of a second to import.
    from prov.dot import prov_to_dot

    text: str = prov_to_dot(from_statements(statements)).to_string()
    return text


WRITERS: dict[str, Callable[[Iterable[Statement]], str]] = {
    "provn": to_provn,
    "json": to_json,
    "xml": to_xml,
    "dot": to_dot,
}
"""By the word for --format."""


def _qualified(statement: Statement, name: str) -> QualifiedName:
    prefix, _, local = name.partition(":")
    uri = statement.expand(f"{prefix}:")
    return QualifiedName(Namespace(prefix, uri), local)


def _value_of(statement: Statement, value: str, datatype: str, document: ProvDocument) -> Any:
    if datatype == STRING:
        return value
    if datatype == QUALIFIED_NAME:
        return _qualified(statement, value)
    if datatype.startswith("@"):
        return Literal(value, langtag=datatype[1:])
    name = _qualified(statement, datatype)
    if name.namespace.prefix not in PREDEFINED:
        # The package declares by itself the prefixes of names, but not those of datatypes.
        name = document.add_namespace(name.namespace)[name.localpart]
    # The package turns this into a number, a truth value, a time or an identifier where it can.
    return Literal(value, name)
