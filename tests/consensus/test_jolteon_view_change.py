"""Jolteon rule by rule: timers, timeouts, and certificates of views that ended without a value."""

from __future__ import annotations

from consensus.interface import (
    Accuse,
    Broadcast,
    Certified,
    Effect,
    RequestPayload,
    Root,
    Send,
    SetTimer,
    Timer,
)
from consensus.pacemaker_messages import Proposal, Timeout, Vote
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.encoding import encode
from tests.consensus.jolteon_bench import (
    BLANK,
    Bench,
    broadcasts,
    chain_of,
    of,
    qc_of,
    tc_of,
    timeouts_in,
    value_at,
    votes_in,
)


def woken(me: int) -> Bench:
    bench = Bench(me)
    bench.wake()
    return bench


def certificates_in(effects: list[Effect]) -> list[Certificate | TimeoutCertificate]:
    """Certificates that were broadcast, in order."""
    return [
        effect.what
        for effect in of(effects, Broadcast)
        if isinstance(effect.what, Certificate | TimeoutCertificate)
    ]


# --- Timer and Timeout ----------------------------------------------------------------------------


def test_a_timeout_carries_the_highest_qc() -> None:
    b1 = value_at(1)
    bench = woken(0)
    bench.propose(b1)
    bench.certify(qc_of(b1))

    assert timeouts_in(bench.ring(2)) == [Timeout(2, qc_of(b1), None)]


def test_a_timeout_carries_the_tc_that_led_to_its_view() -> None:
    b1 = value_at(1)
    bench = woken(0)
    bench.propose(b1)
    bench.certify(qc_of(b1))
    tc = tc_of(2, qc_of(b1), None, None)
    bench.certify(tc)

    assert timeouts_in(bench.ring(3)) == [Timeout(3, qc_of(b1), tc)]


def test_nobody_votes_in_a_view_that_it_left() -> None:
    bench = woken(0)
    bench.ring(1)

    assert not votes_in(bench.propose(value_at(1)))


def test_nobody_votes_in_a_view_that_it_left_before_a_crash() -> None:
    bench = woken(0)
    bench.ring(1)

    restarted = bench.restart()

    assert timeouts_in(restarted.effects) == [Timeout(1, None, None)]
    assert not votes_in(restarted.propose(value_at(1)))


def test_a_leader_that_left_its_view_does_not_propose_in_it() -> None:
    bench = woken(1)
    bench.ring(1)

    assert not broadcasts(bench.fill(1), Proposal)


def test_every_retry_repeats_the_timeout_and_shows_the_vote_and_the_best_qc_to_all() -> None:
    b1, b2 = chain_of(1, 2)
    late = value_at(3)
    bench = woken(0)
    bench.propose(b1)
    bench.propose(b2, qc_of(b1))
    first = bench.ring(2)
    bench.certify(qc_of(late))  # Enters view 4, the first time out of reach of view 2's timer.

    again = bench.ring(2)
    fourth = bench.ring(4)
    retried = bench.ring(4)

    assert timeouts_in(first) == [Timeout(2, qc_of(b1), None)]
    assert votes_in(first) == [(None, Vote(2, b2.digest))]
    assert not again
    assert timeouts_in(fourth) == timeouts_in(retried) == [Timeout(4, qc_of(late), None)]
    assert certificates_in(retried) == [qc_of(late)]


def test_a_retry_never_names_a_newer_qc_than_the_first_timeout_did() -> None:
    b1, b2 = chain_of(1, 2)
    bench = woken(1)
    bench.propose(b1)
    bench.certify(tc_of(1, None, None, None))
    bench.certify(tc_of(2, None, None, None))
    said = timeouts_in(bench.ring(3))

    bench.certify(qc_of(b1))
    bench.give(b2)
    retried = bench.ring(3)

    assert said == [Timeout(3, None, tc_of(2, None, None, None))]
    assert timeouts_in(retried) == said
    assert certificates_in(retried) == [qc_of(b1)]


def test_f_plus_1_timeouts_are_joined() -> None:
    bench = Bench(0)

    assert not timeouts_in(bench.hear(2, Timeout(1, None, None)))
    assert not timeouts_in(bench.hear(2, Timeout(1, None, None)))
    assert timeouts_in(bench.hear(3, Timeout(1, None, None))) == [Timeout(1, None, None)]


def test_a_straggler_that_shows_its_certificate_takes_us_along() -> None:
    tc = tc_of(4, None, None, None)
    bench = Bench(0)

    bench.hear(2, Timeout(5, None, tc))
    assert bench.plugin.view == 5
    assert timeouts_in(bench.hear(3, Timeout(5, None, tc))) == [Timeout(5, None, tc)]


