"""The plugins that every test of whole networks runs."""

from __future__ import annotations

import importlib

from consensus.interface import Consensus

CLASSES = {
    "solo": "Solo",
    "tendermint": "Tendermint",
    "jolteon": "Jolteon",
    "pbft": "Pbft",
    "hotstuff": "HotStuff",
    "streamlet": "Streamlet",
    "simplex": "Simplex",
    "mysticeti": "Mysticeti",
}
NAMES = ["solo", "tendermint", "jolteon"]
"""One without faults, one with locks and one with a chain: for tests that know their phases."""
OTHERS = [name for name in CLASSES if name not in NAMES]
"""For a few runs each.  Not Raft, which bears no liar."""


def plugin(name: str) -> type[Consensus]:
    found = getattr(importlib.import_module(f"consensus.protocols.{name}"), CLASSES[name])
    assert issubclass(found, Consensus)
    return found
