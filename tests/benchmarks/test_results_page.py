"""The tables of docs/results.md say what the committed runs say."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.results import RESULTS, VERDICTS, read_lines

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "benchmarks" / "results"
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
Row = dict[str, Any]
PLACE = re.compile(r"(?<![\w.<-])/(?:tmp|home|root|work|usr|opt|var|mnt|srv|Users|private)/[\w.-]")
"""A path of the machine on which it was measured; markup and MIME types have slashes, too."""
HOST = re.compile(r"https?://([\w.-]+)")
HOSTS = {"www.w3.org", "purl.org", "creativecommons.org", "matplotlib.org"}
"""That pictures name as their format, licence and maker."""


def table(head: str) -> list[list[str]]:
    """The rows of the table whose head begins so, without marks."""
    lines = PAGE[PAGE.index(f"| {head} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip(" `*") for cell in line.strip("|").split("|")] for line in lines]


def rows(run: str, **labels: object) -> list[Row]:
    found = read_lines(RUNS / run / RESULTS)
    return [row for row in found if all(row.get(key) == value for key, value in labels.items())]


def agree(told: str, *values: float) -> None:
    """Each number is its value, rounded as it is written."""
    found = re.findall(r"[\d,]*\d(?:\.\d+)?", told)
    pairs = zip(found, values, strict=True)
    assert found == [f"{value:,.{len(text.partition('.')[2])}f}" for text, value in pairs]


def kept(found: list[Row]) -> Iterator[Row]:
    for row in found:
        in_time = row["latency_p99_ms"] <= row["objective_p99_ms"]
        if in_time and row["confirmed_share"] >= 0.99:
            yield row


def test_the_page_counts_the_verdicts_and_all_are_sound() -> None:
    found = [row for path in RUNS.glob(f"*/{VERDICTS}") for row in read_lines(path)]

    assert f"All {len(found)} ledgers and simulated networks that were judged were sound." in PAGE
    assert all(row["sound"] for row in found)


def test_the_protocols_side_by_side() -> None:
    told = [row for row in table("protocol") if "/s" in row[4] or row[4] == "none"]
    assert len(told) == 8
    for protocol, low, high, costs, most, near, far in told:
        [calm] = rows("compare", experiment="load", protocol=protocol, rate_per_s=100.0)
        [busy] = rows("compare", experiment="load", protocol=protocol, rate_per_s=1_000.0)
        agree(low, calm["latency_p50_ms"], calm["latency_p99_ms"])
        agree(high, busy["latency_p50_ms"], busy["latency_p99_ms"])
        names = ("cpu_ms", "signatures_checked", "synced_writes")
        agree(costs, *(busy[f"{name}_per_transaction"] for name in names))
        found = list(kept(rows("compare", experiment="saturation", protocol=protocol)))
        agree(most, *([max(row["confirmed_per_s"] for row in found)] if found else []))
        for text, link in ((near, "25ms"), (far, "world")):
            distant = rows("compare", experiment="distance", protocol=protocol, link=link)
            agree(text, *(row["latency_p50_ms"] for row in distant))


def test_what_grows_with_the_network_its_links_and_the_ledger() -> None:
    def links(row: Row) -> tuple[float, float]:
        octets = row["link_bytes_per_transaction"] / 1_000
        return row["link_messages_per_transaction"], octets

    told = table("validators")
    assert [row[0] for row in told] == ["4", "7", "10", "13"]
    for size, *cells in told:
        for place, protocol in enumerate(("tendermint", "jolteon")):
            labels = {"protocol": protocol, "validators": int(size)}
            [row] = rows("scale", experiment="validators", **labels)
            agree(cells[place], row["latency_p50_ms"], row["latency_p99_ms"])
            agree(cells[2 + place], *links(row))
            found = kept(rows("scale", experiment="saturation", **labels))
            agree(cells[4 + place], max(row["confirmed_per_s"] for row in found))
    told = table("n | links")
    assert len(told) == 4
    for size, link, *cells in told:
        for cell, topology in zip(cells, ("", ", random-4", ", ring"), strict=True):
            labels = {"link": link + topology, "validators": int(size)}
            [row] = rows("scale", experiment="topology", **labels)
            agree(cell, row["latency_p50_ms"], row["latency_p99_ms"], *links(row))
    windows = rows("scale", experiment="length")
    ends = [f"{row['latency_p99_ms']:.0f}" for row in (windows[0], windows[-1])]
    assert "The p99 rises from {} to {} ms".format(*ends) in PAGE


def test_another_system_under_the_same_load() -> None:
    told = table("system")
    names = ("cometbft tuned", "cometbft default", "tendermint")
    for name, (system, low, high, most, near, far, costs) in zip(names, told, strict=True):
        assert system.startswith(name)
        [calm] = rows("compare", experiment="load", protocol=name, rate_per_s=100.0)
        [busy] = rows("compare", experiment="load", protocol=name, rate_per_s=1_000.0)
        agree(low, calm["latency_p50_ms"], calm["latency_p99_ms"])
        agree(high, busy["latency_p50_ms"], busy["latency_p99_ms"])
        agree(costs, busy["cpu_ms_per_transaction"], busy["link_bytes_per_transaction"])
        found = list(kept(rows("compare", experiment="saturation", protocol=name)))
        agree(most, *([max(row["confirmed_per_s"] for row in found)] if found else []))
        for text, link in ((near, "25ms"), (far, "world")):
            distant = rows("compare", experiment="distance", protocol=name, link=link)
            agree(text, *(row["latency_p50_ms"] for row in distant))


@pytest.mark.parametrize("row", table("protocol | fault"), ids=lambda row: "-".join(row[:2]))
def test_each_fault(row: list[str]) -> None:
    protocol, scenario, gap, late, p99, available = row
    [found] = rows("faults", protocol=protocol, scenario=scenario)
    agree(p99, found["latency_p99_ms"])
    if gap:
        agree(gap, found["longest_gap_s"])
        agree(late, found["deficit"])
        agree(available, found["availability"] * 100)


def test_who_leads() -> None:
    told = table("protocol | longest gap | p50, p99 of the whole (ms)")
    assert len(told) == 8
    for name, gap, both, settled in told:
        [found] = rows("leaders", protocol=name.partition("`")[0])
        agree(gap, found["longest_gap_s"])
        agree(both, found["latency_p50_ms"], found["latency_p99_ms"])
        agree(settled, found["settled_p99"])


def test_beside_one_sequencer() -> None:
    told = table("protocol | most kept within a p99 of 1 s | most confirmed")
    assert len(told) == 8
    alone = max(row["confirmed_per_s"] for row in rows("baseline", protocol="solo"))
    for protocol, most, confirmed, share in told:
        found = rows("baseline", protocol=protocol)
        top = max(row["confirmed_per_s"] for row in found)
        # Of several that kept it, the highest rate offered.
        best = max(kept(found), key=lambda row: float(row["rate_per_s"]))
        agree(most, best["confirmed_per_s"])
        agree(confirmed, top)
        agree(share, *([] if protocol == "solo" else [100 * top / alone]))


def test_proofs() -> None:
    told = table("transactions | receipt")
    assert len(told) == 4
    for cells in told:
        [found] = rows("verifiability", transactions=int(cells[0].replace(",", "")))
        names = ("receipt_bytes", "make_us", "check_us", "consistency_bytes", "audit_per_s",
                 "bytes_per_transaction")  # fmt: skip
        for text, name in zip(cells[1:7], names, strict=True):
            agree(text, found[name])
        assert cells[7] == ", ".join(
            f"{found[f'flips_{kind}']:,}" for kind in ("found", "harmless", "silent")
        )


def test_a_record_says_of_which_commit_each_run_is() -> None:
    for path in RUNS.iterdir():
        record = json.loads((path / "run.json").read_text(encoding="utf-8"))
        assert record["commit"]
        assert record["finished"]


def strange(text: str) -> list[str]:
    """The places on a machine and in a network that a text names."""
    places = [found[0] for found in PLACE.finditer(text)]
    return places + [host for host in HOST.findall(text) if host not in HOSTS]


@pytest.mark.parametrize("run", sorted(path.name for path in RUNS.iterdir()))
def test_no_file_of_a_run_names_a_place_on_the_machine_or_a_host(run: str) -> None:
    """Who reads it has another machine, and what it was installed from is nobody's business."""
    found = {}
    for path in (RUNS / run).rglob("*"):
        if path.is_dir() or path.suffix == ".png":
            continue
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
        if names := strange(text):
            found[str(path.relative_to(RUNS))] = names

    assert not found


@pytest.mark.parametrize(
    "text",
    [
        '"--peer", "cometbft=/usr/local/bin/cometbft"',
        "[Errno 2] No such file or directory: '/tmp/ledger-benchmark-x1/node0'",
        "Fetched from https://packages.example/simple",
    ],
)
def test_a_place_is_known_as_one(text: str) -> None:
    assert len(strange(text)) == 1
    assert not strange("text/html </root><use/> 5/s /v1/stream?from=1 http://www.w3.org/2000/svg")
