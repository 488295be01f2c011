"""How soon a small block follows the last, and when a batch is made for it."""

from __future__ import annotations

from consensus.pace import LEAD_MS, LONE_MS, REST_MS_MAX, REST_SHARE, Pace
from ledger.value import Value


def value(slot: int, *payload: bytes) -> Value:
    return Value(bytes(32), b"", (slot, 0), 0, slot, payload)


BATCH = b"b" * 32


def test_a_block_rests_for_a_multiple_of_what_it_took_and_never_long() -> None:
    pace = Pace()
    pace.begins(value(1, BATCH), 1_000)
    pace.decides(value(1, BATCH), 1_003)

    assert pace.rest_ms(1_003) == 3 * REST_SHARE
    assert pace.rest_ms(1_003 + 3 * REST_SHARE) == 0

    pace.begins(value(2, BATCH), 2_000)
    pace.begins(value(2, BATCH), 2_300)
    pace.decides(value(2, BATCH), 2_400)

    assert pace.rest_ms(2_400) == REST_MS_MAX


def test_a_batch_is_made_shortly_before_the_rest_is_over() -> None:
    pace = Pace()
    assert pace.batch_delay_ms(5) == LONE_MS
    pace.begins(value(1, BATCH), 1_000)
    pace.decides(value(1, BATCH), 1_100)

    assert pace.batch_delay_ms(1_100) == REST_MS_MAX - LEAD_MS
    assert pace.batch_delay_ms(1_100 + REST_MS_MAX - LEAD_MS) == LONE_MS


def test_an_empty_value_and_a_block_that_never_was_judged_here_rest_not() -> None:
    pace = Pace()
    pace.begins(value(1), 1_000)
    pace.decides(value(1), 1_500)
    pace.decides(value(2, BATCH), 1_600)

    assert pace.rest_ms(1_600) == 0


def test_values_that_were_passed_over_are_forgotten() -> None:
    pace = Pace()
    for slot in range(1, 50):
        pace.begins(value(slot, BATCH), slot)
    pace.decides(value(49, BATCH), 60)

    assert not pace._begun
