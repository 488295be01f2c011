"""The statements that a question about lineage needs, by the node's index, a page at a time."""

from __future__ import annotations

from typing import Any

from api.contents import Contents
from api.limits import ROWS_A_PAGE
from ledger import queries
from ledger.applications.provenance import PREDEFINED
from ledger.applications.provenance_index import Index
from ledger.errors import Fault
from ledger.genesis import Genesis
from ledger.lineage_question import Question
from ledger.lineage_walk import walk
from ledger.store import Reader


def page(
    reader: Reader,
    genesis: Genesis,
    question: Question,
    *,
    agents: bool = False,
    height: int | None,
    offset: int,
    limit: int,
) -> dict[str, Any]:
    """What the ledger holds up to a height, the confirmed one unless given, in its order.

    With a limit of 0 it only says how much that is.  With agents, it says of all things in the
    answer who is credited with them, and on whose behalf they acted.

    The thing of the question may be a URI or a qualified name.  Raises Fault: "lineage.unknown",
    "lineage.ambiguous" for a name of several things, "lineage.too-much" for an answer that takes
    too long, "lineage.height" for one that is not confirmed here.
    """
    certified = queries.certified_height(reader)
    height = certified if height is None else height
    if height > certified:
        raise Fault("lineage.height", f"{certified} is confirmed here")
    index = Index(reader)
    uri = _find(index, question.things[0])
    asked = Question(question.word, (uri,), question.depth)
    found = walk(index, asked, height, agents=agents)
    places = found.places[offset:][: min(limit, ROWS_A_PAGE)]
    end = offset + len(places)
    return {
        "thing": uri,
        "height": height,
        "agents": agents,
        "things": found.things,
        "total": len(found.places),
        "statements": Contents(reader, genesis).rows(places),
        "next": end if limit and end < len(found.places) else None,
    }


def _find(index: Index, name: str) -> str:
    uris = index.named(name, PREDEFINED)
    if not uris:
        raise Fault("lineage.unknown", f"no statement names {name}")
    if len(uris) > 1:
        raise Fault("lineage.ambiguous", f"{name} may be {' or '.join(uris)}: give the URI")
    return uris[0]
