"""Suites: what is refused, and which trials follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.harness.reading import read_suite, ready_suites
from benchmarks.harness.suite import (
    LINK_KINDS,
    Event,
    Scenario,
    one_way_ms,
    trials,
)
from ledger.errors import UserError

EVENTS = '[[scenarios]]\nname = "s"\nevents = '
ONE = '[[experiments]]\nname = "e"\n'
BOTH = (
    '{ kind = "failing-sync", at_s = 5.0, nodes = "0 1" }, '
    '{ kind = "full-disk", at_s = 6.0, until_s = 7.0, nodes = "1", amount = 8.0 }'
)
FULL = 'kind = "full-disk", at_s = 5.0, until_s = 7.0'
NATIVE = 'scenarios = ["s"]\nnative = true\n'
HEAD = 'title = "T"\nquestion = "Q?"\n'


def written(folder: Path, text: str) -> str:
    path = folder / "own.toml"
    path.write_text(HEAD + text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ready_suites())
def test_every_ready_suite_can_be_run(name: str) -> None:
    suite = read_suite(name)

    names = [trial.name for trial in trials(suite)]

    assert len(set(names)) == len(names)
    assert names or suite.proofs or suite.lineages
    assert all("/" not in each and " " not in each for each in names)


def test_the_suites_that_are_promised_are_there() -> None:
    assert {"smoke", "faults", "compare", "verifiability", "provenance", "scale"} <= set(
        ready_suites()
    )


def test_smoke_takes_under_three_minutes() -> None:
    assert sum(trial.estimate_s() for trial in trials(read_suite("smoke"))) < 150


def test_every_list_is_an_axis(tmp_path: Path) -> None:
    name = written(
        tmp_path,
        '[[experiments]]\nname = "e"\nprotocols = ["tendermint", "raft"]\nvalidators = [4, 7]\n'
        "payload_bytes = [0, 256]\nrepetitions = 3\n",
    )

    found = list(trials(read_suite(name)))

    assert len(found) == 2 * 2 * 2 * 3
    assert {trial.seed for trial in found if trial.repetition == 2} == {3}
    # A machine that becomes slower meets all configurations alike.
    assert [trial.repetition for trial in found] == sorted(trial.repetition for trial in found)
    assert {trial.faults for trial in found if trial.protocol == "raft"} == {1, 3}
    assert {trial.faults for trial in found if trial.protocol == "tendermint"} == {1, 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "experiments: none"),
        ('[[experiments]]\nname = "e"\nrates = [1]\n', "unknown key"),
        ('[[experiments]]\nname = "e"\nprotocols = ["nothing"]\n', "nothing"),
        ('[[experiments]]\nname = "e"\nlinks = ["moon"]\n', "links are"),
        ('[[experiments]]\nname = "e"\nscenarios = ["flood"]\n', "no scenario"),
        ('[[experiments]]\nname = "e"\nrates_per_s = [0.0]\n', "rates"),
        ('[[experiments]]\nname = "e"\narrival = "bursts"\n', "arrival"),
        ('[[experiments]]\nname = "e"\n[[experiments]]\nname = "e"\n', "one name"),
        (f'{EVENTS}[{{ kind = "rain", at_s = 5.0 }}]\n{ONE}', "kinds are"),
        (f'{EVENTS}[{{ kind = "kill", at_s = 5.0, until_s = 4.0 }}]\n{ONE}', "ends before"),
        (f'{EVENTS}[{{ kind = "slow-disk", at_s = 5.0 }}]\n{ONE}', "needs an amount"),
        (f'{EVENTS}[{{ kind = "failing-sync", at_s = 5.0 }}]\n{ONE}{NATIVE}', "numbered nodes"),
        (f'{ONE}policy = "nobody"\n', "policies are"),
        (f"{ONE}signed = false\n", "open policy"),
        (f"{EVENTS}[{BOTH}]\n{ONE}{NATIVE}", "fails or is full"),
        (f'{EVENTS}[{{ kind = "full-disk", at_s = 5.0 }}]\n{ONE}', "until_s is missing"),
        (f"{EVENTS}[{{ {FULL}, amount = 8.0 }}]\n{ONE}", "numbered nodes"),
        (f"{EVENTS}[{{ {FULL} }}]\n{ONE}{NATIVE}", "needs an amount"),
        (f'{EVENTS}[{{ kind = "kill", at_s = 1.0 }}]\n{ONE}scenarios = ["s"]\n', "outside"),
        (f'{ONE}[[peers]]\nname = "e"\n', "one name"),
        (f'{ONE}[[peers]]\nname = "p"\npeer = "other"\n', "peers are cometbft"),
        (f'{ONE}[[peers]]\nname = "p"\nvariants = ["fast"]\n', "variants are default, tuned"),
        (f'{ONE}[[peers]]\nname = "p"\nlinks = ["moon"]\n', "peer p: links"),
        (f'{ONE}[[peers]]\nname = "p"\nrates_per_s = []\n', "peer p: rates"),
        ('[[experiments]]\nname = "e"\ntopologies = ["0-1"]\n', "topology is not connected"),
        (f'{ONE}[[peers]]\nname = "p"\narrival = "bursts"\n', "peer p: arrival"),
        (
            '[[scenarios]]\nname = "s"\nbyzantine = "lazy"\n[[experiments]]\nname = "e"\n',
            "lazy",
        ),
    ],
)
def test_what_is_no_suite_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_suite(written(tmp_path, text))


def test_an_unknown_suite_is_told_which_there_are() -> None:
    with pytest.raises(UserError, match="smoke"):
        read_suite("smok")


def test_a_scenario_knows_when_its_faults_begin_and_end() -> None:
    crash = Event("kill", 5.0, 9.0)
    loss = Event("loss", 3.0, 7.0, "all", 5.0)

    both = Scenario("both", (crash, loss))
    lasting = Scenario("lasting", (crash, Event("pause", 6.0)))

    assert (both.fault_s, both.heal_s, both.needs_proxies) == (3.0, 9.0, True)
    assert (lasting.fault_s, lasting.heal_s, lasting.needs_proxies) == (5.0, None, False)
    assert Scenario("none").fault_s is None
    assert Scenario("reset", (Event("reset", 4.0),)).heal_s == 4.0
    assert "kill" not in LINK_KINDS


def test_links_of_the_kernel_have_a_name_of_their_own(tmp_path: Path) -> None:
    name = written(tmp_path, f'{ONE}[[experiments]]\nname = "k"\nnative = true\n')

    relayed, native = trials(read_suite(name))

    assert (relayed.link_words, native.link_words) == ("loopback", "native loopback")
    assert "native_loopback" in native.name


def test_links_between_some_have_a_name_of_their_own(tmp_path: Path) -> None:
    text = '[[experiments]]\nname = "k"\ntopologies = ["full", "ring", "0-1 1-2 2-3"]\n'

    full, ring, line = trials(read_suite(written(tmp_path, text)))

    assert [one.topology for one in (full, ring, line)] == ["full", "ring", "0-1 1-2 2-3"]
    assert (full.link_words, ring.link_words) == ("loopback", "loopback, ring")
    assert ring.name == "k-tendermint-n4-loopback_ring-256B-none-0"
    assert len({one.name for one in (full, ring, line)}) == 3


def test_the_world_is_as_far_apart_as_its_regions() -> None:
    assert one_way_ms("world", 0, 1)[0] == one_way_ms("world", 1, 0)[0] == 32
    assert one_way_ms("loopback", 0, 1) == (0, 0)
    assert one_way_ms("25ms", 2, 3)[0] == 25
