"""Who may submit: the members of the genesis, or, where the network runs identity, of the state.

Membership is judged by the state as the block before left it.  So a change holds from the next
block on, whatever the order inside a block, and one look at each sender serves a whole block.
"""

from __future__ import annotations

from typing import NamedTuple

from ledger import layout
from ledger.applications.identity_body import NAME, SUBMITTER
from ledger.applications.identity_state import ADMINISTRATORS, KeyUse, Register
from ledger.applications.interface import StateReader
from ledger.genesis import Genesis
from ledger.store import Reader


class Standing(NamedTuple):
    """What a key may do."""

    may_submit: bool
    """Whether a transaction that it signed may be executed."""
    roles: tuple[str, ...]
    """Of the member whose key in use it is; none where it is no member's."""


class Members:
    """The standing of every key, as one state has it; asks the state once for each key."""

    def __init__(
        self, founders: dict[bytes, Standing], stranger: Standing, register: Register | None
    ) -> None:
        self._known = {} if register is not None else founders
        self._stranger = stranger
        self._register = register

    def standing(self, public_key: bytes) -> Standing:
        """What this key may do."""
        found = self._known.get(public_key)
        if found is not None:
            return found
        if self._register is None:
            return self._stranger
        roles = _read(self._register, public_key)
        may_submit = self._stranger.may_submit or SUBMITTER in roles
        found = self._known[public_key] = Standing(may_submit, roles)
        return found


def _read(register: Register, public_key: bytes) -> tuple[str, ...]:
    """The roles of the member whose key in use this is."""
    row = register.key(public_key)
    if row is None or row.use is not KeyUse.IN_USE:
        return ()
    member = register.member(row.name)
    assert member is not None, "a key in use is a member's"
    return member.roles


class Membership:
    """Where one network keeps its members."""

    def __init__(self, genesis: Genesis) -> None:
        is_open = genesis.is_open
        self._stranger = Standing(is_open, ())
        self._founders = {
            member.public_key: Standing(is_open or SUBMITTER in member.roles, member.roles)
            for member in genesis.members
        }
        self._changes = NAME in dict(genesis.applications)

    def after(self, reader: Reader) -> Members:
        """The members as the last block that the reader holds left them."""
        register = None
        if self._changes:
            state = StateReader(reader, layout.state_key(NAME, b""))
            # The first block writes the founders into the state.
            register = Register(state) if state.get(ADMINISTRATORS) is not None else None
        return Members(self._founders, self._stranger, register)
