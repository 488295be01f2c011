"""`sim` as a command: the same words everywhere, a violation with the way to see it again."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from host.commands import main
from sim.faults import draw_scenario
from sim.scenario_file import ScenarioFile, write_scenario
from tests.host.program import ROOT, run


def test_sim_says_the_same_whatever_the_hash_seed() -> None:
    arguments = ("sim", "--protocol", "jolteon", "--seed", 7, "--seeds", 2, "--json")

    first, second = (run(*arguments, env={"PYTHONHASHSEED": seed}) for seed in ("1", "2"))

    assert first.check().out == second.check().out
    assert [report["seed"] for report in first.document["runs"]] == [7, 8]


def test_sim_prints_a_violation_with_the_command_that_shows_it_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scenario = replace(draw_scenario(1, "solo", 4, faults=()), bound_ms=1, stable_ms=0)
    hopeless = write_scenario(ScenarioFile(scenario, "solo"))

    code = main.run(["sim", "--scenario", hopeless])

    said = capsys.readouterr().out
    assert code == 1
    assert "violated: P10" in said
    assert f"see it again: python node.py sim --scenario '{hopeless}'" in said
    assert main.run(["sim", "--seed", "1", "--protocol", "solo", "--faults", "none"]) == 0
    assert "no violation" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--faults", "nonsense"], "unknown fault nonsense"),
        (["--topology", "0-1"], "not connected"),
        (["--regions", "nowhere"], "unknown region nowhere"),
        (["--protocol", "nonsense"], "there is no protocol nonsense"),
        (["--scenario", "nonsense = \n"], "not a scenario"),
        (["--scenario", "/nonsense"], "cannot read"),
    ],
)
def test_sim_refuses_nonsense_in_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["sim", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_sim_runs_over_few_links_around_the_world(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--protocol", "solo", "--faults", "none", "--topology", "ring", "--regions"]

    assert main.run(["sim", *arguments, "world"]) == 0
    far = capsys.readouterr().out
    assert main.run(["sim", *arguments, "tokyo"]) == 0
    near = capsys.readouterr().out

    assert "no violation" in far
    assert median_ms(far) > median_ms(near) + 30


def test_sim_reads_the_links_of_a_file_and_names_them_in_what_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    links = tmp_path / "links.txt"
    links.write_text("0 1\n2 1  # the hub\n3 1\n")
    arguments = ["--protocol", "solo", "--faults", "none", "--topology"]

    assert main.run(["sim", *arguments, str(links), "--json"]) == 0
    of_file = json.loads(capsys.readouterr().out)
    assert main.run(["sim", *arguments, "0-1 1-2 1-3", "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == of_file
    assert str(tmp_path) not in json.dumps(of_file)
    links.write_text("0 1\n1 0 2\n")
    assert main.run(["sim", *arguments, str(links)]) == 2
    assert "topology, line 2" in capsys.readouterr().err


def median_ms(shown: str) -> int:
    return int(shown.partition("latency    median ")[2].partition(" ms")[0])


def test_the_commands_of_the_documentation_find_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
    block = text.partition("```sh\n")[2].partition("```")[0]
    commands = [shlex.split(line)[2:] for line in block.splitlines()]
    assert len(commands) == 3

    for command in commands:
        assert main.run(command) == 0
        assert capsys.readouterr().out.endswith("no violation\n")
