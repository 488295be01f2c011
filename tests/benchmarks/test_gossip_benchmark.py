"""`python -m benchmarks gossip`: what it says of gossip is what gossip does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import pytest

from benchmarks.__main__ import benchmarks
from benchmarks.spreading import KEPT_MS, LINKS, MESSAGES, Link, Spread, drawn_messages, spread
from consensus.packets import RELAYED, decode_packet
from host.commands.main import run
from ledger.errors import Fault
from p2p.frames import HEADER_BYTES
from p2p.topology import topology_named
from sim.regions import REGIONS, latency_ms
from sim.scenario import Weather
from tests.host.program import ROOT

MEASURING = (ROOT / "docs" / "measuring.md").read_text(encoding="utf-8")
FRAME_BYTES = HEADER_BYTES + 1
"""What the frame and the kind of gossip add to a payload."""


def measured(
    topology: str, nodes: int, links: str | Link, kind: str = "vote", *, messages: int = 4,
    seed: int = 1,
) -> Spread:  # fmt: skip
    link = LINKS[links] if isinstance(links, str) else links
    return spread(topology_named(topology, nodes, seed), link, kind, messages=messages, seed=seed)


@pytest.mark.parametrize("kind", MESSAGES)
def test_messages_are_packets_that_prove_themselves(kind: str) -> None:
    drawn = drawn_messages(kind, nodes=5, count=40, seed=1)

    for message in drawn:
        epoch, packet = decode_packet(message.channel, message.packet)
        assert epoch == 0
        assert packet.KIND in RELAYED
        assert abs(len(message.packet) / {"vote": 200, "batch": 100_000}[kind] - 1) < 0.01
    assert len({message.packet for message in drawn}) == 40
    assert {message.node for message in drawn} == set(range(5))
    assert sorted(drawn, key=lambda message: message.at_us) == drawn


@pytest.mark.parametrize("nodes", [9, 10])
def test_a_ring_passes_a_message_on_at_both_sides_at_once(nodes: int) -> None:
    found = measured("ring", nodes, "1ms")

    # The publisher and two nodes at each side are half of nine or ten.
    assert found.half_p50_ms == found.half_max_ms == 2
    assert found.all_p50_ms == found.all_max_ms == nodes // 2
    # It sends two copies, and each of the others passes on one.
    assert found.own_copies == 2
    assert found.copies == (nodes + 1) / (nodes - 1)
    frame_bytes = found.floor_bytes + FRAME_BYTES
    assert found.payload_bytes == pytest.approx(found.copies * frame_bytes)
    # Of each copy it is said once that it is there; these few messages are too far apart to share.
    assert found.control_bytes == pytest.approx(found.copies * (FRAME_BYTES + 32))


@pytest.mark.parametrize("kind", MESSAGES)
def test_in_a_full_mesh_each_message_comes_once_and_nothing_else_is_said(kind: str) -> None:
    found = measured("full", 8, "25ms", kind)

    assert (found.half_p50_ms, found.all_max_ms) == (25, 25)
    assert (found.copies, found.own_copies, found.control_bytes) == (1, 7, 0)
    assert found.payload_bytes == found.floor_bytes + FRAME_BYTES
    assert (found.missing_messages, found.missing_share, found.lost_frames) == (0, 0, 0)


@pytest.mark.parametrize(
    "topology", ["ring", "random-3", "random-6", "0-1 1-2 2-3 3-4 4-5 4-6 4-7"]
)
@pytest.mark.parametrize("links", LINKS)
def test_where_messages_are_passed_on_all_get_them_whatever_is_lost(
    topology: str, links: str
) -> None:
    found = measured(topology, 8, links)

    assert found.missing_messages == found.missing_share == 0
    assert found.copies >= 1
    assert found.control_bytes > 0
    assert found.half_p50_ms is not None
    assert found.all_max_ms is not None
    assert 0 < found.half_p50_ms <= found.all_max_ms <= KEPT_MS
    assert (found.lost_frames > 0) == (links == "lossy")


def test_what_a_full_mesh_loses_is_missing_and_shown_as_such() -> None:
    found = measured("full", 16, "lossy", messages=20)

    assert 0 < found.missing_messages <= 20
    assert found.all_max_ms is None
    assert found.half_max_ms == 25
    # Each lost frame is a delivery that never comes.
    assert found.lost_frames == round(found.missing_share * 20 * 15) > 0
    assert found.copies == pytest.approx(1 - found.missing_share)


def test_the_median_is_never_where_most_messages_are_missing_somewhere() -> None:
    found = measured("full", 16, replace(LINKS["lossy"], weather=Weather(loss=300)))

    assert found.missing_messages == 4
    assert found.all_p50_ms is None
    assert found.half_p50_ms is not None


def test_what_comes_too_late_is_missing() -> None:
    slow = Link("40 s", Weather(delay_us=40_000_000, jitter_us=0))

    found = measured("ring", 5, slow, messages=100)

    # Two neighbours have it in time, and the two behind them after 80 s, which others see the end
    # of: the last of a hundred messages is published after fifty seconds.
    assert found.half_p50_ms == found.half_max_ms == 40_000
    assert found.all_p50_ms is None
    assert (found.missing_messages, found.missing_share) == (100, 0.5)


def test_a_run_without_data_is_an_error() -> None:
    with pytest.raises(Fault, match="no vote arrived anywhere"):
        measured("ring", 5, Link("nothing", Weather(loss=1000)))


def test_in_a_full_mesh_the_publisher_sends_one_batch_after_another() -> None:
    sparse, full = (measured(name, 60, "100mbit", "batch") for name in ("random-3", "full"))

    copy_ms = (full.floor_bytes + FRAME_BYTES) / 12_500
    assert full.all_p50_ms == pytest.approx(25 + 59 * copy_ms, abs=0.1)
    # A node has room for all of them to wait.
    assert full.missing_messages == full.lost_frames == 0
    assert sparse.all_p50_ms is not None
    assert sparse.all_p50_ms < full.all_p50_ms / 2


def test_in_a_ring_around_the_world_a_message_takes_the_shorter_way() -> None:
    found = measured("ring", 9, "world", messages=6)

    steps_ms = [latency_ms(REGIONS[node], REGIONS[(node + 1) % 9]) for node in range(9)]
    half_ms, all_ms = [], []
    for message in drawn_messages("vote", nodes=9, count=6, seed=1):
        onward = [*accumulate(steps_ms[(message.node + step) % 9] for step in range(9))]
        ways_ms = sorted(min(way, onward[-1] - way) for way in onward)
        half_ms.append(ways_ms[4])
        all_ms.append(ways_ms[8])
    assert found.half_p50_ms == sorted(half_ms)[2]
    assert found.all_p50_ms == sorted(all_ms)[2]
    assert (found.half_max_ms, found.all_max_ms) == (max(half_ms), max(all_ms))


def lossy(seed: int = 1) -> Spread:
    return measured("random-3", 12, "lossy", messages=6, seed=seed)


def test_the_same_seed_gives_the_same_figures() -> None:
    assert lossy() == lossy() != lossy(seed=2)


def test_the_figures_of_a_seed_are_these() -> None:
    """Of draws and paths alone; what is pushed and said again is the business of gossip."""
    far = measured("ring", 9, "world", messages=6)
    near = measured("full", 12, "world", messages=6)
    torn = measured("full", 12, "lossy", messages=6)

    assert (far.half_p50_ms, far.half_max_ms) == (139, 142)
    assert (far.all_p50_ms, far.all_max_ms) == (254, 283)
    assert (near.half_p50_ms, near.half_max_ms) == (72, 88)
    assert (near.all_p50_ms, near.all_max_ms) == (125, 170)
    assert (torn.lost_frames, torn.copies) == (1, 65 / 66)


def test_the_order_of_sets_does_not_matter() -> None:
    program = "from tests.benchmarks.test_gossip_benchmark import lossy; print(lossy())"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}

    elsewhere = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment,
        capture_output=True, check=True, text=True,
    )  # fmt: skip

    assert elsewhere.stdout == f"{lossy()}\n"


def call(*words: str) -> int:
    return run(["gossip", *words], command=benchmarks, name="python -m benchmarks")


def test_the_table_and_the_file_have_a_row_for_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gossip.json"
    words = ["--nodes", "4,12", "--topologies", "full,random-3", "--links", "1ms,lossy"]

    code = call(*words, "--messages", "8", "--json", str(file))

    shown = capsys.readouterr().out
    document = json.loads(file.read_text(encoding="utf-8"))
    lines = [line.split() for line in shown.splitlines() if re.match(r"(full|random)\S* ", line)]
    assert code == 0
    assert shown.startswith("simulated links, real gossip; ")
    assert document["kept_ms"] == KEPT_MS
    assert len(lines) == len(document["rows"]) == 2 * 2 * 2 * 2
    for line, row in zip(lines, document["rows"], strict=True):
        title = "random-3=full" if (row["topology"], row["nodes"]) == ("random-3", 4) else None
        assert line[:2] == [title or row["topology"], str(row["nodes"])]
        assert row["is_full"] == ("full" in line[0])
        times = [row[f"{name}_ms"] for name in ("half_p50", "half_max", "all_p50", "all_max")]
        assert line[3:7] == ["never" if time is None else f"{time:.0f}" for time in times]
        assert line[-2] == str(row["missing_messages"])
        assert (line[6] == "never") == (row["missing_messages"] > 0)
    assert any(line[6] == "never" for line in lines)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--nodes", "four"], "--nodes: sizes with commas between them, not 'four'"),
        (["--nodes", "4,"], "--nodes: sizes"),
        (["--nodes", "1"], "--nodes: from 2 to 100 nodes, not 1"),
        (["--nodes", "4,101"], "--nodes: from 2 to 100 nodes, not 4,101"),
        (["--topologies", "star"], "--topologies: 'star' of 4 nodes: "),
        (["--topologies", "full,random-1"], "--topologies: 'random-1' of 4 nodes: .* not 1"),
        (["--topologies", "0-1 2-3"], "not connected"),
        (["--links", "1ms,wet"], "--links: there is no 'wet'; known are 1ms, "),
        (["--messages", "0"], "--messages: from 1 to 1000, not 0"),
        (["--json", "nowhere/at/all.json"], "--json: there is no folder nowhere/at"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*words) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert re.search(f"^error: .*{told}", shown.err)


TOLD = [
    [cell.strip(" `") for cell in line.strip("|").split("|")]
    for line in re.findall(r"^\| `(?:full|ring|random-\d)` \| .*$", MEASURING, re.MULTILINE)
]


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=[pytest.mark.slow] if int(row[1]) > 7 else []) for row in TOLD],
    ids=lambda row: "-".join(row[:2]),
)
def test_the_table_of_the_guide_is_what_is_measured(row: list[str]) -> None:
    topology, nodes, vote, batch, lossy_vote, copies, control = row
    runs = (("25ms", "vote"), ("100mbit", "batch"), ("lossy", "vote"))
    calm, narrow, torn = (
        measured(topology, int(nodes), links, kind, messages=50) for links, kind in runs
    )

    assert [vote, batch] == [slowest(calm), slowest(narrow)]
    missing = f"{torn.missing_messages} of 50 are missing somewhere"
    assert lossy_vote == (missing if torn.missing_messages else slowest(torn))
    assert [copies, control] == [f"{calm.copies:.2f}", f"{calm.control_bytes:,.0f} B"]


def slowest(found: Spread) -> str:
    return f"{found.all_p50_ms:,.0f}, {found.all_max_ms:,.0f} ms"


def test_the_guide_has_each_topology_at_each_size() -> None:
    assert len(TOLD) == 4 * 4 - 1
    assert all(len(row) == 7 for row in TOLD)
