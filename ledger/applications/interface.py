"""The application interface: what an operation means.

An application judges and applies the body of one operation.  It is a pure function of the body and
of its own part of the state, so that every validator comes to the same result; what it refuses is a
`Fault`, and the whole transaction then fails with that reason in the log.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from struct import Struct
from typing import ClassVar, NamedTuple, Protocol

from ledger.genesis import Genesis
from ledger.store import Reader

_place = Struct(">QIH")
"""Height (8 bytes), position (4), operation (2), big-endian."""
PLACE_BYTES = _place.size
VALUE_BYTES_MAX = 65_535
"""A value in the authenticated tree; whoever checks a proof reads it whole."""


class Origin(NamedTuple):
    """Where an operation stands in the ledger; a tuple, since every operation costs one."""

    height: int
    position: int
    """Of its transaction in the block."""
    operation: int
    """Of the operation in its transaction."""
    transaction: bytes
    """Transaction id."""
    sender: bytes
    timestamp_ms: int
    """Of the block."""
    roles: tuple[str, ...] = ()
    """Of the sender, by the state as the block before left it."""

    def key(self) -> bytes:
        """Fourteen bytes in ledger order, unique per operation."""
        return _place.pack(*self[:3])

    @staticmethod
    def place_of(key: bytes) -> tuple[int, int, int]:
        """(height, position, operation) of what `key` gave."""
        height, position, operation = _place.unpack(key)
        return height, position, operation


class State(Protocol):
    """An application's own part of the state, keys without any prefix."""

    def get(self, key: bytes) -> bytes | None: ...

    def put(self, key: bytes, value: bytes | None) -> None: ...


class Application(ABC):
    """One application; stateless, its state is in the store."""

    name: ClassVar[str]
    version: ClassVar[int]
    authenticated: ClassVar[bool] = False
    """Whether its keys are in the authenticated tree, so that each value, or that there is none,
    can be proved against a certificate (`ledger.state_proof`).  A changed key then costs about
    thirty times as much, so it is for balances and identities, not for every record."""

    def for_network(self, genesis: Genesis) -> Application:
        """The application as this network runs it; where members matter, one that knows them."""
        return self

    def begin(self, state: State) -> None:
        """Write what stands in the state before the first transaction, if anything does."""
        return

    @abstractmethod
    def check(self, body: bytes) -> None:
        """Raise Fault for a body that can never be applied; asked at the door, before it costs."""

    @abstractmethod
    def apply(self, state: State, origin: Origin, body: bytes) -> None:
        """Change the state, or raise Fault with the reason why the transaction fails."""

    @abstractmethod
    def describe(self, body: bytes) -> dict[str, object]:
        """The body for people, as JSON-ready values.  Raises Fault where it is malformed."""

    def describe_state(self, key: bytes, value: bytes | None) -> dict[str, object]:
        """What a proved value says, for people; None is a proof that there is none."""
        return plain_facts(key, value)


def plain_facts(key: bytes, value: bytes | None) -> dict[str, object]:
    """What a proved value says to whoever does not know the application."""
    if value is None:
        return {"key": key.hex(), "absent": "no value stands under this key"}
    return {"key": key.hex(), "value": value.hex()}


class StateReader:
    """Reads one application's state outside of an execution."""

    def __init__(self, reader: Reader, prefix: bytes) -> None:
        self._reader, self._prefix = reader, prefix

    def get(self, key: bytes) -> bytes | None:
        return self._reader.get(self._prefix + key)

    def rows(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys with start <= key < stop, ascending, with their values."""
        length = len(self._prefix)
        for key, value in self._reader.scan(self._prefix + start, self._prefix + stop):
            yield key[length:], value

    def keys(self, start: bytes, stop: bytes) -> list[bytes]:
        """Keys with start <= key < stop, ascending."""
        return [key for key, _ in self.rows(start, stop)]
