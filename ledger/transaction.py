"""A transaction: a signed header and one to 1,024 operations, all applied or none.

    header      (version, network, sender key, nonce, expiry height, operation count,
                operations root)
    operation   (salt, application, version, body)
    on the wire (header bytes, signature, operations)

The operations root is the RFC 9162 root over the encoded operations, each with its salt, so that
one record can be shown without the others.  The id is the SHA-256 of the header without the
signature: a device that signs twice must not pay twice.

Transactions are judged in bulk, thousands a second.  `parse_transaction` looks at one, field by
field, and names what is wrong.  The others look at many by columns, each column in one pass of
compiled code, and leave a lot to the first in which any column is not as it should be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import msgpack

from ledger import merkle
from ledger.encoding import encode, encoder
from ledger.errors import DecodeFault, Fault
from ledger.keys import Signer
from ledger.limits import (
    INTEGER_MAX,
    NAME_CHARS_MAX,
    OPERATIONS_MAX,
    PUBLIC_KEY_SIZES,
    SALT_BYTES_MAX,
    SENDER_SIGNATURE_SIZES,
    TRANSACTION_BYTES_MAX,
)

VERSION = 1
DOMAIN = b"ledger transaction\x00"
_OPERATIONS_BYTES_MAX = TRANSACTION_BYTES_MAX - 4_096
"""Header, signature and their framing take less than 3,900 bytes, by the largest scheme."""
COLUMNS_MIN = 6
"""Fewer transactions are parsed sooner one by one."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One act of one application; what the body means is the application's business."""

    application: str
    version: int
    body: bytes
    salt: bytes = b""
    """Random where the operation may be shown alone and its body could be guessed."""

    def row(self) -> tuple[bytes, str, int, bytes]:
        return (self.salt, self.application, self.version, self.body)


class Transaction(NamedTuple):
    """A well-formed transaction; whether its signature is right is checked apart, in bulk.

    A tuple, since making a frozen dataclass of nine fields costs more than parsing them.
    """

    raw: bytes
    """The wire bytes, as received."""
    header: bytes
    id: bytes
    network: bytes
    sender: bytes
    """Public key of the member who signed; nobody's number (`ledger/senders.py`)."""
    nonce: int
    expiry: int
    """The last block height at which it may be executed."""
    signature: bytes
    operations: tuple[tuple[bytes, str, int, bytes], ...]
    """(salt, application, version, body) each."""

    def signed_bytes(self) -> bytes:
        """The message that the sender signs."""
        return DOMAIN + self.header


def operations_root(rows: tuple[tuple[bytes, str, int, bytes], ...]) -> bytes:
    """RFC 9162 root over the encoded operations."""
    return _root(rows, encoder())


def _root(rows: tuple[Any, ...], pack: Callable[[Any], bytes]) -> bytes:
    # merkle.leaf_hash in line: the call would cost a third of the hash.
    return merkle.root_of([hashlib.sha256(b"\x00" + pack(row)).digest() for row in rows])


def grouped(operations: Iterable[Operation]) -> Iterator[list[Operation]]:
    """The operations in their order, in lists of which each fits into one transaction."""
    group: list[Operation] = []
    size = 0
    for operation in operations:
        added = len(encode(operation.row()))
        if group and (len(group) == OPERATIONS_MAX or size + added > _OPERATIONS_BYTES_MAX):
            yield group
            group, size = [], 0
        group.append(operation)
        size += added
    if group:
        yield group


def make_transaction(
    signer: Signer, network: bytes, operations: list[Operation], *, nonce: int, expiry: int
) -> Transaction:
    """Build and sign a transaction.  Raises Fault where it would break a limit.

    Of `ledger.senders.Nobody` the signature is empty.
    """
    if not 1 <= len(operations) <= OPERATIONS_MAX:
        raise Fault("transaction.operations", f"{len(operations)} operations, 1 to 1,024 allowed")
    rows = tuple(operation.row() for operation in operations)
    root = operations_root(rows)
    header = encode((VERSION, network, signer.public_key, nonce, expiry, len(rows), root))
    raw = encode((header, signer.sign(DOMAIN + header), rows))
    return parse_transaction(raw)


def parse_transaction(raw: bytes) -> Transaction:
    """The transaction that these bytes encode, its signature unchecked.  Raises DecodeFault."""
    return _parse(raw, encoder())


def parse_transactions(raws: Sequence[bytes]) -> tuple[Transaction, ...]:
    """`parse_transaction` of each, faster.  Raises the DecodeFault of the first that has one."""
    pack = encoder()
    found = _parse_columns(raws, pack)
    return found if found is not None else tuple([_parse(raw, pack) for raw in raws])


