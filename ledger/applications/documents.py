"""Documents: versions of what may have to be forgotten one day; its content is never on the ledger.

    body    (act, name, commitment, previous, retention class, keep until, key, reason)

    put        the first version of a name, or the next one, which supersedes `previous`
    give       another owner
    tombstone  no version follows; whoever keeps the content is to delete it, and may

What an act does not use is empty or 0.  The ledger holds a commitment to each version, SHA-256 over
a random salt and the content's digest.  Once salt and content are deleted, the commitment tells
nothing, not even to whoever guesses the content, and every proof about it still holds: nothing on
the ledger has changed.  (To remove content from the ledger itself would keep every later node from
executing its blocks, and every audit from checking them.)

A version is kept until its time at least: a tombstone before that fails, and no later version may
shorten it.  The owner is a key; administrators can give a document to another key, as where one was
lost, and set a tombstone.

State, in the authenticated tree, so that the latest version, each one before it, and a tombstone
are proved:

    d || name                          `Document`
    v || name || 0x00 || number        `Version`, counted from 1, in 4 bytes
"""

from __future__ import annotations

import re
from enum import StrEnum
from hashlib import sha256
from typing import ClassVar, NamedTuple

from ledger import encoding
from ledger.applications.interface import Application, Origin, State
from ledger.encoding import encode
from ledger.errors import DecodeFault, Fault
from ledger.keys import short_key
from ledger.transaction import Operation

NAME = "documents"
VERSION = 1
COMMITMENT_DOMAIN = b"ledger document\x00"
SALT_BYTES = 32
NAME_CHARS_MAX = 200
"""Four bytes each, with what else is in a key, are within 1,024."""
CLASS_CHARS_MAX = 64
REASON_CHARS_MAX = 200
VERSIONS_MAX = 2**32 - 1
BODY_BYTES_MAX = 2_048
_control = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Not what this Python calls printable: another version of Unicode would judge otherwise."""

_name = encoding.text(NAME_CHARS_MAX, low=1)
_class = encoding.text(CLASS_CHARS_MAX)
_reason = encoding.text(REASON_CHARS_MAX)
_body_shape = encoding.row(
    encoding.text(16, low=1),
    _name,
    encoding.blob(32),
    encoding.blob(32),
    _class,
    encoding.uint(),
    encoding.blob(32),
    _reason,
)
_document_shape = encoding.row(
    encoding.digest, encoding.uint(VERSIONS_MAX, low=1), encoding.digest, _class, encoding.uint(),
    encoding.boolean(), _reason, encoding.uint(), encoding.uint(),
)  # fmt: skip
_version_shape = encoding.row(
    encoding.digest, encoding.blob(32), encoding.digest, encoding.uint(), encoding.uint()
)


class Act(StrEnum):
    """What an operation does."""

    PUT = "put"
    GIVE = "give"
    TOMBSTONE = "tombstone"


class Body(NamedTuple):
    """The body of an operation."""

    act: Act
    name: str
    commitment: bytes = b""
    previous: bytes = b""
    """Commitment of the version that is superseded; empty for the first."""
    retention: str = ""
    """Retention class: a label, such as "tax 10 years"."""
    keep_until_ms: int = 0
    """Before this time, in milliseconds since 1970, there can be no tombstone."""
    key: bytes = b""
    """The new owner."""
    reason: str = ""
    """Why there is a tombstone."""


class Document(NamedTuple):
    """A document as the state holds it."""

    owner: bytes
    """`short_key` of whose it is."""
    versions: int
    commitment: bytes
    """Of the latest version."""
    retention: str
    keep_until_ms: int
    is_gone: bool
    """Whether there is a tombstone."""
    reason: str
    height: int
    """Of the block of the last change."""
    timestamp_ms: int
    """Of that block."""


class Version(NamedTuple):
    """One version as the state holds it, for ever."""

    commitment: bytes
    previous: bytes
    sender: bytes
    """`short_key` of who wrote it."""
    height: int
    timestamp_ms: int


USES: dict[Act, frozenset[str]] = {
    Act.PUT: frozenset(("commitment", "previous", "retention", "keep_until_ms")),
    Act.GIVE: frozenset(("key",)),
    Act.TOMBSTONE: frozenset(("reason",)),
}
"""The parts, beside the name, that an act may have; commitment and key it must."""


def commitment(salt: bytes, digest: bytes) -> bytes:
    """What the ledger holds of content with this SHA-256."""
    assert len(salt) == SALT_BYTES
    assert len(digest) == 32
    return sha256(COMMITMENT_DOMAIN + salt + digest).digest()


def make_act(body: Body) -> Operation:
    """The operation.  Raises DecodeFault where a part breaks a limit."""
    raw = encode((str(body.act), *body[1:]))
    parse_act(raw)
    return Operation(NAME, VERSION, raw)


def parse_act(raw: bytes) -> Body:
    """The body of these bytes.  Raises DecodeFault."""
    fields = encoding.decode(raw, _body_shape, size_max=BODY_BYTES_MAX, what="document")
    try:
        body = Body(Act(fields[0]), *fields[1:])
    except ValueError as error:
        raise DecodeFault("document.act", f"one of {', '.join(Act)}") from error
    for part, value in body._asdict().items():
        if part in ("act", "name"):
            continue
        if value and part not in USES[body.act]:
            raise DecodeFault("document.parts", f"{body.act} has no {part}")
        if isinstance(value, bytes) and value and len(value) != 32:
            raise DecodeFault("document.parts", f"{part} has 32 bytes")
        if not value and part in USES[body.act] and part in ("commitment", "key"):
            raise DecodeFault("document.parts", f"{body.act} lacks {part}")
    if _control.search(body.name + body.retention + body.reason):
        raise DecodeFault("document.text", "there are control characters in it")
    return body


def document_key(name: str) -> bytes:
    return b"d" + name.encode()


def version_key(name: str, number: int) -> bytes:
    return b"v" + name.encode() + b"\x00" + number.to_bytes(4, "big")


def parse_document(raw: bytes) -> Document:
    """A document of a value of the state."""
    return Document(*encoding.decode(raw, _document_shape, size_max=2**12, what="document"))


def parse_version(raw: bytes) -> Version:
    """A version of a value of the state."""
    return Version(*encoding.decode(raw, _version_shape, size_max=2**10, what="version"))


# --- rules ----------------------------------------------------------------------------------------


def require_there(document: Document | None) -> Document:
    """Only a document that exists is given, or ends."""
    if document is None:
        raise Fault("document.unknown", "there is no document of this name")
    return document


def require_alive(document: Document) -> None:
    """After the tombstone nothing changes."""
    if document.is_gone:
        raise Fault("document.gone", "the document has a tombstone")


def require_owner(document: Document, sender: bytes) -> None:
    """Versions are the owner's."""
    if short_key(sender) != document.owner:
        raise Fault("document.owner", "the document is another key's")


