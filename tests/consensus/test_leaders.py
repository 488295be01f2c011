"""Who leads: what each policy reads, that it is agreed, and what it does for a chain of three."""

from __future__ import annotations

import pytest

from benchmarks.leaders import play
from consensus.interface import Pending
from consensus.leaders import (
    Agreed,
    Decided,
    Leadership,
    Policy,
    Reputation,
    RoundRobin,
    Sticky,
    Turns,
)
from consensus.pacemaker import Paced
from consensus.protocols.hotstuff import HotStuff
from consensus.protocols.jolteon import Jolteon
from consensus.registry import leaders_names, place_of, protocol_named
from ledger.certificate import Certificate
from ledger.encoding import encode
from ledger.errors import UserError
from ledger.value import Value
from sim.plugin_scenario import Crash, PluginScenario
from sim.plugins import Script, draw_scenario, run
from tests.consensus.jolteon_bench import (
    BLANK,
    EPOCH,
    GENESIS,
    PAYLOAD,
    VALIDATORS,
    Bench,
    qc_of,
    timeouts_in,
)
from tests.consensus.mutants_leaders import NoTurns, Stubborn

TURN = 4
ROOT = Decided(0, None)


def policy_of(kind: type[Policy]) -> Policy:
    return kind(EPOCH, VALIDATORS, TURN)


def agreed_on(*decided: Decided) -> Agreed:
    agreed = Agreed(ROOT, TURN)
    agreed.add(decided)
    return agreed


def chain(last: int, proposer: int, endorsers: tuple[int, ...] = (0, 1, 2)) -> list[Decided]:
    """Decided values of views 1 to last, all of one proposer."""
    extra = encode((endorsers, ()))
    return [Decided(view, proposer, extra) for view in range(1, last + 1)]


def led_by(kind: type[Paced], policy: type[Policy]) -> type[Paced]:
    return type(kind.__name__, (kind,), {"LEADERS": policy})


# --- what a policy may read -----------------------------------------------------------------------


def test_only_what_was_decided_a_turn_ago_counts() -> None:
    agreed = agreed_on(*chain(9, proposer=2))

    assert [agreed.head(view) for view in (1, 4)] == [ROOT, ROOT]
    heads = [agreed.head(view) for view in (5, 9, 13)]
    assert [head.view if head else None for head in heads] == [1, 5, 9]
    assert [agreed.late(view) for view in (5, 13, 14, 16)] == [0, 0, 1, 3]


def test_knowing_more_changes_no_leader() -> None:
    for kind in (RoundRobin, Turns, Sticky, Reputation):
        policy = policy_of(kind)
        for view in range(5, 20):
            now, later = agreed_on(*chain(view - TURN, 1)), agreed_on(*chain(view + 3, 1))
            assert policy.leader(view, now) == policy.leader(view, later)


def test_what_no_view_needs_is_forgotten_and_what_is_needed_is_not() -> None:
    full, short = agreed_on(*chain(40, 1)), agreed_on(*chain(40, 1))

    short.forget_below(32)

    assert len(short.rows()) < len(full.rows())
    for kind in (Sticky, Reputation):
        policy = policy_of(kind)
        assert [policy.leader(view, short) for view in range(32, 44)] == [
            policy.leader(view, full) for view in range(32, 44)
        ]


# --- the policies ---------------------------------------------------------------------------------


