"""How a node makes joint receipts from its store; what they prove is judged by `ledger`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from api.lookup import Lookup
from ledger import merkle, multiproof, queries
from ledger.block import Result
from ledger.encoding import encode
from ledger.errors import Fault
from ledger.genesis import Genesis
from ledger.joint_receipt import Part, ShownOperation, ShownTransaction, put_together
from ledger.queries import Executed
from ledger.store import Reader

Wanted: TypeAlias = tuple[bytes, tuple[int, ...]]
"""A transaction's id, and the numbers of its operations."""


def joint_receipt(
    reader: Reader, genesis: Genesis, wanted: Sequence[Wanted], height: int | None = None
) -> bytes:
    """The joint receipt of these operations, under the first certificate at or above a height.

    That is the lowest that covers them all unless a height is given, so that every node which has
    it gives the same bytes.  What is not confirmed here, or was not applied, is left out.  Raises
    Fault("joint.nothing") where nothing is left, and Fault("joint.certificate") where no stored
    certificate covers the height.
    """
    lookup = Lookup(reader, genesis)
    found: dict[bytes, tuple[Executed, tuple[int, ...]]] = {}
    for identity, numbers in wanted:
        place = lookup.find(identity)
        if place is None or not lookup.is_confirmed(place):
            continue
        executed = lookup.executed(place)
        count = len(executed.transaction.operations)
        shown = tuple(sorted({number for number in numbers if number < count}))
        if executed.leaf.result == Result.APPLIED and shown:
            found[identity] = (executed, shown)
    if not found:
        raise Fault("joint.nothing", "none of these operations is confirmed and applied here")
    lowest = max(executed.height for executed, _ in found.values())
    if height is not None and height < lowest:
        raise Fault("joint.certificate", f"an operation is in block {lowest}, above {height}")
    certificate = queries.certificate_at_or_above(reader, genesis, height or lowest)
    if certificate is None:
        raise Fault("joint.certificate", f"no certificate covers height {height or lowest} here")
    tiles = merkle.TileReader(queries.tile_source(reader), certificate.size)
    parts = [_part(executed, shown) for executed, shown in found.values()]

    def root(start: int, stop: int) -> bytes:
        return merkle.range_root(start, stop, tiles.hash_at)

    return put_together(certificate.note, certificate.size, parts, root).encode()


def _part(executed: Executed, numbers: tuple[int, ...]) -> Part:
    transaction = executed.transaction
    hashes = [merkle.leaf_hash(encode(row)) for row in transaction.operations]

    def root(start: int, stop: int) -> bytes:
        return merkle.root_of(hashes[start:stop])

    shown = ShownTransaction(
        leaf_index=executed.index,
        height=executed.height,
        position=executed.leaf.position,
        sender=0,
        nonce=transaction.nonce,
        expiry=transaction.expiry,
        size=len(hashes),
        signature=transaction.signature,
        nodes=multiproof.collect(numbers, len(hashes), root),
    )
    operations = [ShownOperation(0, number, *transaction.operations[number]) for number in numbers]
    return Part(transaction.sender, shown, tuple(operations))
