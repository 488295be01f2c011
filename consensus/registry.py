"""Finding plugins: the entry-point group `ledger.consensus`, so that any wheel can bring one."""

from __future__ import annotations

from importlib.metadata import entry_points

from consensus.interface import Consensus
from ledger.errors import UserError

GROUP = "ledger.consensus"


def protocol_names() -> list[str]:
    """The names of all installed plugins, ascending."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def protocol_named(name: str) -> type[Consensus]:
    """The plugin with this name.  Raises UserError where there is none."""
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            plugin = entry.load()
            if not (isinstance(plugin, type) and issubclass(plugin, Consensus)):
                raise UserError(f"the plugin {name} is not a Consensus class")
            return plugin
    known = ", ".join(protocol_names()) or "none; install the project with pip"
    raise UserError(f"there is no protocol {name}; installed are: {known}")
