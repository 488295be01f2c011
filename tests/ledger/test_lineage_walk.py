"""The index finds the statements that a question needs, and no walk meets the other direction."""

from __future__ import annotations

from random import Random

import pytest

from ledger import lineage_walk
from ledger.applications import provenance_index
from ledger.applications.provenance import KINDS, PREDEFINED, QUALIFIED_NAME, TIMES, Statement
from ledger.applications.provenance import make_statement as make
from ledger.applications.provenance_index import (
    IS,
    LINKS,
    Index,
    Mention,
    statements_about,
    thing_key,
)
from ledger.errors import Fault
from ledger.lineage import ARGUMENT_KINDS, Filter, Lineage
from ledger.lineage_question import Question, settle
from ledger.lineage_walk import Found, walk
from tests.ledger.builders import make_genesis, make_signed
from tests.ledger.proven import Store

SPACES = {"x": "urn:x:", "y": "urn:y:"}
GENESIS = make_genesis()


class Book(Store):
    """A ledger of provenance, and where each statement of it stands."""

    def __init__(self) -> None:
        super().__init__(GENESIS)
        self.said: dict[tuple[int, int, int], Statement] = {}

    def put(self, *statements: Statement) -> None:
        """One block of one transaction."""
        height = self.head.height + 1
        operations = [each.operation() for each in statements]
        self.block(make_signed(GENESIS, "alice", height, expiry=height, operations=operations))
        self.said |= {(height, 0, number): each for number, each in enumerate(statements)}

    def walk(
        self,
        word: str,
        thing: str,
        *,
        depth: int | None = None,
        height: int = 99,
        agents: bool = False,
    ) -> Found:
        question = Question(word, (thing,), depth)
        return walk(Index(self.store), question, height, agents=agents)

    def found(self, word: str, thing: str, *, depth: int | None = None) -> list[Statement]:
        return [self.said[place] for place in self.walk(word, thing, depth=depth).places]


def say(kind: str, identifier: str = "", **arguments: str) -> Statement:
    attributes = []
    if "type" in arguments:
        attributes.append(("prov:type", arguments.pop("type"), QUALIFIED_NAME))
    return make(kind, identifier, namespaces=SPACES, arguments=arguments, attributes=attributes)


def drawn(draw: Random, size: int) -> list[Statement]:
    """Statements of every kind over few things, so that ways cross, meet and go in circles."""
    pool = {kind: [f"{space}:{kind}{number}" for space in "xy" for number in range(size)]
            for kind in ("entity", "activity", "agent")}  # fmt: skip
    made = []
    for _ in range(8 * size):
        kind = draw.choice(sorted(KINDS))
        if kind in pool:
            made.append(say(kind, draw.choice(pool[kind])))
            continue
        arguments = {}
        for place, name in enumerate(KINDS[kind].arguments):
            if name in TIMES or (place >= KINDS[kind].required and draw.random() < 0.4):
                continue
            arguments[name] = draw.choice(pool[ARGUMENT_KINDS.get(name, "entity") or "entity"])
        revises = kind == "wasDerivedFrom" and draw.random() < 0.5
        made.append(say(kind, **arguments, **({"type": "prov:Revision"} if revises else {})))
    return made


@pytest.mark.parametrize("seed", range(6))
def test_what_the_walk_finds_answers_every_question_as_the_whole_ledger_does(seed: int) -> None:
    draw = Random(f"walk {seed}")
    book = Book()
    statements = drawn(draw, 3 + seed)
    for start in range(0, len(statements), 5):
        book.put(*statements[start : start + 5])
    things = sorted({each.expand(name) for each in statements for name in each.things()})
    things = [uri for uri in things if uri.startswith("urn:")]
    questions = [("upstream", None), ("downstream", None), ("history", None), ("who", None),
                 ("upstream", 1), ("upstream", 3), ("downstream", 2)]  # fmt: skip
    for uri in things:
        for word, depth in questions:
            question = Question(word, (uri,), depth)
            whole, needed = settle(statements, question)
            found = book.found(word, uri, depth=depth)
            if not found:
                assert not needed
                continue
            part, used = settle(found, question)
            assert used == needed, question
            assert [node.uri for node in part.nodes] == [node.uri for node in whole.nodes]


@pytest.mark.parametrize("seed", range(4))
def test_with_agents_what_is_found_tells_whose_things_are_as_the_whole_ledger_does(
    seed: int,
) -> None:
    draw = Random(f"whose {seed}")
    book = Book()
    statements = drawn(draw, 3 + seed)
    book.put(*statements)
    whole = Lineage(statements)
    agents = [uri for uri in whole.nodes if ":agent" in uri]
    shown = 0
    for uri in (uri for uri in whole.nodes if uri.startswith("urn:")):
        for word, depth in (("upstream", None), ("downstream", None), ("upstream", 1)):
            places = book.walk(word, uri, depth=depth, agents=True).places
            part = Lineage([book.said[place] for place in places])
            if uri not in part.nodes:
                continue
            for agent in agents:
                up, only = word == "upstream", Filter(agent=agent)
                answer = whole.trace(uri, upstream=up, depth=depth, shown=only)
                found = part.trace(uri, upstream=up, depth=depth, shown=only)
                assert [each.uri for each in found.nodes] == [each.uri for each in answer.nodes]
                assert set(found.edges) == set(answer.edges)
                shown += len(answer.nodes)
    assert shown > 10


