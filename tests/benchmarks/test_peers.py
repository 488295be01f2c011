"""The adapter of CometBFT, against a small program that answers as it does."""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trio

from benchmarks.harness.record import command_words
from benchmarks.harness.samples import Measurement, figures
from benchmarks.harness.suite import PeerRun, Suite
from benchmarks.peers.adapter import Peer
from benchmarks.peers.client import prepare
from benchmarks.peers.cometbft import COMMON, TUNED, CometWords, configured
from benchmarks.peers.run import PEERS, PeerTrial, labels_of, peer_trials, programs, run_peer
from benchmarks.report import words
from benchmarks.report.tables import grouped
from host.home import Endpoint
from ledger.errors import UnreachableError, UserError
from tests.benchmarks.fake_comet import CONFIG
from tests.benchmarks.made import measured
from tests.benchmarks.program import made_program
from tests.host.program import LIMIT_S


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return made_program(tmp_path)


def run(one: PeerRun, variant: str, program: Path, folder: Path) -> list[Measurement]:
    trial = PeerTrial(one, variant, one.links[0], 1)
    kept: list[Measurement] = []

    def keep(measured: Measurement) -> dict[str, Any]:
        kept.append(measured)
        return dict(figures(measured))

    async def measure() -> str:
        with trio.fail_after(LIMIT_S):
            return await run_peer(trial, program, folder, keep)

    assert trio.run(measure) == "0.0-fake"
    return kept


def test_a_peer_is_measured_like_our_own_network(program: Path, tmp_path: Path) -> None:
    one = PeerRun("beside", validators=2, rates_per_s=(60.0,), warmup_s=0.1, measure_s=0.5)

    [kept] = run(one, "tuned", program, tmp_path)

    found = figures(kept)
    assert found["protocol"] == "cometbft tuned"
    assert found["confirmed_share"] == 1
    # The second node shows every block later, and counts: it is at all nodes or nowhere.
    assert found["latency_low_ms"] >= 100
    assert found["cpu_ms_per_transaction"] > 0
    tuned = (
        tmp_path / "beside-cometbft-tuned-loopback" / "node1" / "config" / "config.toml"
    ).read_text()
    assert 'timeout_commit = "0s"' in tuned


def test_its_bytes_are_counted_and_what_nobody_counts_is_not_called_none(
    program: Path, tmp_path: Path
) -> None:
    one = PeerRun("beside", validators=2, rates_per_s=(60.0,), warmup_s=0.1, measure_s=0.5)

    [kept] = run(one, "default", program, tmp_path)

    found = figures(kept)
    # A name, "=", and as much as a record of ours carries.
    assert found["link_bytes_per_transaction"] == 32 + 1 + 256
    assert found["synced_writes_per_transaction"] is None
    assert not {"timeouts", "views_per_decision"} & set(found)


def test_its_nodes_may_be_far_apart(program: Path, tmp_path: Path) -> None:
    one = PeerRun(
        "far", validators=2, links=("lan",), rates_per_s=(60.0,), warmup_s=0.1, measure_s=0.5
    )

    [kept] = run(one, "default", program, tmp_path)

    found = figures(kept)
    assert found["link"] == "lan"
    # The first node sends all that it is given to the second, and that goes through the relay.
    through = sum(row.node == 0 for row in kept.rows) * (32 + 1 + 256)
    assert found["wire_bytes_per_transaction"] == through / len(kept.rows) > 0


def test_every_variant_is_measured_over_all_links() -> None:
    one = PeerRun("p q", links=("lan", "25ms"))
    other = PeerRun("r", variants=("tuned",))

    found = [trial.name for trial in peer_trials(Suite("", "", peers=(one, other)))]

    assert found == [
        "p_q-cometbft-default-lan",
        "p_q-cometbft-tuned-lan",
        "p_q-cometbft-default-25ms",
        "p_q-cometbft-tuned-25ms",
        "r-cometbft-tuned-loopback",
    ]


def test_no_post_is_too_long_for_it(program: Path, tmp_path: Path) -> None:
    """Of more than ten transactions the program as it comes takes none."""
    one = PeerRun("beside", validators=2, rates_per_s=(1_500.0,), warmup_s=0.1, measure_s=0.3)

    [kept] = run(one, "default", program, tmp_path)

    assert Counter(row.status for row in kept.rows) == {"confirmed": len(kept.rows)}


class Quick(Peer):
    """Confirms everything within 40 ms, and has then nothing left unless it is busy."""

    name = "cometbft"
    variants = ("default", "tuned")
    is_busy = False
    urls: ClassVar[list[str]] = []
    listens: ClassVar[list[Endpoint]] = []

    async def start(self) -> None: ...

    async def height(self) -> int:
        return 1

    async def is_idle(self) -> bool:
        return not self.is_busy

    async def version(self) -> str:
        return "0.0-fake"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> type[Quick]:
    async def measure(
        trial: PeerTrial, _peer: Peer, _wires: None, rate: float, place: int
    ) -> Measurement:
        return measured(name=f"{trial.name}-{place}", rate_per_s=rate, labels=labels_of(trial))

    monkeypatch.setitem(PEERS, "cometbft", Quick)
    monkeypatch.setattr("benchmarks.peers.run._measure", measure)
    return Quick


