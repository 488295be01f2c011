"""How much a plugin keeps: the items of every container that hangs below it.

What a step refers to from outside (context, parameters, classes) does not count, nor does anything
twice.  Numbers and bytes are no containers: a value of 64 KiB counts as what holds it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from consensus.interface import Consensus, Context, Message, Signed
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.validators import ValidatorSet
from ledger.value import Value

_ATOMS = (int, bytes, str, type(None), type, Context, ValidatorSet, Value, Certificate,
          TimeoutCertificate, Message, Signed)  # fmt: skip
"""What holds no container that can grow; a message is built of tuples and numbers."""

Below = Callable[[Any], Iterable[Any]]
"""What hangs directly below a thing of one type."""


class _Kinds(dict[type, tuple[bool, Below] | None]):
    """By type: whether its items count, and what hangs below; None for what holds nothing.

    There are thousands of things to look at, of a few types.
    """

    def __missing__(self, kind: type) -> tuple[bool, Below] | None:
        self[kind] = look = None if issubclass(kind, _ATOMS) else _look_at(kind)
        return look


def _look_at(kind: type) -> tuple[bool, Below]:
    if issubclass(kind, dict):
        return True, lambda item: (*item, *item.values())
    if issubclass(kind, list | set | deque):
        return True, iter
    if issubclass(kind, tuple | frozenset):
        return False, iter
    if kind.__dictoffset__:
        return False, lambda item: vars(item).values()
    slots = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
    return False, lambda item: [getattr(item, name, None) for name in slots]


_KINDS = _Kinds()


def items_kept(plugin: Consensus) -> int:
    """The number of items in all mutable containers that can be reached from a plugin."""
    kinds = _KINDS
    seen: dict[int, Any] = {}
    waiting: list[Any] = [vars(plugin)]
    count = -len(vars(plugin))
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen[id(item)] = item
        look = kinds[type(item)]
        assert look is not None, "atoms are left out below"
        is_counted, below = look
        if is_counted:
            count += len(item)
        waiting += [each for each in below(item) if kinds[type(each)] is not None]
    return count
