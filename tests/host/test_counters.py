"""What a node counts about its signatures."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import cast

from consensus.recovery import Setup
from consensus.registry import protocol_named
from host.counters import Counters, counted
from ledger.keys import one_key
from p2p.peers import Peers
from tests.host.program import ROOT
from tests.ledger.builders import consensus_signer_of, make_genesis

SEED = b"s" * 32


def test_signatures_are_counted_whichever_thread_checks_them() -> None:
    genesis = make_genesis()
    key = genesis.suite.statements.signer(SEED)
    plain = Setup(genesis, 0, one_key(key), protocol_named("tendermint"), ())
    counters = Counters()
    setup = counted(plain, counters)
    assert setup.signer is not None
    message = b"a statement"
    signature = setup.signer.statements.sign(message)
    right = []

    def check() -> None:
        for _ in range(200):
            right.append(setup.suite.statements.verify(key.public_key, message, signature))

    threads = [threading.Thread(target=check) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert right == [True] * 800
    assert (counters.signatures_made, counters.signatures_checked) == (1, 800)
    assert not setup.suite.statements.verify(key.public_key, b"another", signature)
    assert counters.signatures_checked == 801
    assert plain.suite is genesis.suite


def test_each_of_two_keys_is_counted_as_itself() -> None:
    genesis = make_genesis(scheme="ml-dsa-65")
    keys, counters = consensus_signer_of("node0", genesis.scheme), Counters()
    setup = counted(Setup(genesis, 0, keys, protocol_named("tendermint"), ()), counters)
    assert setup.signer is not None
    suite, plain = setup.suite, genesis.suite

    for signer, scheme, right in (
        (setup.signer.statements, suite.statements, plain.statements),
        (setup.signer.checkpoints, suite.checkpoints, plain.checkpoints),
    ):
        made = signer.sign(b"message")
        assert scheme.name == right.name
        assert scheme.verify(signer.public_key, b"message", made)
        assert right.verify(signer.public_key, b"message", made)

    assert suite.members.name == plain.members.name
    assert (counters.signatures_made, counters.signatures_checked) == (2, 2)


def test_every_counter_is_described() -> None:
    nobody = cast(Peers, SimpleNamespace(status=list))
    described = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")

    names = set(Counters().figures(nobody))

    assert len(names) == 8
    assert not [name for name in names if f"`{name}`" not in described]
