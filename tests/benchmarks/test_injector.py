"""What a scenario does to a cluster, where several faults meet."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from api.client import LedgerClient
from benchmarks.harness.command import Step, _run_one
from benchmarks.harness.disks import OrderedDisks
from benchmarks.harness.injector import Injector, rule_of
from benchmarks.harness.record import run_record
from benchmarks.harness.results import ERRORS, Results, Row, read_lines
from benchmarks.harness.suite import Event, Experiment, Scenario, Suite
from benchmarks.harness.verdict import Verdict
from benchmarks.harness.wires import Wires
from benchmarks.metrics import NoData
from host.cluster import Cluster
from host.ill_disk import read_orders
from host.proxy import LinkRule
from ledger.errors import UnreachableError
from storage.faulty import DiskFault


@dataclass
class FakeNode:
    index: int
    is_running: bool = True
    errors: list[str] = field(default_factory=list)


class FakeCluster:
    """Nodes that die and start at once; `dies` of them once more while they start."""

    def __init__(self, size: int = 4) -> None:
        self.nodes = [FakeNode(index) for index in range(size)]
        self.started: list[int] = []
        self.dies_starting = False

    def kill(self, index: int) -> None:
        self.nodes[index].is_running = False

    def resume(self, index: int) -> None:
        """Nothing here pauses."""

    async def wait_ended(self, index: int) -> None:
        await trio.lowlevel.checkpoint()

    async def start(self, *indexes: int) -> None:
        await trio.lowlevel.checkpoint()
        if self.dies_starting:
            raise UnreachableError(f"node{indexes[0]} did not start")
        self.started += indexes
        for index in indexes:
            self.nodes[index].is_running = True


class FakeClient:
    """Says who leads."""

    async def statuses(self) -> list[dict[str, Any] | None]:
        return [
            {"decided": 5, "leader": "validator0"},
            None,
            {"decided": 7, "leader": "validator2"},
        ]


def injector(cluster: FakeCluster, wires: Wires | None = None) -> Injector:
    client = cast(LedgerClient, FakeClient())
    return Injector(cast(Cluster, cluster), client, wires, 1, 0.0, {})


class FakeWires(Wires):
    """Wires whose proxy only takes its time."""

    def __init__(self, size: int) -> None:
        self.base = {
            (a, b): LinkRule(delay_ms=2) for a in range(size) for b in range(size) if a != b
        }
        self._faults = {}
        self._count = 0

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return {}


@pytest.mark.trio
async def test_a_node_starts_when_nothing_keeps_it_down() -> None:
    cluster = FakeCluster()
    one = injector(cluster)

    one._kill([1])
    one._kill([0, 1])
    await one._restart([1])
    assert cluster.started == []
    await one._restart([0, 1])

    assert sorted(cluster.started) == [0, 1]


@pytest.mark.trio
async def test_a_node_that_is_killed_while_it_starts_is_no_failure() -> None:
    cluster = FakeCluster()
    one = injector(cluster)
    one._kill([1])

    async def kill_again(*_: int) -> None:
        one._kill([1])
        raise UnreachableError("node1 did not start")

    cluster.start = kill_again  # type: ignore[method-assign, assignment]
    await one._restart([1])

    cluster.dies_starting = True
    del cluster.start
    with pytest.raises(ExceptionGroup):
        await one._restart([1])


@pytest.mark.trio
async def test_what_a_scenario_left_down_is_up_after_healing() -> None:
    cluster = FakeCluster()
    one = injector(cluster)
    one._kill([2, 3])

    await one.heal()

    assert cluster.started == [2, 3]
    assert one.log[-1][1] == "started again: node2, node3"


@pytest.mark.trio
async def test_nodes_are_chosen_by_what_they_do_now() -> None:
    one = injector(FakeCluster())

    assert await one.chosen("leader") == [2]
    assert await one.chosen("other") == [0]
    assert await one.chosen("f") == [2]
    assert await one.chosen("f+1") == [2, 0]
    assert await one.chosen("all") == [0, 1, 2, 3]
    assert await one.chosen("1 3 9") == [1, 3]


@pytest.mark.parametrize(
    ("kind", "count", "there", "back"),
    [("partition", 6, True, True), ("one-way", 3, True, False), ("loss", 6, True, True)],
)
def test_a_fault_befalls_its_directions(kind: str, count: int, there: bool, back: bool) -> None:
    ways = injector(FakeCluster())._ways(Event(kind, 0.0), [1])

    assert len(ways) == len(set(ways)) == count
    assert ((1, 0) in ways, (0, 1) in ways) == (there, back)


def test_a_partition_leaves_the_links_within_each_side() -> None:
    ways = injector(FakeCluster())._ways(Event("partition", 0.0), [0, 1])

    assert (0, 1) not in ways
    assert (2, 3) not in ways
    assert len(ways) == 8


@pytest.mark.trio
async def test_faults_on_one_link_add_up_and_end_one_by_one() -> None:
    """Two that begin at once are two, although both wait for the proxy."""
    wires = FakeWires(2)
    way = (0, 1)
    numbers: list[int] = []

    async def begin(event: Event) -> None:
        numbers.append(await wires.begin([way], rule_of(event)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(begin, Event("delay", 0.0, amount=30.0))
        nursery.start_soon(begin, Event("loss", 0.0, amount=5.0))
    assert wires.rule(way) == LinkRule(delay_ms=32, loss_percent=5)
    assert wires.rule((1, 0)) == LinkRule(delay_ms=2)
    cut = await wires.begin([way], rule_of(Event("partition", 0.0)))
    assert wires.rule(way).blocked

    for number in (*numbers, cut):
        await wires.end(number)

    assert wires.rule(way) == LinkRule(delay_ms=2)


@pytest.mark.trio
async def test_a_node_whose_sync_fails_is_stopped_by_it_and_started_once_it_is_over(
    tmp_path: Path,
) -> None:
    cluster = FakeCluster()
    one = injector(cluster)
    one.disks = OrderedDisks(tmp_path, 4)
    node = cluster.nodes[1]
    orders = tmp_path / "node1.orders"

    slow = await one._begin(Event("slow-disk", 0.0, 1.0, "1", 40.0), [1, 2])
    failing = await one._begin(Event("failing-sync", 0.0, 1.0, "1"), [1])
    assert read_orders(orders) == DiskFault(40, fails=True)
    assert read_orders(tmp_path / "node2.orders") == DiskFault(40)
    node.is_running = False
    node.errors.append("error: the disk failed to sync")
    assert slow is not None
    assert failing is not None
    await failing()

    assert read_orders(orders) == DiskFault(40)
    assert cluster.started == [1]
    assert one.log[-1][1] == "node1 had stopped: error: the disk failed to sync"
    await slow()
    assert read_orders(orders) == read_orders(tmp_path / "node2.orders") == DiskFault()


@pytest.mark.trio
async def test_a_full_disk_is_ordered_until_there_is_room(tmp_path: Path) -> None:
    cluster = FakeCluster()
    one = injector(cluster)
    one.disks = OrderedDisks(tmp_path, 4)

    full = await one._begin(Event("full-disk", 0.0, 1.0, "leader"), [2])
    assert read_orders(tmp_path / "node2.orders") == DiskFault(full=True)
    cluster.nodes[2].is_running = False
    assert full is not None
    await full()

    assert read_orders(tmp_path / "node2.orders") == DiskFault()
    assert cluster.started == [2]


@pytest.mark.trio
async def test_a_rolling_restart_has_ended_when_its_last_node_is_up() -> None:
    one = injector(FakeCluster())
    rolling = Scenario("rolling", (Event("rolling", 0.0, nodes="all", amount=0.01),))

    await one.run(rolling)

    assert one.log[-1][1] == "node3 restarted"
    assert rolling.heal_s == 0.0
    assert one.healed_s(rolling) == one.log[-1][0] > 0
    assert one.healed_s(Scenario("lasting", (Event("kill", 0.0),))) is None


@pytest.mark.trio
async def test_what_a_scenario_left_ill_is_well_before_its_node_starts(tmp_path: Path) -> None:
    cluster = FakeCluster()
    one = injector(cluster)
    one.disks = OrderedDisks(tmp_path, 4)
    await one._begin(Event("failing-sync", 0.0, None, "3"), [3])
    cluster.nodes[3].is_running = False

    await one.heal()

    assert cluster.started == [3]
    assert read_orders(tmp_path / "node3.orders") == DiskFault()


@pytest.mark.trio
@pytest.mark.parametrize("error", [NoData("nothing"), UnreachableError("did not start")])
async def test_a_network_without_data_is_kept_as_such_and_the_run_goes_on(
    error: UnreachableError, tmp_path: Path
) -> None:
    suite = Suite("T", "Q?", experiments=(Experiment("e"),))
    results = Results(tmp_path / "run", run_record(suite, "", [], None))
    shown: list[Row] = []

    async def fails(*_: object) -> Verdict:
        async with trio.open_nursery():
            raise error

    await _run_one(Step("one", "One", 1.0, fails), tmp_path, results, shown.append)

    assert read_lines(results.folder / ERRORS) == [{"trial": "one", "reason": str(error)}]
    assert [row["kind"] for row in shown] == ["error"]
    assert results.errors == 1
