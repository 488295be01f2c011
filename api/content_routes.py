"""Routes of the content store beside a node: for members alone, who sign each request.

authorization: Ledger <public key> <expires at, in ms> <signature>      (hexadecimal, decimal)
"""

from __future__ import annotations

import re
import time

import trio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import requests
from api.requests import path_digest
from api.serving import OCTETS, Api, Handler, missing
from api.view import Contents
from ledger.content import ACCESS_MS_MAX, GET, PUT, access_bytes
from ledger.errors import Fault
from ledger.limits import PUBLIC_KEY_SIZES, SIGNATURE_SIZES


def _hexadecimal(sizes: frozenset[int]) -> str:
    """Matches bytes of one of these sizes."""
    return "|".join(f"[0-9a-f]{{{2 * size}}}" for size in sorted(sizes))


_authorization = re.compile(
    f"Ledger ({_hexadecimal(PUBLIC_KEY_SIZES)}) ([1-9][0-9]{{0,15}})"
    f" ({_hexadecimal(SIGNATURE_SIZES)})"
)


async def _get(api: Api, request: Request) -> Response:
    digest = path_digest(request, "digest")
    store = _store_for(api, request, GET, digest)
    found = await trio.to_thread.run_sync(store.get, digest)
    if found is None:
        return missing("the content store does not have it")
    return Response(found, media_type=OCTETS, headers={"cache-control": "private, no-store"})


async def _put(api: Api, request: Request) -> Response:
    digest = path_digest(request, "digest")
    store = _store_for(api, request, PUT, digest)
    content = await requests.read_body(request, api.limits, api.arriving)
    try:
        await trio.to_thread.run_sync(store.put, digest, content)
    except Fault as fault:
        raise HTTPException(507 if fault.reason == "content.full" else 422, str(fault)) from None
    return JSONResponse({"sha256": digest.hex(), "bytes": len(content)}, 201)


def _store_for(api: Api, request: Request, act: str, digest: bytes) -> Contents:
    """The store.  Raises HTTPException 404 without one, 401 unless a member signed for this."""
    if api.contents is None:
        raise HTTPException(404, "this node keeps no contents")
    found = _authorization.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        raise HTTPException(401, "send: authorization: Ledger KEY EXPIRES SIGNATURE")
    key, expires_ms = bytes.fromhex(found[1]), int(found[2])
    now_ms = time.time_ns() // 1_000_000
    if not now_ms < expires_ms <= now_ms + ACCESS_MS_MAX:
        raise HTTPException(401, "the signature has expired, or would be good for too long")
    genesis = api.node.genesis
    roles = next((each.roles for each in genesis.members if each.public_key == key), ())
    if not roles or (act == PUT and "submitter" not in roles):
        raise HTTPException(401, f"the key is of no member who may {act}")
    message = access_bytes(genesis.network, act, digest, expires_ms)
    if not genesis.suite.members.verify(key, message, bytes.fromhex(found[3])):
        raise HTTPException(401, "the signature is wrong")
    return api.contents


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/v1/contents/{digest}", _get),
    ("PUT", "/v1/contents/{digest}", _put),
)
"""Method, path and handler, as `api.app.ROUTES`."""
