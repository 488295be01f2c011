"""Large answers about lineage in rows: what shares a row, which lanes are drawn, what is said."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host import lineage_picture, lineage_rows
from host.lineage import as_text
from host.lineage_picture import in_rows
from host.lineage_rows import Rows, as_lines, lay_out
from ledger.applications.provenance import Statement
from ledger.lineage import Answer, Lineage
from tests.ledger.test_lineage import say

Links = Sequence[tuple[int, int]]


def commits(count: int, *, authors: int = 1) -> list[Statement]:
    """A history of one file: x:c0 is the first commit, each makes x:f<n> and x:g<n> of the one
    before."""
    said = []
    for number in range(count):
        commit, author = f"x:c{number}", f"x:author{number % authors}"
        said += [
            say(
                "activity", commit, label=f"step {number}", endTime=f"2026-01-01T00:{number:02}:00"
            ),
            say("agent", author, label=f"Author {number % authors}"),
            say("wasAssociatedWith", activity=commit, agent=author),
            say("wasGeneratedBy", entity=f"x:f{number}", activity=commit),
            say("wasGeneratedBy", entity=f"x:g{number}", activity=commit),
        ]
        if number:
            before = f"x:f{number - 1}"
            said += [
                say("wasInformedBy", informed=commit, informant=f"x:c{number - 1}"),
                say("used", activity=commit, entity=before),
                say("used", activity=commit, entity=f"x:g{number - 1}"),
                say("wasDerivedFrom", generatedEntity=f"x:f{number}", usedEntity=before),
            ]
    return said


def derived(links: Links) -> Lineage:
    """Entities x:0, x:1, ..., each way from an effect to what it rests on."""
    return Lineage([say("wasDerivedFrom", generatedEntity=f"x:{one}", usedEntity=f"x:{other}")
                    for one, other in links])  # fmt: skip


def traced(said: list[Statement], name: str, *, upstream: bool = True) -> Answer:
    return Lineage(said).trace(name, upstream=upstream)


def test_a_commit_and_its_files_are_one_row_and_a_single_author_is_told_once() -> None:
    rows = lay_out(traced(commits(40), "x:f39"), upstream=True)
    lines = list(as_lines(rows))

    assert lines[0] == "*  x:f39  step 39  x:c39  [2026-01-01T00:39:00]"
    assert lines[1] == "*  x:f38  step 38  x:c38  [2026-01-01T00:38:00  made x:g38]"
    assert lines[40] == "@  Author 0  x:author0  [in 40 rows]"
    assert rows.rows[1].ways == ((0, 2, "wasInformedBy, used (2), wasDerivedFrom"),)
    assert len(lines) == 41


def test_several_authors_are_named_in_their_rows() -> None:
    lines = list(as_lines(lay_out(traced(commits(10, authors=2), "x:f9"), upstream=True)))

    assert lines[0] == "*  x:f9  step 9  x:c9  [2026-01-01T00:09:00  by Author 1]"
    assert lines[-2:] == [
        "@  Author 1  x:author1  [in 5 rows]",
        "@  Author 0  x:author0  [in 5 rows]",
    ]


def test_an_agent_says_for_whom_it_acted() -> None:
    said = [
        *commits(3, authors=2),
        say("actedOnBehalfOf", delegate="x:author0", responsible="x:firm"),
    ]

    lines = list(as_lines(lay_out(traced(said, "x:f2"), upstream=True)))

    assert sorted(lines[-3:]) == [
        "@  Author 0  x:author0  [for x:firm  in 2 rows]",
        "@  Author 1  x:author1  [in 1 row]",
        "@  x:firm  [in 1 row]",
    ]


def test_an_agent_that_rests_on_things_has_lanes_to_them() -> None:
    said = [
        say("agent", "x:program"),
        say("wasAttributedTo", entity="x:answer", agent="x:program"),
        say("wasDerivedFrom", generatedEntity="x:program", usedEntity="x:source"),
    ]

    rows = lay_out(traced(said, "x:answer"), upstream=True)

    assert [row.head.name for row in rows.rows] == ["x:answer", "x:program", "x:source"]
    assert [[target for _, target, _ in row.ways] for row in rows.rows] == [[1], [2], []]


def test_what_came_of_an_agent_begins_with_it() -> None:
    rows = lay_out(traced(commits(5), "x:author0", upstream=False), upstream=False)

    assert rows.rows[0].head.name == "x:author0"
    assert [row.head.name for row in rows.rows[1:]] == [f"x:c{number}" for number in range(5)]
    assert rows.implied == 4  # The author's own links to the four later commits.


def test_what_two_activities_made_has_a_row_of_its_own() -> None:
    said = [
        say("wasGeneratedBy", entity="x:twice", activity="x:one"),
        say("wasGeneratedBy", entity="x:twice", activity="x:two"),
    ]

    rows = lay_out(traced(said, "x:twice"), upstream=True)

    assert [row.head.name for row in rows.rows] == ["x:twice", "x:two", "x:one"]


def test_lanes_branch_and_meet() -> None:
    """A release of two branches, one of which has two steps, and both begin at one thing."""
    lineage = derived([(0, 1), (0, 2), (1, 4), (2, 3), (3, 4), (4, 5)])

    assert list(as_lines(lay_out(lineage.trace("x:0"), upstream=True))) == [
        "o─┐  x:0",
        "o │  x:2",
        "o │  x:3",
        "├─o  x:1",
        "o  x:4",
        "o  x:5",
    ]


def test_a_way_joins_a_lane_across_another() -> None:
    lineage = derived([(0, 1), (0, 2), (0, 3), (3, 4), (3, 1), (2, 4), (1, 5), (4, 5)])

    assert list(as_lines(lay_out(lineage.trace("x:0"), upstream=True))) == [
        "o─┐  x:0",
        "o─│─┐  x:3",
        "o │ │  x:1",
        "│ o─┤  x:2",
        "├───o  x:4",
        "o  x:5",
        "not drawn, since longer ways show the same: 1 links",
    ]


def test_a_circle_loses_no_thing() -> None:
    rows = lay_out(derived([(0, 1), (1, 2), (2, 0), (2, 3)]).trace("x:0"), upstream=True)

    assert [row.head.name for row in rows.rows] == ["x:0", "x:1", "x:2", "x:3"]
    assert list(as_lines(rows))[-1] == "not drawn, since they close a circle: 1 links"


def test_of_an_answer_without_end_the_nearest_have_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage_rows, "THINGS_MAX", 10)

    rows = lay_out(
        derived([(number, number + 1) for number in range(30)]).trace("x:0"), upstream=True
    )

    assert [row.head.name for row in rows.rows] == [f"x:{number}" for number in range(11)]
    assert list(as_lines(rows))[-1] == "left out, the furthest away: 20 things"


def test_a_large_answer_is_drawn_in_rows_whether_or_not_there_is_graphviz(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setattr(lineage_picture.shutil, "which", lambda name: "/nowhere/dot")
    answer = traced(commits(50), "x:f49")

    lineage_picture.write_svg(answer, tmp_path / "t.svg", upstream=True)

    picture = ElementTree.parse(tmp_path / "t.svg").getroot()
    words = [text for text in picture.itertext() if text.startswith("step ")]
    assert words == [f"step {number}" for number in reversed(range(50))]
    assert float(picture.attrib["height"]) < 52 * 30
    assert float(picture.attrib["width"]) < 1_000
    assert next(as_text(answer, upstream=True)).startswith("*  x:f49  step 49")


@st.composite
def graphs(draw: st.DrawFn) -> Links:
    """Ways of which none closes a circle, all of them from 0 on."""
    count = draw(st.integers(2, 12))
    links = [(draw(st.integers(0, number - 1)), number) for number in range(1, count)]
    pairs = [(one, other) for other in range(count) for one in range(other)]
    return [*links, *draw(st.lists(st.sampled_from(pairs), max_size=20))]


@settings(max_examples=60, deadline=None)
@given(links=graphs(), upstream=st.booleans())
def test_what_is_drawn_is_the_transitive_reduction_and_every_lane_arrives(
    links: Links, upstream: bool
) -> None:
    lineage = derived(links if upstream else [(other, one) for one, other in links])

    rows = lay_out(lineage.trace("x:0", upstream=upstream), upstream=upstream)

    graph = networkx.DiGraph(links)
    names = [int(row.head.name.removeprefix("x:")) for row in rows.rows]
    drawn = {(names[here], names[there]) for here, row in enumerate(rows.rows)
             for _, there, _ in row.ways}  # fmt: skip
    assert sorted(names) == sorted(graph)
    assert drawn == set(networkx.transitive_reduction(graph).edges)
    assert rows.implied == graph.number_of_edges() - len(drawn)
    _check_lanes(rows)


def _check_lanes(rows: Rows) -> None:
    """Each way stays in its lane, where nothing else is, down to the dot of its row."""
    for number, row in enumerate(rows.rows):
        for lane, target, _ in row.ways:
            between = rows.rows[number + 1 : target]
            assert lane in row.passing
            assert all(lane in other.passing and lane != other.lane for other in between)
            assert rows.rows[target].lane == lane


@settings(max_examples=20, deadline=None)
@given(links=graphs())
def test_words_stand_right_of_the_lanes(links: Links) -> None:
    answer = derived(links).trace("x:0")
    lanes = {row.head.name: max((row.lane, *row.passing))
             for row in lay_out(answer, upstream=True).rows}  # fmt: skip

    picture = ElementTree.fromstring(in_rows(answer, upstream=True))

    space = "{http://www.w3.org/2000/svg}"
    dots = picture.findall(f"{space}g")
    assert len(dots) == len(lanes)
    for dot in dots:
        text = dot.find(f"{space}text")
        assert text is not None
        name = text[0].text
        assert name is not None
        assert float(text.attrib["x"]) + 10 > 16 + 14 * lanes[name]
