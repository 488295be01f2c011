"""The API's description (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any


def document() -> dict[str, Any]:
    """The description of every route."""
    return {"openapi": "3.1.0", "info": {"title": "Ledger node", "version": "1"}, "paths": {}}