def test_the_tables_of_the_index_are_those_of_the_data_model() -> None:
    named = set(provenance_index.KINDS_BY_CODE) - {provenance_index.REVISED}

    assert named == set(KINDS)
    assert len(provenance_index.CODES) == len(provenance_index.KINDS_BY_CODE)
    for kind, (effect, causes) in LINKS.items():
        assert {effect, *causes} <= set(KINDS[kind].arguments)


def test_the_same_words_are_found_once_where_they_came_first() -> None:
    book = Book()
    book.put(say("entity", "x:e"), say("used", activity="x:a", entity="x:e"))
    book.put(say("used", activity="x:a", entity="x:e"), say("entity", "x:e"))

    assert book.walk("upstream", "urn:x:a").places == ((1, 0, 0), (1, 0, 1))
    assert statements_about(book.store, "urn:x:e") == [
        Mention(1, 0, 0, "entity"),
        Mention(1, 0, 1, "used"),
        Mention(2, 0, 0, "used"),
        Mention(2, 0, 1, "entity"),
    ]


def test_a_walk_is_as_of_a_height() -> None:
    book = Book()
    book.put(say("used", activity="x:a", entity="x:e"))
    book.put(say("used", activity="x:a", entity="x:f"))

    assert book.walk("upstream", "urn:x:a", height=1).places == ((1, 0, 0),)
    assert len(book.walk("upstream", "urn:x:a").places) == 2


def test_one_way_never_meets_the_edges_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book()
    for number in range(20):
        book.put(*[say("wasAssociatedWith", activity=f"x:run{number}.{each}", agent="x:me")
                   for each in range(10)])  # fmt: skip
    book.put(say("actedOnBehalfOf", delegate="x:me", responsible="x:firm"))
    monkeypatch.setattr(lineage_walk, "SCANNED_MAX", 8)

    assert book.walk("upstream", "urn:x:me").things == 2
    assert book.walk("upstream", "urn:x:run7.3").things == 3
    with pytest.raises(Fault, match=r"lineage\.too-much"):
        book.walk("downstream", "urn:x:me")


def test_a_name_is_found_by_whatever_its_prefix_ever_meant() -> None:
    book = Book()
    book.put(
        make("entity", "p:one", namespaces={"p": "urn:first:"}),
        make("entity", "p:two", namespaces={"p": "urn:second:"}),
        make("entity", "p:one", namespaces={"p": "urn:second:"}),
        make("entity", ":bare", namespaces={"": "urn:bare:"}),
        make("entity", "prov:thing", namespaces={}),
    )
    index = Index(book.store)

    assert index.named("p:two", PREDEFINED) == ["urn:second:two"]
    assert index.named("p:one", PREDEFINED) == ["urn:first:one", "urn:second:one"]
    assert index.named("urn:first:one", PREDEFINED) == ["urn:first:one"]
    assert index.named(":bare", PREDEFINED) == ["urn:bare:bare"]
    assert index.named("prov:thing", PREDEFINED) == ["http://www.w3.org/ns/prov#thing"]
    assert index.named("q:one", PREDEFINED) == []
    assert index.named("none", PREDEFINED) == []


def test_an_entry_tells_kind_mark_and_the_other_ends() -> None:
    book = Book()
    derived = say("wasDerivedFrom", generatedEntity="x:new", usedEntity="x:old", activity="x:a",
                  type="prov:Revision")  # fmt: skip
    book.put(derived, say("entity", "x:new"), say("wasInvalidatedBy", entity="x:new"))
    index = Index(book.store)
    new = thing_key("urn:x:new")

    [edge] = index.entries(new, provenance_index.EFFECT)
    assert (edge.kind, edge.place) == (provenance_index.REVISED, (1, 0, 0))
    assert edge.others == (thing_key("urn:x:old"), thing_key("urn:x:a"))
    [back] = index.entries(thing_key("urn:x:a"), provenance_index.CAUSE)
    assert (back.mark, back.others) == (edge.mark, (new,))
    assert [entry.kind for entry in index.entries(new, IS)] == ["entity"]
    [other] = index.entries(new, provenance_index.OTHER)
    assert (other.kind, other.mark) == ("wasInvalidatedBy", b"")
    assert [entry.kind for entry in statements_about(book.store, "urn:x:new")] == [
        "wasDerivedFrom", "entity", "wasInvalidatedBy",
    ]  # fmt: skip


def test_what_the_index_cannot_answer_is_said() -> None:
    with pytest.raises(Fault, match=r"lineage\.question"):
        walk(Index(Book().store), Question("between", ("urn:x:a", "urn:x:b")), 1)
