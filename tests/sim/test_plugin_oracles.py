"""Every oracle of bare plugins sees the fault planted for it, and nothing in a plain run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from consensus.interface import (
    Accuse,
    Broadcast,
    Certified,
    Consensus,
    Decide,
    DecisionProof,
    Effect,
    Event,
    Now,
    Received,
    Signed,
)
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import PREVOTE, Prevote
from ledger.certificate import Certificate
from ledger.validators import QuorumRule
from ledger.value import Value
from sim.plugin_memory import items_kept
from sim.plugins import PluginReport, PluginScenario, Script, draw_twins, run
from sim.quorums import quorum

Change = Callable[[Consensus, Effect], list[Effect]]


def planted(change: Change, protocol: type[Consensus] = Tendermint) -> PluginReport:
    """A run without faults in which honest plugins say what `change` makes of their words."""

    class Planted(protocol):  # type: ignore[misc, valid-type]
        def step(self, now: Now, event: Event) -> list[Effect]:
            effects = super().step(now, event)
            return [made for effect in effects for made in change(self, effect)]

    return run(PluginScenario(Planted, payloads=4))


@pytest.mark.parametrize("protocol", [Tendermint, Jolteon])
def test_a_run_without_faults_breaks_nothing(protocol: type[Consensus]) -> None:
    report = planted(lambda _, effect: [effect], protocol)

    assert report.violations == ()
    assert report.decided
    assert not report.forked


def test_decisions_that_differ_are_no_agreement() -> None:
    def change(plugin: Consensus, effect: Effect) -> list[Effect]:
        if isinstance(effect, Decide) and plugin.me == 2:
            value = effect.values[0]
            return [replace(effect, values=(replace(value, timestamp_ms=value.timestamp_ms + 1),))]
        return [effect]

    report = planted(change)

    assert "agreement" in report.properties
    assert report.forked


def test_a_value_that_does_not_extend_the_last_one_breaks_the_prefix() -> None:
    def change(plugin: Consensus, effect: Effect) -> list[Effect]:
        if isinstance(effect, Decide):
            orphan = replace(effect.values[0], parent=b"\x09" * 32)
            return [replace(effect, values=(orphan, *effect.values[1:]))]
        return [effect]

    assert "prefix" in planted(change, Jolteon).properties


def test_a_log_that_is_rewritten_after_a_restart_breaks_the_prefix() -> None:
    world = Script(PluginScenario(Tendermint, payloads=0))
    world.submit(b"\x01" * 32)
    assert world.run_until(lambda: world.seats[1].durable, limit_ms=5_000)
    seat = world.seats[1]
    seat.crash()
    seat.log, seat.durable, seat.certified = [], 0, 0
    other = Value(world.context.epoch, b"", (1, 0), 1, 7, ())

    world.restart(1)
    seat.certify([other])

    assert "prefix" in world.report().properties


def test_a_payload_that_is_decided_twice_is_noticed() -> None:
    def change(plugin: Consensus, effect: Effect) -> list[Effect]:
        if isinstance(effect, Decide):
            again = replace(effect.values[0], timestamp_ms=1)
            return [replace(effect, values=(*effect.values, again))]
        return [effect]

    assert "once" in planted(change).properties


def test_a_value_that_names_a_payload_twice_is_not_valid() -> None:
    def change(plugin: Consensus, effect: Effect) -> list[Effect]:
        if isinstance(effect, Decide):
            value = effect.values[0]
            return [replace(effect, values=(replace(value, payload=value.payload * 2),))]
        return [effect]

    assert "validity" in planted(change).properties


def without_one(certificate: Certificate) -> Certificate:
    return replace(certificate, signatures=certificate.signatures[1:])


def padded(certificate: Certificate) -> Certificate:
    """As many signatures as before, one of them twice."""
    return replace(certificate, signatures=certificate.signatures[1:] + certificate.signatures[-1:])


def misnamed(certificate: Certificate) -> Certificate:
    """A signature under the name of somebody else."""
    taken = {index for index, _ in certificate.signatures}
    free = next(index for index in range(4) if index not in taken)
    (_, signature), *others = certificate.signatures
    return replace(certificate, signatures=tuple(sorted([(free, signature), *others])))


@pytest.mark.parametrize("spoil", [without_one, padded, misnamed])
def test_a_decision_needs_a_quorum_of_right_signatures(
    spoil: Callable[[Certificate], Certificate],
) -> None:
    def change(plugin: Consensus, effect: Effect) -> list[Effect]:
        if isinstance(effect, Decide):
            return [replace(effect, proof=DecisionProof((spoil(effect.proof.certificates[0]),)))]
        return [effect]

    assert "proof" in planted(change).properties


def test_a_decision_without_a_certificate_is_no_decision() -> None:
    def change(plugin: Consensus, effect: Effect) -> list[Effect]:
        return (
            [replace(effect, proof=DecisionProof(()))] if isinstance(effect, Decide) else [effect]
        )

    assert "proof" in planted(change).properties


def test_an_honest_validator_never_sends_a_wrong_certificate() -> None:
    def change(plugin: Consensus, effect: Effect) -> list[Effect]:
        if isinstance(effect, Broadcast) and isinstance(effect.what, Certificate):
            return [Broadcast(misnamed(effect.what))]
        return [effect]

    assert "proof" in planted(change, Jolteon).properties


def test_two_certificates_for_one_phase_and_slot_are_noticed_while_liars_are_few() -> None:
    def seen(byzantine: tuple[int, ...]) -> tuple[str, ...]:
        attacks = tuple((validator, "silent") for validator in byzantine)
        world = Script(PluginScenario(Tendermint, payloads=0, attacks=attacks))
        for value in (b"", b"\x01" * 32):
            votes = [world.sign(signer, Prevote(1, 0, value)) for signer in range(3)]
            signatures = tuple((vote.sender, vote.signature) for vote in votes)
            world.transmit(3, None, Certificate(PREVOTE, (1, 0), value, signatures))
        return world.report().properties

    assert seen((3,)) == ("certificates",)
    assert seen((2, 3)) == ()


def test_an_honest_validator_that_says_two_things_is_noticed() -> None:
    def change(plugin: Consensus, effect: Effect) -> list[Effect]:
        if isinstance(effect, Broadcast) and isinstance(effect.what, Prevote) and plugin.me == 1:
            return [effect, Broadcast(replace(effect.what, value=b"\x05" * 32))]
        return [effect]

    assert "breakdown" in planted(change).properties

    world = Script(PluginScenario(Tendermint, payloads=0))
    for value in (b"", b"\x05" * 32):
        world.transmit(1, None, world.sign(1, Prevote(1, 0, value)))
    assert world.report().properties == ("equivocation",)


def accusing(change: Callable[[Signed], tuple[Signed, Signed]]) -> tuple[str, ...]:
    """What is broken where validator 0 accuses others by what it hears of them."""

    class Accuses(Tendermint):
        def on_message(self, signed: Signed) -> None:
            super().on_message(signed)
            if isinstance(signed.message, Prevote) and signed.sender == 3 and self.me == 0:
                self.accuse(*change(signed))

    return run(PluginScenario(Accuses, payloads=2, attacks=((3, "replaying"),))).properties


def test_an_accusation_proves_itself() -> None:
    def same_twice(signed: Signed) -> tuple[Signed, Signed]:
        return signed, signed

    def made_up(signed: Signed) -> tuple[Signed, Signed]:
        return signed, replace(signed, message=Prevote(1, 0, b"\x05" * 32))

    def of_another(signed: Signed) -> tuple[Signed, Signed]:
        return signed, replace(signed, sender=2)

    assert [accusing(each) for each in (same_twice, made_up, of_another)] == [("accusation",)] * 3


def test_nobody_honest_is_accused() -> None:
    world = Script(PluginScenario(Tendermint, payloads=0))
    first, second = (world.sign(2, Prevote(1, 0, value)) for value in (b"", b"\x05" * 32))

    world.oracles.accusation(Accuse(first, second))

    assert world.report().properties == ("accusation",)


def test_a_plugin_that_forgets_nothing_is_noticed_at_rest() -> None:
    class Hoards(Tendermint):
        def on_message(self, signed: Signed) -> None:
            self.__dict__.setdefault("hoard", []).append(signed)
            super().on_message(signed)

    scenario = PluginScenario(Hoards, payloads=60, payload_max=1, interval_ms=5)

    assert run(scenario).properties == ("memory",)
    assert run(replace(scenario, protocol=Tendermint)).properties == ()


def test_a_plugin_that_starts_ever_more_timers_is_noticed() -> None:
    class Winds(Tendermint):
        def on_message(self, signed: Signed) -> None:
            super().on_message(signed)
            self.set_timer("more", (len(self.__dict__.setdefault("wound", [])),), 3_000)
            self.wound.append(0)

    assert "memory" in run(PluginScenario(Winds, payloads=8, payload_max=1)).properties


def test_items_are_counted_once_wherever_they_hang() -> None:
    world = Script(PluginScenario(Tendermint, payloads=0))
    world.run_ms(5)
    plugin = world.seats[0].plugin
    assert plugin is not None
    before = items_kept(plugin)

    shared = {1: [b"a", b"b"], 2: (frozenset({3}),)}
    plugin.kept = [shared, shared]  # type: ignore[attr-defined]

    assert items_kept(plugin) == before + 6


def test_a_plugin_that_never_sleeps_is_noticed() -> None:
    class Restless(Tendermint):
        def on_start(self) -> None:
            super().on_start()
            self.set_timer("restless", (0,), 500)

        def on_timer(self, timer: object) -> None:
            self.set_timer("restless", (0,), 500)

    assert "silence" in run(PluginScenario(Restless, payloads=0, bound_ms=900)).properties


def test_a_twin_that_waits_for_its_own_invalid_value_is_not_the_protocols_fault() -> None:
    """Mutation 255 of seed 1, made small: the last proposal is a twin's, and invalid."""

    class Restless(Jolteon):
        def has_work(self) -> bool:
            return True

    scenario = PluginScenario(
        Jolteon,
        seed=1_000_255,
        parameters=(("timeout_max_ms", 200), ("timeout_ms", 25)),
        twins=(1,),
        payloads=2,
        payload_max=1,
        interval_ms=1,
        delay_us=200,
        jitter_us=300,
        sync_us=50,
        duplicate=50,
        split=500,
        withhold=1_000,
        mutate=600,
        bad=300,
        stable_ms=65,
        bound_ms=1_000,
        quiet_ms=1_000,
    )

    assert run(scenario).violations == ()
    assert run(replace(scenario, protocol=Restless)).properties == ("silence",)


