"""Disks that are slow or fail to sync, below real processes: test networks alone, nothing lost."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import trio

from consensus.recovery import Setup
from host.cluster import open_cluster
from host.ill_disk import IllDisk, read_orders, write_orders
from host.runtime import STUCK_WRITE_S, Node
from ledger.applications.records import make_record
from storage.faulty import DiskFault
from storage.home import Store
from tests.host.kills import check_confirmed, check_homes, make_client, until_level
from tests.host.program import call

LIMIT_S = 60
SYNCS = 12


@pytest.mark.parametrize("option", ["--disk-delay-ms", "--fail-sync-after"])
def test_a_real_network_refuses_an_ill_disk(option: str, tmp_path: Path) -> None:
    call("init", tmp_path / "net", "--validators", "1", "--protocol", "solo").check()

    refused = call("run", tmp_path / "net" / "node0", option, "5")

    assert refused.code == 3
    assert "test network" in refused.error_line()


def test_what_is_ordered_comes_on_top_of_what_the_command_said(tmp_path: Path) -> None:
    orders = tmp_path / "orders"
    disk = IllDisk(10, 3, orders)

    assert disk.fault(0) == DiskFault(10, fails=False)
    assert disk.fault(3) == DiskFault(10, fails=True)
    write_orders(orders, DiskFault(2.5, fails=True))
    assert disk.fault(0) == DiskFault(12.5, fails=True)
    write_orders(orders, DiskFault(full=True))
    assert disk.fault(0) == DiskFault(10, full=True)
    write_orders(orders, DiskFault(7))
    assert read_orders(orders) == DiskFault(7)
    write_orders(orders, DiskFault())
    assert disk.fault(0) == DiskFault(10, fails=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.trio
async def test_a_failing_sync_stops_a_node_in_plain_words_and_a_restart_recovers(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "net"
    call("init", folder, "--test-network", "--protocol", "tendermint").check()
    with trio.fail_after(LIMIT_S):
        async with open_cluster(folder) as cluster, make_client(folder) as client:
            cluster.nodes[1].options = ("--disk-delay-ms", "5")
            ill = cluster.nodes[2]
            ill.options = ("--fail-sync-after", str(SYNCS))
            await cluster.start()
            confirmed: dict[bytes, int] = {}
            while ill.is_running:
                outcome = await client.submit([make_record("", content=b"x")])
                assert outcome.status == "applied"
                confirmed[outcome.id] = outcome.height
            await cluster.wait_ended(2)
            assert ill.process is not None
            assert ill.process.returncode == 3
            [line] = ill.errors
            assert line.startswith("error: the disk failed to sync")
            ill.options = ()
            await cluster.start(2)
            await until_level(client, 4)
            await check_confirmed(folder, confirmed)
    check_homes(folder, 4)


@pytest.mark.trio
async def test_a_disk_that_becomes_slow_holds_nothing_else_up_from_then_on() -> None:
    """One slow write on the spot, not a hundred; one quick one, and the spot is right again."""
    took_s = iter([0.0, STUCK_WRITE_S, STUCK_WRITE_S, 0.0])

    class Disk:
        def write(self, _writes: object, **_options: object) -> None:
            end = time.perf_counter() + next(took_s)
            while time.perf_counter() < end:
                pass

    node = Node(
        setup=cast(Setup, SimpleNamespace(genesis=None)),
        store=cast(Store, Disk()),
        transport_seed=b"",
        addresses={},
        listeners=[],
        report=print,
    )
    seen = []
    with suppress(StopIteration):
        while True:
            node._write([(b"a", b"1")], sync=True)
            seen.append(node._may_write_now([]))

    assert seen == [True, False, False, True]
