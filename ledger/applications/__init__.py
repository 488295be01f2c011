"""Applications: what an operation means when a block is executed, one a file."""

from __future__ import annotations

from ledger.applications.interface import Application
from ledger.applications.payments import Payments
from ledger.applications.provenance import Provenance
from ledger.applications.records import Records
from ledger.errors import Fault
from ledger.genesis import Genesis

DEFAULT: tuple[Application, ...] = (Provenance(), Records())
"""What a new network runs unless it is asked for more."""
ALL: tuple[Application, ...] = (Payments(), *DEFAULT)
"""Every built-in application."""


def named(genesis: Genesis) -> tuple[Application, ...]:
    """The applications that this genesis names, in its order.

    Raises Fault("application.unknown") for one that this program does not have.
    """
    known = {(application.name, application.version): application for application in ALL}
    for name, version in genesis.applications:
        if (name, version) not in known:
            raise Fault("application.unknown", f"{name} version {version}")
    return tuple(known[key] for key in genesis.applications)