def test_a_quorum_of_timeouts_becomes_a_tc_that_is_shown_after_the_qc_it_needs() -> None:
    b1 = value_at(1)
    bench = woken(0)
    bench.propose(b1)
    bench.ring(1)
    bench.hear(0, Timeout(1, None, None))
    bench.certify(qc_of(b1))
    bench.hear(2, Timeout(2, qc_of(b1), None))
    bench.hear(1, Timeout(2, None, tc_of(1, None, None, None)))

    effects = bench.hear(0, Timeout(2, qc_of(b1), None))

    low, high = encode((0, b"")), encode((1, b1.digest))
    entries = ((0, high, BLANK), (1, low, BLANK), (2, high, BLANK))
    tc = TimeoutCertificate("timeout", (2,), entries)
    assert certificates_in(effects) == [qc_of(b1), tc]
    assert bench.plugin.view == 3


def test_an_equivocating_timeout_is_accused_and_counts_once() -> None:
    b1 = value_at(1)
    bench = Bench(0)
    bench.certify(tc_of(1, None, None, None))
    bench.hear(3, Timeout(2, None, tc_of(1, None, None, None)))

    effects = bench.hear(3, Timeout(2, qc_of(b1), None))
    bench.hear(2, Timeout(2, qc_of(b1), None))

    assert [each.second.sender for each in of(effects, Accuse)] == [3]
    assert bench.plugin.view == 2


def test_a_timeout_of_an_earlier_view_is_answered_with_what_ended_it() -> None:
    b1 = value_at(1)
    tc = tc_of(2, qc_of(b1), None, None)
    bench = Bench(0)
    bench.propose(b1)
    bench.certify(qc_of(b1))
    bench.certify(tc)

    effects = bench.hear(2, Timeout(1, None, None))

    assert of(effects, Send) == [Send(2, qc_of(b1)), Send(2, tc)]


def test_a_view_that_no_certificate_led_to_is_not_timed_out() -> None:
    bench = Bench(0)
    bench.take(Certified(Root(b"r" * 32, (4,), 3)))
    bench.wake()

    assert bench.plugin.view == 5
    assert not timeouts_in(bench.ring(5))
    assert of(bench.effects, SetTimer)[-1] == SetTimer(Timer("view", (5,)), 1_000)


# --- certificates made by liars -------------------------------------------------------------------


def test_a_tc_that_names_an_unknown_qc_counts_once_that_qc_is_here() -> None:
    b1, b2 = chain_of(1, 2)
    tc = tc_of(4, qc_of(b2), None, None)
    bench = Bench(1)
    bench.propose(b1)

    bench.certify(tc)
    assert bench.plugin.view == 1
    bench.certify(qc_of(b2))

    assert bench.plugin.view == 5
    effects = bench.give(b2)
    assert of(effects, RequestPayload) == [RequestPayload((5,), b2.digest)]
    proposal = broadcasts(bench.fill(5), Proposal)[0]
    assert (proposal.qc, proposal.tc) == (qc_of(b2), tc)


def test_a_tc_with_a_made_up_entry_bars_nobody() -> None:
    made_up = TimeoutCertificate(
        "timeout",
        (4,),
        (
            (0, encode((0, b"")), BLANK),
            (1, encode((0, b"")), BLANK),
            (3, encode((3, b"x" * 32)), BLANK),
        ),
    )
    honest = tc_of(4, None, None, None)
    bench = woken(1)

    bench.certify(made_up)
    assert bench.plugin.view == 1
    bench.certify(honest)

    assert bench.plugin.view == 5
    assert of(bench.effects, RequestPayload)[-1] == RequestPayload((5,), b"")


def test_a_tc_whose_entries_say_nothing_is_refused() -> None:
    for junk in (b"junk", encode((4, b"x" * 32)), encode((9, b"x" * 32)), encode((0,)), b""):
        entries = tuple((index, junk, BLANK) for index in range(3))
        bench = Bench(0)

        bench.certify(TimeoutCertificate("timeout", (4,), entries))

        assert bench.plugin.view == 1


def test_a_certificate_of_another_phase_is_refused() -> None:
    bench = Bench(0)

    bench.certify(Certificate("proposal", (7,), b"x" * 32, ((0, BLANK),)))
    bench.certify(Certificate("vote", (7, 1), b"x" * 32, ((0, BLANK),)))
    bench.certify(TimeoutCertificate("vote", (7,), ((0, encode((0, b"")), BLANK),)))

    assert bench.plugin.view == 1


# --- the length of views --------------------------------------------------------------------------


def timer_of(bench: Bench) -> int:
    return of(bench.effects, SetTimer)[-1].delay_ms


def test_timers_double_with_every_view_since_the_last_decision_up_to_a_bound() -> None:
    bench = woken(0)
    delays = [timer_of(bench)]

    for view in range(1, 9):
        bench.certify(tc_of(view, None, None, None))
        delays.append(timer_of(bench))

    assert delays == [1_000, 1_000, 2_000, 4_000] + 5 * [8_000]


def test_a_decision_resets_the_timers() -> None:
    bench = woken(0)
    for view in range(1, 6):
        bench.certify(tc_of(view, None, None, None))
    assert timer_of(bench) == 8_000
    b6 = value_at(6)
    b7 = value_at(7, b6)
    bench.propose(b6, None, tc_of(5, None, None, None))
    bench.propose(b7, qc_of(b6))

    bench.certify(qc_of(b7))
    bench.wake()

    assert bench.decided == [b6]
    assert timer_of(bench) == 1_000
