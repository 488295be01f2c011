"""Solo, and what every plugin gets from the world of bare plugins: determinism and crashes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.interface import (
    Decide,
    DecisionProof,
    Now,
    Received,
    Recovery,
    Root,
    Validate,
    Verdict,
)
from consensus.protocols.solo import SEQUENCE, Sequenced, Solo
from ledger.certificate import Certificate
from ledger.encoding import decode, encode
from ledger.errors import DecodeFault
from ledger.value import Value
from sim.plugins import EPOCH, Crash, Partition, PluginScenario, Script, draw_scenario, run

HONEST_FAULTS = (
    "crash", "partition", "loss", "duplicate", "replay", "slow", "split", "withhold", "pause",
)  # fmt: skip
PAYLOAD = (b"\x11" * 32,)


def test_the_sequencer_orders_and_all_follow() -> None:
    report = run(PluginScenario(Solo, payloads=6, payload_max=2))

    assert report.violations == ()
    assert [value.slot for value in report.decided] == [
        (n + 1,) for n in range(len(report.decided))
    ]
    assert sum(len(value.payload) for value in report.decided) == 6
    assert report.messages == 3 * len(report.decided), "one broadcast a value"


def test_an_idle_ledger_is_quiet() -> None:
    report = run(PluginScenario(Solo, payloads=0))

    assert (report.messages, report.events) == (0, 4), "one start each"


def test_random_faults_only_delay_it() -> None:
    for seed in range(100):
        report = run(draw_scenario(Solo, seed, faults=HONEST_FAULTS))
        assert report.violations == (), f"seed {seed}: {report.violations}"


def test_a_follower_that_was_cut_off_gets_the_decisions() -> None:
    apart = Partition(0, 3_000, ((0, 1, 2), (3,)))

    report = run(PluginScenario(Solo, partitions=(apart,), stable_ms=3_000))

    assert report.violations == ()
    assert len(set(report.lengths)) == 1


def test_a_dead_sequencer_stops_the_ledger() -> None:
    report = run(PluginScenario(Solo, crashes=(Crash(0, 0, None), Crash(0, 5, None)), stable_ms=6))

    assert report.properties == ("liveness",)


def test_a_restarted_sequencer_says_the_same_again() -> None:
    script = Script(PluginScenario(Solo, payloads=0, exchange_ms=0))
    script.allow = lambda sender, receiver, packet: False
    script.run_ms(5)
    script.submit(*PAYLOAD)
    script.crash(0, "after")
    assert script.run_until(lambda: not script.seats[0].is_up, limit_ms=1_000)

    script.allow = None
    script.restart(0)

    assert script.run_until(lambda: all(seat.durable for seat in script.seats), limit_ms=1_000)
    assert script.oracles.violations == []


def test_only_the_sequencers_signature_decides() -> None:
    script = Script(PluginScenario(Solo, payloads=0))
    script.run_ms(5)
    value = Value(EPOCH, b"", (1,), 1, 1_000, PAYLOAD)
    signed = script.inject(1, Sequenced(value), 2)
    plugin = script.seats[2].plugin
    assert plugin is not None
    forged = Certificate(SEQUENCE, (1,), value.digest, ((1, signed.signature),))

    plugin.on_decision((value,), DecisionProof((forged,)))
    script.run_ms(1_000)

    assert script.seats[2].log == []


def test_a_value_is_judged_once_those_before_it_are_decided() -> None:
    script = Script(PluginScenario(Solo, payloads=0))
    plugin = Solo(replace(script.context, me=2), Recovery(Root(b"", (0,), 0), None, ()))
    first, second = (Value(EPOCH, b"", (n,), 0, n, (bytes([n]) * 32,)) for n in (1, 2))
    now = Now(0, 0)

    early = plugin.step(now, Received(script.sign(0, Sequenced(second))))
    due = plugin.step(now, Received(script.sign(0, Sequenced(first))))
    done = plugin.step(now, Verdict(first, valid=True))

    assert early == []
    assert due == [Validate(first)]
    assert [one.values for one in done if isinstance(one, Decide)] == [(first,)]
    assert done[-1] == Validate(second)


def test_a_chained_value_is_no_message() -> None:
    value = Value(EPOCH, b"\x01" * 32, (1,), 0, 1_000, PAYLOAD)
    row = decode(encode((value.raw,)), Sequenced.SHAPE, size_max=10_000)

    with pytest.raises(DecodeFault, match=r"solo\.value"):
        Sequenced.from_row(row)
