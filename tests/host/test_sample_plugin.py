"""A third party's wheel: built, installed, found by its name, and run by everything here.

Nothing in this repository imports it, and no network is used.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.host.program import ROOT, run, running_cluster

SOURCE = ROOT / "tests" / "sample_plugin"
LIMIT_S = 300
Environment = dict[str, str]


def python(*arguments: str, cwd: Path, env: Environment | None = None) -> str:
    """What a Python program prints; fails unless it succeeds."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment in which the wheel of the sample plugin is installed."""
    folder = tmp_path_factory.mktemp("sample")
    source = shutil.copytree(SOURCE, folder / "source")
    quiet = ("--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    python("-m", "pip", "wheel", *quiet, "--no-build-isolation", "-w", "wheels", str(source),
           cwd=folder)  # fmt: skip
    (wheel,) = (folder / "wheels").glob("*.whl")
    assert wheel.name == "sample_protocol-1.0-py3-none-any.whl"
    python("-m", "pip", "install", *quiet, "--target", "site", str(wheel), cwd=folder)
    return {"PYTHONPATH": os.pathsep.join((str(folder / "site"), str(ROOT)))}


def test_the_conformance_suite_finds_it_by_its_name(installed: Environment, tmp_path: Path) -> None:
    said = python(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "sim.conformance.plugin",
        "--pyargs", "sim.conformance", "--protocol", "sample",
        "-k", "names or own_copy or observer or proof or idle or no-timers",
        cwd=tmp_path, env=installed,
    )  # fmt: skip

    assert "no-timers       noticed by safety (liveness)" in said


@pytest.mark.slow
def test_the_whole_conformance_suite_is_green(installed: Environment, tmp_path: Path) -> None:
    said = python(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "sim.conformance.plugin",
        "--pyargs", "sim.conformance", "--protocol", "sample", cwd=tmp_path, env=installed,
    )  # fmt: skip

    assert "not noticed" not in said


def test_the_simulator_runs_it(installed: Environment) -> None:
    done = run("sim", "--protocol", "sample", "--seeds", 5, env=installed)

    assert done.check().out.endswith("no violation\n")
    assert done.out.startswith("sample, 4 nodes, seeds 1 to 5: ")


def test_a_cluster_of_processes_confirms_with_it(installed: Environment, tmp_path: Path) -> None:
    net, data = tmp_path / "net", tmp_path / "data.csv"
    data.write_text("time,value\n")
    run("init", net, "--protocol", "sample", env=installed).check()

    with running_cluster(net, env=installed):
        submitted = run(
            "submit", "--network", net, "--record", data, "--json", env=installed
        ).check()  # fmt: skip
        identity = submitted.document["id"]
        found = run("get", "--network", net, identity, env=installed).check().out

    assert submitted.document["status"] == "applied"
    assert "data.csv" in found


def test_without_the_wheel_nobody_knows_it() -> None:
    line = run("sim", "--protocol", "sample").error_line()

    assert "there is no protocol sample" in line
