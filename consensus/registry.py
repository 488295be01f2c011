"""Finding plugins: the entry-point group `ledger.consensus`, so that any wheel can bring one.

A plugin that is not installed is named by where it is: `package.module:Class`.
"""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points

from consensus.interface import Consensus
from ledger.errors import UserError

GROUP = "ledger.consensus"


def protocol_names() -> list[str]:
    """The names of all installed plugins, ascending."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def protocol_named(name: str) -> type[Consensus]:
    """The plugin with this name, or at this place: module:Class.

    Raises UserError where there is none.
    """
    if ":" in name:
        return _protocol_at(name)
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            plugin = entry.load()
            if not (isinstance(plugin, type) and issubclass(plugin, Consensus)):
                raise UserError(f"the plugin {name} is not a Consensus class")
            return plugin
    known = ", ".join(protocol_names()) or "none; install the project with pip"
    raise UserError(f"there is no protocol {name}; installed are: {known}")


def _protocol_at(place: str) -> type[Consensus]:
    """The class that a module holds.  Raises UserError where there is none."""
    module_name, _, class_name = place.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError, TypeError, SyntaxError) as error:
        raise UserError(f"cannot import {module_name!r} of {place}: {error}") from None
    plugin = getattr(module, class_name, None)
    if not (isinstance(plugin, type) and issubclass(plugin, Consensus)):
        raise UserError(f"{place}: {module_name} holds no Consensus class {class_name}")
    return plugin
