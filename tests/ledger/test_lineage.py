"""What led to a thing, what came of it, and who: over small graphs, and a document with answers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from host.importers.prov_document import read_document, statements_of
from ledger.applications.provenance import QUALIFIED_NAME, Statement, make_statement
from ledger.errors import Fault
from ledger.lineage import EDGES, REVISION, Answer, Filter, Lineage

SPACES = {"x": "urn:x:", "y": "urn:y:"}
CHALLENGE = Path(__file__).parents[3] / "shared" / "data" / "first-provenance-challenge.provn"


def say(kind: str, identifier: str = "", **arguments: str) -> Statement:
    """A statement; `role`, `type` and `label` become attributes."""
    attributes = []
    for name in ("role", "label"):
        if name in arguments:
            attributes.append((f"prov:{name}", arguments.pop(name), "xsd:string"))
    if "type" in arguments:
        attributes.append(("prov:type", arguments.pop("type"), QUALIFIED_NAME))
    return make_statement(
        kind, identifier, namespaces=SPACES, arguments=arguments, attributes=attributes
    )


def names(answer: Answer) -> set[str]:
    return {node.name for node in answer.nodes}


BAKING = [
    say("entity", "x:bread", label="a loaf"),
    say("entity", "x:dough"),
    say("entity", "x:flour", type="x:powder"),
    say("entity", "x:water"),
    say("activity", "x:bake", startTime="2026-01-02T10:00:00", endTime="2026-01-02T11:00:00"),
    say("activity", "x:mix", startTime="2026-01-01T10:00:00"),
    say("agent", "x:baker"),
    say("agent", "x:firm"),
    say("wasGeneratedBy", entity="x:bread", activity="x:bake", time="2026-01-02T11:00:00"),
    say("used", activity="x:bake", entity="x:dough", role="raw"),
    say("wasGeneratedBy", entity="x:dough", activity="x:mix"),
    say("used", activity="x:mix", entity="x:flour", role="base"),
    say("used", activity="x:mix", entity="x:water"),
    say("wasAssociatedWith", activity="x:mix", agent="x:baker", plan="x:recipe"),
    say("actedOnBehalfOf", delegate="x:baker", responsible="x:firm"),
    say("wasInvalidatedBy", entity="x:flour", activity="x:mix"),
]


def test_upstream_is_what_led_to_it_nearest_first() -> None:
    answer = Lineage(BAKING).trace("x:bread")

    assert [node.name for node in answer.nodes][:2] == ["x:bake", "x:dough"]
    assert names(answer) == {"x:bake", "x:dough", "x:mix", "x:flour", "x:water", "x:baker",
                             "x:recipe", "x:firm"}  # fmt: skip
    assert answer.start.label == "a loaf"
    assert all(edge.kind != "wasInvalidatedBy" for edge in answer.edges)


def test_downstream_is_what_came_of_it() -> None:
    assert names(Lineage(BAKING).trace("x:flour", upstream=False)) == {
        "x:mix", "x:dough", "x:bake", "x:bread",
    }  # fmt: skip


def test_a_depth_bounds_the_walk_and_a_name_is_as_good_as_a_uri() -> None:
    lineage = Lineage(BAKING)

    assert names(lineage.trace("urn:x:bread", depth=1)) == {"x:bake"}
    assert names(lineage.trace("x:bread", depth=3)) == {"x:bake", "x:dough", "x:mix"}


def test_nothing_beyond_an_end_is_shown_whichever_way_leads_there() -> None:
    short_cut = say("wasDerivedFrom", generatedEntity="x:bread", usedEntity="x:flour")

    answer = Lineage([*BAKING, short_cut]).trace("x:bread", until=["x:mix"])

    assert names(answer) == {"x:bake", "x:dough", "x:mix"}


@pytest.mark.parametrize("kind", sorted(EDGES))
def test_every_relation_is_followed_both_ways(kind: str) -> None:
    effect, causes = EDGES[kind]
    arguments = {effect: "x:e", **{name: f"x:{name}" for name in causes}}
    if kind == "mentionOf":
        arguments["bundle"] = "x:b"
    lineage = Lineage([say(kind, **arguments)])

    assert names(lineage.trace("x:e")) == {f"x:{name}" for name in causes}
    for name in causes:
        assert names(lineage.trace(f"x:{name}", upstream=False)) == {"x:e"}


def test_a_circle_has_an_end() -> None:
    circle = [
        say("wasDerivedFrom", generatedEntity=f"x:{one}", usedEntity=f"x:{other}")
        for one, other in (("a", "b"), ("b", "c"), ("c", "a"))
    ]

    assert names(Lineage(circle).trace("x:a")) == {"x:b", "x:c"}


def test_filters_hide_nodes_and_do_not_stop_the_walk() -> None:
    lineage = Lineage(BAKING)

    def shown(**words: object) -> set[str]:
        return names(lineage.trace("x:bread", shown=Filter(**words)))  # type: ignore[arg-type]

    assert shown(types=("activity",)) == {"x:bake", "x:mix"}
    assert shown(types=("x:powder",)) == shown(types=("urn:x:powder",)) == {"x:flour"}
    assert shown(role="raw") == {"x:bake", "x:dough"}
    assert shown(agent="urn:x:firm") == {"x:mix", "x:firm"}
    assert shown(before="2026-01-01T23:59:59") == {"x:mix"}
    assert shown(after="2026-01-02T00:00:00", types=("activity",)) == {"x:bake"}


def test_who_names_agents_and_on_whose_behalf_they_acted() -> None:
    attributed = say("wasAttributedTo", entity="x:bread", agent="x:shop")

    assert names(Lineage(BAKING).who("x:dough")) == {"x:mix", "x:baker", "x:firm"}
    assert names(Lineage([*BAKING, attributed]).who("x:bread")) == {"x:bake", "x:shop"}


def test_history_is_revisions_specializations_and_alternates_in_their_order() -> None:
    def revision(new: str, old: str) -> Statement:
        return make_statement(
            "wasDerivedFrom",
            namespaces=SPACES,
            arguments={"generatedEntity": new, "usedEntity": old},
            attributes=[("prov:type", "prov:Revision", QUALIFIED_NAME)],
        )

    lineage = Lineage([
        revision("x:v3", "x:v2"),
        say("specializationOf", specificEntity="x:v3", generalEntity="x:report"),
        revision("x:v2", "x:v1"),
        say("alternateOf", alternate1="x:v2", alternate2="x:copy"),
        say("wasDerivedFrom", generatedEntity="x:v1", usedEntity="x:source"),
    ])  # fmt: skip

    versions = [node.name for node in lineage.history("x:v2")]

    assert set(versions) == {"x:v1", "x:v2", "x:v3", "x:report", "x:copy"}
    assert versions.index("x:v1") < versions.index("x:v2") < versions.index("x:v3")
    assert REVISION.endswith("Revision")


def test_two_runs_differ_in_what_one_has_alone() -> None:
    lineage = Lineage([
        say("used", activity="x:one", entity="x:same"),
        say("used", activity="x:two", entity="x:same"),
        say("used", activity="x:one", entity="x:a", role="in"),
        say("used", activity="x:two", entity="x:a", role="out"),
        say("wasGeneratedBy", entity="x:result", activity="x:two"),
    ])  # fmt: skip

    found = lineage.difference("x:one", "x:two")

    assert [edge.role for edge in found["used"][0]] == ["in"]
    assert [edge.role for edge in found["used"][1]] == ["out"]
    assert [edge.effect for edge in found["wasGeneratedBy"][1]] == ["urn:x:result"]
    assert lineage.difference("x:one", "x:one") == {}


def test_between_finds_all_ways_from_either_end() -> None:
    lineage = Lineage(BAKING)

    there, back = lineage.between("x:bread", "x:flour"), lineage.between("x:flour", "x:bread")

    assert names(there) == {"x:bake", "x:dough", "x:mix", "x:flour"}
    assert names(back) == names(there)
    assert names(lineage.between("x:flour", "x:water")) == set()


def test_an_unknown_name_and_one_of_several_things_are_refused() -> None:
    lineage = Lineage([
        make_statement("entity", "x:e", namespaces={"x": "urn:one:"}),
        make_statement("entity", "x:e", namespaces={"x": "urn:two:"}),
    ])  # fmt: skip

    with pytest.raises(Fault, match="no statement names x:f"):
        lineage.find("x:f")
    with pytest.raises(Fault, match="urn:one:e or urn:two:e"):
        lineage.find("x:e")
    assert lineage.find("urn:two:e").uri == "urn:two:e"


@pytest.mark.skipif(not CHALLENGE.exists(), reason="../shared/data is not beside this checkout")
def test_the_provenance_challenge_has_its_known_answers() -> None:
    lineage = Lineage(statements_of(read_document(CHALLENGE)))

    everything = lineage.trace("pc1:e28")
    after_softmean = lineage.trace("pc1:e28", until=["pc1:a9"])
    stages = lineage.trace("pc1:e28", until=["pc1:a9"], shown=Filter(types=("activity",)))

    assert len(everything.nodes) == 38
    kinds = Counter(node.kind for node in everything.nodes)
    assert kinds == {"entity": 26, "activity": 11, "agent": 1}
    assert names(after_softmean) == {f"pc1:{name}" for name in
                                     ("a9", "a10", "a13", "e23", "e24", "e25", "e25p")}  # fmt: skip
    assert names(stages) == {"pc1:a9", "pc1:a10", "pc1:a13"}
    assert len(lineage.trace("pc1:e1", upstream=False).nodes) == 35