def require_owner_or_administrator(document: Document, origin: Origin) -> None:
    """Administrators may give a document away and end it; never write a version."""
    if short_key(origin.sender) != document.owner and "administrator" not in origin.roles:
        raise Fault("document.owner", "the document is another key's")


def require_latest(document: Document | None, previous: bytes) -> None:
    """A version supersedes the latest one, so that no two writers miss each other."""
    if previous != (b"" if document is None else document.commitment):
        raise Fault("document.previous", "another version is the latest")


def require_retention_kept(document: Document, keep_until_ms: int) -> None:
    """A later version may be kept longer, never shorter."""
    if keep_until_ms < document.keep_until_ms:
        raise Fault("document.retention", f"it is kept until {document.keep_until_ms} at least")


def require_retention_over(document: Document, now_ms: int) -> None:
    """Nothing is to be deleted that has to be kept, judged by the time of the block."""
    if now_ms < document.keep_until_ms:
        raise Fault("document.retained", f"it is kept until {document.keep_until_ms} at least")


# --- the application ------------------------------------------------------------------------------


class Documents(Application):
    """Keeps the latest version of each document, every one before it, and tombstones."""

    name: ClassVar[str] = NAME
    version: ClassVar[int] = VERSION
    authenticated: ClassVar[bool] = True

    def check(self, body: bytes) -> None:
        parse_act(body)

    def apply(self, state: State, origin: Origin, body: bytes) -> None:
        act = parse_act(body)
        raw = state.get(document_key(act.name))
        document = None if raw is None else parse_document(raw)
        if act.act is Act.PUT:
            after = _next(document, act, origin)
            sender = short_key(origin.sender)
            row = Version(act.commitment, act.previous, sender, origin.height, origin.timestamp_ms)
            state.put(version_key(act.name, after.versions), encode(tuple(row)))
        else:
            before = require_there(document)
            require_alive(before)
            require_owner_or_administrator(before, origin)
            if act.act is Act.GIVE:
                after = before._replace(owner=act.key)
            else:
                require_retention_over(before, origin.timestamp_ms)
                after = before._replace(is_gone=True, reason=act.reason)
        after = after._replace(height=origin.height, timestamp_ms=origin.timestamp_ms)
        state.put(document_key(act.name), encode(tuple(after)))

    def describe(self, body: bytes) -> dict[str, object]:
        act = parse_act(body)
        return {
            part: value.hex() if isinstance(value, bytes) else str(value)
            for part, value in act._asdict().items()
            if value
        }

    def describe_state(self, key: bytes, value: bytes | None) -> dict[str, object]:
        if key[:1] == b"d":
            facts: dict[str, object] = {"document": key[1:].decode(errors="replace")}
            if value is None:
                return facts | {"absent": "there has never been such a document"}
            return facts | document_facts(parse_document(value))
        if key[:1] == b"v" and key[-5:-4] == b"\x00":
            number = int.from_bytes(key[-4:], "big")
            facts = {"document": key[1:-5].decode(errors="replace"), "number": number}
            if value is None:
                return facts | {"absent": "there is no such version"}
            return facts | version_facts(parse_version(value))
        return super().describe_state(key, value)


def _next(document: Document | None, act: Body, origin: Origin) -> Document:
    """The document with one version more."""
    if document is not None:
        require_alive(document)
        require_owner(document, origin.sender)
        require_retention_kept(document, act.keep_until_ms)
    require_latest(document, act.previous)
    number = 1 if document is None else document.versions + 1
    if number > VERSIONS_MAX:
        raise Fault("document.versions", f"a document has at most {VERSIONS_MAX} versions")
    owner = short_key(origin.sender)
    return Document(
        owner, number, act.commitment, act.retention, act.keep_until_ms, False, "", 0, 0
    )


def document_facts(document: Document) -> dict[str, object]:
    """A document for people."""
    facts: dict[str, object] = {
        "owner": document.owner.hex(),
        "versions": document.versions,
        "commitment": document.commitment.hex(),
        "retention": document.retention or "none",
        "keep_until_ms": document.keep_until_ms,
        "status": "tombstone" if document.is_gone else "current",
        "changed_at": document.height,
    }
    return facts | ({"reason": document.reason} if document.is_gone else {})


def version_facts(version: Version) -> dict[str, object]:
    """A version for people."""
    return {
        "commitment": version.commitment.hex(),
        "supersedes": version.previous.hex() or "nothing",
        "sender": version.sender.hex(),
        "recorded_at": version.height,
        "timestamp_ms": version.timestamp_ms,
    }
