"""Byzantine validators among whole replicas, deliberate forks, and who is named."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from consensus.byzantine import ATTACKS
from consensus.io import Channel, PeerDown, PeerUp
from ledger.errors import UserError
from ledger.evidence import Fork, Judge
from ledger.forensics import gather_evidence
from sim.adversary import TwinNetwork, byzantine_stations, with_attackers, with_twins
from sim.agenda import MS, Agenda
from sim.culprits import EvidenceOracle, check_named
from sim.faults import draw_scenario
from sim.fork import ForkReport, fork_scenario, run_fork
from sim.oracles import Findings
from sim.run import Run, SimReport
from sim.scenario import Load, Scenario
from sim.scenario_file import ScenarioFile, read_scenario, write_scenario
from tests.sim.protocols import plugin
from tests.sim.test_network import Postbox

PROTOCOLS = ["tendermint", "jolteon"]


def run_judged(scenario: Scenario) -> tuple[SimReport, set[int]]:
    """A run that must be sound, and whom evidence named in it."""
    run = Run(scenario, plugin(scenario.protocol))
    report = run.lead()
    lines = [f"{v.property} at {v.time_ms} ms: {v.sentence}" for v in report.violations]
    assert not lines, "\n".join([*lines, report.replay])
    return report, set(run.evidence.named)


# --- a network of twins ---------------------------------------------------------------------------


def twin_network(*sides: tuple[int, tuple[int, ...]]) -> tuple[Agenda, TwinNetwork, list[Postbox]]:
    """Validators 0 to 3, of which 3 has a twin at station 4."""
    scenario = Scenario(seed=1, protocol="solo", nodes=4, twins=(3,), sides=sides)
    agenda = Agenda(Random(1))
    network = TwinNetwork(scenario, agenda, Random(2))
    boxes = [Postbox(agenda) for _ in range(5)]
    network.attach(list(boxes))
    for node in range(5):
        network.connect_soon(node)
    agenda.run_until(1_000 * MS)
    return agenda, network, boxes


def test_each_node_sees_one_of_the_twins_and_calls_it_by_the_validators_name() -> None:
    agenda, network, boxes = twin_network((0, (0, 1, 1, 0)))
    for source in range(5):
        network.send(source, None, Channel.PROTOCOL, b"from %d" % source)
        for peer in range(4):
            network.send(source, peer, Channel.SYNC, b"%d to %d" % (source, peer))
    agenda.run_until(2_000 * MS)

    assert boxes[0].payloads(3) == [b"from 3", b"3 to 0"]
    assert boxes[1].payloads(3) == [b"from 4", b"4 to 1"]
    assert boxes[2].payloads(3) == [b"from 4", b"4 to 2"]
    assert {peer: boxes[3].payloads(peer) for peer in range(4)} == {
        0: [b"from 0", b"0 to 3"],
        1: [],
        2: [],
        3: [],
    }
    assert boxes[4].payloads(1) == [b"from 1", b"1 to 3"]
    assert boxes[4].payloads(0) == []


def test_a_node_that_changes_sides_sees_a_link_break_and_come_back() -> None:
    agenda, network, boxes = twin_network((0, (0, 0, 0, 0)), (1_500, (1, 0, 0, 0)))
    agenda.run_until(3_000 * MS)
    network.send(4, 0, Channel.SYNC, b"the other")
    network.send(3, 0, Channel.SYNC, b"the first")
    agenda.run_until(4_000 * MS)

    about_3 = [e for e in boxes[0].got if isinstance(e, PeerUp | PeerDown) and e.peer == 3]
    assert about_3 == [PeerUp(3), PeerDown(3), PeerUp(3)]
    assert boxes[0].payloads(3) == [b"the other"]
    assert [e for e in boxes[1].got if isinstance(e, PeerDown)] == []


def test_twins_are_of_validators() -> None:
    with pytest.raises(UserError):
        TwinNetwork(
            Scenario(seed=1, protocol="solo", nodes=4, twins=(4,)), Agenda(Random(1)), Random(2)
        )


# --- as many liars as are tolerated ---------------------------------------------------------------


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize(("seed", "nodes"), [(2, 4), (6, 7)])
def test_a_network_with_twins_agrees_and_names_nobody_else(
    name: str, seed: int, nodes: int
) -> None:
    """P13 and everything else, among restarts, skewed clocks, replays and duplicates."""
    scenario = with_twins(draw_scenario(seed, name, nodes), (nodes - 1) // 3)

    _, named = run_judged(scenario)

    assert named
    assert named <= set(scenario.twins)


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("attack", [*sorted(ATTACKS), "equivocating+replaying"])
def test_a_network_with_an_attacker_agrees_and_names_nobody_else(name: str, attack: str) -> None:
    load = Load(transactions=10, interval_ms=200)
    fair = Scenario(seed=3, protocol=name, nodes=4, load=load, stable_ms=2_000)

    _, named = run_judged(replace(fair, attacks=((2, attack),)))

    assert named <= {2}
    assert named or attack not in ("equivocating", "equivocating+replaying")


def test_attackers_among_faults() -> None:
    scenario = with_attackers(draw_scenario(9, "tendermint", 7), 2)

    _, named = run_judged(scenario)

    assert named <= {who for who, _ in scenario.attacks}
    assert byzantine_stations(scenario) == {who for who, _ in scenario.attacks}


def test_scenarios_with_liars_travel_as_text_and_run_alike() -> None:
    short = Load(transactions=5, interval_ms=200)
    fair = Scenario(seed=4, protocol="jolteon", nodes=7, load=short, stable_ms=2_000)
    scenario = with_attackers(with_twins(fair, 1), 1)

    again = read_scenario(write_scenario(ScenarioFile(scenario, scenario.protocol))).scenario
    assert isinstance(again, Scenario)

    assert again == scenario
    (one, _), (two, _) = run_judged(scenario), run_judged(again)
    assert one.trace_hash == two.trace_hash


# --- one more than are tolerated ------------------------------------------------------------------


@pytest.fixture(scope="module", params=[(name, size) for name in PROTOCOLS for size in (4, 7)])
def forked(request: pytest.FixtureRequest) -> ForkReport:
    name, nodes = request.param
    return run_fork(fork_scenario(2, name, nodes), plugin(name), scheme="ed25519")


def test_a_deliberate_fork_names_more_than_may_be_faulty_and_nobody_else(
    forked: ForkReport,
) -> None:
    faults = forked.genesis.epoch.validators.faults

    assert forked.forked_height
    assert not forked.violations
    assert forked.named == forked.culprits
    assert len(forked.named) == faults + 1


def test_the_honest_nodes_find_a_fork_themselves_and_stop(forked: ForkReport) -> None:
    honest = set(range(forked.scenario.nodes)) - set(forked.culprits)

    assert forked.found == forked.culprits
    assert set(forked.stopped) == honest


def test_evidence_of_a_fork_convinces_whoever_has_the_genesis(forked: ForkReport) -> None:
    convictions = Judge(forked.genesis).check(forked.evidence)

    assert any(isinstance(each.piece, Fork) for each in convictions)
    assert {index for each in convictions for index in each.culprits} == set(forked.culprits)


def test_two_halves_that_never_meet_are_judged_by_their_stores() -> None:
    scenario = fork_scenario(3, "tendermint", 4)
    (halves,) = scenario.incidents
    apart = replace(scenario, incidents=(replace(halves, until_ms=60_000),), stable_ms=60_000)
    run = Run(apart, plugin("tendermint"))
    run.world.agenda.run_until(6_000 * MS)
    stores = [node.engine for node in run.honest]

    assert run.forks.forked_height
    assert not run.evidence.named
    pieces = gather_evidence(run.genesis, stores)
    named = {index for piece in pieces for index in Judge(run.genesis).check_raw(piece).culprits}
    assert named == set(scenario.twins)
    assert gather_evidence(run.genesis, stores[:1]) == ()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_half_keeps_its_promises_in_its_own_past(name: str) -> None:
    """P2 to P4, P6, P7 and P14 hold at each honest node however many lie."""
    run = Run(fork_scenario(5, name, 4), plugin(name))

    report = run.lead()

    assert run.is_beyond
    assert run.forks.forked_height
    assert not report.violations


# --- the oracles fire -----------------------------------------------------------------------------


def test_p12_misses_culprits() -> None:
    findings = Findings(lambda: 0)

    check_named(findings, {1: None, 3: None, 5: None}, frozenset({1, 3, 7}), 2)

    assert [found.property for found in findings.found] == ["P12"]
    check_named(findings, {1: None, 3: None, 7: None}, frozenset({1, 3, 7}), 2)
    assert len(findings.found) == 1


def test_p13_sees_an_honest_validator_named() -> None:
    """The liars' evidence, judged as if nobody had lied."""
    report = run_fork(fork_scenario(2, "jolteon", 4), plugin("jolteon"), scheme="keyed-hash")
    findings = Findings(lambda: 0)
    oracle = EvidenceOracle(report.genesis, findings, frozenset())

    for conviction in Judge(report.genesis).check(report.evidence):
        oracle.judge(conviction)

    assert {found.property for found in findings.found} == {"P13"}
