"""Forensics: what the stores of several nodes prove together, whoever has stopped or never noticed.

A node finds a fork when a certificate of the other past reaches it.  Where none ever did, the fork
shows as soon as two stores lie side by side: the longer certified log begins otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from ledger import layout, merkle
from ledger.certified import stated_head
from ledger.errors import Fault
from ledger.evidence import Judge, find_fork
from ledger.genesis import Genesis
from ledger.store import Reader, prefix_stop


def gather_evidence(genesis: Genesis, stores: Sequence[Reader]) -> tuple[bytes, ...]:
    """Every piece that holds: those that the stores keep, and those that two of them make.

    Ascending, each once.  What a store keeps and what does not hold, such as after its disk was
    tampered with, is left out.
    """
    pieces = [
        piece
        for store in stores
        for _, piece in store.scan(layout.EVIDENCE, prefix_stop(layout.EVIDENCE))
    ]
    for one, two in combinations(stores, 2):
        pieces += _fork_between(genesis, one, two)
    judge = Judge(genesis)
    return tuple(piece for piece in sorted(dict.fromkeys(pieces)) if _holds(judge, piece))


def _fork_between(genesis: Genesis, one: Reader, two: Reader) -> list[bytes]:
    notes = _latest_note(one), _latest_note(two)
    if None in notes:
        return []
    pair = [(note, store) for note, store in zip(notes, (one, two), strict=True) if note]
    pair.sort(key=lambda held: stated_head(held[0], genesis.origin).size)
    (other, _), (own, store) = pair
    size = stated_head(own, genesis.origin).size
    tiles = merkle.TileReader(
        lambda level, index: store.get(layout.tile_key(level, index)) or b"", size
    )
    fork = find_fork(genesis, own, other, tiles.hash_at)
    return [] if fork is None else [fork.encode()]


def _latest_note(store: Reader) -> bytes | None:
    height = store.get(layout.CERTIFIED)
    return None if height is None else store.get(layout.CERT + height)


def _holds(judge: Judge, piece: bytes) -> bool:
    try:
        judge.check_raw(piece)
    except Fault:
        return False
    return True
