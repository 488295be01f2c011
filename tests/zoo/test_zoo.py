"""The zoo is complete, its mutants die for the right reason, and a survivor is loud."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from consensus.confirmation import Confirmation
from consensus.dissemination import Dissemination
from consensus.greeting import Greeting
from consensus.inspector import Inspector
from consensus.interface import Consensus
from consensus.ordering import Ordering
from consensus.protocols.mysticeti import Mysticeti
from consensus.protocols.pbft import Pbft
from consensus.protocols.tendermint import Tendermint
from consensus.replica import Replica
from consensus.sync import CatchUp
from consensus.values import Values
from ledger.evidence import Judge
from ledger.execution import Executor
from tests.consensus.tendermint_bench import REPUTATION, STICKY
from tests.schedules.test_catch_up import ForgivesHangingUp
from tests.zoo import __main__ as command
from tests.zoo import (
    campaign,
    drawn_blocks,
    drawn_catch_up,
    drawn_checkpoints,
    drawn_dags,
    drawn_farewells,
    drawn_floors,
    drawn_greetings,
    drawn_leads,
    drawn_pools,
    drawn_questions,
    drawn_ranges,
    drawn_values,
    drawn_votes,
    drawn_words,
    exile,
    forgeries,
    healing,
    hostile,
    mechanical,
    pestering,
    saved,
    strategies,
    whole,
)
from tests.zoo.leader_rows import LEADERS
from tests.zoo.model import KINDS, PROPERTIES, Mutant, Verdict
from tests.zoo.registry import MUTANTS, ROWS, missing_rows, row_of
from tests.zoo.rows import NOT_HERE

BY_ID = {mutant.id: mutant for mutant in MUTANTS}
ATTEMPTS = 40
"""Within which each easy mutant is found by a strategy that knows nothing of it."""
EASY = [mutant for mutant in MUTANTS if mutant.easy]
UNHARMED = Mutant(
    "X0", "tendermint", "safety", "nothing", ("P1",), plugin=Tendermint, base=Tendermint
)
DOCUMENTED = [
    shlex.split(line, comments=True)
    for line in re.findall(
        r"^    python -m tests\.zoo (.*)$",
        (Path(__file__).parents[2] / "docs" / "zoo.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
]
KNOWN_PROPERTIES = {*PROPERTIES.values(), "P2", "P3", "P8", "P9", "P12", "P16"}


def test_every_row_of_the_table_has_a_mutant_or_a_reason() -> None:
    assert missing_rows() == []
    both = {row_of(mutant.id) for mutant in MUTANTS} & set(NOT_HERE)
    assert both == set(), "a row that has a mutant needs no reason"
    assert set(NOT_HERE) <= set(ROWS)


def test_every_mutant_says_what_it_lacks_and_what_must_break() -> None:
    assert [one for one, count in Counter(m.id for m in MUTANTS).items() if count > 1] == []
    for mutant in MUTANTS:
        assert mutant.kind in KINDS
        assert mutant.removed
        assert mutant.expected, mutant.id
        assert set(mutant.expected) <= KNOWN_PROPERTIES
        assert any(strategy.fits(mutant) for strategy in strategies.STRATEGIES), mutant.id


@pytest.mark.parametrize("mutant", EASY, ids=lambda mutant: mutant.id)
def test_an_easy_mutant_is_found_by_chance(mutant: Mutant) -> None:
    hunter = strategies.BY_NAME[mutant.easy]

    verdicts = (hunter.attempt(mutant, number)[0] for number in range(ATTEMPTS))

    assert any(verdict.is_kill for verdict in verdicts)


def test_hypothesis_draws_alike_before_and_after_a_find(monkeypatch: pytest.MonkeyPatch) -> None:
    """It plays choices again, and takes it for flaky where they then ask for less."""
    monkeypatch.setattr(strategies, "judge", lambda *_: Verdict(("P1",)))

    for number in range(4):
        verdict, tried = strategies.attempt_hypothesis(BY_ID["Z1-jolteon"], number)
        assert (verdict.broken, tried) == (("P1",), 1)


def test_nothing_is_found_where_nothing_is_missing() -> None:
    for name in ("twins", "swarm", "mutation", "random", "plots"):
        for number in range(2):
            verdict, _ = strategies.BY_NAME[name].attempt(UNHARMED, number)
            assert verdict.broken == (), f"{name} {number}"


def test_the_judge_of_evidence_believes_no_forgery() -> None:
    assert [piece for piece in range(200) if forgeries.accuses(Judge, piece)] == []


def test_the_executor_keeps_every_promise_in_drawn_blocks() -> None:
    assert [ledger for ledger in range(60) if drawn_blocks.broken(Executor, ledger)] == []


def test_a_tally_keeps_its_bound_whatever_is_said() -> None:
    assert [words for words in range(200) if drawn_votes.broken(words)] == []


def test_no_range_stops_a_replica_or_is_executed_in_part() -> None:
    assert [given for given in range(60) if drawn_ranges.broken(given)] == []


def test_a_pool_keeps_its_promises_in_every_drawn_life() -> None:
    assert [life for life in range(100) if drawn_pools.broken(Dissemination, life)] == []


@pytest.mark.parametrize("id_", [id_ for id_ in drawn_pools.POOLS if id_ != "B5"])
def test_a_pool_that_lacks_a_rule_is_found_in_drawn_lives(id_: str) -> None:
    assert any(drawn_pools.PART.attempt(BY_ID[id_], life)[0].is_kill for life in range(30))


def test_liars_cost_whoever_catches_up_one_wait_each() -> None:
    assert [life for life in range(300) if drawn_catch_up.broken(CatchUp, life)] == []
    assert drawn_catch_up.broken(ForgivesHangingUp, 190) == ("P10",)


@pytest.mark.parametrize("id_", drawn_catch_up.KINDS)
def test_catching_up_that_lacks_a_rule_is_found_among_drawn_liars(id_: str) -> None:
    assert any(drawn_catch_up.PART.attempt(BY_ID[id_], life)[0].is_kill for life in range(30))


def test_what_is_judged_valid_may_be_decided_and_the_other_way_round() -> None:
    assert [sequence for sequence in range(200) if drawn_values.broken(Values, sequence)] == []


@pytest.mark.parametrize("id_", drawn_values.JUDGES)
def test_a_judge_of_values_that_lacks_a_rule_is_found_in_drawn_sequences(id_: str) -> None:
    assert any(drawn_values.PART.attempt(BY_ID[id_], number)[0].is_kill for number in range(20))


def test_no_restart_lets_a_validator_contradict_what_left_or_keeps_an_intact_one_silent() -> None:
    assert [number for number in range(400) if drawn_greetings.broken(Greeting, number)] == []


@pytest.mark.parametrize("id_", drawn_greetings.KINDS)
def test_a_greeting_that_lacks_a_rule_is_found_in_drawn_restarts(id_: str) -> None:
    assert any(drawn_greetings.PART.attempt(BY_ID[id_], number)[0].is_kill for number in range(60))


@pytest.mark.parametrize("protocol", [STICKY, REPUTATION])
def test_right_proposals_get_their_vote_and_wrong_ones_none(protocol: type[Tendermint]) -> None:
    assert [number for number in range(200) if drawn_leads.broken(protocol, number)] == []


@pytest.mark.parametrize(
    "mutant",
    [one for one in LEADERS if drawn_leads.fits(one) and not one.equivalent],
    ids=lambda mutant: mutant.id,
)
def test_a_validator_that_is_wrong_about_who_leads_is_found_in_drawn_histories(
    mutant: Mutant,
) -> None:
    assert any(drawn_leads.attempt(mutant, number)[0].is_kill for number in range(150))


def test_no_word_is_refused_before_its_decision_is_certified() -> None:
    assert [life for life in range(150) if drawn_floors.broken(Ordering, life)] == []


@pytest.mark.parametrize("id_", drawn_floors.KINDS)
def test_an_ordering_that_lets_floors_rise_too_early_is_found_in_drawn_lives(id_: str) -> None:
    assert any(drawn_floors.PART.attempt(BY_ID[id_], life)[0].is_kill for life in range(30))


def test_what_a_plugin_asks_for_is_asked_for_until_it_comes_or_is_passed() -> None:
    assert [life for life in range(100) if drawn_questions.broken(Ordering, life)] == []


@pytest.mark.parametrize("id_", drawn_questions.KINDS)
def test_an_ordering_that_forgets_or_never_ends_a_question_is_found(id_: str) -> None:
    assert any(drawn_questions.PART.attempt(BY_ID[id_], life)[0].is_kill for life in range(20))


def test_who_was_cut_off_is_told_of_the_last_block() -> None:
    assert [life for life in range(10) if drawn_farewells.broken(Replica, life)] == []


@pytest.mark.parametrize("id_", drawn_farewells.KINDS)
def test_replicas_that_leave_too_soon_are_found(id_: str) -> None:
    assert any(drawn_farewells.PART.attempt(BY_ID[id_], life)[0].is_kill for life in range(20))


@pytest.mark.parametrize("protocol", [Pbft, Mysticeti])
def test_who_asks_again_and_again_is_not_answered_each_time(protocol: type[Consensus]) -> None:
    assert [number for number in range(10) if pestering.broken(protocol, number)] == []


@pytest.mark.parametrize("id_", ["L13-pbft", "G14-mysticeti"])
def test_a_protocol_that_always_answers_is_found(id_: str) -> None:
    assert any(pestering.attempt(BY_ID[id_], number)[0].is_kill for number in range(10))


def test_what_all_executed_is_certified_everywhere_once_nothing_is_lost_any_more() -> None:
    assert [life for life in range(60) if drawn_checkpoints.broken(Confirmation, life)] == []


@pytest.mark.parametrize("id_", drawn_checkpoints.KINDS)
def test_a_confirmation_that_lacks_a_rule_is_found_in_drawn_lives(id_: str) -> None:
    assert any(drawn_checkpoints.PART.attempt(BY_ID[id_], life)[0].is_kill for life in range(20))


def test_words_of_elsewhere_and_padded_proofs_pass_no_inspector() -> None:
    assert [number for number in range(150) if drawn_words.broken(Inspector, number)] == []


@pytest.mark.parametrize("id_", drawn_words.KINDS)
def test_an_inspector_that_lacks_a_rule_is_found_by_drawn_words(id_: str) -> None:
    assert any(drawn_words.PART.attempt(BY_ID[id_], number)[0].is_kill for number in range(300))


def test_whole_replicas_end_for_a_validator_that_asks_for_ever() -> None:
    assert not whole.attempt(BY_ID["D6-mysticeti"], 0)[0].is_kill


def test_a_drawn_dag_ends_for_a_validator_that_asks_for_ever() -> None:
    assert not drawn_dags.attempt(BY_ID["D6-mysticeti"], 0)[0].is_kill


def test_followers_of_a_drawn_dag_agree_and_believe_what_one_of_them_decided() -> None:
    assert [number for number in range(16) if drawn_dags.broken(Mysticeti, number)] == []


@pytest.mark.parametrize(
    ("id_", "number"),
    [
        ("G2-mysticeti", 37),
        ("D2m-mysticeti", 25),
        ("G10-mysticeti", 5),
        ("G11-mysticeti", 0),
        ("G16-mysticeti", 9),
        ("G17-mysticeti", 15),
        ("G18-mysticeti", 0),
        ("G19-mysticeti", 36),
    ],
)
def test_a_rule_of_a_dag_that_is_missing_shows_in_a_drawn_one(id_: str, number: int) -> None:
    assert drawn_dags.attempt(BY_ID[id_], number)[0].is_kill


BASES = {mutant.protocol: mutant.base for mutant in MUTANTS if exile.fits(mutant)}


@pytest.mark.parametrize("protocol", BASES)
def test_cutting_off_whoever_decides_first_breaks_no_protocol(protocol: str) -> None:
    base = BASES[protocol]
    assert base is not None
    assert [number for number in range(8) if exile.broken(base, number)] == []


@pytest.mark.parametrize("protocol", BASES)
def test_every_protocol_recovers_from_whoever_was_cut_off(protocol: str) -> None:
    base = BASES[protocol]
    assert base is not None
    assert [number for number in range(4) if healing.broken(base, number)] == []


@pytest.mark.parametrize("protocol", BASES)
def test_whole_replicas_with_nobody_to_spare_go_on(protocol: str) -> None:
    base = BASES[protocol]
    assert base is not None
    assert [number for number in range(3) if whole.broken(base, number)] == []


@pytest.mark.parametrize(
    ("id_", "number"), [("R9-raft", 34), ("R10-raft", 314), ("T1a-mysticeti", 19)]
)
def test_a_protocol_that_has_nobody_to_spare_and_stops_is_found(id_: str, number: int) -> None:
    assert whole.attempt(BY_ID[id_], number)[0].is_kill


def test_a_protocol_that_does_not_recover_is_found() -> None:
    assert healing.attempt(BY_ID["L11-simplex"], 93)[0].is_kill


@pytest.mark.parametrize(
    ("id_", "number"),
    [
        ("Z3-tendermint", 16),
        ("Z8-jolteon", 46),
        ("D2-pbft", 4),
        ("R1-raft", 16),
        ("R8-raft", 488),
    ],
)
def test_who_decides_alone_is_forgotten_without_the_rule_that_protects_him(
    id_: str, number: int
) -> None:
    assert exile.attempt(BY_ID[id_], number)[0].is_kill


def test_a_find_that_the_protocol_shares_is_no_kill() -> None:
    broken = BY_ID["Z1-tendermint"]
    shared = replace(broken, base=broken.plugin)

    verdict, _ = saved.attempt(shared, 0)

    assert verdict.broken
    assert not verdict.is_kill


def test_another_property_than_the_expected_one_is_no_kill() -> None:
    verdict, _ = saved.attempt(replace(BY_ID["Z1-tendermint"], expected=("P16",)), 0)

    assert verdict.broken == ()


def test_a_saved_test_must_fail_once_its_mutant_has_the_rule_again() -> None:
    mutant = BY_ID["D12"]

    assert saved.passes(mutant)
    assert not saved.passes(mutant, disarmed=True)


def test_a_test_that_needs_no_mutant_kills_none() -> None:
    assert BY_ID["D12"].test is not None
    blind = replace(BY_ID["D12"].test, function="test_confirmed_means_certified_and_durable")

    verdict, _ = saved.attempt(replace(BY_ID["D12"], test=blind), 0)

    assert not verdict.is_kill


def run_here(identity: str, strategy: str, first: int, seconds: float) -> strategies.Slice:
    """A slice of work without another process, on the mutants of the test."""
    mutant = {**BY_ID, UNHARMED.id: UNHARMED}[identity]
    return strategies.work(mutant, strategy, first, min(seconds, 0.05))


class Here:
    """Stands in for the pool of processes."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def submit(self, work: object, *arguments: object) -> campaign.Future[strategies.Slice]:
        future: campaign.Future[strategies.Slice] = campaign.Future()
        future.set_result(run_here(*arguments))  # type: ignore[arg-type]
        return future

    def shutdown(self, **_: object) -> None: ...


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command works in this process."""
    monkeypatch.setattr(campaign, "ProcessPoolExecutor", Here)


@pytest.mark.usefixtures("here")
def test_a_mutant_that_survives_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "MUTANTS", (*MUTANTS, UNHARMED))
    arguments = ["--budget", "0.5s", "--strategy", "swarm", "--json", str(tmp_path / "zoo.json")]

    code = command.main([*arguments, "--mutant", "X0"])

    assert code == 1
    assert "survived: X0 Tendermint" in capsys.readouterr().out
    assert json.loads((tmp_path / "zoo.json").read_text())["killed"] == 0


@pytest.mark.usefixtures("here")
def test_a_run_that_finds_all_succeeds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wanted = ["--mutant", "Z1-tendermint", "--mutant", "Z3-tendermint", "--mutant", "Z9-jolteon"]
    table = tmp_path / "zoo.md"

    code = command.main([*wanted, "--strategy", "schedule", "--markdown", str(table)])

    assert code == 0
    assert "mutation score: 3 of 3, 100.0 %" in capsys.readouterr().out
    assert "| Z3-tendermint | IgnoresLock | P1 |" in table.read_text()


def test_an_unknown_mutant_is_the_users_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--mutant", "Z99"]) == 2
    assert "no mutant Z99" in capsys.readouterr().err


class Failing(Here):
    """A pool whose workers fail at one mutant, or die of it."""

    error: Exception

    def submit(self, work: object, *arguments: object) -> campaign.Future[strategies.Slice]:
        if arguments[0] != "Z9-jolteon":
            return super().submit(work, *arguments)
        future: campaign.Future[strategies.Slice] = campaign.Future()
        future.set_exception(self.error)
        return future


@pytest.mark.parametrize(
    "error", [RuntimeError("a judge\nstumbled"), campaign.BrokenProcessPool("a worker died")]
)
def test_a_worker_that_fails_is_a_row_of_the_table_and_ends_nothing(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(campaign, "ProcessPoolExecutor", Failing)
    monkeypatch.setattr(Failing, "error", error, raising=False)
    wanted = ["--mutant", "Z9-jolteon", "--mutant", "Z1-tendermint"]

    code = command.main([*wanted, "--strategy", "schedule"])

    told = capsys.readouterr().out
    assert code == 1
    assert "mutation score: 1 of 2" in told
    words = " ".join(str(error).split())
    crash = f"schedule from attempt 0 on: {type(error).__name__}: {words}"
    assert f"NOT FOUND; crashed: {crash}" in told
    assert f"a worker failed: Z9-jolteon {crash}" in told


def test_a_failed_worker_fails_a_run_that_found_everything() -> None:
    hunted = campaign.Campaign([BY_ID["Z1-tendermint"]], ["schedule"])
    future: campaign.Future[strategies.Slice] = campaign.Future()
    future.set_result(run_here("Z1-tendermint", "schedule", 0, 1.0))
    turn = hunted._turns["Z1-tendermint"]
    hunted._ended(campaign._Job(turn, "schedule", 0), future, lambda case, slice_: None)
    assert hunted.is_perfect

    hunted.cases[0].crashes.append("swarm from attempt 3 on: RuntimeError")

    assert not hunted.is_perfect


def test_the_strategy_that_spent_least_for_its_weight_is_next_and_each_slice_doubles_it() -> None:
    hunted = campaign.Campaign([BY_ID["Z4-tendermint"]], ["twins", "swarm"])
    turn = hunted._turns["Z4-tendermint"]
    weight = strategies.BY_NAME["swarm"].weight
    assert weight > strategies.BY_NAME["twins"].weight == 1
    assert turn.choose() == ("swarm", campaign.FIRST_SLICE_S)
    turn.case.efforts["swarm"] = campaign.Effort(1, 3.0)
    assert turn.choose() == ("twins", campaign.FIRST_SLICE_S)
    turn.case.efforts["twins"] = campaign.Effort(9, 5.0)
    assert turn.choose() == ("swarm", 3.0)
    turn.case.efforts["swarm"] = campaign.Effort(9, 90.0 * weight)
    turn.case.efforts["twins"] = campaign.Effort(9, 90.5)
    assert turn.choose() == ("swarm", campaign.LONGEST_SLICE_S)


# --- the machine's own mutants --------------------------------------------------------------------


def test_the_machine_changes_every_rule() -> None:
    assert [
        rule for owner, rule in mechanical.RULES if not mechanical.changes_of(owner, rule)
    ] == []


def test_a_rule_that_the_machine_broke_is_noticed_in_its_own_process() -> None:
    rules = [rule for _, rule in mechanical.RULES]
    place = rules.index("quorum_size")
    right = mechanical.validators.quorum_size.__code__

    by = mechanical.hunt((place, 0))

    assert by.startswith("test_certificate.py::")
    assert mechanical.validators.quorum_size.__code__ is right


# --- the document ---------------------------------------------------------------------------------


def test_the_document_speaks_of_every_mutant_and_every_row() -> None:
    text = (Path(__file__).parents[2] / "docs" / "zoo.md").read_text(encoding="utf-8")

    assert [mutant.id for mutant in MUTANTS if f"| {mutant.id} |" not in text] == []
    assert [row for row, reason in NOT_HERE.items() if row not in text] == []


@pytest.mark.parametrize("line", DOCUMENTED, ids=lambda words: " ".join(words))
def test_the_document_names_commands_that_there_are(line: list[str]) -> None:
    if line[:1] == ["mechanical"]:
        assert mechanical.parser().parse_args(line[1:]).budget > 0
    else:
        options = command.parser().parse_args(line)
        assert set(options.mutant or ()) <= set(BY_ID)


def test_a_strategy_that_finds_much_gets_more_of_the_time_and_never_all() -> None:
    learned = campaign._Yield()
    learned.took("plots", 1.0, has_found=True)
    learned.took("twins", 400.0, has_found=False)
    both = ("plots", "twins")

    assert learned.deserves("plots", both) > 1 > learned.deserves("twins", both)
    assert learned.deserves("twins", both) == 1 / campaign.FAVOUR
    for _ in range(100):
        learned.took("plots", 0.0, has_found=True)
    assert learned.deserves("plots", (*both, *map(str, range(9)))) == campaign.FAVOUR


def test_a_budget_of_processor_time_ends_with_what_the_workers_spent(here: None) -> None:
    hunted = campaign.Campaign([UNHARMED], ["twins"])

    hunted.run(0.1, workers=1, is_processor_time=True)

    assert hunted.cases[0].efforts["twins"].seconds >= 0.1


def test_what_goes_wrong_in_a_small_scope_breaks_no_replica() -> None:
    unharmed = replace(BY_ID["D12"], replica=Replica)

    for number in range(6):
        verdict, _ = strategies.BY_NAME["small"].attempt(unharmed, number)
        assert verdict.broken == (), number


@pytest.mark.parametrize("number", [21, 45])
def test_a_crowd_that_outlives_its_transactions_has_the_time_to_insist(number: int) -> None:
    """Windows of a few blocks, and one transaction in a batch: no rule makes them confirmed soon.

    Within 25 seconds neither B1 nor the replica as it is confirms all of them.
    """
    assert hostile.attempt(BY_ID["B1"], number) == (Verdict(()), 1)

    plan = hostile.draw_plan(number, hostile.HOMES[number % len(hostile.HOMES)], BY_ID["B1"])
    assert {"batch_transactions", "replay_window"} <= set(dict(plan.scenario.limits))
