"""Whatever happens to the harness, nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from benchmarks.harness import janitor
from benchmarks.harness.janitor import VARIABLE, workspace
from benchmarks.harness.probe import native_abilities
from benchmarks.harness.results import read_record
from benchmarks.harness.throttle import CONTROLLERS
from tests.benchmarks.program import made_program
from tests.host.program import LIMIT_S, ROOT

HARNESS = """
import os, signal, subprocess, sys
from benchmarks.harness.janitor import workspace
with workspace() as folder:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE,
                             start_new_session=True)
    child.send_signal(signal.SIGSTOP)
    (folder / "file").write_text("x")
    print(folder, child.pid, flush=True)
    sys.stdin.read()
"""
"""With a process in a group of its own that was stopped: nothing that it could do itself."""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_of_a_harness_that_was_killed(number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HARNESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    ) as harness:
        assert harness.stdout is not None
        folder, pid = harness.stdout.readline().split()
        child = psutil.Process(int(pid))
        keeper = next(
            process
            for process in psutil.Process(harness.pid).children()
            if "benchmarks.harness.janitor" in process.cmdline()
        )
        assert Path(folder).is_dir()

        harness.send_signal(number)
        _, alive = psutil.wait_procs([child, keeper], timeout=LIMIT_S)

    assert not alive
    assert not Path(folder).exists()


RUN = """
title = "Killed"
question = "What is left?"

[[experiments]]
name = "killed"
rates_per_s = [20.0]
warmup_s = 0.5
measure_s = 1.0
clients = 1
"""
STAGES = {
    "ceilings": "ledger-benchmark-*/tmp*",
    "start": "ledger-benchmark-*/killed-*/node0",
    "load": "ledger-benchmark-*/killed-*.client0.csv.err",
    "verdict": "audit",
    "collect": "out/results.jsonl",
}
"""What shows that a run is there: a file, or a word that starts a process."""


@dataclass(frozen=True, slots=True)
class Harness:
    process: subprocess.Popen[str]
    others: list[psutil.Process]
    """Those that it and others had started."""
    mark: str

    def end(self, number: int) -> None:
        """Send it a signal: now nothing may be left."""
        self.process.send_signal(number)
        self.process.wait(LIMIT_S)
        _, alive = psutil.wait_procs(self.others, timeout=LIMIT_S)
        assert not alive
        assert not marked(self.mark)


@contextmanager
def until(sign: str, folder: Path, suite: str, *words: str) -> Iterator[Harness]:
    """A run of a suite as far as a sign of it, and the processes that there are then."""
    (folder / "killed.toml").write_text(suite, encoding="utf-8")
    words = ("run", str(folder / "killed.toml"), "--out", str(folder / "out"), "--json", *words)
    mark = f"killed {os.getpid()} {folder.name} {sign}"
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder), "MARK": mark, "FAKE_COMET": "stays"},
    ) as process:
        deadline = time.monotonic() + LIMIT_S
        while not (list(folder.glob(sign)) or any(sign in each for each in words_of(process.pid))):
            assert time.monotonic() < deadline, f"{sign} did not come"
            os.sched_yield()
        others = [each for each in marked(mark) if each.pid != process.pid]
        assert others
        for each in others:
            with suppress(psutil.NoSuchProcess):
                if sign in each.cmdline():
                    each.suspend()  # or it would soon end by itself
        try:
            yield Harness(process, others, mark)
        finally:
            for left in marked(mark):
                left.kill()


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        *((stage, signal.SIGKILL) for stage in STAGES),
        ("load", signal.SIGTERM),
        ("start", signal.SIGINT),
    ],
)
def test_nothing_is_left_of_a_run_that_was_killed_at_any_stage(
    stage: str, number: int, tmp_path: Path
) -> None:
    words = () if stage == "ceilings" else ("--no-ceilings",)
    with until(STAGES[stage], tmp_path, RUN, *words) as harness:
        harness.end(number)

        assert not list(tmp_path.glob("ledger-benchmark-*"))
        if (stage, number) == ("load", signal.SIGTERM):
            assert harness.process.stderr is not None
            assert "what was measured is in" in harness.process.stderr.read()
            assert harness.process.returncode == 128 + number
            assert not read_record(tmp_path / "out").get("finished")


PEER = """
title = "Killed"
question = "What is left?"

[[simulated]]
name = "before"
validators = [4]
decisions = 1

