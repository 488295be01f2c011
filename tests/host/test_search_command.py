"""`search` as a command: what it finds is small, is written, and is seen again by the command."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from consensus.protocols.jolteon import Jolteon
from host.commands.search import command, parse_budget
from host.search import Limit, Progress, search
from ledger.errors import UserError
from sim.plugin_scenario import PluginScenario
from sim.scenario_file import read_scenario
from sim.search import STRATEGIES, ChunkReport, Finding, Hunt
from tests.host.program import NODE, ROOT, call, run

MUTANT = "tests.consensus.mutants_tendermint:QuorumOfTwoThirds"


def test_a_mutant_is_found_made_small_and_seen_again(tmp_path: Path) -> None:
    done = call(
        "search", "--protocol", MUTANT, "--scenarios", 24, "--strategy", "twins", "--workers", 1,
        "-o", tmp_path,
    )  # fmt: skip

    assert done.code == 1, done.err
    assert f"{MUTANT}, seed 1: 12 scenarios in " in done.out
    assert "found: agreement after" in done.out
    assert "  whole replicas: not replayed: whole replicas cannot be told" in done.out
    replay = next(
        line for line in done.out.splitlines() if "see it again" in line and "agreement" in line
    )
    words = shlex.split(replay.partition(": ")[2])
    assert words[:4] == ["python", "node.py", "sim", "--scenario"]
    again = call(*words[2:])
    assert again.code == 1
    assert "violated: agreement after" in again.out
    page = Path(words[4]).with_suffix(".html").read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    text = Path(words[4]).read_text(encoding="utf-8")
    assert text.startswith("# QuorumOfTwoThirds, 4 validators: agreement is broken after ")
    assert read_scenario(text).expect == "agreement"


def test_how_many_share_the_work_changes_nothing(tmp_path: Path) -> None:
    def hunt(*more: object) -> dict[str, Any]:
        done = call(
            "search", "--protocol", MUTANT, "--scenarios", 36, "--strategy", "twins",
            "--json", "-o", tmp_path, *more,
        )  # fmt: skip
        assert done.code == 1, done.err
        document: dict[str, Any] = done.document
        del document["speed"]
        return document

    assert hunt("--workers", 1) == hunt("--workers", 3)


def test_nothing_found_is_a_bound_and_exit_code_0(tmp_path: Path) -> None:
    done = call(
        "search", "--protocol", "jolteon", "--scenarios", 25, "--strategy", "twins",
        "--strategy", "replicas", "--workers", 1, "-o", tmp_path / "none",
    )  # fmt: skip

    assert done.check().out.endswith(
        "strategies: twins 15, replicas 10\n"
        "nothing found; with 95 % confidence fewer than 0.12 of such scenarios break anything "
        "(3/N)\n"
    )
    assert not (tmp_path / "none").exists()


def test_a_budget_ends_a_search_in_time() -> None:
    done = run("search", "--protocol", "solo", "--budget", "1s", "--workers", 2, "--json")

    document = done.check().document
    assert 1 <= document["speed"]["seconds"] < 30
    assert document["scenarios"] > 0
    assert document["upper_bound"] == pytest.approx(min(1, 3 / document["scenarios"]))


def test_a_researchers_file_is_searched_without_being_installed(tmp_path: Path) -> None:
    (tmp_path / "brought.py").write_text(
        "from consensus.protocols.tendermint import Tendermint\n"
        "class Mine(Tendermint):\n"
        "    @property\n"
        "    def quorum(self):\n"
        "        return 2\n"
        "    @classmethod\n"
        "    def certificate_quorum(cls, phase, validators):\n"
        "        return 2\n",
        encoding="utf-8",
    )

    done = run(
        "search", "--protocol", "brought:Mine", "--scenarios", 24, "--strategy", "twins",
        "--workers", 2, cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 1, done.err
    path = next((tmp_path / "findings").glob("*-agreement-*.toml"))
    again = run("sim", "--scenario", path, "--json", cwd=tmp_path)

    assert again.code == 1
    assert "agreement" in [one["property"] for one in again.document["violations"]]
    assert again.document["protocol"] == "brought:Mine"


def test_ctrl_c_says_how_far_it_came_and_ends_cleanly() -> None:
    process = subprocess.Popen(
        [*NODE, "search", "--protocol", "jolteon", "--budget", "5m", "--workers", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        process_group=0,
    )  # fmt: skip
    assert process.stderr is not None
    while len(psutil.Process(process.pid).children()) < 2:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Traceback" not in err + out
    first, *_, last = err.strip().splitlines()
    assert first.startswith("stopped after ")
    assert first.endswith(" scenarios, 0 broken")
    assert last == "interrupted"


class Backwards(Executor):
    """Gives back what every third chunk found, in the order opposite to the one it was asked in."""

    def __init__(self) -> None:
        self.held: list[tuple[Future[Any], ChunkReport]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        (chunk,) = args
        future: Future[Any] = Future()
        scenario = PluginScenario(Jolteon, seed=chunk.number)
        found = (Finding("twins", chunk.number, "once", "", 0, scenario),)
        is_broken = chunk.number % 3 == 1
        broken = (("once", 1),) if is_broken else ()
        self.held.append(
            (future, ChunkReport(chunk.number, "twins", 1, 1, broken, found if is_broken else ()))
        )
        if len(self.held) == 6:
            for one, report in reversed(self.held):
                one.set_result(report)
            self.held.clear()
        return future


@pytest.mark.parametrize("keep_going", [False, True])
def test_a_finding_is_the_first_one_whoever_comes_back_first(keep_going: bool) -> None:
    progress = Progress()

    search(
        Hunt("jolteon", ("twins",), None, 1), Limit(None, 12 * 12, keep_going), progress,
        executor=Backwards(), workers=3, watch=lambda _: None,
    )  # fmt: skip

    assert [finding.number for finding in progress.findings()] == [1]
    assert len(progress.reports) == (12 if keep_going else 2)


def test_progress_counts_in_the_order_of_the_chunks() -> None:
    progress = Progress()
    for number in (2, 0, 1):
        broken = (("agreement", number), ("once", 1)) if number else ()
        progress.reports[number] = ChunkReport(number, f"s{number}", 8, 100, broken, ())

    assert progress.by_strategy() == {"s0": 8, "s1": 8, "s2": 8}
    assert progress.broken() == {"agreement": 3, "once": 2}
    assert (progress.scenarios, progress.events) == (24, 300)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("60s", 60), ("1.5m", 90), ("2h", 7_200), ("0.5", 0.5)]
)
def test_a_budget_is_a_time(text: str, seconds: float) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "0", "-1s", "5 m", "1d", "1e3", "inf"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no time; write it like 90, 60s, 5m or 2h"):
        parse_budget(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--protocol", "nonsense"], "there is no protocol nonsense"),
        (["--protocol", "nonsense:Nonsense"], "cannot import 'nonsense'"),
        (["--strategy", "luck"], "there is no strategy luck; known are twins"),
        (["--budget", "soon"], "is no time"),
        (["--budget", "1s", "--scenarios", "1"], "say either --budget or --scenarios"),
        (["--replay", "nonsense"], "there is no scenario file"),
    ],
)
def test_search_refuses_nonsense_in_one_line(arguments: list[str], words: str) -> None:
    done = call("search", *arguments)

    assert done.code == 2
    assert words in done.error_line()


def test_a_corpus_is_judged_by_what_its_files_state(tmp_path: Path) -> None:
    head = 'mode = "plugins"\nprotocol = "jolteon"\n'
    (tmp_path / "a.toml").write_text(f"{head}seed = 1\n", encoding="utf-8")
    assert call("search", "--replay", tmp_path).check().out == (
        "ok     a.toml: jolteon breaks nothing\n1 scenarios, 0 not as stated\n"
    )

    (tmp_path / "b.toml").write_text(f'{head}expect = "agreement"\nseed = 1\n', encoding="utf-8")
    (tmp_path / "c.toml").write_text(
        f'{head}sound = "{MUTANT}"\npayload_max = 1\nstable_ms = 2000\n'
        "[[partitions]]\nat_ms = 0\nuntil_ms = 2000\ngroups = [[0, 1], [2, 3]]\n",
        encoding="utf-8",
    )
    done = call("search", "--replay", tmp_path)
    assert done.code == 1
    assert "WRONG  b.toml: jolteon breaks nothing, and should break agreement\n" in done.out
    assert f"WRONG  c.toml: jolteon breaks nothing; {MUTANT} breaks " in done.out
    rows = json.loads(call("search", "--replay", tmp_path, "--json").out)
    assert [row["as_stated"] for row in rows] == [True, False, False]

    (tmp_path / "d.toml").write_text("nonsense", encoding="utf-8")
    assert "d.toml: this is not a scenario" in call("search", "--replay", tmp_path).error_line()


@contextmanager
def dask_cluster(folder: Path) -> Iterator[str]:
    """The address of a cluster of two workers, each a process."""
    import distributed

    meeting = folder / "scheduler.json"
    common = ["--scheduler-file", str(meeting), "--no-dashboard", "--interface", "lo"]
    scheduler = ["dask_scheduler", "--port", "0", *common]
    worker = ["dask_worker", "--nthreads", "1", "--no-nanny", *common]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{name}", *words],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for name, *words in (scheduler, worker, worker)
    ]  # fmt: skip
    try:
        # The client waits for the scheduler's file, and then for both workers.
        with distributed.Client(scheduler_file=str(meeting), set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
            yield client.scheduler.address
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def test_a_dask_cluster_finds_what_this_machine_finds(tmp_path: Path) -> None:
    hunt = (
        "search", "--protocol", MUTANT, "--scenarios", 36, "--strategy", "twins", "--json",
        "-o", tmp_path / "found",
    )  # fmt: skip
    with dask_cluster(tmp_path) as address:
        there = call(*hunt, "--scheduler", address)
    here = call(*hunt, "--workers", 1)

    assert there.code == here.code == 1, there.err
    first, second = there.document, here.document
    del first["speed"], second["speed"]
    assert first == second


def test_where_no_scheduler_answers_it_says_so_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        done = call("search", "--scheduler", address, "--budget", "1s")

    assert done.code == 3
    assert f"no Dask scheduler answers at {address}" in done.err
    assert call("search", "--scheduler", "nonsense", "--budget", "1s").code in (2, 3)


def test_without_dask_the_way_to_get_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "distributed.py").write_text("raise ImportError\n", encoding="utf-8")

    done = run("search", "--scheduler", "tcp://127.0.0.1:1", env={"PYTHONPATH": str(tmp_path)})

    assert done.code == 2
    assert done.error_line() == (
        "error: --scheduler needs Dask: pip install 'ledger-node[distributed]'"
    )


DOCUMENT = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")


def test_the_commands_of_the_document_do_what_it_says(tmp_path: Path) -> None:
    block = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)[0]
    sound, mutant, corpus = (shlex.split(line)[2:] for line in block.splitlines())
    place = ["-o", str(tmp_path), "--workers", "1"]

    assert sound[-2:] == ["--budget", "60s"]
    assert call(*sound[:-2], "--scenarios", "12", *place).check()
    found = call(*mutant, *place)
    assert found.code == 1
    shown = re.findall(r"^found: (.*)$", DOCUMENT, re.MULTILINE)
    assert f"found: {shown[0]}\n" in found.out
    assert call(*corpus).check().out.endswith(" 0 not as stated\n")


def test_the_scenario_of_the_document_is_one(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)
    (tmp_path / "halves.toml").write_text(text, encoding="utf-8")

    assert call("search", "--replay", tmp_path).check().out.startswith("ok     halves.toml")


def test_the_document_names_every_option_and_strategy() -> None:
    named = set(re.findall(r"`(--?[a-z-]+)", DOCUMENT))
    options = {option for one in command.params for option in one.opts if option != "--output"}

    assert options <= named
    assert all(f"| `{name}` |" in DOCUMENT for name in STRATEGIES)
