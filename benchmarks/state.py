"""`python -m benchmarks state`: processor time of execution, with and without the tree.

The same records are executed in a network as `init` makes it and in one that also runs payments;
then payments among many accounts.  One process, the store in memory, no signature checks: execution
alone, in rounds that alternate, so that the figures compare with each other and not with a node's.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import click

from consensus.registry import protocol_named
from host.home import read_private
from host.network import MEMBER_KEY_FILE, Plan, create_network
from ledger.applications import ALL
from ledger.applications.payments import Act, make_payment
from ledger.applications.records import make_record
from ledger.batch import Batch, make_batch
from ledger.chain import next_header
from ledger.execution import Executor, genesis_head
from ledger.genesis import Genesis
from ledger.keys import Signer, scheme_named
from ledger.store import Write
from ledger.transaction import Operation, make_transaction
from ledger.value import Value

KINDS = ("records", "records beside payments", "payments")


class MemoryStore:
    """Rows in memory; a scan looks at all of them, and execution asks for one a sender."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def scan(
        self, start: bytes, stop: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        found = [pair for pair in self.rows.items() if start <= pair[0] < stop]
        yield from sorted(found, reverse=reverse)

    def write(self, writes: Sequence[Write]) -> None:
        for key, value in writes:
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value


class Ledger:
    """One network whose blocks are executed, and nothing else."""

    def __init__(self, folder: Path, *, with_payments: bool) -> None:
        plan = Plan(
            name="measured",
            validators=1,
            protocol=protocol_named("solo"),
            engine="sqlite",
            hosts=("127.0.0.1",),
            applications=("payments",) if with_payments else (),
        )
        self.genesis: Genesis = create_network(folder, plan)
        self.signer: Signer = scheme_named("ed25519").signer(read_private(folder / MEMBER_KEY_FILE))
        self.store = MemoryStore()
        self.head = genesis_head(self.genesis)
        self._executor = Executor(self.genesis, ALL)
        self._nonce = 0

    def batch(self, operations: Sequence[Operation]) -> Batch:
        """A batch of one transaction an operation."""
        made = []
        for operation in operations:
            self._nonce += 1
            made.append(
                make_transaction(
                    self.signer,
                    self.genesis.network,
                    [operation],
                    nonce=self._nonce,
                    expiry=self.head.height + 100,
                )
            )
        return make_batch(
            network=self.genesis.network,
            epoch=self.genesis.epoch.id,
            creator=0,
            sequence=self._nonce,
            height=self.head.height,
            transactions=tuple(made),
        )

    def execute(self, batch: Batch) -> float:
        """Execute one block; microseconds of processor time a transaction."""
        epoch = self.genesis.epoch
        value = Value(epoch.id, b"", (self.head.height + 1, 0), 0, 1_000, (batch.digest,), b"")
        header = next_header(self.genesis.network, self.head.tip, value)
        assert header is not None
        began = time.process_time()
        done = self._executor.execute(self.store, self.head, header, [batch])
        took = time.process_time() - began
        assert done.applied == len(batch.transactions)
        self.store.write(done.writes)
        self.head = done.head
        return took * 1e6 / len(batch.transactions)


def measure(folder: Path, *, rounds: int, transactions: int, accounts: int) -> dict[str, float]:
    """Microseconds a transaction of each kind, the median of the rounds."""
    plain = Ledger(folder / "plain", with_payments=False)
    paying = Ledger(folder / "paying", with_payments=True)
    owners = [sha256(b"account %d" % number).digest() for number in range(accounts)]
    for start in range(0, accounts, 2_000):
        part = owners[start : start + 2_000]
        paying.execute(paying.batch([make_payment(Act.ISSUE, owner, 1_000) for owner in part]))
    own = make_payment(Act.ISSUE, paying.signer.public_key, 2**40)
    paying.execute(paying.batch([own]))
    took: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(rounds):
        places = [number * transactions + place for place in range(transactions)]
        notes = [make_record("note", content=b"%250d" % place) for place in places]
        receivers = [owners[place * 7_919 % accounts] for place in places]
        moves = [make_payment(Act.TRANSFER, receiver, 1) for receiver in receivers]
        took[KINDS[0]].append(plain.execute(plain.batch(notes)))
        took[KINDS[1]].append(paying.execute(paying.batch(notes)))
        took[KINDS[2]].append(paying.execute(paying.batch(moves)))
    return {kind: statistics.median(found) for kind, found in took.items()}


@click.command("state", epilog="Example: python -m benchmarks state --rounds 9")
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True)
@click.option("--transactions", type=click.IntRange(1, 4_096), default=1_000, show_default=True)
@click.option("--accounts", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def state(rounds: int, transactions: int, accounts: int, as_json: bool) -> None:
    """Processor time of executing records, with and without an authenticated tree, and payments."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), rounds=rounds, transactions=transactions, accounts=accounts)
    if as_json:
        click.echo(json.dumps({kind: round(figure, 2) for kind, figure in found.items()}))
        return
    for kind, figure in found.items():
        click.echo(
            f"{kind:<26}{figure:8.1f} µs a transaction, {figure / found[KINDS[0]]:.2f} times"
        )
