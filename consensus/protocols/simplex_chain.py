"""The notarized blockchain as one validator sees it: what stands at each height.

    root  <-  b1 <------------  b4      heights 1 to 4; the finalizations of b1 are still awaited
              1     2      3     4      2 and 3 are skipped: b4's voters saw their dummy blocks
                  dummy  dummy

Below height h stands a chain if every height down to some block, or to the root, has a notarized
dummy block.  A height may have both, a block and the dummy block: then a leader may build on the
block, or around it.  Only a finalized block has no notarized dummy beside it (Lemma 3.3).
"""

from __future__ import annotations

from consensus.interface import Root
from consensus.protocols.simplex_messages import DUMMY, END
from ledger import encoding
from ledger.certificate import Certificate, certificate_shape
from ledger.value import VALUE_BYTES_MAX, Value, parse_value

VERSION = 1
RECORD_ITEMS_MAX = 1 << 20
RECORD_BYTES_MAX = 1 << 30
"""Our own record; the bounds only keep its decoder in shape."""

_record_shape = encoding.row(
    encoding.exactly(VERSION),
    encoding.array(certificate_shape, RECORD_ITEMS_MAX),
    encoding.array(encoding.blob(VALUE_BYTES_MAX), RECORD_ITEMS_MAX),
)


class NotarizedChain:
    """Every notarization that was seen, from the root's height on."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._blocks: dict[int, Certificate] = {}
        """By height: the notarization of a block, or its finalization, which implies one."""
        self._dummies: dict[int, Certificate] = {}
        self.finalization: Certificate | None = None
        """The highest that was seen, also once its block is decided."""

    def add(self, certificate: Certificate) -> bool:
        """Keep a certificate; False where it tells nothing new."""
        height = certificate.slot[0]
        if height < self._root.slot[0]:
            return False
        is_final = certificate.phase == END and certificate.value != DUMMY
        kept = self._dummies if certificate.value == DUMMY else self._blocks
        is_new = height not in kept
        if is_final and (self.finalization is None or certificate.slot > self.finalization.slot):
            self.finalization = kept[height] = certificate
            return True
        kept.setdefault(height, certificate)
        return is_new

    def move(self, root: Root) -> None:
        """Stand on another root: what is below it was needed to decide it."""
        self._root, height = root, root.slot[0]
        for kept in (self._blocks, self._dummies):
            for below in [each for each in kept if each < height]:
                del kept[below]
        if self.finalization is not None and self.finalization.slot < root.slot:
            self.finalization = None

    @property
    def height(self) -> int:
        """The length of the longest chain of which the last block, or dummy block, was seen."""
        return max(self._root.slot[0], *self._blocks, *self._dummies, 0)

    def last_block(self) -> Certificate | None:
        """The notarization of the highest block above the root."""
        highest = max(self._blocks, default=0)
        return self._blocks[highest] if highest > self._root.slot[0] else None

    def block(self, height: int) -> Certificate | None:
        """The notarization of a block of this height."""
        return self._blocks.get(height)

    def notarization(self, height: int) -> Certificate | None:
        """Any notarization of this height; of the dummy block where there are two."""
        return self._dummies.get(height) or self._blocks.get(height)

    def is_notarized(self, digest: bytes, height: int) -> bool:
        """Whether a block was seen notarized, or is the root."""
        certificate = self._blocks.get(height)
        return digest == self._root.value or (
            certificate is not None and certificate.value == digest
        )

    def first_gap(self, low: int, high: int) -> int | None:
        """The first height between these two whose dummy block was not seen notarized."""
        return next((each for each in range(low + 1, high) if each not in self._dummies), None)

    def parent(self, height: int) -> tuple[bytes, Certificate | None] | None:
        """What a block of this height may extend, and why; None while a height below is missing."""
        for below in range(height - 1, self._root.slot[0], -1):
            if below in self._blocks:
                return self._blocks[below].value, self._blocks[below]
            if below not in self._dummies:
                return None
        certificate = self._blocks.get(self._root.slot[0])
        is_roots = certificate is not None and certificate.value == self._root.value
        return self._root.value, certificate if is_roots else None

    def missing(self, height: int) -> int:
        """The highest height below this one of which nothing was seen; 0 where there is none."""
        low = self._root.slot[0]
        heights = range(height - 1, low, -1)
        return next((each for each in heights if self.notarization(each) is None), 0)

    # --- durability -------------------------------------------------------------------------------

    def record(self, values: tuple[Value, ...]) -> bytes:
        """All of it, and the undecided values that the next promise rests on."""
        certificates = (*self._blocks.values(), *self._dummies.values())
        rows = tuple(certificate.row() for certificate in certificates)
        return encoding.encode((VERSION, rows, tuple(value.raw for value in values)))

    def restore(self, record: bytes) -> tuple[Value, ...]:
        """Take over a record; the values in it.  Raises DecodeFault for what is none."""
        _, rows, values = encoding.decode(
            record, _record_shape, size_max=RECORD_BYTES_MAX, what="simplex record"
        )
        for row in rows:
            self.add(Certificate.from_row(row))
        return tuple(parse_value(raw) for raw in values)
