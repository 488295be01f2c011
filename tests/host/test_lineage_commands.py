"""The questions about lineage as commands: what they print, and the pictures they write."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from host import lineage_picture as drawing
from host.commands import between, diff, history, main, trace, who
from host.ledger_statements import Said
from host.questions import Sayings
from ledger.lineage import Lineage
from tests.ledger.test_lineage import BAKING, say

NETWORK = ("--api", "http://127.0.0.1:1")
SAID = Sayings([Said(each, "", 1, "", 0, number) for number, each in enumerate(BAKING)])
MODULES = (trace, between, history, who, diff)


@pytest.fixture(autouse=True)
def _ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command reads these statements instead of a node's."""
    for module in MODULES:
        monkeypatch.setattr(module, "read_for", lambda target, asked, hidden, agent="": SAID)


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main.run([*words, *NETWORK])
    return code, capsys.readouterr().out


@pytest.mark.parametrize("group", [(), ("provenance",)])
def test_a_trace_is_a_tree_for_people_and_a_graph_for_programs(
    capsys: pytest.CaptureFixture[str], group: tuple[str, ...]
) -> None:
    code, text = told(capsys, *group, "trace", "x:bread", "--depth", "3")
    lines = text.splitlines()
    _, raw = told(capsys, *group, "trace", "x:bread", "--depth", "3", "--json")
    document = json.loads(raw)

    assert code == 0
    assert lines[0] == "x:bread (entity)  'a loaf'"
    assert lines[1] == "  wasGeneratedBy  x:bake (activity)"
    assert lines[2] == "    used as raw  x:dough (entity)"
    assert lines[-1].startswith("3 things led to it")
    assert [node["id"] for node in document["nodes"]] == ["x:bake", "x:dough", "x:mix"]
    assert document["edges"][0] == {
        "from": "x:bread", "kind": "wasGeneratedBy", "to": "x:bake", "role": "",
        "time": "2026-01-02T11:00:00",
    }  # fmt: skip
    assert document["start"]["id"] == "x:bread"


def test_what_was_told_above_is_only_named(capsys: pytest.CaptureFixture[str]) -> None:
    _, text = told(capsys, "trace", "x:flour", "--downstream")

    assert "4 things came of it" in text
    assert "x:mix" in text


def test_a_picture_is_made_without_graphviz(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(drawing.shutil, "which", lambda name: None)

    told(capsys, "trace", "x:bread", "--svg", str(tmp_path / "t.svg"), "--dot", str(tmp_path / "t"))

    picture = ElementTree.parse(tmp_path / "t.svg").getroot()
    assert picture.tag.endswith("svg")
    assert "a loaf" in "".join(picture.itertext())
    assert "digraph" in (tmp_path / "t").read_text()
    assert '"urn:x:bread" -> "urn:x:bake"' in (tmp_path / "t").read_text()


def test_a_picture_of_a_circle_is_made_too() -> None:
    circle = [
        say("wasDerivedFrom", generatedEntity=f"x:{one}", usedEntity=f"x:{other}")
        for one, other in (("a", "b"), ("b", "a"))
    ]

    assert "<svg" in drawing.in_layers(Lineage(circle).trace("x:a"))


def test_a_file_that_cannot_be_written_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = main.run(["trace", "x:bread", "--dot", str(tmp_path / "no" / "t.dot"), *NETWORK])

    assert code == 2
    assert "cannot write" in capsys.readouterr().err


def test_the_other_questions(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "between", "x:bread", "x:flour")[0] == 0
    assert told(capsys, "between", "x:flour", "x:water")[0] == 1
    assert "x:firm (agent)" in told(capsys, "who", "x:dough")[1]
    assert told(capsys, "history", "x:bread") == (0, "* x:bread  'a loaf'\n")
    assert "- used  x:dough as raw" in told(capsys, "diff", "x:bake", "x:mix")[1]
    rows = json.loads(told(capsys, "diff", "x:bake", "x:mix", "--json")[1])["differences"]
    assert {row["of"] for row in rows} == {"first", "second"}
    assert json.loads(told(capsys, "who", "x:dough", "--json")[1])["nodes"]
    assert json.loads(told(capsys, "history", "x:bread", "--json")[1])["nodes"]


def test_a_thing_that_nobody_names_fails_the_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["trace", "x:nothing", *NETWORK]) == 1
    assert "no statement names x:nothing" in capsys.readouterr().err


def test_a_picture_shows_the_beginning_of_labels_and_the_end_of_names() -> None:
    long = [
        say("activity", "x:run", label="A sentence that is longer than a box of the picture is"),
        say("wasGeneratedBy", entity=f"x:file/{'0123456789' * 4}/some/folder/name.py",
            activity="x:run"),
    ]  # fmt: skip

    answer = Lineage(long).trace(f"urn:x:file/{'0123456789' * 4}/some/folder/name.py")

    picture = drawing.in_layers(answer)
    assert ">A sentence that is longer t...<" in picture
    assert ">...0123456/some/folder/name.py<" in picture
