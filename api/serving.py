"""What every handler of the API gets, and the answers that many of them give."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.limits import ApiLimits
from api.requests import Arriving
from api.stream import OpenStreams
from api.view import Contents, RunningNode

OCTETS = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Api:
    """One node's API."""

    node: RunningNode
    limits: ApiLimits
    contents: Contents | None = None
    """The content store, where the node has one."""
    streams: OpenStreams = field(default_factory=OpenStreams)
    arriving: Arriving = field(default_factory=Arriving)


Handler: TypeAlias = Callable[[Api, Request], Awaitable[Response]]


def missing(detail: str) -> Response:
    """The node does not have it."""
    return JSONResponse({"error": detail}, 404)
