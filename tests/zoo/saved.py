"""Saved schedules: each mutant's own, written by hand.

A schedule of bare plugins is a function of the protocol, and its judges say what broke.  One of
whole replicas is a test that plays both, the replica and its mutant, and asserts that one keeps the
promise and the other does not.  That the test can tell them apart is shown by *disarming* the
mutant: with the rule back in its place the same test must fail.
"""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType
from typing import Any

import pytest

from tests.zoo.model import SURVIVED, Mutant, Verdict, judge


def attempt(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """Play the saved schedule, the only one there is."""
    del number
    if mutant.play is not None:
        return judge(mutant, mutant.play, "the saved schedule"), 1
    assert mutant.test is not None
    if not passes(mutant) or (mutant.test.disarm and passes(mutant, disarmed=True)):
        return SURVIVED, 1
    return Verdict(mutant.expected[:1], (), f"python -m pytest {mutant.test}"), 1


def passes(mutant: Mutant, *, disarmed: bool = False) -> bool:
    """Whether the test of a mutant passes, perhaps with the missing rule back in its place."""
    test = mutant.test
    assert test is not None
    module = importlib.import_module(test.module)
    function = getattr(module, test.function)
    arguments: dict[str, Any] = dict(test.arguments)
    with pytest.MonkeyPatch.context() as patch:
        if disarmed:
            _disarm(module, test.disarm, patch)
        if "monkeypatch" in inspect.signature(function).parameters:
            arguments["monkeypatch"] = patch
        try:
            function(**arguments)
        except (AssertionError, LookupError, pytest.fail.Exception):
            return False
    return True


def _disarm(module: ModuleType, name: str, patch: pytest.MonkeyPatch) -> None:
    """Let the class of this name be the one that it lacks a rule of."""
    mutated = getattr(module, name)
    patch.setattr(module, name, mutated.__mro__[1])
