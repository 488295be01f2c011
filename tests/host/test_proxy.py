"""The link proxy, between real sockets of the loopback interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
import trio.testing

from host.proxy import TIMEOUT_MS, WAITING_BYTES_MAX, LinkProxy, LinkRule, led_by_lines, stall_ms

LIMIT_S = 20
THERE, BACK = (0, 1), (1, 0)


async def echo(stream: trio.SocketStream) -> None:
    async for data in stream:
        await stream.send_all(bytes(data))


@asynccontextmanager
async def echo_behind_proxy() -> AsyncIterator[LinkProxy]:
    """A proxy in front of node 1, which answers with what it hears."""
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, echo, [listener])
            proxy = LinkProxy({THERE: ("127.0.0.1", listener.socket.getsockname()[1])}, seed=1)
            await nursery.start(proxy.run)
            yield proxy
            nursery.cancel_scope.cancel()


async def read(stream: trio.SocketStream, size: int) -> bytes:
    found = b""
    while len(found) < size:
        data = await stream.receive_some()
        if not data:
            break
        found += data
    return found


@pytest.mark.trio
async def test_bytes_pass_in_order_and_the_end_passes_too() -> None:
    # More than waits in a relay: its end cannot come before there is a target.
    content = Random(1).randbytes(WAITING_BYTES_MAX + 200_000)
    async with echo_behind_proxy() as proxy:
        proxy.set_rule(THERE, LinkRule(delay_ms=2, jitter_ms=3))
        stream = await trio.open_tcp_stream("127.0.0.1", proxy.ports[THERE])

        async def say() -> None:
            await stream.send_all(content)
            await stream.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(say)
            heard = await read(stream, len(content))

        assert heard == content
        assert await stream.receive_some() == b""
        assert proxy.relayed_bytes == 2 * len(content)


@pytest.mark.trio
async def test_each_direction_has_a_delay_of_its_own() -> None:
    async with echo_behind_proxy() as proxy:
        proxy.set_rule(THERE, LinkRule(delay_ms=60))
        proxy.set_rule(BACK, LinkRule(delay_ms=30))
        stream = await trio.open_tcp_stream("127.0.0.1", proxy.ports[THERE])
        began = trio.current_time()

        await stream.send_all(b"x")
        await read(stream, 1)

        assert trio.current_time() - began >= 0.089


@pytest.mark.trio
async def test_a_narrow_link_takes_its_time() -> None:
    async with echo_behind_proxy() as proxy:
        proxy.set_rule(THERE, LinkRule(kib_per_s=1_000))
        stream = await trio.open_tcp_stream("127.0.0.1", proxy.ports[THERE])
        began = trio.current_time()

        await stream.send_all(bytes(100 * 1024))
        await read(stream, 100 * 1024)

        assert trio.current_time() - began >= 0.099


@pytest.mark.trio
async def test_what_was_sent_into_a_partition_comes_once_it_has_healed() -> None:
    async with echo_behind_proxy() as proxy:
        stream = await trio.open_tcp_stream("127.0.0.1", proxy.ports[THERE])
        await stream.send_all(b"a")
        assert await read(stream, 1) == b"a"
        proxy.set_rule(BACK, LinkRule(blocked=True))
        await stream.send_all(b"b")
        with trio.move_on_after(0.1) as patience:
            await read(stream, 1)
        assert patience.cancelled_caught

        proxy.set_rule(BACK, LinkRule())

        assert await read(stream, 1) == b"b"


@pytest.mark.trio
async def test_the_target_sees_no_connection_that_comes_and_goes_in_a_partition() -> None:
    async with echo_behind_proxy() as proxy:
        proxy.set_rule(THERE, LinkRule(blocked=True))
        stream = await trio.open_tcp_stream("127.0.0.1", proxy.ports[THERE])
        await stream.send_all(b"hello")
        await stream.send_eof()

        assert await stream.receive_some() == b""

        assert proxy.relayed_bytes == 0


@pytest.mark.trio
async def test_a_reset_is_seen_as_one() -> None:
    async with echo_behind_proxy() as proxy:
        stream = await trio.open_tcp_stream("127.0.0.1", proxy.ports[THERE])
        await stream.send_all(b"a")
        await read(stream, 1)

        assert proxy.reset({7}) == 0
        assert proxy.reset({1}) == 1

        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()


def test_a_lost_segment_stalls_by_a_round_trip_or_by_the_timeout() -> None:
    rule = LinkRule(delay_ms=25, loss_percent=1)
    draw = Random(3)

    stalls = [stall_ms(draw, rule, 100) for _ in range(20_000)]
    many = [stall_ms(draw, rule, 64 * 1024) for _ in range(2_000)]

    lost = [stall for stall in stalls if stall]
    assert 0.008 < len(lost) / len(stalls) < 0.012
    assert min(lost) == TIMEOUT_MS
    assert 50 in many
    assert stall_ms(draw, LinkRule(), 64 * 1024) == 0


def test_the_same_seed_loses_the_same_segments() -> None:
    rule = LinkRule(delay_ms=5, loss_percent=20)

    def stalls(seed: int) -> list[float]:
        draw = Random(seed)
        return [stall_ms(draw, rule, 3_000) for _ in range(50)]

    assert stalls(1) == stalls(1)
    assert stalls(1) != stalls(2)


@pytest.mark.trio
async def test_a_program_leads_it_by_lines_and_ends_it_by_closing_them() -> None:
    answers: list[dict[str, object]] = []
    ours, theirs = trio.testing.memory_stream_one_way_pair()
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(led_by_lines, theirs, answers.append)
            await ours.send_all(
                b'{"seed": 1, "targets": [[0, 1, "127.0.0.1", 9]]}\n'
                b'{"set": [[0, 1, {"delay_ms": 5}], [1, 0, {"blocked": true}]]}\n'
                b'{"reset": [0]}\n{"count": true}\n'
            )
            await ours.aclose()

    assert [*answers[0]] == ["ports"]
    assert answers[1:] == [{"set": 2}, {"reset": 0}, {"relayed_bytes": 0}]
