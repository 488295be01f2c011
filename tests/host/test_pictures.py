"""Pictures by command, and everything that docs/pictures.md says to type."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from host.commands import main
from tests import pictures
from tests.host.program import ROOT, call

TEXT = (ROOT / "docs" / "pictures.md").read_text(encoding="utf-8")
SHELL = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
CODE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [shlex.split(line) for block in SHELL for line in block.splitlines()]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_of_the_document_draws(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    if words[:2] == ["python", "node.py"]:
        done = call(*words[2:]).check()
        assert done.out.endswith("no violation\n") == ("--chart" not in words)
        assert ("time ms" in done.out) == ("--chart" in words)
    else:
        assert words[:3] == ["python", "-m", "tests.pictures"]
        pictures.main(words[3:])

    for name in (word for word in words if word.endswith(".html")):
        assert (tmp_path / name).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_code_of_the_document_runs() -> None:
    (code,) = CODE
    names: dict[str, object] = {}

    exec(code, names)

    rows, markup = names["rows"], names["markup"]
    assert isinstance(rows, list)
    assert isinstance(markup, str)
    assert len(rows) > 20
    assert "</html>" in markup


def test_the_chart_of_the_document_is_the_one_that_is_drawn() -> None:
    from sim.chart import chart
    from tests.consensus.mutants_tendermint import IgnoresLock

    (shown,) = re.findall(r"```text\n(.*?)```", TEXT, re.DOTALL)

    drawn = [row.text for row in chart(pictures.lock_run(IgnoresLock))]

    assert [line for line in shown.splitlines() if line not in drawn] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--chart", "--seeds", "2"], "show one run: leave out --seeds"),
        (["--html", "x.html", "--seeds", "2"], "show one run: leave out --seeds"),
        (["--chart", "--json"], "leave out one"),
        (["--plugins", "--scenario", "x"], "says itself what it runs: leave out --plugins"),
        (["--plugins", "--faults", "old-disk"], "the kinds of --plugins are crash, partition"),
        (["--plugins", "--html", "/nonsense/x.html"], "cannot write /nonsense/x.html"),
    ],
)
def test_nonsense_is_refused_in_one_line(arguments: list[str], words: str) -> None:
    done = call("sim", *arguments)

    assert done.code == 2
    assert words in done.error_line()


def test_plugins_run_many_seeds_and_say_the_same_as_one_by_one() -> None:
    both = call("sim", "--plugins", "--seed", 3, "--seeds", 2, "--json", "--jobs", 2).check()
    one = call("sim", "--plugins", "--seed", 4, "--json").check()

    assert both.document["seeds"] == 2
    assert both.document["runs"][1] == one.document
    again = shlex.split(one.document["replay"])
    assert again[:3] == ["python", "node.py", "sim"]
    assert call(*again[2:], "--json").check().document == one.document


def test_a_recorded_run_reports_what_an_unrecorded_one_does(tmp_path: Path) -> None:
    drawn = tmp_path / "x.html"

    words = ["sim", "--plugins", "--protocol", "jolteon", "--seed", "5", "--json"]
    assert call(*words, "--html", drawn).out == call(*words).out


def test_the_pictures_of_the_tests_start_by_their_command(tmp_path: Path) -> None:
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "tests.pictures", "lock", str(tmp_path / "lock.html")],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )

    assert done.stdout == done.stderr == b""
    data = re.search(r'id="data">(.*?)</script>', (tmp_path / "lock.html").read_text(), re.DOTALL)
    assert data is not None
    assert len(json.loads(data[1])["runs"]) == 2


def test_sim_offers_the_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["sim", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("--plugins", "--chart", "--html"))


def test_a_scenario_file_is_drawn_like_a_seed(tmp_path: Path) -> None:
    file = tmp_path / "twins.toml"
    file.write_text(
        'mode = "plugins"\nprotocol = "tendermint"\n\nseed = 7\ntwins = [2]\npayloads = 2\n'
    )

    done = call("sim", "--scenario", file, "--chart", "--html", tmp_path / "x.html").check()

    assert "v2' is one of twins under one key" in done.out
    assert '["v2\'","twin"]' in (tmp_path / "x.html").read_text(encoding="utf-8")