def parse_each(raws: Sequence[bytes]) -> Sequence[Transaction | DecodeFault]:
    """`parse_transaction` of each, faster, or what it raises."""
    pack = encoder()
    found = _parse_columns(raws, pack)
    return found if found is not None else [_parsed_or_fault(raw, pack) for raw in raws]


def _parsed_or_fault(raw: bytes, pack: Callable[[Any], bytes]) -> Transaction | DecodeFault:
    try:
        return _parse(raw, pack)
    except DecodeFault as fault:
        return fault


def _parse(raw: bytes, pack: Callable[[Any], bytes]) -> Transaction:
    if len(raw) > TRANSACTION_BYTES_MAX:
        raise DecodeFault("transaction.size", f"{len(raw)} bytes, {TRANSACTION_BYTES_MAX} allowed")
    outer = _unpack(raw, OPERATIONS_MAX)
    if type(outer) is not tuple or len(outer) != 3:
        raise DecodeFault("transaction.malformed", "not (header, signature, operations)")
    header, signature, rows = outer
    if type(header) is not bytes or type(signature) is not bytes:
        raise DecodeFault("transaction.malformed", "header or signature")
    if len(signature) not in SENDER_SIGNATURE_SIZES:
        raise DecodeFault("transaction.malformed", f"a signature of {len(signature)} bytes")
    _check_operations(rows)
    if pack(outer) != raw:
        raise DecodeFault("transaction.not-canonical")
    network, sender, nonce, expiry, count, root = _parse_header(header, pack)
    if count != len(rows) or _root(rows, pack) != root:
        raise DecodeFault("transaction.operations-root", "the header names other operations")
    identity = hashlib.sha256(header).digest()
    return Transaction(raw, header, identity, network, sender, nonce, expiry, signature, rows)


def parse_header(header: bytes) -> tuple[bytes, bytes, int, int, int, bytes]:
    """(network, sender, nonce, expiry, operation count, operations root).  Raises DecodeFault."""
    return _parse_header(header, encoder())


def _parse_header(
    header: bytes, pack: Callable[[Any], bytes]
) -> tuple[bytes, bytes, int, int, int, bytes]:
    fields = _unpack(header, 7)
    if type(fields) is not tuple or len(fields) != 7:
        raise DecodeFault("transaction.header", "not an array of 7")
    version, network, sender, nonce, expiry, count, root = fields
    if type(version) is not int or version != VERSION:
        raise DecodeFault("transaction.version", "only version 1 is known")
    if type(network) is not bytes or type(sender) is not bytes or type(root) is not bytes:
        raise DecodeFault("transaction.header", "network, sender or root is not a byte string")
    if not len(network) == len(root) == 32 or len(sender) not in PUBLIC_KEY_SIZES:
        raise DecodeFault("transaction.header", "network, sender or root has another length")
    if type(nonce) is not int or type(expiry) is not int or type(count) is not int:
        raise DecodeFault("transaction.header", "nonce, expiry or count is not an integer")
    if not (0 <= nonce <= INTEGER_MAX and 0 <= expiry <= INTEGER_MAX):
        raise DecodeFault("transaction.header", "nonce or expiry is out of range")
    if not 1 <= count <= OPERATIONS_MAX:
        raise DecodeFault("transaction.header", "count is out of range")
    if pack(fields) != header:
        raise DecodeFault("transaction.not-canonical", "header")
    return network, sender, nonce, expiry, count, root


def _check_operations(rows: Any) -> None:
    if type(rows) is not tuple or not 1 <= len(rows) <= OPERATIONS_MAX:
        raise DecodeFault("transaction.operations", "1 to 1,024 operations allowed")
    for row in rows:
        if type(row) is not tuple or len(row) != 4:
            raise DecodeFault("transaction.operation", "not (salt, application, version, body)")
        salt, application, version, body = row
        if type(salt) is not bytes or len(salt) > SALT_BYTES_MAX:
            raise DecodeFault("transaction.operation", "salt")
        if type(application) is not str or not 1 <= len(application) <= NAME_CHARS_MAX:
            raise DecodeFault("transaction.operation", "application")
        if not application.isascii():
            raise DecodeFault("transaction.operation", "an application's name is ASCII")
        if type(version) is not int or not 0 <= version <= INTEGER_MAX:
            raise DecodeFault("transaction.operation", "version")
        if type(body) is not bytes:
            raise DecodeFault("transaction.operation", "body")


