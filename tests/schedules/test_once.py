"""Exactly once: each way in which a transaction could take effect twice, or stop the ledger."""

from __future__ import annotations

import hashlib

from nacl import bindings

from consensus.replica import Replica
from ledger.applications import records
from ledger.applications.records import NAME, VERSION, make_record
from ledger.block import BlockHeader, Result
from ledger.encoding import encode
from ledger.execution import Executor, _TransactionState
from ledger.store import Overlay
from ledger.transaction import DOMAIN, Operation, Transaction, parse_transaction
from tests.schedules.mutants import Kind, lacking
from tests.schedules.stage import Stage

EXECUTOR = "_confirmation._executor"


class ForgetsNonces(Executor):
    """Executes whatever has not expired."""

    def _is_skipped(
        self, state: Overlay, may_submit: bool, height: int, transaction: Transaction
    ) -> bool:
        self._nonces.is_used(state, transaction.sender, transaction.nonce)
        return transaction.expiry < height


class PaysPerSignature(Executor):
    """Takes another signature for another transaction."""

    def _is_skipped(
        self, state: Overlay, may_submit: bool, height: int, transaction: Transaction
    ) -> bool:
        self._nonces.is_used(state, transaction.sender, transaction.nonce)
        seen: dict[bytes, None] = self.__dict__.setdefault("seen", {})
        known = transaction.raw in seen
        seen[transaction.raw] = None
        return known


class ForgetsEarly(Executor):
    """Drops the nonces of a block while its transactions may still be executed."""

    def _expire_nonces(self, overlay: Overlay, height: int) -> None:
        super()._expire_nonces(overlay, height + 2)


class IgnoresExpiry(Executor):
    """Executes what has expired."""

    def _is_skipped(
        self, state: Overlay, may_submit: bool, height: int, transaction: Transaction
    ) -> bool:
        return self._nonces.is_used(state, transaction.sender, transaction.nonce)


class AllowsAnyExpiry(Executor):
    """Executes what lives longer than its nonce is remembered."""

    def _is_skipped(
        self, state: Overlay, may_submit: bool, height: int, transaction: Transaction
    ) -> bool:
        used = self._nonces.is_used(state, transaction.sender, transaction.nonce)
        return used or transaction.expiry < height


class TrustsApplications(Executor):
    """Looks an application up as if it had to be there."""

    def _apply(
        self,
        state: _TransactionState,
        header: BlockHeader,
        position: int,
        transaction: Transaction,
        roles: tuple[str, ...],
    ) -> str:
        for _, name, version, _ in transaction.operations:
            assert self._applications[name, version]
        return super()._apply(state, header, position, transaction, roles)


class KeepsHalf(Executor):
    """Keeps what a transaction wrote before it failed."""

    def _apply(
        self,
        state: _TransactionState,
        header: BlockHeader,
        position: int,
        transaction: Transaction,
        roles: tuple[str, ...],
    ) -> str:
        reason = super()._apply(state, header, position, transaction, roles)
        state.keep()
        return reason


def test_a_transaction_signed_twice_with_one_nonce_takes_effect_once() -> None:
    def play(kind: Kind) -> int:
        stage = Stage("solo", kind=kind)
        first = stage.transaction(7)
        second = stage.transaction(7, operations=[make_record("other", b"", b"content")])
        last = stage.transaction(8)
        stage.run_ms(200)
        stage.submit(1, first)
        stage.submit(2, second)
        stage.run_ms(500)
        stage.submit(1, last)
        assert stage.until(lambda: stage.holds(last))
        assert len({tuple(stage.ids(index)) for index in range(4)}) == 1
        return len(stage.ids(0))

    assert play(Replica) == 2
    assert play(lacking(EXECUTOR, ForgetsNonces)) == 3


def sign_again(seed: bytes, message: bytes) -> bytes:
    """Another right Ed25519 signature: RFC 8032, 5.1.6, with a nonce of the signer's own choice."""
    digest = hashlib.sha512(seed).digest()
    scalar = bytes([digest[0] & 248, *digest[1:31], digest[31] & 127 | 64])
    public = bindings.crypto_sign_seed_keypair(seed)[0]
    chosen = bindings.crypto_core_ed25519_scalar_reduce(hashlib.sha512(b"mine" + seed).digest())
    point = bindings.crypto_scalarmult_ed25519_base_noclamp(chosen)
    challenge = bindings.crypto_core_ed25519_scalar_reduce(
        hashlib.sha512(point + public + message).digest()
    )
    reduced = bindings.crypto_core_ed25519_scalar_reduce(scalar + bytes(32))
    product = bindings.crypto_core_ed25519_scalar_mul(challenge, reduced)
    return point + bindings.crypto_core_ed25519_scalar_add(chosen, product)


def test_a_transaction_signed_anew_pays_once() -> None:
    # A device signs the same header twice, with other randomness, and hands both to the network.
    def play(kind: Kind) -> int:
        stage = Stage("solo", kind=kind, scheme="ed25519")
        first = stage.transaction(0)
        signature = sign_again(hashlib.sha256(b"member 0").digest(), DOMAIN + first.header)
        again = parse_transaction(encode((first.header, signature, first.operations)))
        assert (again.id, again.raw != first.raw) == (first.id, True)
        last = stage.transaction(1)
        stage.run_ms(200)
        answers = [stage.submit(1, first), stage.submit(2, again)]
        stage.run_ms(500)
        stage.submit(1, last)
        assert stage.until(lambda: stage.holds(last))
        assert [stage.answers[request].admissions[0].reason for request in answers] == ["", ""]
        return stage.ids(0).count(first.id)

    assert play(Replica) == 1
    assert play(lacking(EXECUTOR, PaysPerSignature)) == 2


