"""Leader policies from the command line: the commands and the example of docs/leaders.md."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from click.testing import CliRunner

from benchmarks.__main__ import benchmarks
from tests.host.program import ROOT, call, run

DOCUMENT = (ROOT / "docs" / "leaders.md").read_text(encoding="utf-8")


def test_the_commands_of_the_document_work(tmp_path: Path) -> None:
    block = re.search(r"\n\n((?:    python .*\n)+)", DOCUMENT)
    assert block is not None
    init, sim, search, measure = (shlex.split(line) for line in block[1].splitlines())

    call(*init[2:], cwd=tmp_path).check()
    genesis = json.loads((tmp_path / init[3] / "genesis.json").read_text(encoding="utf-8"))
    assert genesis["epoch"]["protocol"] == "jolteon+reputation"
    assert "tendermint+sticky" in call(*sim[2:], cwd=tmp_path).check().out
    assert search[-2] == "--budget"
    found = call(*search[2:-2], "--scenarios", "1", "--workers", "1", cwd=tmp_path).check().out
    assert found.startswith("jolteon+turns, seed 1: 1 scenarios")
    words = [*measure[3:], "--protocol", "jolteon", "--seconds", "8", "--link-ms", "400", "--json"]
    done = CliRunner().invoke(benchmarks, words)
    assert done.exit_code == 0, done.output
    row = json.loads(done.output)["blocks_per_minute"]["jolteon"]
    assert row["sticky"]["crashed"] > row["round-robin"]["crashed"]


def test_a_policy_of_ones_own_leads_by_its_place(tmp_path: Path) -> None:
    example = re.search(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    assert example is not None
    (tmp_path / "my_leaders.py").write_text(example[1], encoding="utf-8")
    command = re.search(r"    (python node.py sim .*my_leaders:Backwards.*)\n", DOCUMENT)
    assert command is not None

    said = run(*shlex.split(command[1])[2:], cwd=tmp_path).check().out

    assert "no violation" in said


def test_an_unknown_policy_is_one_plain_line(tmp_path: Path) -> None:
    done = call("init", "net", "--protocol", "pbft", "--leaders", "sticky", cwd=tmp_path)

    assert done.code == 2
    assert done.err == "error: pbft has its own way to say who leads\n"
