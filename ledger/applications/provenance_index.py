"""The index of provenance: from a thing to the statements about it, in both directions.

    "t" || thing || role || place    -> code || mark || other things
    "n" || prefix || namespace       -> URI of the namespace

A *thing* is the first 20 bytes of the SHA-256 of its URI, a *place* is where the operation stands
in the ledger, a *code* stands for the kind of statement, and a *mark* is the first 8 bytes of the
SHA-256 of its body, the same for the same words.  The roles, in the words of `ledger.lineage`:

    0  the statement says what the thing is      no other things
    1  the thing is an effect                    what it rests on
    2  the thing is what something rests on      the effect
    3  the statement names it in another place   neither mark nor other things

So whoever follows edges reads no statement, and whoever goes one way never meets the edges of the
other: of a member who took part in a million runs, what led to it is found at once.  The index is a
part of the state, which the state hash covers and an audit recomputes.  Prefix and namespace are 20
bytes of SHA-256, too: a name is found by what its prefix ever meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from ledger import layout
from ledger.applications.interface import PLACE_BYTES, Origin, StateReader
from ledger.store import Reader

if TYPE_CHECKING:
    from ledger.applications.provenance import Statement

NAME = "provenance"
THING_BYTES = 20
MARK_BYTES = 8
IS, EFFECT, CAUSE, OTHER = 0, 1, 2, 3
EDGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "wasGeneratedBy": ("entity", ("activity",)),
    "used": ("activity", ("entity",)),
    "wasDerivedFrom": ("generatedEntity", ("usedEntity", "activity")),
    "wasInformedBy": ("informed", ("informant",)),
    "wasStartedBy": ("activity", ("trigger", "starter")),
    "wasEndedBy": ("activity", ("trigger", "ender")),
    "wasAttributedTo": ("entity", ("agent",)),
    "wasAssociatedWith": ("activity", ("agent", "plan")),
    "actedOnBehalfOf": ("delegate", ("responsible",)),
    "wasInfluencedBy": ("influencee", ("influencer",)),
    "hadMember": ("collection", ("entity",)),
    "specializationOf": ("specificEntity", ("generalEntity",)),
    "mentionOf": ("specificEntity", ("generalEntity",)),
}
"""Kind of statement -> (argument of the effect, arguments of what it rests on)."""
LINKS = EDGES | {"alternateOf": ("alternate1", ("alternate2",))}
"""As EDGES, and what makes two things versions of one."""
REVISED = "wasDerivedFrom of type prov:Revision"
"""A kind of its own in the index, so that versions are found without reading statements."""
KINDS_BY_CODE = (
    "entity", "activity", "agent", "wasGeneratedBy", "used", "wasInformedBy", "wasStartedBy",
    "wasEndedBy", "wasInvalidatedBy", "wasDerivedFrom", "wasAttributedTo", "wasAssociatedWith",
    "actedOnBehalfOf", "wasInfluencedBy", "specializationOf", "alternateOf", "hadMember",
    "mentionOf", REVISED,
)  # fmt: skip
"""What each code stands for."""
PLAIN = {REVISED: "wasDerivedFrom"}
"""Kinds that are only in the index -> the kind of statement."""
CODES = {kind: bytes([code]) for code, kind in enumerate(KINDS_BY_CODE)}
PROV_TYPE = "http://www.w3.org/ns/prov#type"
REVISION = "http://www.w3.org/ns/prov#Revision"
_QUALIFIED_NAME = "prov:QUALIFIED_NAME"
_ROLES = tuple(bytes([role]) for role in range(4))
_IS, _EFFECT, _CAUSE, _OTHER = _ROLES
_THING, _NAMESPACE = b"t", b"n"


class Entry(NamedTuple):
    """What the index holds of one thing and one statement."""

    place: tuple[int, int, int]
    """(height, position of the transaction, operation)."""
    kind: str
    """Of KINDS_BY_CODE."""
    mark: bytes
    """Empty in the role OTHER."""
    others: tuple[bytes, ...]
    """Other things, as `thing_key` has them."""


class Mention(NamedTuple):
    """Where the ledger says something about a thing."""

    height: int
    position: int
    """Of the transaction in the block."""
    operation: int
    kind: str


@lru_cache(maxsize=8_192)
def thing_key(uri: str) -> bytes:
    """The name of a thing in the index."""
    return sha256(uri.encode(errors="surrogatepass")).digest()[:THING_BYTES]


@lru_cache(maxsize=4_096)
def namespace_key(prefix: str, uri: str) -> bytes:
    """The key under which one meaning of a prefix stands."""
    return _NAMESPACE + thing_key(prefix) + thing_key(uri)


# --- writing --------------------------------------------------------------------------------------


def entries(statement: Statement, body: bytes, place: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of everything that one statement puts into the index."""
    kind, expand = statement.kind, statement.expand
    mark = sha256(body).digest()[:MARK_BYTES]
    code = CODES[REVISED if kind == "wasDerivedFrom" and is_revision(statement) else kind]
    told: dict[str, bytes] = {}
    if kind in _ELEMENTS:
        thing = thing_key(expand(statement.identifier))
        told[statement.identifier] = thing
        yield _THING + thing + _IS + place, code + mark
    elif kind in LINKS:
        effect, causes = LINKS[kind]
        arguments = dict(statement.arguments)
        names = [arguments[each] for each in causes if each in arguments]
        if names and effect in arguments:
            told = {name: thing_key(expand(name)) for name in names}
            resting = b"".join([told[name] for name in names])
            source = thing_key(expand(arguments[effect]))
            yield _THING + source + _EFFECT + place, code + mark + resting
            for thing in told.values():
                yield _THING + thing + _CAUSE + place, code + mark + source
            told[arguments[effect]] = source
    for name in statement.things():
        if name not in told:
            thing = thing_key(expand(name))
            if thing not in told.values():
                yield _THING + thing + _OTHER + place, code
    for prefix, uri in statement.namespaces:
        yield namespace_key(prefix, uri), uri.encode()


