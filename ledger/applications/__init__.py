"""Applications: what an operation means when a block is executed, one a file."""

from __future__ import annotations

from importlib.metadata import entry_points

from ledger.applications.documents import Documents
from ledger.applications.identity import Identity
from ledger.applications.interface import Application
from ledger.applications.payments import Payments
from ledger.applications.provenance import Provenance
from ledger.applications.records import Records
from ledger.errors import Fault, UserError
from ledger.genesis import Genesis

DEFAULT: tuple[Application, ...] = (Provenance(), Records())
"""What a new network runs unless it is asked for more."""
GROUP = "ledger.applications"
"""Entry-point group by which a wheel brings applications: a name, and the class."""


def _installed() -> tuple[Application, ...]:
    """The applications of other wheels, by name.  Raises UserError for what is none."""
    found = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        made = entry.load()
        if not (isinstance(made, type) and issubclass(made, Application)):
            raise UserError(f"the application {entry.name} is not an Application class")
        found.append(made())
    return tuple(found)


ALL: tuple[Application, ...] = (Documents(), Identity(), Payments(), *DEFAULT, *_installed())
"""Every application that this program has."""


def named(genesis: Genesis) -> tuple[Application, ...]:
    """The applications that this genesis names, in its order.

    Raises Fault("application.unknown") for one that this program does not have.
    """
    known = {(application.name, application.version): application for application in ALL}
    for name, version in genesis.applications:
        if (name, version) not in known:
            raise Fault("application.unknown", f"{name} version {version}")
    return tuple(known[key] for key in genesis.applications)