@pytest.mark.parametrize(("objective_ms", "rates"), [(1_000, [40, 80, 160]), (39, [40, 20, 10])])
def test_its_saturation_is_looked_for_like_ours(
    objective_ms: float, rates: list[float], quick: type[Quick], tmp_path: Path
) -> None:
    one = PeerRun("most", rates_per_s=(40.0,), objective_p99_ms=objective_ms, steps=3)

    found = run(one, "tuned", tmp_path, tmp_path)

    assert [each.rate_per_s for each in found] == rates
    told = words.load_findings(grouped([{"kind": "load", **figures(each)} for each in found]))
    kept = "kept no rate within a p99 of 39 ms: with 10"
    if rates[0] < rates[1]:
        kept = "kept up within a p99 of 1,000 ms with 160"
    assert told[0].text.startswith(f"cometbft tuned {kept} transactions a second")


def test_its_search_ends_where_the_load_before_is_not_worked_off(
    quick: type[Quick], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick, "is_busy", True)
    monkeypatch.setattr("benchmarks.peers.run.LEVEL_S", 0.0)
    one = PeerRun("most", rates_per_s=(40.0,), objective_p99_ms=1_000, steps=3)

    assert [each.rate_per_s for each in run(one, "tuned", tmp_path, tmp_path)] == [40]


def test_posts_are_made_as_by_our_own_clients(tmp_path: Path) -> None:
    """What fell due within ten milliseconds is one post, when they are over."""
    job = {
        "peer": "cometbft", "seed": 1, "prefix": "000", "urls": ["http://h:1", "http://h:2"],
        "arrival": "constant", "rate_per_s": 200.0, "duration_s": 0.04, "payload_bytes": 8,
        "interval_s": 0.01, "height": 0,
    }  # fmt: skip

    client = prepare(job)

    entries = list(client.entries.values())
    assert [entry.node for entry in entries] == [0, 0, 1, 1, 0, 0, 1, 1]
    assert not client._is_due(entries[0], 0.009)
    assert client._is_due(entries[1], 0.01)
    assert not client._is_due(entries[2], 0.019)


def test_a_node_that_ends_under_load_gives_no_figures(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_COMET", "ends")
    one = PeerRun(
        "dies", validators=2, rates_per_s=(60.0,), warmup_s=0.1, measure_s=0.3, settle_s=0.1
    )

    async def measure() -> None:
        with trio.fail_after(LIMIT_S):
            trial = PeerTrial(one, "default", "loopback", 1)
            await run_peer(trial, program, tmp_path, lambda _: {})

    with pytest.raises(UnreachableError, match="ended under load"):
        trio.run(measure)


def test_a_program_that_makes_no_network_is_told_in_a_line(tmp_path: Path) -> None:
    broken = tmp_path / "cometbft"
    broken.write_text('#!/bin/sh\necho "no such flag in $5" >&2\nexit 1\n', encoding="utf-8")
    broken.chmod(0o755)
    trial = PeerTrial(PeerRun("beside", validators=1), "default", "loopback", 1)

    with pytest.raises(UnreachableError, match="no such flag in beside") as told:
        trio.run(run_peer, trial, broken, tmp_path, lambda _: {})

    # It is kept with the results, which are read elsewhere.
    assert str(tmp_path) not in str(told.value)


def test_settings_go_into_their_sections_and_nothing_else_changes() -> None:
    text = configured(CONFIG, {**COMMON, **TUNED})

    assert text.splitlines() == [
        "[p2p]",
        'laddr = "tcp://0.0.0.0:26656"',
        'persistent_peers = "id0@127.0.0.1:26656,id1@127.0.0.2:26656"',
        'flush_throttle_timeout = "5ms"',
        "[rpc]",
        "max_request_batch_size = 0",
        "[mempool]",
        "size = 100000",
        "[consensus]",
        'timeout_commit = "0s"',
    ]
    assert configured(CONFIG, {}) == CONFIG


def test_the_words_of_the_rpc_are_read_as_they_are_meant() -> None:
    words = CometWords()
    raw = words.transaction("a-1", bytes(256))
    taken = {"id": 0, "result": {"code": 0}}
    full = {"id": 1, "error": {"code": -32603, "message": "Internal error", "data": "full"}}

    assert len(raw.partition(b"=")[2]) == 256
    assert len(words.transaction("a-1", b"")) == len("a-1=") + 32
    assert len(json.loads(words.post([raw, raw]))) == 2
    assert words.refusals(json.dumps([taken, full]).encode(), 2) == ["", "full"]
    block = {"result": {"block": {"data": {"txs": [base64.b64encode(raw).decode()]}}}}
    assert words.block(json.dumps(block).encode()) == ["a-1"]
    refused = {"id": 0, "result": {"code": 2}}
    assert words.refusals(json.dumps([refused]).encode(), 1) == ["code 2"]
    assert words.is_there(json.dumps(block).encode())
    assert not words.is_there(b'{"error": {"message": "too high"}}')
    assert words.block(b'{"error": {"message": "too high"}}') is None
    assert words.block(b'{"result": {"block": {"data": {"txs": null}}}}') == []
    with pytest.raises(ValueError, match="length"):
        words.refusals(b"[]", 1)


@pytest.mark.parametrize("words", ["cometbft", "other=/bin/sh", "cometbft=/nowhere/at/all"])
def test_a_peer_that_is_not_there_is_a_wrong_usage(words: str) -> None:
    with pytest.raises(UserError, match="--peer"):
        programs((words,))


def test_a_given_program_counts(program: Path) -> None:
    assert programs((f"cometbft={program}",))["cometbft"] == program


def test_how_to_repeat_a_run_names_no_place_on_this_machine() -> None:
    words = command_words("/there/own.toml", ("cometbft=/elsewhere/bin/cometbft",))

    assert words[-3:] == ["own.toml", "--peer", "cometbft=cometbft"]
    assert command_words("smoke", ())[-1] == "smoke"
