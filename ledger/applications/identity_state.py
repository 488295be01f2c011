"""What the application `identity` keeps: members, keys, open proposals, and who administers.

    m || name         (key or empty, roles, version, height, timestamp)
    k || short key    (name, `KeyUse`, from height, to height or 0)
    p || proposal     (body of the change, approving keys, height)
    administrators    keys of administrators, ascending

All of it is in the authenticated tree.  Nothing of a name or a key is ever deleted.  But for a
member's own row, a key is named by its 32 bytes of `ledger.keys.short_key`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple, Protocol

from ledger import encoding
from ledger.applications.identity_body import (
    ADMINISTRATOR,
    BODY_BYTES_MAX,
    Body,
    make_act,
    name_shape,
    parse_act,
    roles_shape,
)
from ledger.applications.interface import State
from ledger.encoding import encode
from ledger.keys import short_key
from ledger.limits import ML_DSA_44_KEY_BYTES

ADMINISTRATORS = b"administrators"
ADMINISTRATORS_MAX = 256
_member_shape = encoding.row(
    encoding.blob(ML_DSA_44_KEY_BYTES),
    roles_shape,
    encoding.uint(),
    encoding.uint(),
    encoding.uint(),
)
_key_shape = encoding.row(name_shape, encoding.uint(5, low=1), encoding.uint(), encoding.uint())
_proposal_shape = encoding.row(
    encoding.blob(BODY_BYTES_MAX),
    encoding.array(encoding.digest, ADMINISTRATORS_MAX, low=1),
    encoding.uint(),
)
_administrators_shape = encoding.array(encoding.digest, ADMINISTRATORS_MAX)


class KeyUse(IntEnum):
    """What became of a key."""

    IN_USE = 1
    ROTATED = 2
    REVOKED = 3
    REPLACED = 4
    REMOVED = 5


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member as the state holds it."""

    key: bytes
    """Public key; empty where it is revoked or the member removed."""
    roles: tuple[str, ...]
    """Empty where the member is removed."""
    version: int
    """How often it has changed; 0 is the member of the genesis, or as it was added."""
    height: int
    """Of the block of the last change; 0 is the genesis."""
    timestamp_ms: int
    """Of that block."""

    @property
    def is_administrator(self) -> bool:
        """Whether it may propose and approve."""
        return bool(self.key) and ADMINISTRATOR in self.roles


class KeyRow(NamedTuple):
    """A key as the state holds it, for ever."""

    name: str
    use: KeyUse
    since: int
    """Height of the block in which it came into use; 0 is the genesis."""
    until: int
    """Height of the block in which it went out of use; 0 while in use."""


class Proposal(NamedTuple):
    """A change that waits for approvals."""

    change: Body
    approvals: tuple[bytes, ...]
    """Short keys that approved it, the proposer's first."""
    height: int


def member_key(name: str) -> bytes:
    return b"m" + name.encode()


def key_key(public_key: bytes) -> bytes:
    """Where the state keeps a key, by itself or by its short form."""
    return b"k" + short_key(public_key)


def proposal_key(proposal: bytes) -> bytes:
    return b"p" + proposal


def parse_member(raw: bytes) -> MemberRow:
    """A member of a value of the state."""
    return MemberRow(*encoding.decode(raw, _member_shape, size_max=2**12, what="member"))


def parse_key(raw: bytes) -> KeyRow:
    """A key of a value of the state."""
    name, use, since, until = encoding.decode(raw, _key_shape, size_max=2**12, what="key")
    return KeyRow(name, KeyUse(use), since, until)


def parse_proposal(raw: bytes) -> Proposal:
    """A proposal of a value of the state."""
    change, approvals, height = encoding.decode(
        raw, _proposal_shape, size_max=2**16, what="proposal"
    )
    return Proposal(parse_act(change), approvals, height)


def parse_administrators(raw: bytes | None) -> tuple[bytes, ...]:
    """The short keys of a value of the state; none where it is not there."""
    if raw is None:
        return ()
    keys: tuple[bytes, ...] = encoding.decode(
        raw, _administrators_shape, size_max=2**16, what="administrators"
    )
    return keys


class Values(Protocol):
    """Whatever holds the application's values."""

    def get(self, key: bytes) -> bytes | None: ...


class Register:
    """The members, keys and proposals of one state."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def member(self, name: str) -> MemberRow | None:
        raw = self._values.get(member_key(name))
        return None if raw is None else parse_member(raw)

    def key(self, public_key: bytes) -> KeyRow | None:
        raw = self._values.get(key_key(public_key))
        return None if raw is None else parse_key(raw)

    def administrators(self) -> tuple[bytes, ...]:
        """Their short keys."""
        return parse_administrators(self._values.get(ADMINISTRATORS))

    def proposal(self, identity: bytes) -> Proposal | None:
        raw = self._values.get(proposal_key(identity))
        return None if raw is None else parse_proposal(raw)


class Changes(Register):
    """A register that one operation changes, at its place in the ledger."""

    def __init__(self, state: State, height: int, timestamp_ms: int) -> None:
        super().__init__(state)
        self._state = state
        self._height = height
        self._timestamp_ms = timestamp_ms

    def put_proposal(self, identity: bytes, proposal: Proposal | None) -> None:
        """Keep a proposal, or forget it for None."""
        value = None
        if proposal is not None:
            change = make_act(proposal.change).body
            value = encode((change, proposal.approvals, proposal.height))
        self._state.put(proposal_key(identity), value)

    def enter(self, name: str, key: bytes, roles: tuple[str, ...]) -> None:
        """A new member."""
        self._write(name, None, MemberRow(key, roles, 0, self._height, self._timestamp_ms))
        self._put_key(key, KeyRow(name, KeyUse.IN_USE, self._height, 0))

    def change(
        self,
        name: str,
        *,
        key: bytes | None = None,
        roles: tuple[str, ...] | None = None,
        use: KeyUse = KeyUse.IN_USE,
    ) -> None:
        """Another key (empty for none), or other roles; `use` says why the old key is gone."""
        before = self.member(name)
        assert before is not None, "a member that is changed is there"
        after = replace(
            before,
            key=before.key if key is None else key,
            roles=before.roles if roles is None else roles,
            version=before.version + 1,
            height=self._height,
            timestamp_ms=self._timestamp_ms,
        )
        if key is not None:
            old = self.key(before.key) if before.key else None
            if old is not None:
                self._put_key(before.key, old._replace(use=use, until=self._height))
            if key:
                self._put_key(key, KeyRow(name, KeyUse.IN_USE, self._height, 0))
        self._write(name, before, after)

    def _put_key(self, public_key: bytes, row: KeyRow) -> None:
        self._state.put(key_key(public_key), encode((row.name, int(row.use), *row[2:])))

    def _write(self, name: str, before: MemberRow | None, after: MemberRow) -> None:
        fields = (after.key, after.roles, after.version, after.height, after.timestamp_ms)
        self._state.put(member_key(name), encode(fields))
        old = short_key(before.key) if before is not None and before.is_administrator else b""
        new = short_key(after.key) if after.is_administrator else b""
        if old != new:
            others = [key for key in self.administrators() if key != old]
            self._state.put(ADMINISTRATORS, encode(tuple(sorted([*others, *filter(None, [new])]))))
