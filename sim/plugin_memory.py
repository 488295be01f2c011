"""How much a plugin keeps: the items of every container that hangs below it.

What a step refers to from outside (context, parameters, classes) does not count, nor does anything
twice.  Numbers and bytes are no containers: a value of 64 KiB counts as what holds it.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from consensus.interface import Consensus, Context
from ledger.validators import ValidatorSet

_ATOMS = (int, bytes, str, type(None), type, Context, ValidatorSet)


def items_kept(plugin: Consensus) -> int:
    """The number of items in all mutable containers that can be reached from a plugin."""
    seen: dict[int, Any] = {}
    waiting: list[Any] = [vars(plugin)]
    count = -len(vars(plugin))
    while waiting:
        item = waiting.pop()
        if isinstance(item, _ATOMS) or id(item) in seen:
            continue
        seen[id(item)] = item
        if isinstance(item, dict):
            count += len(item)
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list | set | deque):
            count += len(item)
            waiting += item
        elif isinstance(item, tuple | frozenset):
            waiting += item
        elif hasattr(item, "__dict__"):
            waiting += vars(item).values()
        else:
            names = [name for kind in type(item).__mro__ for name in getattr(kind, "__slots__", ())]
            waiting += [getattr(item, name) for name in names if hasattr(item, name)]
    return count
