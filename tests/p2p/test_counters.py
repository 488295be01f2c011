from __future__ import annotations

from p2p.backoff import Backoff
from p2p.counters import Refusals, Traffic
from p2p.frames import Channel, Frame


def test_traffic_is_counted_by_channel_with_headers() -> None:
    traffic = Traffic()
    traffic.count_in(Frame(Channel.SYNC, b"12345"))
    traffic.count_out([Frame(Channel.PROTOCOL, b"1"), Frame(Channel.PROTOCOL, b"")])
    taken = traffic.snapshot()
    traffic.count_in(Frame(Channel.SYNC, b""))

    assert taken.bytes_in == {**dict.fromkeys(Channel, 0), Channel.SYNC: 10}
    assert taken.messages_out == {**dict.fromkeys(Channel, 0), Channel.PROTOCOL: 2}
    assert taken.bytes_out[Channel.PROTOCOL] == 11
    assert taken.writes == 1
    assert taken.messages_in[Channel.SYNC] == 1
    assert traffic.messages_in[Channel.SYNC] == 2


def test_a_reason_is_reported_once_an_interval_with_the_count_since() -> None:
    refusals = Refusals(1000)

    assert [refusals.count(now, "tls.closed") for now in (0, 1, 999, 1000, 1500)] == [1, 0, 0, 3, 0]
    assert refusals.count(1500, "tls.not-tls") == 1
    assert refusals.totals == {"tls.closed": 5, "tls.not-tls": 1}


def test_waits_double_up_to_their_bound_and_begin_again() -> None:
    backoff = Backoff(b"0|1|", first_ms=100, last_ms=1000)
    bounds = [100, 200, 400, 800, 1000, 1000]

    waits = [backoff.next_ms() for _ in bounds]
    assert all(bound // 2 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    backoff.reset()
    assert [backoff.next_ms() for _ in bounds] == waits


def test_pairs_of_nodes_do_not_knock_in_step() -> None:
    waits = {Backoff(b"%d|" % at, first_ms=2000, last_ms=2000).next_ms() for at in range(20)}

    assert len(waits) > 10


def test_a_peer_that_is_gone_for_a_year_is_still_tried_at_the_bound() -> None:
    backoff = Backoff(b"", first_ms=1, last_ms=2000)

    assert max(backoff.next_ms() for _ in range(10_000)) <= 2000