def test_a_plugin_that_stops_is_not_live() -> None:
    class Stops(Tendermint):
        def on_certified(self, root: object) -> None:
            """Hear of no certificate."""

        def step(self, now: Now, event: Event) -> list[Effect]:
            is_late = isinstance(event, Received) and event.signed.message.statement()[1][0] > 1
            return [] if is_late or isinstance(event, Certified) else super().step(now, event)

    report = run(PluginScenario(Stops, payloads=3, payload_max=1, bound_ms=5_000, exchange_ms=0))

    assert "liveness" in report.properties


def test_where_liars_are_too_many_forks_are_told_and_not_judged() -> None:
    forked = 0
    for seed in range(8):
        base = draw_twins(Tendermint, seed, stable_ms=300)
        attacks = ((2, "equivocating"), (3, "equivocating"))
        report = run(replace(base, twins=(), attacks=attacks, crashes=(), mutate=0, rounds=()))
        assert report.violations == (), (seed, report.violations)
        assert set(report.accused) <= {2, 3}
        forked += report.forked

    assert forked > 0


def test_the_quorums_of_the_oracle_overlap_as_they_must() -> None:
    for size in range(1, 22):
        liars = (size - 1) // 3
        assert 2 * quorum(size, QuorumRule.BYZANTINE) - size > liars
        assert quorum(size, QuorumRule.BYZANTINE) <= size - liars
        assert 2 * quorum(size, QuorumRule.CRASH) - size > 0
        assert quorum(size, QuorumRule.CRASH) <= size - (size - 1) // 2
