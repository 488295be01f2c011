"""Routes about lineage: the proofs of an answer's statements."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from api import proofs, requests
from api.requests import query_number
from api.serving import OCTETS, Api, Handler


async def _joint_receipt(api: Api, request: Request) -> Response:
    wanted = await requests.read_wanted(request, api.limits, api.arriving)
    height = query_number(request, "height", 0) or None
    found = await api.node.read(
        lambda reader: proofs.joint_receipt(reader, api.node.genesis, wanted, height)
    )
    return Response(found, media_type=OCTETS)


ROUTES: tuple[tuple[str, str, Handler], ...] = (("POST", "/v1/joint-receipts", _joint_receipt),)
"""Method, path and handler, as `api.app.ROUTES`."""
