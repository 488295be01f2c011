"""Parts of a small network: keys from names, a genesis, transactions, a store, a chain."""

from __future__ import annotations

import bisect
import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence

from hypothesis import strategies as st

from ledger import applications
from ledger.applications.interface import Application
from ledger.applications.records import make_record
from ledger.batch import Batch, make_batch
from ledger.block import BlockHeader
from ledger.encoding import encode
from ledger.errors import DecodeFault
from ledger.execution import Execution, Executor, genesis_head
from ledger.genesis import EpochRecord, Genesis, Member
from ledger.keys import ConsensusSigner, Signer, suite_named
from ledger.limits import Limits
from ledger.store import Write
from ledger.transaction import Operation, Transaction, make_transaction
from ledger.validators import QuorumRule, Validator, ValidatorSet

SMALL_WINDOW = Limits(replay_window=5)


def seed_of(name: str) -> bytes:
    """A private seed that follows from a name."""
    return hashlib.sha256(name.encode()).digest()


def signer_of(name: str, scheme: str = "ed25519") -> Signer:
    """The key pair of a member that follows from a name."""
    return suite_named(scheme).members.signer(seed_of(name))


def consensus_signer_of(name: str, scheme: str = "ed25519") -> ConsensusSigner:
    """The key pairs of a validator that follow from its name."""
    seeds = seed_of(f"{name} consensus"), seed_of(f"{name} checkpoints")
    return suite_named(scheme).consensus_signer(*seeds)


def validator_of(name: str, scheme: str = "ed25519") -> Validator:
    """A validator whose transport certificate is opaque bytes."""
    keys = consensus_signer_of(name, scheme)
    return Validator(
        name,
        keys.statements.public_key,
        signer_of(f"{name} transport").public_key,
        f"certificate of {name}".encode(),
        keys.own_checkpoint_key,
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
        applications=tuple(sorted((each.name, each.version) for each in applications.DEFAULT)),
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
        self.applications = (*applications.ALL, *extra)
        self._executor = Executor(genesis, self.applications)

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
            self._executor = Executor(self.genesis, self.applications)
        done = self._executor.execute(self.store, self.head, self.header(batches), batches)
        self.store.write(done.writes)
        self.head = done.head
        return done

    def block(self, *transactions: Transaction) -> Execution:
        """Execute one block of one batch of these transactions."""
        return self.execute(self.batch(transactions))


# Bytes that almost encode a value


def refused(parse: Callable[[bytes], object], raw: bytes) -> bool:
    """Whether a parser refuses these bytes in the one way it may."""
    try:
        parse(raw)
    except DecodeFault:
        return True
    return False


@st.composite
def damaged(draw: st.DrawFn, raw: bytes) -> bytes:
    """These bytes with a few of them changed, cut out, doubled, added or cut off."""
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(raw)))
        stop = min(len(raw), place + draw(st.integers(1, 4)))
        patch = draw(
            st.sampled_from((b"", raw[place:stop] * 2, b"\x00", b"\xff", b"\xc0", b"\x90"))
            | st.binary(min_size=1, max_size=4)
        )
        raw = raw[:place] + patch + raw[stop:]
    return raw


def loose_encodings(value: object) -> Iterator[bytes]:
    """Every encoding of a value in which one part stands in a longer form or as another type."""
    if isinstance(value, tuple):
        parts = [encode(item) for item in value]
        head = encode(value)[: len(encode(value)) - sum(map(len, parts))]
        for byte, width in ((0xDC, 2), (0xDD, 4)):
            wider = bytes([byte]) + len(value).to_bytes(width, "big")
            if wider != head:
                yield wider + b"".join(parts)
        for index, item in enumerate(value):
            for loose in loose_encodings(item):
                yield head + b"".join([*parts[:index], loose, *parts[index + 1 :]])
    elif isinstance(value, bool):
        yield encode(int(value))
    elif isinstance(value, int):
        forms = [(0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8), (0xD1, 2), (0xD2, 4), (0xD3, 8)]
        for byte, width in forms:
            limit = 256**width // (2 if byte >= 0xD0 else 1)
            if value < limit and bytes([byte]) + value.to_bytes(width, "big") != encode(value):
                yield bytes([byte]) + value.to_bytes(width, "big")
        yield struct.pack(">Bd", 0xCB, value)
    elif isinstance(value, bytes):
        yield from _longer(value, (0xC4, 0xC5, 0xC6), encode(value))
        yield encode(value.decode("latin-1"))
    elif isinstance(value, str):
        raw = value.encode()
        yield from _longer(raw, (0xD9, 0xDA, 0xDB), encode(value))
        yield encode(raw)
    elif value is None:
        yield encode(False)


def _longer(raw: bytes, bytes_of: tuple[int, int, int], shortest: bytes) -> Iterator[bytes]:
    for byte, width in zip(bytes_of, (1, 2, 4), strict=True):
        if len(raw) < 256**width:
            form = bytes([byte]) + len(raw).to_bytes(width, "big") + raw
            if form != shortest:
                yield form
