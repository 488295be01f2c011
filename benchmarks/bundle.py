"""`python -m benchmarks bundle`: lineage bundles of many statements, made and checked.

One chain of steps is put on a ledger among many others, in three ways: as an import does it, 256
statements a transaction and the chain in one piece; scattered, each statement of the chain in a
transaction of its own among 99 of other chains, which is the worst that can happen; and one
transaction a statement.  Measured is processor time of one process: the node's part (reading,
hashing, finding nodes), the client's (the answer, checking and joining what it got, checking what
it writes), and that of `verify`.  HTTP is not in it, nor how the client learns of the statements.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import click

from api import proofs
from api.limits import JOINT_TRANSACTIONS_MAX
from benchmarks.provenance_ledger import Ledger, end_of, new_ledger, step
from ledger.applications.provenance import Statement
from ledger.bundle import Bundle, BundleJudge
from ledger.joint_receipt import Checked, JointJudge, JointReceipt, join, parse_joint_receipt
from ledger.lineage_question import UPSTREAM, Question, settle
from storage.home import default_engine

T = TypeVar("T")
IMPORTED, SCATTERED, ALONE = "imported", "scattered", "one by one"
TRANSACTION = 256
AMONG = 100


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one bundle."""

    statements: int
    ledger: int
    """Statements on the ledger."""
    bytes: int
    node_ms: float
    client_ms: float
    verify_ms: float

    @property
    def total_ms(self) -> float:
        """Made and checked."""
        return self.node_ms + self.client_ms + self.verify_ms


def measure(folder: Path, way: str, statements: int, engine: str) -> Figures:
    """A bundle of so many statements that were recorded in this way."""
    steps = max(1, statements // 4)
    with new_ledger(folder, engine) as ledger:
        ours = [said for number in range(1, steps + 1) for said in step(0, number)]
        for group in groups(way, ours):
            ledger.add(group, frozenset(ours))
        ledger.end_block()
        return _bundle(ledger, Question(UPSTREAM, (end_of(0, steps),)))


def groups(way: str, ours: Sequence[Statement]) -> Iterator[Sequence[Statement]]:
    """The transactions that hold the chain that is asked for."""
    if way == ALONE:
        yield from ([said] for said in ours)
    elif way == SCATTERED:
        for number, said in enumerate(ours):
            others = [each for part in range(AMONG // 4) for each in step(1 + part, number)]
            yield [*others[: AMONG - 1], said]
    else:
        for start in range(0, len(ours), TRANSACTION):
            yield ours[start : start + TRANSACTION]


def _bundle(ledger: Ledger, question: Question) -> Figures:
    node_ms, client_ms = 0.0, 0.0
    (_, used), took = _timed(lambda: settle(ledger.places, question))
    client_ms += took
    wanted: dict[bytes, list[int]] = {}
    for each in used:
        identity, number = ledger.places[each]
        wanted.setdefault(identity, []).append(number)
    pairs = [(identity, tuple(numbers)) for identity, numbers in wanted.items()]
    judge = JointJudge(ledger.genesis)
    parts: list[tuple[JointReceipt, Checked]] = []
    for start in range(0, len(pairs), JOINT_TRANSACTIONS_MAX):
        group = pairs[start : start + JOINT_TRANSACTIONS_MAX]
        with ledger.store.snapshot() as reader:
            raw, took = _timed(
                lambda: proofs.joint_receipt(reader, ledger.genesis, group, ledger.height)  # noqa: B023
            )
        node_ms += took

        def check(raw: bytes = raw) -> tuple[JointReceipt, Checked]:
            receipt = parse_joint_receipt(raw)
            return receipt, judge.check(receipt)

        part, took = _timed(check)
        parts.append(part)
        client_ms += took
    file, took = _timed(lambda: Bundle(question, join(parts)).encode())
    client_ms += took
    verified, verify_ms = _timed(lambda: BundleJudge(ledger.genesis).check(file))
    assert len(verified.statements) == len(used)
    # The client checks what it writes.
    client_ms += verify_ms
    return Figures(len(used), ledger.statements, len(file), node_ms, client_ms, verify_ms)


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.process_time()
    found = work()
    return found, 1_000 * (time.process_time() - began)


@click.command("bundle", epilog="Example: python -m benchmarks bundle --statements 1000")
@click.option("--statements", type=click.IntRange(4, 16_384), default=1_000, show_default=True)
@click.option("--storage", "engine", default=None, help="The best installed unless given.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bundle(statements: int, engine: str | None, as_json: bool) -> None:
    """Make and check lineage bundles: bytes a statement, and processor time."""
    found: dict[str, Figures] = {}
    for way in (IMPORTED, SCATTERED, ALONE):
        with tempfile.TemporaryDirectory() as folder:
            network = Path(folder) / "network"
            found[way] = measure(network, way, statements, engine or default_engine())
    if as_json:
        click.echo(json.dumps({way: asdict(figures) for way, figures in found.items()}))
        return
    click.echo("recorded      statements    bytes each   node ms  client ms  verify ms   all ms")
    for way, each in found.items():
        click.echo(
            f"{way:<12}{each.statements:>12,}{each.bytes / each.statements:>14.0f}"
            f"{each.node_ms:>10.0f}{each.client_ms:>11.0f}{each.verify_ms:>11.0f}"
            f"{each.total_ms:>9.0f}"
        )
