"""Routes about lineage: the statements that a question needs, and their proofs."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import lineage, proofs, requests
from api.limits import ROWS_A_PAGE
from api.requests import query_number
from api.serving import OCTETS, Api, Handler
from ledger.lineage_question import UPSTREAM, WORDS, Question


async def _joint_receipt(api: Api, request: Request) -> Response:
    wanted = await requests.read_wanted(request, api.limits, api.arriving)
    height = query_number(request, "height", 0) or None
    found = await api.node.read(
        lambda reader: proofs.joint_receipt(reader, api.node.genesis, wanted, height)
    )
    return Response(found, media_type=OCTETS)


async def _lineage(api: Api, request: Request) -> Response:
    word = request.query_params.get("question", UPSTREAM)
    thing = request.query_params.get("thing", "")
    if WORDS.get(word) != 1 or not thing:
        asked = ", ".join(each for each, count in WORDS.items() if count == 1)
        raise HTTPException(400, f"say which: ?thing=URI, and question={asked}")
    question = Question(word, (thing,), query_number(request, "depth", 0) or None)
    height = query_number(request, "height", 0) or None
    agents = query_number(request, "agents", 0) > 0
    offset, limit = query_number(request, "offset", 0), query_number(request, "limit", ROWS_A_PAGE)
    found = await api.node.read(
        lambda reader: lineage.page(
            reader,
            api.node.genesis,
            question,
            agents=agents,
            height=height,
            offset=offset,
            limit=limit,
        )
    )
    return JSONResponse(found)


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/v1/provenance/lineage", _lineage),
    ("POST", "/v1/joint-receipts", _joint_receipt),
)
"""Method, path and handler, as `api.app.ROUTES`."""