_ELEMENTS = frozenset(KINDS_BY_CODE[:3])


def is_revision(statement: Statement) -> bool:
    """Whether it says that one thing is a later version of another."""
    if statement.kind != "wasDerivedFrom":
        return False
    return any(
        value == REVISION or (datatype == _QUALIFIED_NAME and statement.expand(value) == REVISION)
        for name, value, datatype in statement.attributes
        if statement.expand(name) == PROV_TYPE
    )


# --- reading --------------------------------------------------------------------------------------


class Index:
    """Reads the index of one view of a ledger."""

    def __init__(self, reader: Reader) -> None:
        self._state = StateReader(reader, layout.state_key(NAME, b""))

    def entries(self, thing: bytes, role: int) -> Iterator[Entry]:
        """What stands there of a thing in one role, in the order of the ledger."""
        prefix = _THING + thing + _ROLES[role]
        for key, value in self._state.rows(prefix, prefix + b"\xff" * (PLACE_BYTES + 1)):
            rest = value[1 + MARK_BYTES :]
            others = tuple([rest[at : at + THING_BYTES] for at in range(0, len(rest), THING_BYTES)])
            place = Origin.place_of(key[-PLACE_BYTES:])
            yield Entry(place, KINDS_BY_CODE[value[0]], value[1 : 1 + MARK_BYTES], others)

    def is_known(self, uri: str) -> bool:
        """Whether any statement names the thing with this URI."""
        prefix = _THING + thing_key(uri)
        return next(self._state.rows(prefix, prefix + b"\xff"), None) is not None

    def named(self, name: str, predefined: dict[str, str]) -> list[str]:
        """The URIs of the things that a URI or a qualified name may stand for, ascending."""
        if self.is_known(name):
            return [name]
        prefix, colon, local = name.partition(":")
        if not colon:
            return []
        namespaces = [predefined[prefix]] if prefix in predefined else self._meanings(prefix)
        uris = {uri + local for uri in namespaces}
        return sorted(uri for uri in uris if self.is_known(uri))

    def _meanings(self, prefix: str) -> list[str]:
        start = _NAMESPACE + thing_key(prefix)
        rows = self._state.rows(start, start + b"\xff" * (THING_BYTES + 1))
        return [uri.decode() for _, uri in rows]


def statements_about(reader: Reader, uri: str) -> list[Mention]:
    """Every statement that names the thing with this URI, oldest first."""
    index, thing = Index(reader), thing_key(uri)
    found = {
        entry.place: Mention(
            *entry.place, "wasDerivedFrom" if entry.kind == REVISED else entry.kind
        )
        for role in (IS, EFFECT, CAUSE, OTHER)
        for entry in index.entries(thing, role)
    }
    return [found[place] for place in sorted(found)]
