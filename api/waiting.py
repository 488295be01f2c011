"""Waiting for a confirmation inside a request, so that clients need not ask again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import trio

from api.view import RunningNode
from ledger.store import Reader

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """An answer about some transactions, from one view of the ledger."""

    certified: int
    """Height of the view's last confirmed block."""
    is_enough: bool
    """Whether the client has nothing more to wait for."""
    answer: T


async def wait_for(
    node: RunningNode,
    ids: Sequence[bytes],
    wait_ms: int,
    question: Callable[[Reader], Found[T]],
) -> Found[T]:
    """The answer once it is enough, or the one that there is after wait_ms."""
    deadline = trio.current_time() + wait_ms / 1000
    while True:
        found = await node.read(question)
        if found.is_enough or trio.current_time() >= deadline:
            return found
        with trio.move_on_at(deadline):
            certified = await node.wait_confirmed(found.certified)
            # What is not executed is not confirmed: no need to look.
            while all(node.is_pending(identity) for identity in ids):
                certified = await node.wait_confirmed(certified)
