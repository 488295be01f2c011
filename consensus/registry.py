"""Finding plugins: the entry-point group `ledger.consensus`, so that any wheel can bring one.

A plugin that is not installed is named by where it is: `package.module:Class`.  A name may end with
another leader policy than the plugin's own, as in `jolteon+sticky`: that too comes from an entry
point, of the group `ledger.leaders`, and is a part of the name in the epoch record.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from consensus.interface import Consensus
from consensus.leaders import Policy
from ledger.errors import UserError
from ledger.keys import Suite

GROUP = "ledger.consensus"
LEADERS_GROUP = "ledger.leaders"


def protocol_names() -> list[str]:
    """The names of all installed plugins, ascending."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def leaders_names() -> list[str]:
    """The names of all installed leader policies, ascending."""
    return sorted({entry.name for entry in entry_points(group=LEADERS_GROUP)})


def leaders_of(protocol: type[Consensus]) -> list[str]:
    """The names of the installed policies that this protocol can be led by, ascending."""
    found = {entry.name: entry for entry in entry_points(group=LEADERS_GROUP)}
    if protocol.LEADERS is None:
        return []
    return [name for name in sorted(found) if protocol.turn() >= found[name].load().TURN_MIN]


@cache
def protocol_named(name: str) -> type[Consensus]:
    """The plugin with this name, or at this place, perhaps with other leaders: jolteon+sticky.

    Raises UserError where there is none.
    """
    name, plus, leaders = name.partition("+")
    protocol: type[Consensus] = _class_named(name, GROUP, Consensus, "protocol")
    if not plus:
        return protocol
    return _led(protocol, _class_named(leaders, LEADERS_GROUP, Policy, "leader policy"))


def check_parameters(
    protocol: type[Consensus], given: Mapping[str, int], validators: int, suite: Suite
) -> None:
    """Raise UserError where a network of so many validators cannot work by these parameters."""
    for name, number in given.items():
        if name not in protocol.PARAMETERS:
            known = ", ".join(sorted(protocol.PARAMETERS))
            raise UserError(f"{protocol.name} has no parameter {name}; it has {known}")
        if number < (0 if name in protocol.MAY_BE_ZERO else 1):
            raise UserError(f"the parameter {name} of {protocol.name} is {number}: give 1 or more")
    parameters = {**protocol.PARAMETERS, **given}
    most = protocol.validators_max(parameters, suite.statements.signature_bytes)
    if validators > most:
        others = [(name, n) for name, n in given.items() if n != protocol.PARAMETERS[name]]
        said = "".join(f", {name}={number}" for name, number in others)
        raise UserError(
            f"{protocol.name} has room for {most} validators in its messages"
            f" ({suite.name}{said}): take fewer, a --scheme of shorter signatures,"
            " or another --parameter"
        )


def place_of(protocol: type[Consensus]) -> str:
    """Where a plugin is, and by whom it is led if not by whom it says: what it is found by again.

    Nothing that `protocol_named` finds where the class is a function's own.
    """
    place = f"{protocol.__module__}:{protocol.__qualname__}"
    base, leaders = protocol.__base__, protocol.LEADERS
    is_led = base is not None and place == f"{base.__module__}:{base.__qualname__}"
    if leaders is None or not is_led:
        return place
    return f"{place}+{leaders.__module__}:{leaders.__qualname__}"


def _led(protocol: type[Consensus], policy: type[Policy]) -> type[Consensus]:
    """The same protocol under these leaders.

    Raises UserError where it has its own way to lead, or where that would be another's name.
    """
    if protocol.LEADERS is None:
        raise UserError(f"{protocol.name} has its own way to say who leads")
    if protocol.turn() < policy.TURN_MIN:
        raise UserError(
            f"{protocol.name} decides within one round: its leaders take turns by round-robin"
        )
    if protocol.LEADERS is policy:
        return protocol
    space = {
        "LEADERS": policy,
        "name": f"{protocol.name}+{policy.name}",
        "__module__": protocol.__module__,
        "__doc__": protocol.__doc__,
    }
    return type(protocol.__name__, (protocol,), space)


def _class_named(name: str, group: str, kind: type, what: str) -> type[Any]:
    """The class of an entry point, or at module:Class.  Raises UserError where there is none."""
    if ":" in name:
        return _class_at(name, kind)
    for entry in entry_points(group=group):
        if entry.name == name:
            found = entry.load()
            if not (isinstance(found, type) and issubclass(found, kind)):
                raise UserError(f"the plugin {name} is not a {kind.__name__} class")
            return found
    known = ", ".join(sorted({entry.name for entry in entry_points(group=group)}))
    raise UserError(
        f"there is no {what} {name}; installed are: {known or 'none; install the project with pip'}"
    )


def _class_at(place: str, kind: type) -> type[Any]:
    """The class that a module holds.  Raises UserError where there is none."""
    module_name, _, class_name = place.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError, TypeError, SyntaxError) as error:
        raise UserError(f"cannot import {module_name!r} of {place}: {error}") from None
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise UserError(f"{place}: {module_name} holds no {kind.__name__} class {class_name}")
    return found
