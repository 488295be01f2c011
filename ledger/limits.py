"""Every bound of the ledger, with the reason beside it.

`Limits` are consensus-critical: they stand in the genesis, so that no two validators judge one
value by different bounds.  The module constants are bounds of the format itself.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

INTEGER_MAX = 2**63 - 1
"""The largest integer in anything signed or hashed: fits a signed 64-bit word everywhere."""
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
"""Of Ed25519, and of the simulator's keyed hash."""
ML_DSA_44_KEY_BYTES = 1_312
ML_DSA_44_SIGNATURE_BYTES = 2_420
ML_DSA_65_KEY_BYTES = 1_952
ML_DSA_65_SIGNATURE_BYTES = 3_309
PUBLIC_KEY_SIZES = frozenset((PUBLIC_KEY_BYTES, ML_DSA_44_KEY_BYTES))
SIGNATURE_SIZES = frozenset((SIGNATURE_BYTES, ML_DSA_44_SIGNATURE_BYTES))
"""Of members, and of validators under checkpoints, in all signature schemes; a network has one, and
what has another's size is wrong there."""
STATEMENT_SIGNATURE_SIZES = SIGNATURE_SIZES | {ML_DSA_65_SIGNATURE_BYTES}
SENDER_SIGNATURE_SIZES = SIGNATURE_SIZES | {0}
"""Of a transaction: empty where nobody signed it (`ledger/senders.py`)."""
TRANSACTION_BYTES_MAX = 65_535
TRANSACTION_HEADER_BYTES_MAX = 2_048
"""A transaction is one entry of a C2SP tile bundle, whose length prefix has 16 bits."""
OPERATIONS_MAX = 1_024
"""Operations of one transaction: their tree has at most ten levels."""
SALT_BYTES_MAX = 32
NAME_CHARS_MAX = 128
"""Names of networks, validators, applications, phases."""
REASON_CHARS_MAX = 200
"""The reason of a failed transaction, which is a leaf of the log."""
VALIDATORS_MAX = 256
MEMBERS_MAX = 10_000
PARAMETERS_MAX = 64
CERTIFICATE_BYTES_MAX = 4_096
"""A transport certificate of one validator; an Ed25519 one takes about 330 bytes."""
SLOT_PARTS_MAX = 4
"""A slot is a short tuple, such as (height, round)."""
EXTRA_BYTES_MAX = 4_096
"""A protocol's own agreed data inside a value."""
GENESIS_BYTES_MAX = 8 * 1024 * 1024
RECEIPT_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The consensus-critical bounds that a genesis fixes."""

    batch_bytes: int = 1024 * 1024
    """One batch on the wire: small enough to check within 100 ms on a slow core."""
    batch_transactions: int = 4_096
    block_batches: int = 1_024
    """Batches a value may name: 32 KiB of digests."""
    block_transactions: int = 32_768
    """Transactions of one block: bounds the time of one execution."""
    replay_window: int = 10_000
    """Heights a transaction may live; replays are decided inside this window alone."""
    batch_window: int = 256
    """Heights after its making within which a batch may be ordered."""
    clock_drift_ms: int = 10_000
    """How far a value's timestamp may be ahead of the local wall clock."""
    run_ahead: int = 16
    """Decided values beyond the certified height at which a validator waits."""
    slot_window: int = 1_000
    """How far ahead of the own slot messages are counted."""
    overdue: int = 32
    """Certified heights after which an unordered batch makes a stable leader suspect."""

    def rows(self) -> tuple[int, ...]:
        """The values in the order of the fields, as the genesis encodes them."""
        return astuple(self)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(field.name for field in fields(cls))