def _unpack(data: bytes, width: int) -> Any:
    # Depth needs no bound of its own: the input is at most 65,535 bytes here.
    try:
        return msgpack.unpackb(
            data, raw=False, use_list=False, max_array_len=width, max_map_len=0, max_ext_len=0
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise DecodeFault("transaction.malformed", type(error).__name__) from error


# Many at once


def _parse_columns(
    raws: Sequence[bytes], pack: Callable[[Any], bytes]
) -> tuple[Transaction, ...] | None:
    """All of them parsed, or None where they are few or any breaks a rule of `_parse`."""
    if len(raws) < COLUMNS_MIN or max(map(len, raws)) > TRANSACTION_BYTES_MAX:
        return None
    try:
        outers = [_unpack(raw, OPERATIONS_MAX) for raw in raws]
        if not _are_tuples(outers, 3):
            return None
        headers, signatures, operations = zip(*outers, strict=True)
        if not (
            _are_bytes(headers)
            and _are_sized(signatures, SENDER_SIGNATURE_SIZES)
            and _are_rows(operations)
        ):
            return None
        fields = [_unpack(header, 7) for header in headers]
    except DecodeFault:
        return None
    if not _are_headers(fields) or list(map(pack, fields)) != list(headers):
        return None
    if list(map(pack, outers)) != list(raws):
        return None
    _, networks, senders, nonces, expiries, counts, roots = zip(*fields, strict=True)
    if counts != tuple(map(len, operations)) or roots != _roots(operations, counts, pack):
        return None
    ids = [hashlib.sha256(header).digest() for header in headers]
    columns = (raws, headers, ids, networks, senders, nonces, expiries, signatures, operations)
    return tuple(map(Transaction._make, zip(*columns, strict=True)))


def _roots(
    operations: Sequence[tuple[Any, ...]], counts: Sequence[int], pack: Callable[[Any], bytes]
) -> tuple[bytes, ...]:
    """The operations root of each transaction."""
    sha256 = hashlib.sha256
    packed = map(pack, chain.from_iterable(operations))
    leaves = [sha256(b"\x00" + row).digest() for row in packed]
    if len(leaves) == len(counts):
        return tuple(leaves)
    roots, start = [], 0
    for count in counts:
        roots.append(merkle.root_of(leaves[start : start + count]))
        start += count
    return tuple(roots)


def _are_tuples(values: Sequence[Any], length: int) -> bool:
    return set(map(type, values)) == {tuple} and set(map(len, values)) == {length}


def _are_bytes(values: Sequence[Any], length: int | None = None) -> bool:
    if set(map(type, values)) != {bytes}:
        return False
    return length is None or set(map(len, values)) == {length}


def _are_sized(values: Sequence[Any], sizes: frozenset[int]) -> bool:
    return set(map(type, values)) == {bytes} and set(map(len, values)) <= sizes


def _are_integers(values: Sequence[Any], low: int, high: int) -> bool:
    # type() tells a bool from an integer, as `==` does not.
    return set(map(type, values)) == {int} and low <= min(values) and max(values) <= high


def _are_headers(fields: Sequence[Any]) -> bool:
    """Whether each is what `_parse_header` accepts, canonical form apart."""
    if not _are_tuples(fields, 7):
        return False
    versions, networks, senders, nonces, expiries, counts, roots = zip(*fields, strict=True)
    return (
        _are_integers(versions, VERSION, VERSION)
        and _are_bytes(networks, 32)
        and _are_bytes(roots, 32)
        and _are_sized(senders, PUBLIC_KEY_SIZES)
        and _are_integers(nonces, 0, INTEGER_MAX)
        and _are_integers(expiries, 0, INTEGER_MAX)
        and _are_integers(counts, 1, OPERATIONS_MAX)
    )


def _are_rows(operations: Sequence[Any]) -> bool:
    """Whether each is what `_check_operations` accepts."""
    if set(map(type, operations)) != {tuple} or min(map(len, operations)) < 1:
        return False
    rows = list(chain.from_iterable(operations))
    if max(map(len, operations)) > OPERATIONS_MAX or not _are_tuples(rows, 4):
        return False
    salts, names, versions, bodies = zip(*rows, strict=True)
    return (
        _are_bytes(salts)
        and max(map(len, salts)) <= SALT_BYTES_MAX
        and set(map(type, names)) == {str}
        and all(1 <= len(name) <= NAME_CHARS_MAX and name.isascii() for name in set(names))
        and _are_integers(versions, 0, INTEGER_MAX)
        and _are_bytes(bodies)
    )
