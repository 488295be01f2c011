"""More than a handful of validators: a few are told at a time, and nothing hangs on those few."""

from __future__ import annotations

import pytest

from consensus import confirmation
from consensus.certifier import collectors
from consensus.io import Channel
from consensus.outbox import FEW, FEW_ABOVE, Outbox
from consensus.protocols.mysticeti import Mysticeti
from consensus.protocols.tendermint import Tendermint
from ledger.validators import QuorumRule, Validator, ValidatorSet
from sim.faults import draw_scenario
from sim.run import Run, run
from sim.scenario import FOR_EVER_MS, Incident, Load, Scenario, Weather

FEW_WISHES = Load(transactions=6, members=1, interval_ms=400, unsound=0)


def validators(count: int) -> ValidatorSet:
    return ValidatorSet((Validator("", b"", b"", b""),) * count, QuorumRule.BYZANTINE)


def test_everybody_collects_in_a_small_network_and_three_in_turn_in_a_large_one() -> None:
    assert collectors(validators(7), 5) == []
    seen = [collectors(validators(10), height) for height in range(1, 11)]

    assert seen[0] == [3, 4, 5]
    assert all(len(set(chosen)) == 3 for chosen in seen)
    assert {index for chosen in seen for index in chosen} == set(range(10))


def test_the_next_few_are_all_in_a_small_network_and_everyone_in_turn_in_a_large_one() -> None:
    outbox = Outbox(0, 4)
    outbox.connected = dict.fromkeys(range(FEW_ABOVE))
    assert outbox.next_few() == list(range(FEW_ABOVE))

    outbox.connected = dict.fromkeys(range(20))
    turns = [outbox.next_few() for _ in range(10)]

    assert all(len(set(turn)) == FEW for turn in turns)
    assert {peer for turn in turns for peer in turn} == set(range(20))


def test_a_height_whose_collectors_are_all_down_is_certified_all_the_same() -> None:
    down = tuple(Incident("crash", 1, FOR_EVER_MS, (index,)) for index in collectors(
        validators(10), 1))  # fmt: skip
    scenario = Scenario(3, "tendermint", 10, load=FEW_WISHES, incidents=down, stable_ms=1_000)

    report = run(scenario, Tendermint)

    assert report.is_passed
    assert report.confirmed == report.wishes
    assert [height == 0 for height in report.certified] == [
        index in (3, 4, 5) for index in range(10)
    ]


def test_collectors_spare_most_of_the_checkpoint_traffic() -> None:
    report = run(Scenario(3, "tendermint", 10, load=FEW_WISHES), Tendermint)

    height = max(report.certified)
    everyone_to_everyone = 10 * 9 * height
    assert report.is_passed
    assert report.frames[Channel.CHECKPOINT.name.lower()] < everyone_to_everyone


def test_large_proofs_are_not_sent_to_who_is_about_to_decide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    links = Weather(delay_us=80_000, jitter_us=40_000)
    scenario = Scenario(3, "mysticeti", 7, weather=links, calm=links, load=FEW_WISHES)

    at_once = run(scenario, Mysticeti)
    monkeypatch.setattr(confirmation, "LARGE_PROOF", 0)
    later = run(scenario, Mysticeti)

    assert at_once.is_passed
    assert later.is_passed
    assert later.bytes["sync"] < at_once.bytes["sync"] / 4


@pytest.mark.parametrize("seed", [5, 101])
def test_replicas_that_share_an_inspector_do_what_they_do_with_one_each(seed: int) -> None:
    scenario = draw_scenario(seed, "tendermint", 4)

    shared, apart = run(scenario, Tendermint), Run(scenario, Tendermint)
    apart.inspector = None

    assert apart.lead().trace_hash == shared.trace_hash
