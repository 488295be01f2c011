"""JSON objects of a file: one, an array of them, or one a line (NDJSON)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ledger.errors import UserError

FILE_BYTES_MAX = 1 << 30
"""One document is held in memory whole."""


def read_objects(path: Path) -> Iterator[dict[str, Any]]:
    """Every object, in order.  Raises UserError with the line where it is none."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise UserError(f"{path} has more than {FILE_BYTES_MAX} bytes; split it")
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    whole = _parsed(raw)
    if isinstance(whole, dict):
        yield whole
        return
    if isinstance(whole, list):
        for number, item in enumerate(whole):
            yield _object(item, f"{path}, item {number + 1}")
        return
    for number, line in enumerate(raw.splitlines(), 1):
        if line.strip():
            yield _object(_parsed(line), f"{path}, line {number}")


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _object(item: Any, where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise UserError(f"{where}: this is no JSON object")
    return item