def times_executed(kind: Kind, *, expiry: int, window: int = 3) -> int:
    """How often a transaction is executed that a liar batches for each of eight blocks."""
    stage = Stage("solo", kind=kind, puppets=(3,), limits={"replay_window": window})
    replayed = stage.transaction(0, expiry=expiry)
    stage.run_ms(200)
    for height in range(1, 9):
        fresh = stage.transaction(height, expiry=height + 1, member=1)
        _, packet = stage.batch(3, fresh, replayed, sequence=height, height=height - 1)
        for node in (0, 1, 2):
            stage.inject(3, node, packet)
        assert stage.until(lambda h=height: stage.all_certified(h))
    return stage.ids(0).count(replayed.id)


def test_a_replay_inside_the_window_is_known_by_its_nonce() -> None:
    # Executed at height 1, alive up to height 4: the latest that the window allows.
    assert times_executed(Replica, expiry=4) == 1
    assert times_executed(lacking(EXECUTOR, ForgetsEarly), expiry=4) == 2


def test_a_replay_after_the_window_is_known_by_its_expiry() -> None:
    assert times_executed(Replica, expiry=2) == 1
    assert times_executed(lacking(EXECUTOR, IgnoresExpiry), expiry=2) == 2


def test_nothing_is_executed_that_outlives_the_memory_of_its_nonce() -> None:
    assert times_executed(Replica, expiry=100) == 0
    assert times_executed(lacking(EXECUTOR, AllowsAnyExpiry), expiry=100) == 2


def test_the_first_height_at_which_a_transaction_may_be_executed_is_a_window_before_its_end() -> (
    None
):
    for late in range(4):
        assert times_executed(Replica, expiry=4 + late) == 1


def liars_transaction(kind: Kind, operations: list[Operation]) -> tuple[Stage, Transaction]:
    """A stage on which a liar's batch, which no door would let in, and a sound one were ordered."""
    stage = Stage("solo", kind=kind, puppets=(3,))
    liars = stage.transaction(0, operations=operations)
    sound = stage.transaction(1)
    stage.run_ms(200)
    _, packet = stage.batch(3, liars)
    for node in (0, 1, 2):
        stage.inject(3, node, packet)
    stage.run_ms(500)
    stage.submit(1, sound)
    stage.until(lambda: stage.holds(sound) or stage.stopped)
    return stage, liars


def test_an_unknown_application_is_a_failed_transaction_and_no_exception() -> None:
    operations = [Operation("lottery", 1, b"win")]

    stage, liars = liars_transaction(Replica, operations)

    leaf = stage.leaves(0)[0]
    assert stage.ids(0)[0] == liars.id
    assert (leaf.result, leaf.reason) == (Result.FAILED, "operation.unknown-application")
    assert stage.stopped == {}
    request = stage.submit(1, stage.transaction(2, operations=operations))
    stage.run_ms(100)
    assert stage.answers[request].admissions[0].reason == "operation.unknown-application"

    stage, _ = liars_transaction(lacking(EXECUTOR, TrustsApplications), operations)
    assert stage.stopped[0].startswith("KeyError")


def test_a_transaction_that_fails_half_way_leaves_nothing_behind() -> None:
    content = b"the first half"
    operations = [make_record("first", b"", content), Operation(NAME, VERSION, b"malformed")]

    def play(kind: Kind) -> int:
        stage, _ = liars_transaction(kind, operations)
        assert stage.leaves(0)[0].result == Result.FAILED
        return len(records.find(stage.nodes[0].engine, hashlib.sha256(content).digest()))

    assert play(Replica) == 0
    assert play(lacking(EXECUTOR, KeepsHalf)) == 1


def test_a_transaction_handed_to_all_and_again_after_confirmation_and_restarts_is_there_once() -> (
    None
):
    def play(kind: Kind) -> int:
        stage = Stage("tendermint", kind=kind)
        transaction = stage.transaction(0)
        stage.run_ms(200)
        for round_ in range(3):
            for node in range(4):
                stage.submit(node, transaction)
            stage.run_ms(1_000)
            assert stage.holds(transaction)
            if round_ == 1:
                stage.crash(0, 1, 2, 3)
                stage.boot(0, 1, 2, 3)
                stage.run_ms(500)
        assert not any(stage.replica(node).is_pending(transaction.id) for node in range(4))
        return stage.ids(0).count(transaction.id)

    assert play(Replica) == 1
    assert play(lacking(EXECUTOR, ForgetsNonces)) > 1


def test_what_the_door_refuses_is_not_remembered() -> None:
    stage = Stage("solo")
    sound = stage.transaction(0)
    unsigned = parse_transaction(encode((sound.header, bytes(64), sound.operations)))
    stage.run_ms(200)

    refused = stage.submit(1, unsigned)
    stage.run_ms(100)
    was_pending = stage.replica(1).is_pending(sound.id)
    taken = stage.submit(1, sound)

    assert stage.until(lambda: stage.holds(sound))
    assert stage.answers[refused].admissions[0].reason == "transaction.signature"
    assert stage.answers[taken].admissions[0].reason == ""
    assert not was_pending
