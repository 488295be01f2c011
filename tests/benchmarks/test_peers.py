"""The adapter of CometBFT, against a small program that answers as it does."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import pytest
import trio

from benchmarks.harness.samples import Measurement, figures
from benchmarks.harness.suite import PeerRun
from benchmarks.peers.cometbft import COMMON, TUNED, CometWords, configured
from benchmarks.peers.run import programs, run_peer
from ledger.errors import UnreachableError, UserError
from tests.benchmarks.fake_comet import CONFIG
from tests.host.program import LIMIT_S, ROOT

FAKE = ROOT / "tests" / "benchmarks" / "fake_comet.py"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "cometbft"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_peer_is_measured_like_our_own_network(program: Path, tmp_path: Path) -> None:
    one = PeerRun("beside", validators=2, rates_per_s=(60.0,), warmup_s=0.1, measure_s=0.5)
    kept: list[Measurement] = []

    async def run() -> str:
        with trio.fail_after(LIMIT_S):
            return await run_peer(one, "tuned", program, 1, tmp_path, kept.append)

    assert trio.run(run) == "0.0-fake"
    found = figures(kept[0])
    assert found["protocol"] == "cometbft tuned"
    assert found["confirmed_share"] == 1
    # The second node shows every block later, and counts: it is at all nodes or nowhere.
    assert found["latency_low_ms"] >= 100
    tuned = (tmp_path / "beside-cometbft-tuned" / "node1" / "config" / "config.toml").read_text()
    assert 'timeout_commit = "0s"' in tuned


def test_a_program_that_makes_no_network_is_told_in_a_line(tmp_path: Path) -> None:
    broken = tmp_path / "cometbft"
    broken.write_text("#!/bin/sh\necho 'no such flag' >&2\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    one = PeerRun("beside", validators=1)

    with pytest.raises(UnreachableError, match="no such flag"):
        trio.run(run_peer, one, "default", broken, 1, tmp_path, lambda _: None)


def test_settings_go_into_their_sections_and_nothing_else_changes() -> None:
    text = configured(CONFIG, {**COMMON, **TUNED})

    assert text.splitlines() == [
        "[p2p]",
        'laddr = "tcp://0.0.0.0:26656"',
        'flush_throttle_timeout = "5ms"',
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

    assert len(raw) == 256
    assert len(json.loads(words.post([raw, raw]))) == 2
    assert words.refusals(json.dumps([taken, full]).encode(), 2) == ["", "full"]
    block = {"result": {"block": {"data": {"txs": [base64.b64encode(raw).decode()]}}}}
    assert words.block(json.dumps(block).encode()) == ["a-1"]
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
