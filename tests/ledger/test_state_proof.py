"""State proofs: what is there, what is not, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ledger import applications, authenticated, layout, merkle, queries
from ledger.applications.payments import account_key, balance_of
from ledger.audit import audit
from ledger.block import OutcomeLeaf, StateHashKind, parse_leaf
from ledger.errors import DecodeFault, Fault, ProofFault, StorageError
from ledger.light import LightClient, VerifiedState
from ledger.limits import Limits
from ledger.proving import prove_state
from ledger.state_proof import StateProof, parse_state_proof
from ledger.store import prefix_stop
from tests.ledger.paid import GENESIS, Bank, issue, key, small_bank, transfer
from tests.ledger.proven import small_store

CLIENT = LightClient(GENESIS)


def proof_of(bank: Bank, name: str) -> bytes:
    return prove_state(bank.store, bank.genesis, "payments", account_key(key(name)))


def checked(bank: Bank, name: str) -> VerifiedState:
    return LightClient(bank.genesis).check_state(proof_of(bank, name))


def test_a_balance_is_proved_and_so_is_its_absence() -> None:
    bank = small_bank()

    there, absent = checked(bank, "bob"), checked(bank, "nobody")

    assert (there.application, there.key, there.height) == ("payments", account_key(key("bob")), 2)
    assert balance_of(there.value) == 30
    assert (absent.key, absent.value) == (account_key(key("nobody")), None)
    assert there.log.signers == (0, 1, 2)
    assert len(proof_of(bank, "bob")) < 1_500


@pytest.mark.parametrize("name", ["bob", "nobody", "else 3"])
def test_every_change_of_one_byte_is_refused(name: str) -> None:
    raw = proof_of(small_bank(), name)

    for place in range(len(raw)):
        for mask in (1, 0x80):
            changed = bytearray(raw)
            changed[place] ^= mask
            with pytest.raises((ProofFault, DecodeFault)):
                CLIENT.check_state(bytes(changed))
    for shorter in range(0, len(raw), 7):
        with pytest.raises(DecodeFault):
            CLIENT.check_state(raw[:shorter])
    with pytest.raises(DecodeFault):
        CLIENT.check_state(raw + b"\x00")


def _forged(change: Callable[[StateProof], StateProof], name: str = "bob") -> str:
    """The reason with which a forged proof is refused."""
    with pytest.raises(Fault) as caught:
        CLIENT.check_state(change(parse_state_proof(proof_of(small_bank(), name))).encode())
    return caught.value.reason


def test_each_rule_of_the_verifier_refuses_what_only_it_refuses() -> None:
    bank = small_bank()
    bob = parse_state_proof(proof_of(bank, "bob"))
    alice = parse_state_proof(proof_of(bank, "alice"))
    early = Bank()
    early.run(("bank", [issue("alice", 1)]))
    early.certify()
    other_log = parse_state_proof(proof_of(early, "alice"))

    assert _forged(lambda p: replace(p, value=(31).to_bytes(8, "big"))) == "state.root"
    assert _forged(lambda p: replace(p, value=None)) == "state.root"
    assert _forged(lambda p: replace(p, path=alice.path)) == "state.key"
    assert _forged(lambda p: replace(p, key=alice.key)) == "state.key"
    assert _forged(lambda p: replace(p, application="records")) == "state.application"
    # The names are hashed with the root: another list is another state.
    assert _forged(lambda p: replace(p, names=("payments", "records"))) == "state.root"
    assert _forged(lambda p: replace(p, running=bytes(32))) == "state.root"
    assert _forged(lambda p: replace(p, siblings=alice.siblings)) == "state.root"
    assert _forged(lambda p: replace(p, leaf=other_log.leaf)) == "merkle.root"
    assert _forged(lambda p: replace(p, other=(bob.path, bytes(32)))) == "state.end"
    assert _forged(lambda p: replace(p, other=(bob.path, bytes(32))), "nobody") == "state.end"


def test_the_leaf_must_be_an_outcome_with_a_tree() -> None:
    bank = small_store(1)
    proof = parse_state_proof(proof_of(small_bank(), "bob"))
    leaves = [parse_leaf(leaf) for leaf in bank.execute(bank.batch([])).leaves]
    outcome = leaves[-1]
    assert isinstance(outcome, OutcomeLeaf)
    assert outcome.state_hash_kind == StateHashKind.RUNNING
    note = bank.certify()
    head = bank.head
    tiles = merkle.TileReader(queries.tile_source(bank.store), head.size)
    path = merkle.inclusion_path(head.size - 1, head.size, tiles.hash_at)
    forged = replace(proof, leaf=outcome.encode(), log_path=path, certificate=note)

    with pytest.raises(ProofFault, match=r"state\.leaf"):
        LightClient(bank.genesis).check_state(forged.encode())


def test_a_proof_rests_on_the_certified_block_while_execution_goes_on() -> None:
    bank = small_bank()
    before = proof_of(bank, "bob")
    for _ in range(5):
        bank.run(("alice", [transfer("bob", 1), transfer("new", 1)]))
        # Bytes and all: what later blocks changed does not show.
        assert proof_of(bank, "bob") == before
        assert checked(bank, "new").value is None

    bank.certify()

    assert balance_of(checked(bank, "bob").value) == 35
    assert balance_of(checked(bank, "new").value) == 5


def test_changes_are_kept_for_the_uncertified_blocks_and_then_dropped() -> None:
    bank = Bank(replace(GENESIS, limits=Limits(run_ahead=1)))
    bank.run(("bank", [issue("alice", 100)]))
    bank.certify()
    kept = 1 + authenticated.SPARE_HEIGHTS
    for _ in range(kept - 1):
        bank.run(("alice", [transfer("bob", 1)]))
    assert checked(bank, "bob").value is None

    bank.run(("alice", [transfer("bob", 1)]))

    with pytest.raises(Fault, match=r"state\.too-old"):
        proof_of(bank, "bob")
    rows = list(bank.store.scan(layout.UNDO, prefix_stop(layout.UNDO)))
    assert len(rows) == kept


def test_what_cannot_be_proved_is_said() -> None:
    bank = small_bank()

    with pytest.raises(Fault, match=r"state\.not-in-tree"):
        prove_state(bank.store, GENESIS, "records", b"key")
    plain = small_store(1)
    with pytest.raises(Fault, match=r"state\.not-in-tree"):
        prove_state(plain.store, plain.genesis, "payments", b"key")
    with pytest.raises(Fault, match=r"state\.uncertified"):
        proof_of(Bank(), "bob")
    with pytest.raises(Fault, match=r"state\.key"):
        prove_state(bank.store, GENESIS, "payments", bytes(1_025))


def test_a_ledger_without_such_applications_stays_as_it_was() -> None:
    plain = small_store(2)

    assert {key[:1] for key in plain.store.rows}.isdisjoint({layout.TREE, layout.UNDO})


@pytest.mark.parametrize("kind", [layout.TREE, layout.UNDO])
def test_the_audit_finds_a_changed_or_lost_node(kind: bytes) -> None:
    bank = small_bank()
    assert list(audit(bank.store, GENESIS.network, applications.ALL)) == [1, 2]
    key_, value = next(bank.store.scan(kind, prefix_stop(kind)))

    for damaged in (value[:-1] + bytes([value[-1] ^ 1]), None):
        bank.store.write([(key_, damaged)])
        with pytest.raises(ProofFault, match=r"audit\.(record|missing)"):
            list(audit(bank.store, GENESIS.network, applications.ALL))
        bank.store.write([(key_, value)])
    bank.store.write([(kind + b"\xff" * 9, b"surplus")])
    with pytest.raises(ProofFault, match=r"audit\.surplus"):
        list(audit(bank.store, GENESIS.network, applications.ALL))


def test_damage_is_said_to_be_damage() -> None:
    bank = small_bank()
    bank.store.write([(layout.height_key(layout.UNDO, 2), b"damage")])

    with pytest.raises(StorageError, match="run an audit"):
        proof_of(bank, "bob")