[[peers]]
name = "killed"
validators = 2
rates_per_s = [20.0]
warmup_s = 0.5
measure_s = 1.0
"""


@pytest.mark.parametrize(
    "sign",
    [
        "start",
        "ledger-benchmark-*/killed-cometbft-default-loopback-0-20.csv.err",
    ],
    ids=["start", "load"],
)
def test_nothing_is_left_of_another_system_whose_run_was_killed(sign: str, tmp_path: Path) -> None:
    """Its nodes have sessions of their own and do not look after who started them."""
    program = made_program(tmp_path)
    words = ("--no-ceilings", "--peer", f"cometbft={program}")
    with until(sign, tmp_path, PEER, *words) as harness:
        harness.end(signal.SIGKILL)

        assert not list(tmp_path.glob("ledger-benchmark-*"))


def words_of(pid: int) -> list[list[str]]:
    """The words that started each process below one."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):
            found.append(process.cmdline())
    return found


def marked(mark: str) -> list[psutil.Process]:
    """Every process whose environment has this mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


NATIVE = """
import subprocess, sys, trio
from pathlib import Path
from benchmarks.harness.disks import small_disk
from benchmarks.harness.janitor import workspace
from benchmarks.harness.namespaces import open_namespaces
from benchmarks.harness.native_disks import native_disks
from host.network import homes_of
from benchmarks.harness.probe import native_abilities
from benchmarks.harness.throttle import CONTROLLERS
from tests.host.program import call

async def main(folder):
    async with open_namespaces(folder, "loopback") as links:
        with native_disks(folder, homes_of(folder), slow=True, failing={1: 16}) as disks:
            words = [*links.prefix(0), *disks.prefix(0), "sleep", "1000"]
            process = await trio.lowlevel.open_process(words, start_new_session=True)
            with small_disk(folder / "node0", 4):
                print(folder.parent, links.layout.leg, process.pid, flush=True)
                await trio.sleep_forever()

with workspace() as place:
    call("init", place / "net", "--validators", "2", "--protocol", "raft").check()
    trio.run(main, place / "net")
"""
"""With everything that the kernel does for a network: namespaces, a group, disks, and in them a
process."""


def traces(folder: str, leg: str) -> list[str]:
    """What the machine has of a network beside its files."""
    mounts = [disk.mountpoint for disk in psutil.disk_partitions(all=True)]
    groups = [str(path) for one in CONTROLLERS for path in one.base.glob(f"{Path(folder).name}.*")]
    legs = [name for name in psutil.net_if_addrs() if name == leg]
    return [*(place for place in mounts if place.startswith(folder)), *groups, *legs]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_that_the_kernel_did_is_left_of_a_harness_that_was_killed(number: int) -> None:
    if any(
        ability.how != "native" for ability in native_abilities() if "delay" not in ability.kinds
    ):
        return  # test_probe.py: then a suite that needs it is refused before anything is made
    with subprocess.Popen(
        [sys.executable, "-c", NATIVE],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    ) as harness:
        assert harness.stdout is not None
        folder, leg, pid = harness.stdout.readline().split()
        processes = psutil.Process(harness.pid).children(recursive=True)
        assert int(pid) in {process.pid for process in processes}
        # Two small disks, a file system on one of them, two groups, and an interface.
        assert len(traces(folder, leg)) == 6

        harness.send_signal(number)
        _, alive = psutil.wait_procs(processes, timeout=LIMIT_S)

    assert not alive
    assert not Path(folder).exists()
    # An interface goes with its namespace, which the kernel takes apart when it has time.
    deadline = time.monotonic() + LIMIT_S
    while traces(folder, leg) and time.monotonic() < deadline:
        os.sched_yield()
    assert not traces(folder, leg)


def test_a_process_that_ends_by_itself_meanwhile_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those do that hold a namespace."""
    folder = tmp_path / "work"
    folder.mkdir()
    late = [psutil.Process()]
    monkeypatch.setattr(psutil, "process_iter", lambda: [late.pop()] if late else [])
    monkeypatch.setattr(janitor, "_belongs", lambda _process, _folder: True)

    def kill(process: psutil.Process) -> None:
        raise psutil.NoSuchProcess(process.pid)

    monkeypatch.setattr(psutil.Process, "kill", kill)
    monkeypatch.setattr(janitor, "_is_gone", lambda _process: True)

    assert janitor.clean(folder) == 1
    assert not folder.exists()


def test_a_folder_that_is_left_is_gone_and_so_is_its_name() -> None:
    with workspace() as folder:
        assert os.environ[VARIABLE] == str(folder)
        (folder / "network").mkdir()

    assert not folder.exists()
    assert VARIABLE not in os.environ
