"""Who may submit: the members of the genesis, or, where the network runs identity, of the state.

Membership is judged by the state as the block before left it.  So a change holds from the next
block on, whatever the order inside a block, and one look at each sender serves a whole block.
"""

from __future__ import annotations

from ledger import layout
from ledger.applications.identity_body import NAME, SUBMITTER
from ledger.applications.identity_state import ADMINISTRATORS, KeyUse, Register
from ledger.applications.interface import StateReader
from ledger.genesis import Genesis
from ledger.store import Reader

Roles = tuple[str, ...]
_NONE: Roles = ()


class Members:
    """The roles of every key, as one state has them; asks the state once for each key."""

    def __init__(
        self, founders: dict[bytes, Roles], register: Register | None, *, is_open: bool
    ) -> None:
        self._known = {} if register is not None else founders
        self._register = register
        self._is_open = is_open

    def roles(self, public_key: bytes) -> Roles:
        """The roles of the member whose key in use this is; none where it is no member's."""
        found = self._known.get(public_key)
        if found is not None:
            return found
        if self._register is None:
            return _NONE
        self._known[public_key] = found = _read(self._register, public_key)
        return found

    def may_submit(self, public_key: bytes) -> bool:
        """Whether a transaction that this key signed may be executed."""
        return self._is_open or SUBMITTER in self.roles(public_key)


def _read(register: Register, public_key: bytes) -> Roles:
    row = register.key(public_key)
    if row is None or row.use is not KeyUse.IN_USE:
        return _NONE
    member = register.member(row.name)
    assert member is not None, "a key in use is a member's"
    return member.roles


class Membership:
    """Where one network keeps its members."""

    def __init__(self, genesis: Genesis) -> None:
        self._founders = {member.public_key: member.roles for member in genesis.members}
        self._is_open = genesis.policy == "open"
        self._changes = NAME in dict(genesis.applications)

    def after(self, reader: Reader) -> Members:
        """The members as the last block that the reader holds left them."""
        register = None
        if self._changes:
            state = StateReader(reader, layout.state_key(NAME, b""))
            # The first block writes the founders into the state.
            register = Register(state) if state.get(ADMINISTRATORS) is not None else None
        return Members(self._founders, register, is_open=self._is_open)
