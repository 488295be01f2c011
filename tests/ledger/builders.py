"""Ready-made parts of a small network: keys from names, a genesis, transactions, a store, a chain."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterable, Iterator, Sequence

from ledger import applications
from ledger.applications.interface import Application
from ledger.applications.records import make_record
from ledger.batch import Batch, make_batch
from ledger.block import BlockHeader
from ledger.execution import Execution, Executor, genesis_head
from ledger.genesis import EpochRecord, Genesis, Member
from ledger.keys import Signer, scheme_named
from ledger.limits import Limits
from ledger.store import Write
from ledger.transaction import Operation, Transaction, make_transaction
from ledger.validators import QuorumRule, Validator, ValidatorSet

SMALL_WINDOW = Limits(replay_window=5)


def seed_of(name: str) -> bytes:
    """A private seed that follows from a name."""
    return hashlib.sha256(name.encode()).digest()


def signer_of(name: str, scheme: str = "ed25519") -> Signer:
    """The key pair that follows from a name."""
    return scheme_named(scheme).signer(seed_of(name))


def validator_of(name: str, scheme: str = "ed25519") -> Validator:
    """A validator whose transport certificate is opaque bytes."""
    return Validator(
        name,
        signer_of(f"{name} consensus", scheme).public_key,
        signer_of(f"{name} transport", scheme).public_key,
        f"certificate of {name}".encode(),
    )


def make_genesis(
    *,
    validators: int = 4,
    members: Sequence[str] = ("alice", "bob"),
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    rule: QuorumRule = QuorumRule.BYZANTINE,
    policy: str = "members",
    scheme: str = "ed25519",
) -> Genesis:
    """A test network whose members, by name, all may submit."""
    epoch = EpochRecord(
        number=0,
        protocol="tendermint",
        protocol_version=1,
        parameters=(("propose_timeout_ms", 300),),
        validators=ValidatorSet(
            tuple(validator_of(f"node{index}", scheme) for index in range(validators)), rule
        ),
        first_height=1,
        previous_block=bytes(32),
    )
    return Genesis(
        name="test.example",
        epoch=epoch,
        limits=limits,
        applications=tuple(sorted((each.name, each.version) for each in applications.ALL)),
        members=tuple(
            Member(name, signer_of(name, scheme).public_key, ("submitter",)) for name in members
        ),
        approvals=0,
        policy=policy,
        scheme=scheme,
        test_network=True,
    )


def make_signed(
    genesis: Genesis,
    sender: str,
    nonce: int,
    *,
    expiry: int = 5,
    operations: Sequence[Operation] | None = None,
    network: bytes | None = None,
) -> Transaction:
    """A transaction by a member named `sender`; by default it records a few bytes."""
    return make_transaction(
        signer_of(sender, genesis.scheme),
        genesis.network if network is None else network,
        list(operations or [make_record("note", b"", f"{sender} {nonce}".encode())]),
        nonce=nonce,
        expiry=expiry,
    )


class MapReader:
    """The store's reading side over a dictionary."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self._keys: list[bytes] | None = None

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        if self._keys is None:
            self._keys = sorted(self.rows)
        found = self._keys[
            bisect.bisect_left(self._keys, start) : bisect.bisect_left(self._keys, stop)
        ]
        for key in reversed(found) if reverse else found:
            yield key, self.rows[key]

    def write(self, writes: Iterable[Write]) -> None:
        """Apply writes in their order."""
        for key, value in writes:
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        self._keys = None


class Chain:
    """Executes blocks one after the other over a `MapReader`, as a node does."""

    def __init__(
        self, genesis: Genesis, extra: Sequence[Application] = (), *, cached: bool = True
    ) -> None:
        self.genesis = genesis
        self.store = MapReader()
        self.head = genesis_head(genesis)
        self._cached = cached
        self._applications = (*applications.ALL, *extra)
        self._executor = Executor(genesis, self._applications)

    def batch(self, transactions: Sequence[Transaction], *, sequence: int = 0) -> Batch:
        """A batch that validator 0 makes at the chain's height."""
        return make_batch(
            network=self.genesis.network,
            epoch=self.genesis.epoch.id,
            creator=0,
            sequence=sequence,
            height=self.head.height,
            transactions=tuple(transactions),
        )

    def header(self, batches: Sequence[Batch]) -> BlockHeader:
        """The next block's header over these batches."""
        height = self.head.height + 1
        return BlockHeader(
            network=self.genesis.network,
            epoch=self.genesis.epoch.id,
            height=height,
            previous_hash=self.head.tip.hash,
            value=hashlib.sha256(b"value %d" % height).digest(),
            slot=(height, 0),
            proposer=0,
            timestamp_ms=1_000 * height,
            payload=tuple(batch.digest for batch in batches),
        )

    def execute(self, *batches: Batch) -> Execution:
        """Execute one block of these batches and keep what it writes."""
        if not self._cached:
            self._executor = Executor(self.genesis, self._applications)
        done = self._executor.execute(self.store, self.head, self.header(batches), batches)
        self.store.write(done.writes)
        self.head = done.head
        return done

    def block(self, *transactions: Transaction) -> Execution:
        """Execute one block of one batch of these transactions."""
        return self.execute(self.batch(transactions))
