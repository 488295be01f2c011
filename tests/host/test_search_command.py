"""`search` as a command: what it finds is small, is written, and is seen again by the command."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

from consensus.protocols.jolteon import Jolteon
from host.commands.search import parse_budget
from host.search import Limit, Progress, search
from ledger.errors import UserError
from sim.plugin_scenario import PluginScenario
from sim.scenario_file import read_scenario
from sim.search import ChunkReport, Finding, Hunt
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
    (replay,) = [line for line in done.out.splitlines() if "see it again" in line]
    words = shlex.split(replay.partition(": ")[2])
    assert words[:4] == ["python", "node.py", "sim", "--scenario"]
    again = call(*words[2:])
    assert again.code == 1
    assert "violated: agreement after" in again.out
    text = Path(words[4]).read_text(encoding="utf-8")
    assert text.startswith("# QuorumOfTwoThirds, 4 validators: agreement is broken after ")
    assert read_scenario(text).expect == "agreement"


def test_how_many_share_the_work_changes_nothing(tmp_path: Path) -> None:
    def hunt(*more: object) -> dict[str, Any]:
        done = run(
            "search", "--protocol", MUTANT, "--scenarios", 36, "--strategy", "twins",
            "--json", "-o", tmp_path, *more, cwd=ROOT,
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
        "strategies: twins 24, replicas 1\n"
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
    (path,) = (tmp_path / "findings").glob("*.toml")
    again = run("sim", "--scenario", path, "--json", cwd=tmp_path)

    assert again.code == 1
    assert again.document["violations"][0]["property"] == "agreement"
    assert again.document["protocol"] == "brought:Mine"


def test_ctrl_c_says_how_far_it_came_and_ends_cleanly() -> None:
    process = subprocess.Popen(
        [*NODE, "search", "--protocol", "jolteon", "--budget", "5m", "--workers", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        process_group=0,
    )  # fmt: skip
    assert process.stderr is not None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(3)
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
    assert f"WRONG  c.toml: jolteon breaks nothing; {MUTANT} breaks agreement" in done.out
    rows = json.loads(call("search", "--replay", tmp_path, "--json").out)
    assert [row["as_stated"] for row in rows] == [True, False, False]

    (tmp_path / "d.toml").write_text("nonsense", encoding="utf-8")
    assert "d.toml: this is not a scenario" in call("search", "--replay", tmp_path).error_line()