def test_round_robin_and_turns_read_the_view_alone() -> None:
    nothing = agreed_on()
    views = range(1, 13)

    assert [policy_of(RoundRobin).leader(v, nothing) for v in views] == [v % 4 for v in views]
    assert [policy_of(Turns).leader(v, nothing) for v in views] == [v // 4 % 4 for v in views]


def test_a_sticky_leader_stays_while_its_turns_go_well() -> None:
    sticky, agreed = policy_of(Sticky), agreed_on(*chain(20, proposer=2))

    assert {sticky.leader(view, agreed) for view in range(8, 25)} == {2}


def test_a_failed_view_takes_the_lead_from_a_sticky_leader_at_once() -> None:
    sticky, agreed = policy_of(Sticky), agreed_on(*chain(20, proposer=2))

    # The turn of views 24 to 27 would be 2's own: whoever failed is passed over, for a whole turn.
    assert [sticky.leader(view, agreed) for view in (24, 25, 27, 28)] == [2, 3, 3, 28 // 4 % 4]
    # Only for one: then everybody has turns, since the links may have failed.
    assert [sticky.leader(view, agreed) for view in (32, 40)] == [32 // 4 % 4, 2]


def test_a_turn_that_began_well_and_failed_gives_its_leader_no_other() -> None:
    """Views 29 and 30 failed; 31 brought 27 to 31, of which not everybody knows yet."""
    sticky = policy_of(Sticky)
    some, all_ = agreed_on(*chain(26, 1)), agreed_on(*chain(28, 1), Decided(31, 3))

    assert {sticky.leader(view, agreed) for agreed in (some, all_) for view in (34, 35)} == {0}


def test_reputation_draws_who_signed_and_did_not_just_lead() -> None:
    reputation, agreed = policy_of(Reputation), agreed_on(*chain(60, proposer=1))

    drawn = {reputation.leader(view, agreed) for view in range(8, 64)}

    assert drawn == {0, 2}  # 3 signed nothing, 1 is the author of the last value.


def test_reputation_takes_turns_where_a_view_failed() -> None:
    reputation, agreed = policy_of(Reputation), agreed_on(*chain(20, proposer=1))

    assert [reputation.leader(view, agreed) for view in (25, 29)] == [25 // 4 % 4, 29 // 4 % 4]


def test_a_draw_differs_between_epochs() -> None:
    agreed = agreed_on(*chain(60, proposer=1))
    other = Reputation(b"f" * 32, VALIDATORS, TURN)

    here = [policy_of(Reputation).leader(view, agreed) for view in range(8, 64)]

    assert here != [other.leader(view, agreed) for view in range(8, 64)]


@pytest.mark.parametrize("extra", [b"", b"\x00", encode(((9,), ())), encode(((0, 1), (2,), ()))])
def test_a_value_that_says_nonsense_is_refused_and_hurts_no_one_who_decided_it(
    extra: bytes,
) -> None:
    reputation = policy_of(Reputation)
    assert not reputation.is_extra(extra)

    agreed = agreed_on(*(Decided(view, 1, extra) for view in range(1, 20)))

    assert reputation.leader(20, agreed) == 20 // 4 % 4


def test_a_value_names_the_signers_of_its_parent_and_the_authors_before_it() -> None:
    qc = Certificate("vote", (3,), b"v" * 32, tuple((index, BLANK) for index in (0, 2, 3)))
    leadership = Leadership(policy_of(Reputation), GENESIS)
    right = leadership.extra(Decided(3, 2, encode(((0, 1, 2), ()))), qc)

    assert right == encode(((0, 2, 3), ()))
    for parent in (Decided(3, 2, encode(((0, 1, 2), ()))), ROOT):
        assert leadership.is_fitting(right, parent, qc)
        assert not leadership.is_fitting(encode(((0, 1, 3), ())), parent, qc)
    # A parent of which only digest and view are known: any that is well-formed.
    assert leadership.is_fitting(encode(((0, 1, 3), ())), Decided(3, None), qc)


def test_who_caught_up_does_not_know_the_leader_until_it_decides_again() -> None:
    leadership = Leadership(policy_of(Reputation), GENESIS)
    leadership.decided(())
    leadership.agreed.add(chain(8, 1))
    assert leadership.leader(12) is not None

    leadership.agreed.add((Decided(9, None),))

    assert leadership.leader(13) is None
    assert leadership.leader(14) == 14 // 4 % 4  # Were it unknown to all, nobody would propose.


# --- by name --------------------------------------------------------------------------------------


def test_a_policy_is_a_part_of_the_protocols_name() -> None:
    assert {"round-robin", "turns", "sticky", "reputation"} <= set(leaders_names())
    led = protocol_named("jolteon+sticky")

    assert led.LEADERS is Sticky
    assert led.name == "jolteon+sticky"
    assert protocol_named("jolteon+sticky") is led
    assert protocol_named("jolteon+round-robin") is Jolteon
    here = protocol_named("jolteon+consensus.leaders:Turns")
    assert here.LEADERS is Turns


def test_a_protocol_is_found_again_by_its_place_whoever_leads_it() -> None:
    for name in ("jolteon", "jolteon+sticky", "tendermint+reputation", "solo"):
        again = protocol_named(place_of(protocol_named(name)))
        assert (again.name, again.LEADERS) == (name, protocol_named(name).LEADERS)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pbft+sticky", "has its own way to say who leads"),
        ("tendermint+turns", "take turns by round-robin"),
        ("jolteon+nobody", "there is no leader policy nobody"),
        ("jolteon+", "there is no leader policy"),
        ("jolteon+consensus.protocols.solo:Solo", "holds no Policy class Solo"),
    ],
)
def test_a_wrong_name_is_one_plain_line(name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        protocol_named(name)


# --- four validators, one of them crashed ---------------------------------------------------------


SLOW_MS = 250
"""A link so slow that a view takes half a second: at best 120 blocks a minute, cheap to play."""


def blocks_a_minute(protocol: type[Paced], policy: type[Policy]) -> float:
    led = led_by(protocol, policy)
    return play(led, nodes=4, crashed=1, seconds=30, link_ms=SLOW_MS).per_minute


def test_round_robin_lets_a_chain_of_three_decide_nothing_ever_again() -> None:
    assert blocks_a_minute(HotStuff, RoundRobin) == 0


def test_round_robin_lets_a_chain_of_two_crawl() -> None:
    assert 0 < blocks_a_minute(Jolteon, RoundRobin) < 60


@pytest.mark.parametrize(
    ("protocol", "policy"), [(HotStuff, Sticky), (HotStuff, Reputation), (Jolteon, Reputation)]
)
def test_a_policy_that_remembers_cures_it(protocol: type[Paced], policy: type[Policy]) -> None:
    assert blocks_a_minute(protocol, policy) > 110


class _Untold(Reputation):
    """Draws from everybody."""

    def extra(self, parent: Decided, endorsers: tuple[int, ...]) -> bytes:
        return super().extra(parent, tuple(range(self.validators.size)))


def is_live(policy: type[Policy], crashed: int, at_ms: int) -> bool:
    """Whether HotStuff decides everything although a validator crashes."""
    scenario = PluginScenario(
        led_by(HotStuff, policy),
        crashes=(Crash(crashed, at_ms, None),),
        bound_ms=30_000,
        quiet_ms=1_000,
    )
    return not run(scenario).violations


def test_a_sticky_leader_that_crashes_is_replaced_and_one_too_stubborn_is_not() -> None:
    assert all(is_live(Sticky, crashed, 200) for crashed in range(4))
    assert not all(is_live(Stubborn, crashed, 200) for crashed in range(4))


def own_turn(policy: type[Policy]) -> type[Policy]:
    """A mutant that takes turns after a failure, also where the first is that of who failed."""

    def after_failure(self: Policy, view: int, *_: object) -> int:
        return self.by_turns(view)

    return type("OwnTurn", (policy,), {"after_failure": after_failure})


def longest_wait_ms(protocol: type[Paced], policy: type[Policy]) -> int:
    """The longest that a decision takes within four seconds after the leader crashed, at any time.

    Its own view fails and the one whose leader is told by what was decided before: two timeouts.
    """
    longest = 0
    for at_ms in range(200, 360, 53):
        script = Script(PluginScenario(led_by(protocol, policy), payloads=700, interval_ms=2))
        script.run_ms(at_ms)
        plugin = script.seats[0].plugin
        assert plugin is not None
        dead = plugin.leader((plugin.root.slot[0] + 1,))
        assert dead is not None
        log = script.seats[(dead + 1) % 4].log
        script.crash(dead)
        end_ms = script.agenda.now_ms + 4_000
        while script.agenda.now_ms < end_ms:
            length, since_ms = len(log), script.agenda.now_ms
            if not script.run_until(lambda: len(log) > length, limit_ms=20_000):  # noqa: B023
                return 20_000
            longest = max(longest, script.agenda.now_ms - since_ms)
            if len(log) > 80:
                break
    return longest


@pytest.mark.parametrize(
    ("protocol", "policy"), [(Jolteon, Sticky), (HotStuff, Sticky), (HotStuff, Reputation)]
)
def test_a_crashed_leader_costs_two_views(protocol: type[Paced], policy: type[Policy]) -> None:
    timeout_ms = protocol.PARAMETERS["timeout_ms"]

    assert longest_wait_ms(protocol, policy) < 2 * timeout_ms + 300
    assert longest_wait_ms(protocol, own_turn(policy)) > 3 * timeout_ms


def test_carousels_round_robin_would_stop_a_chain_of_three_of_which_one_crashed_early() -> None:
    assert is_live(Reputation, 3, 3)
    assert not is_live(NoTurns, 3, 3)


def test_reputation_rests_on_who_signed() -> None:
    assert blocks_a_minute(HotStuff, _Untold) < 110


# --- under faults, and where a leader censors -----------------------------------------------------


@pytest.mark.parametrize("policy", [RoundRobin, Turns, Sticky, Reputation])
def test_every_promise_holds_under_drawn_faults(policy: type[Policy]) -> None:
    jolteon, hotstuff = led_by(Jolteon, policy), led_by(HotStuff, policy)
    for seed in range(3):
        for protocol in (jolteon, hotstuff) if policy is not RoundRobin else (jolteon,):
            report = run(draw_scenario(protocol, seed))
            assert not report.violations, (protocol, seed, report.violations)


def test_a_leader_that_leaves_a_batch_unordered_is_suspected_by_a_policy_that_keeps_it() -> None:
    patient = Leadership(policy_of(Reputation), GENESIS)
    sticky = Leadership(policy_of(Sticky), GENESIS)
    for leadership in (patient, sticky):
        leadership.note_leader(1, 10)

    assert [sticky.is_overdue(32, height) for height in (41, 42)] == [False, True]
    assert not sticky.is_overdue(31, 100)
    assert not patient.is_overdue(100, 100)
    sticky.note_leader(2, 50)
    assert not sticky.is_overdue(60, 60)


def test_only_a_policy_that_keeps_its_leader_says_that_it_has_failed() -> None:
    sticky, turns = (
        Leadership(policy_of(Sticky), GENESIS),
        Leadership(policy_of(RoundRobin), GENESIS),
    )
    for leadership in (sticky, turns):
        leadership.note_turn(1, is_left=True)

    assert [sticky.has_failed(leader) for leader in (None, 1, 2)] == [False, True, False]
    assert [turns.has_failed(leader) for leader in (None, 1, 2)] == [False, False, False]


def test_a_suspected_leader_is_left() -> None:
    bench = Bench(0, protocol=led_by(HotStuff, Sticky))
    parent = None
    for view in range(1, 60):
        leader = bench.plugin.leader((view,))
        assert leader is not None
        digest = parent.digest if parent is not None else b""
        value = Value(EPOCH, digest, (view,), leader, 0, PAYLOAD)
        bench.propose(value, qc_of(parent) if parent is not None else None)
        parent = value
    assert bench.plugin.root.height > 50

    patient, suspicious = bench.take(Pending(31)), bench.take(Pending(32))

    assert timeouts_in(patient) == []
    assert [timeout.view for timeout in timeouts_in(suspicious)] == [59]
    assert timeouts_in(bench.take(Pending(33))) == []  # Said once; the timer says it again.


def test_a_policy_without_data_of_its_own_changes_no_byte_of_a_value() -> None:
    plain = Value(EPOCH, b"", (1,), 1, 0, ())

    assert policy_of(Sticky).extra(ROOT, ()) == policy_of(RoundRobin).extra(ROOT, ()) == plain.extra
