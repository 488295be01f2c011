"""`identity`: members, their roles and their keys."""

from __future__ import annotations

import click

from host.commands import identity_acts, identity_show


@click.group("identity", epilog="Example: python node.py identity show --network mynet")
def command() -> None:
    """Change members, roles and keys, and show them with proofs.

    The network must run it: `init --application identity`.  docs/identity.md walks through it.
    """


for each in (
    identity_acts.add,
    identity_acts.remove,
    identity_acts.roles,
    identity_acts.replace,
    identity_acts.approve,
    identity_acts.withdraw,
    identity_acts.rotate,
    identity_acts.revoke,
    identity_show.show,
    identity_show.resolve,
):
    command.add_command(each)
