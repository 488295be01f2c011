"""Tendermint's text, messages and record; and that a run follows from its seed alone."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from consensus.interface import (
    Broadcast,
    Decide,
    Now,
    Received,
    Recovery,
    Root,
    Send,
    SetTimer,
    Signed,
    Start,
)
from consensus.leaders import Decided
from consensus.protocols import tendermint, tendermint_state
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import (
    NIL,
    NO_ROUND,
    PRECOMMIT,
    PREVOTE,
    Prevote,
    Proposal,
)
from consensus.protocols.tendermint_record import Lock, Record, Valid, parse_record
from ledger.certificate import Certificate
from ledger.encoding import decode, encode
from ledger.errors import DecodeFault
from ledger.value import Value
from sim.plugin_step import Packet
from sim.plugins import EPOCH, PluginScenario, Script, draw_scenario, run

ROOT = Path(__file__).parents[2]
VALUE = Value(EPOCH, b"", (5, 1), 2, 1_000, (b"\x11" * 32,))
POLKA = Certificate(PREVOTE, (5, 2), VALUE.digest, tuple((i, bytes([i]) * 64) for i in range(3)))
PROPOSAL = Proposal(VALUE, 4, 2, POLKA)
RULES = (10, 11, 14, 22, 28, 34, 36, 44, 47, 49, 55)
"""Lines of Algorithm 1 that begin with "upon", "function" or decide who proposes."""
ACTIONS = (12, 13, 15, 16, 18, 19, 21, 23, 24, 26, 29, 30, 32, 35, 38, 39, 40, 41, 42, 43, 45, 46,
           48, 50, 51, 52, 54, 56, 57, 58, 60, 61, 64, 65, 67)  # fmt: skip


def reread(message: Proposal | Prevote) -> object:
    row = decode(encode(message.row()), message.SHAPE, size_max=100_000)
    return type(message).from_row(row)


def test_every_line_of_the_algorithm_has_its_place() -> None:
    text = inspect.getsource(tendermint) + inspect.getsource(tendermint_state)

    labels: set[int] = set()
    for first, last in re.findall(r"\bL(\d+)(?:-L(\d+))?", text):
        labels.update(range(int(first), int(last or first) + 1))

    assert labels >= {*RULES, *ACTIONS}
    for line in RULES:
        assert re.search(rf"# (L\d+, )*L{line}\b", text), f"no rule is marked L{line}"


def test_messages_survive_their_encoding() -> None:
    fresh = Proposal(replace(VALUE, slot=(5, 4)), 4, NO_ROUND, None)

    for message in (PROPOSAL, fresh, Prevote(5, 1, NIL), Prevote(5, 1, VALUE.digest)):
        assert reread(message) == message


@pytest.mark.parametrize(
    "wrong",
    [
        replace(PROPOSAL, proof=None),
        replace(PROPOSAL, valid_round=NO_ROUND),
        replace(PROPOSAL, valid_round=3),
        replace(PROPOSAL, round=2),
        replace(PROPOSAL, round=1),
        replace(PROPOSAL, valid_round=NO_ROUND, proof=None),
        replace(PROPOSAL, proof=replace(POLKA, phase=PRECOMMIT)),
        replace(PROPOSAL, proof=replace(POLKA, slot=(4, 2))),
        replace(PROPOSAL, proof=replace(POLKA, value=b"\x22" * 32)),
        replace(PROPOSAL, value=replace(VALUE, slot=(5, 3))),
        replace(PROPOSAL, value=replace(VALUE, parent=b"\x01" * 32)),
        replace(PROPOSAL, value=replace(VALUE, extra=b"\x01")),
        replace(PROPOSAL, value=replace(VALUE, slot=(5,))),
        Prevote(5, 1, b"\x01"),
    ],
)
def test_a_message_that_contradicts_itself_is_refused(wrong: Proposal | Prevote) -> None:
    with pytest.raises(DecodeFault, match="tendermint"):
        reread(wrong)


def test_the_valid_round_is_signed_and_the_polka_is_not() -> None:
    other_polka = replace(POLKA, signatures=POLKA.signatures[:2])

    assert replace(PROPOSAL, proof=other_polka).statement() == PROPOSAL.statement()
    assert replace(PROPOSAL, valid_round=3).statement() != PROPOSAL.statement()


@pytest.mark.parametrize(
    "record",
    [
        Record(1, 0, Lock(), None),
        Record(5, 4, Lock(0, VALUE), None),
        Record(5, 4, Lock(2, VALUE), Valid(VALUE, POLKA)),
        Record(5, 4, Lock(2, VALUE), Valid(VALUE, POLKA), Decided(4, 3, b"extra")),
    ],
)
def test_the_record_survives_its_encoding(record: Record) -> None:
    assert parse_record(record.encode()) == record


def test_an_observer_decides_what_it_hears_and_says_nothing() -> None:
    heard: list[Signed] = []

    def listen(sender: int, receiver: int, packet: Packet) -> bool:
        if receiver == 3 and isinstance(packet, Signed):
            heard.append(packet)
        return True

    script = Script(PluginScenario(Tendermint, payloads=0))
    script.allow = listen
    script.run_ms(5)
    script.submit(b"\x11" * 32)
    script.run()
    observer = Tendermint(replace(script.context, me=None), Recovery(Root(b"", (0,), 0), None, ()))
    effects = observer.step(Now(0, 0), Start())

    for signed in heard:
        effects += observer.step(Now(0, 0), Received(signed))

    decided = [effect.values for effect in effects if isinstance(effect, Decide)]
    assert decided == [(value,) for value in script.seats[0].log]
    assert not [one for one in effects if isinstance(one, Broadcast | Send | SetTimer)]


def test_messages_far_ahead_fill_no_memory() -> None:
    script = Script(PluginScenario(Tendermint, payloads=0))
    script.run_ms(5)
    plugin = script.seats[0].plugin
    assert isinstance(plugin, Tendermint)
    window = plugin.context.slot_window

    for instance, round_ in ((1, window + 1), (2, 9), (6, 0), (1_000_000, 0)):
        script.inject(3, Prevote(instance, round_, NIL), 0)
    script.run_ms(100)

    assert not any(plugin.log.has_heard(instance) for instance in (1, 2, 6, 1_000_000))


def test_only_the_proposer_of_a_round_proposes() -> None:
    script = Script(PluginScenario(Tendermint, payloads=0, twins=(3,)))
    script.run_ms(5)
    plugin = script.seats[0].plugin
    assert isinstance(plugin, Tendermint)
    stolen = Value(EPOCH, b"", (1, 0), 3, 1, ())

    script.inject(3, Proposal(stolen, 0, NO_ROUND, None), 0)
    script.inject(3, Proposal(replace(stolen, proposer=1), 0, NO_ROUND, None), 0)
    script.inject(3, Proposal(replace(stolen, proposer=1, slot=(1, 2)), 2, NO_ROUND, None), 0)
    script.run_ms(100)

    assert [plugin.log.proposal((1, round_), None) for round_ in range(3)] == [None] * 3


def test_an_endless_equivocator_fills_no_memory() -> None:
    script = Script(PluginScenario(Tendermint, payloads=0, twins=(1,)))
    script.run_ms(5)
    plugin = script.seats[0].plugin
    assert isinstance(plugin, Tendermint)
    values = [Value(EPOCH, b"", (1, 0), 1, n, ()) for n in range(20)]

    for value in values:
        script.inject(1, Proposal(value, 0, NO_ROUND, None), 0)
    script.run_ms(100)

    assert sum(plugin.log.value(value.digest) is not None for value in values) == 2


HASHES = """
from consensus.protocols.tendermint import Tendermint
from sim.plugins import draw_scenario, run
print(",".join(run(draw_scenario(Tendermint, seed)).trace_hash for seed in range(12)))
"""


def test_equal_seeds_make_equal_runs_in_every_process() -> None:
    traces = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", HASHES],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        traces.add(done.stdout.strip())
    here = ",".join(run(draw_scenario(Tendermint, seed)).trace_hash for seed in range(12))

    assert traces == {here}
    assert len(set(here.split(","))) == 12
