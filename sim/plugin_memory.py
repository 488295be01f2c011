"""How much a plugin keeps: the items of every container that hangs below it.

What a step refers to from outside (context, parameters, classes) does not count, nor does anything
twice.  Numbers and bytes are no containers: a value of 64 KiB counts as what holds it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from consensus.interface import Consensus, Context
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.validators import ValidatorSet
from ledger.value import Value

_ATOMS = (int, bytes, str, type(None), type, Context, ValidatorSet, Value, Certificate,
          TimeoutCertificate)  # fmt: skip
"""What holds no container that can grow."""

_SLOTS: dict[type, tuple[str, ...]] = {}
"""The slots of a type and of its bases."""


class _Atoms(dict[type, bool]):
    """Whether a type is one of them: asked of thousands of things, of a few types."""

    def __missing__(self, kind: type) -> bool:
        self[kind] = is_atom = issubclass(kind, _ATOMS)
        return is_atom


_IS_ATOM = _Atoms()


def items_kept(plugin: Consensus) -> int:
    """The number of items in all mutable containers that can be reached from a plugin."""
    is_atom = _IS_ATOM
    seen: dict[int, Any] = {}
    waiting: list[Any] = [vars(plugin)]
    count = -len(vars(plugin))
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen[id(item)] = item
        below: Iterable[Any]
        if isinstance(item, dict):
            count += len(item)
            below = (*item, *item.values())
        elif isinstance(item, list | set | deque):
            count += len(item)
            below = item
        elif isinstance(item, tuple | frozenset):
            below = item
        elif hasattr(item, "__dict__"):
            below = vars(item).values()
        else:
            below = [getattr(item, name) for name in _slots(type(item)) if hasattr(item, name)]
        waiting += [each for each in below if not is_atom[type(each)]]
    return count


def _slots(kind: type) -> tuple[str, ...]:
    names = _SLOTS.get(kind)
    if names is None:
        found = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
        names = _SLOTS[kind] = tuple(found)
    return names
