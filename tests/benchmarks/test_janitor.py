"""Whatever happens to the harness, nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.harness.janitor import VARIABLE, workspace
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
        janitor = next(
            process
            for process in psutil.Process(harness.pid).children()
            if "benchmarks.harness.janitor" in process.cmdline()
        )
        assert Path(folder).is_dir()

        harness.send_signal(number)
        _, alive = psutil.wait_procs([child, janitor], timeout=LIMIT_S)

    assert not alive
    assert not Path(folder).exists()


def test_a_folder_that_is_left_is_gone_and_so_is_its_name() -> None:
    with workspace() as folder:
        assert os.environ[VARIABLE] == str(folder)
        (folder / "network").mkdir()

    assert not folder.exists()
    assert VARIABLE not in os.environ
