"""The plugins that every test of whole networks runs."""

from __future__ import annotations

import importlib

from consensus.interface import Consensus

CLASSES = {"solo": "Solo", "tendermint": "Tendermint", "jolteon": "Jolteon"}
NAMES = list(CLASSES)


def plugin(name: str) -> type[Consensus]:
    found = getattr(importlib.import_module(f"consensus.protocols.{name}"), CLASSES[name])
    assert issubclass(found, Consensus)
    return found
