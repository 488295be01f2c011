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
    pieces += _forks(genesis, stores)
    judge = Judge(genesis)
    return tuple(piece for piece in sorted(dict.fromkeys(pieces)) if _holds(judge, piece))


class _CertifiedLog:
    """One store's log, up to its latest checkpoint certificate: looked at once for all pairs."""

    def __init__(self, origin: str, note: bytes, store: Reader) -> None:
        self.note = note
        self.head = stated_head(note, origin)
        self._tiles = merkle.TileReader(
            lambda level, index: store.get(layout.tile_key(level, index)) or b"", self.head.size
        )
        self._roots: dict[int, bytes] = {}

    def root_at(self, size: int) -> bytes:
        """The root of its first `size` leaves."""
        root = self._roots.get(size)
        if root is None:
            root = self._roots[size] = merkle.root_at(size, self._tiles.hash_at)
        return root

    def fork_from(self, genesis: Genesis, shorter: _CertifiedLog) -> list[bytes]:
        """The piece that shows that the other log, which is not longer, began otherwise."""
        if self.root_at(shorter.head.size) == shorter.head.root:
            return []
        heads = self.head, shorter.head
        fork = find_fork(genesis, self.note, shorter.note, self._tiles.hash_at, heads)
        return [] if fork is None else [fork.encode()]


def _forks(genesis: Genesis, stores: Sequence[Reader]) -> list[bytes]:
    """What every two of the stores prove together."""
    held = [(note, store) for store in stores if (note := _latest_note(store)) is not None]
    if len(held) < 2:
        return []
    logs = [_CertifiedLog(genesis.origin, note, store) for note, store in held]
    pieces = []
    for pair in combinations(logs, 2):
        shorter, longer = sorted(pair, key=lambda log: log.head.size)
        pieces += longer.fork_from(genesis, shorter)
    return pieces


def _latest_note(store: Reader) -> bytes | None:
    height = store.get(layout.CERTIFIED)
    return None if height is None else store.get(layout.CERT + height)


def _holds(judge: Judge, piece: bytes) -> bool:
    try:
        judge.check_raw(piece)
    except Fault:
        return False
    return True
