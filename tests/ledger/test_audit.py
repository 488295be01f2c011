"""The audit finds every record that is missing, changed or invented."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from ledger import applications, layout
from ledger.applications.interface import Application, Origin, State
from ledger.audit import CHECKPOINT, Audited, audit
from ledger.batch import Batch, make_batch
from ledger.block import BlockHeader
from ledger.certified import checkpoint_message
from ledger.encoding import encode
from ledger.errors import LedgerError, ProofFault, StorageError, UserError
from ledger.genesis import Genesis
from ledger.limits import Limits
from ledger.statement import Statement
from ledger.transaction import Transaction, parse_transaction
from tests.ledger.builders import MapReader, make_genesis, make_signed, signer_of
from tests.ledger.proven import Store, certify, records, small_store

GENESIS = make_genesis()
OTHERS = tuple(each for each in applications.ALL if each.name != "records")


def run(
    store: MapReader,
    genesis: Genesis = GENESIS,
    known: Sequence[Application] = applications.ALL,
) -> tuple[list[int], Audited]:
    """Heights in the order in which they were found right, and what the audit found."""
    progress = audit(store, genesis.network, known)
    heights = []
    while True:
        try:
            heights.append(next(progress))
        except StopIteration as stop:
            return heights, stop.value


def refusal(store: MapReader, genesis: Genesis = GENESIS) -> str:
    """The one line with which the audit ends."""
    with pytest.raises((ProofFault, StorageError)) as caught:
        run(store, genesis)
    line = str(caught.value)
    assert "\n" not in line
    return line


def with_own_signatures(made: Store, name: str = "node1") -> Store:
    """The store of a validator that has signed a checkpoint and a vote."""
    signer = signer_of(f"{name} consensus")
    genesis, head = made.genesis, made.head
    text = checkpoint_message(bytes(32), genesis.origin, head.size, head.root())
    vote = Statement(genesis.network, genesis.epoch.id, "prevote", (6, 0), b"value")
    made.store.write(
        [
            (CHECKPOINT, encode((head.height, head.size, head.root(), signer.sign(text)))),
            (
                layout.signed_key(vote.phase, vote.slot),
                encode((1, b"", vote.value, signer.sign(vote.signed_bytes()))),
            ),
        ]
    )
    return made


def with_unordered_batch(made: Store) -> Store:
    """The store of a node that holds a batch which no block names yet."""
    batch = made.batch(records(made.genesis, 9), sequence=9)
    signature = signer_of("node0 consensus").sign(batch.statement().signed_bytes())
    made.store.write(
        [
            (layout.BATCH + batch.digest, signature + batch.raw),
            (layout.aged_key(batch.height, batch.digest), b""),
        ]
    )
    return made


def test_a_sound_store_is_found_sound() -> None:
    made = with_unordered_batch(with_own_signatures(small_store(5)))

    heights, found = run(made.store)

    assert heights == [1, 2, 3, 4, 5]
    assert found == Audited(
        height=5,
        size=25,
        root=made.head.root(),
        state_hash=made.head.state_hash,
        certified=5,
        certificates=3,
        batches=5,
        transactions=15,
    )


def test_an_empty_store_of_the_right_network_is_sound() -> None:
    assert run(Store(GENESIS).store)[1].height == 0


def test_a_store_whose_last_blocks_await_their_certificate_is_sound() -> None:
    assert run(small_store(4).store)[1].certified == 3


def test_certificates_above_the_executed_blocks_are_checked_too() -> None:
    made, longer = small_store(3), small_store(5)
    key = layout.height_key(layout.CERT, 5)
    height = (5).to_bytes(8, "big")
    made.store.write([(key, longer.notes[5]), (layout.CERTIFIED, height)])
    assert run(made.store)[1].certified == 5

    made.store.write([(key, longer.notes[3])])
    assert "the log does not grow" in refusal(made.store)
    made.store.write([(key, longer.notes[5].replace(b"\n25\n", b"\n26\n"))])
    assert "height 5: checkpoint.signature" in refusal(made.store)


def test_expired_nonces_and_full_tiles_are_followed() -> None:
    genesis = make_genesis(limits=Limits(replay_window=5), scheme="keyed-hash")
    made = small_store(14, genesis=genesis)
    for height in range(15, 18):
        made.block(*records(genesis, height, 100))
    made.certify()
    assert made.head.size > 256

    assert run(made.store, genesis)[1].size == made.head.size

    tile = layout.tile_key(0, 0)
    made.store.write([(tile, bytes(8_192))])
    assert "a tile of the log" in refusal(made.store, genesis)
    assert "a tile of the log" in refusal(small_without(made, tile), genesis)


def small_without(made: Store, key: bytes) -> MapReader:
    other = MapReader()
    other.write([(each, value) for each, value in made.store.rows.items() if each != key])
    return other


def every_key() -> list[bytes]:
    return sorted(with_unordered_batch(with_own_signatures(small_store(3))).store.rows)


@pytest.mark.parametrize("key", every_key(), ids=lambda key: key[:12].hex())
def test_every_record_that_is_missing_is_missed(key: bytes) -> None:
    made = with_unordered_batch(with_own_signatures(small_store(3)))
    made.store.write([(key, None)])
    # What a node may well not have: a decision, its own signatures, the index of a waiting batch,
    # and a certificate below another one.
    may_be_absent = (
        key == layout.DECISION_HEAD
        or key[:1] in (layout.SIGNED, layout.AGED)
        or key == layout.height_key(layout.CERT, 1)
    )
    if may_be_absent:
        run(made.store)
    else:
        refusal(made.store)


@pytest.mark.parametrize(
    "key",
    [key for key in every_key() if key[:1] != layout.AGED],  # an index entry without a value
    ids=lambda key: key[:12].hex(),
)
def test_every_record_that_is_changed_is_found(key: bytes) -> None:
    made = with_unordered_batch(with_own_signatures(small_store(3)))
    value = made.store.rows[key]
    changes = [value + b"\x00"]
    # The last field of the decision's head is the slot, of which the ledger knows nothing.
    if key != layout.DECISION_HEAD and value:
        changes += [value[:-1] + bytes([value[-1] ^ 1]), value[:-1]]
    for change in changes:
        made.store.write([(key, change)])
        refusal(made.store)


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (layout.state_key("records", b"invented"), "nothing led to"),
        (layout.state_key("zzz", b"invented"), "nothing led to"),
        (layout.nonce_key(bytes(32), 1), "nothing led to"),
        (layout.nonce_key(b"\xff" * 32, 1), "nothing led to"),
        (layout.TX + bytes(32), "indexed transactions"),
        (layout.tile_key(0, 1), "tiles"),
        (layout.tile_key(1, 0), "tiles"),
        (layout.height_key(layout.BLOCK, 4), "blocks"),
        (layout.height_key(layout.HEADER, 0), "headers"),
        (layout.height_key(layout.CERT, 0), "never certified"),
        (layout.height_key(layout.CERT, 4), "height 4"),
        (layout.BATCH + bytes(32), "not what its digest names"),
        (layout.aged_key(3, bytes(32)), "is missing"),
        (layout.signed_key("prevote", (1, 0)), "own statement"),
        (layout.SIGNED + b"\xff\x00", "no phase and slot"),
        (layout.SIGNED + b"prevote\x00\x01", "no phase and slot"),
    ],
)
def test_every_record_that_is_invented_is_found(key: bytes, line: str) -> None:
    made = small_store(3)
    made.store.write([(key, b"value")])
    assert line in refusal(made.store)


def test_another_network_than_the_one_asked_for_is_refused() -> None:
    other = make_genesis(members=("carol",))
    assert "another network" in refusal(small_store(1).store, other)
    assert "no genesis" in refusal(MapReader())


def test_an_application_that_this_program_lacks_is_named() -> None:
    with pytest.raises(UserError, match="lacks the application records version 1"):
        run(small_store(1).store, known=OTHERS)


def test_another_result_of_execution_is_found() -> None:
    class Forgetful(Application):
        name = "records"
        version = 1

        def check(self, body: bytes) -> None:
            """Anything goes."""

        def apply(self, state: State, origin: Origin, body: bytes) -> None:
            state.put(origin.key(), b"")

        def describe(self, body: bytes) -> dict[str, object]:
            return {"bytes": len(body)}

    with pytest.raises(ProofFault, match="executing block 1 gives other leaves"):
        run(small_store(1).store, known=(*OTHERS, Forgetful()))


class Crooked(Store):
    """Executes whatever it is given under headers that a test bends."""

    def __init__(self, bend: Callable[[BlockHeader], BlockHeader], at: int) -> None:
        super().__init__(GENESIS)
        self._bend, self._at = bend, at

    def header(self, batches: Sequence[Batch]) -> BlockHeader:
        header = super().header(batches)
        return self._bend(header) if header.height == self._at else header


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"network": bytes(32)}, "block 2 is of another network or epoch"),
        ({"epoch": bytes(32)}, "block 2 is of another network or epoch"),
        ({"timestamp_ms": 1_000}, "block 2 is not later"),
        ({"proposer": 4}, "block 2 is by no validator"),
    ],
)
def test_a_header_that_no_honest_node_builds_is_found(
    changes: dict[str, object], line: str
) -> None:
    made = Crooked(lambda header: replace(header, **changes), 2)  # type: ignore[arg-type]
    for height in (1, 2):
        made.block(*records(GENESIS, height))
    assert line in refusal(made.store)


def test_a_block_that_is_not_linked_to_the_one_before_is_found() -> None:
    made, other = small_store(2), Store(GENESIS)
    other.block(*records(GENESIS, 7))
    other.block(*records(GENESIS, 8))
    for kind in (layout.BLOCK, layout.HEADER):
        key = layout.height_key(kind, 2)
        made.store.write([(key, other.store.rows[key])])
    assert "block 2 is not linked" in refusal(made.store)


def test_a_transaction_that_its_sender_did_not_sign_is_found() -> None:
    made = Store(GENESIS)
    made.block(forged(make_signed(GENESIS, "alice", 1)))
    assert "wrong signature of transaction" in refusal(made.store)


def forged(transaction: Transaction) -> Transaction:
    signature = transaction.signature[:32] + bytes(32)
    return parse_transaction(encode((transaction.header, signature, transaction.operations)))


def test_a_batch_that_its_creator_did_not_sign_is_found() -> None:
    made = small_store(1)
    key, stored = next(made.store.scan(layout.BATCH, layout.AGED))
    made.store.write([(key, bytes(64) + stored[64:])])
    assert "is not signed by its creator" in refusal(made.store)


def test_a_batch_of_another_epoch_is_found() -> None:
    made = Store(GENESIS)
    made.execute(
        make_batch(
            network=GENESIS.network,
            epoch=bytes(32),
            creator=0,
            sequence=0,
            height=0,
            transactions=(make_signed(GENESIS, "alice", 1),),
        )
    )
    assert "is of another network or epoch" in refusal(made.store)


def test_a_certificate_of_another_log_is_found() -> None:
    made = small_store(3)
    note = certify(GENESIS, made.head.size, bytes(32), epoch=GENESIS.epoch)
    made.store.write(
        [
            (
                layout.height_key(layout.CERT, 3),
                note.note(GENESIS.origin, GENESIS.epoch.validators),
            )
        ]
    )
    assert "height 3: another log was certified" in refusal(made.store)


def test_own_signatures_are_those_of_one_validator() -> None:
    made = with_own_signatures(small_store(3), "node1")
    vote = Statement(GENESIS.network, GENESIS.epoch.id, "prevote", (7, 0), b"value")
    for name, is_sound in (("node1", True), ("node2", False), ("stranger", False)):
        signature = signer_of(f"{name} consensus").sign(vote.signed_bytes())
        key = layout.signed_key(vote.phase, vote.slot)
        made.store.write([(key, encode((1, b"", vote.value, signature)))])
        if is_sound:
            run(made.store)
        else:
            assert "is not signed by this validator" in refusal(made.store)


def test_an_own_checkpoint_is_of_the_log_that_was_executed() -> None:
    made = small_store(3)
    signer = signer_of("node1 consensus")
    for height, size, root, line in (
        (3, 15, bytes(32), "height 3: this node signed another log"),
        (2, 15, made.head.root(), "height 2: this node signed another log"),
        (4, 15, made.head.root(), "signed a log that it has not executed"),
    ):
        signature = signer.sign(checkpoint_message(bytes(32), GENESIS.origin, size, root))
        made.store.write([(CHECKPOINT, encode((height, size, root, signature)))])
        assert line in refusal(made.store)


def test_the_first_finding_ends_the_audit_after_the_sound_heights() -> None:
    made = small_store(5)
    made.store.write([(layout.height_key(layout.BLOCK, 3), None)])
    progress = audit(made.store, GENESIS.network, applications.ALL)
    assert [next(progress), next(progress)] == [1, 2]
    with pytest.raises(LedgerError, match="block 3 is missing"):
        next(progress)
