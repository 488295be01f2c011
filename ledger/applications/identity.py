"""Identity: members, their roles and their keys, changed by transactions.

    body    (act, name, key, roles, proposal, possession)      what an act does not use is empty

    add, remove, roles, replace     an administrator proposes; applied with the k-th approval
    approve, withdraw               of a proposal, by an administrator
    rotate, revoke                  of one's own key, by its holder alone

k is `approvals` of the genesis; where it is 0, nothing that needs approval can change.  An approval
counts while the key that gave it is an administrator's key in use, so that rotating or revoking a
stolen key takes back what the thief has approved.  A key that was ever in use never comes back, and
neither does a name: no signature of the past gains a new meaning, and a (sender, nonce) of a key
that is gone can never be executed again.

The members of the genesis are its beginning (`Application.begin`).  Who may submit is judged by the
state before a block: see `ledger.membership`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from ledger.applications.identity_body import (
    ADMINISTRATOR,
    NAME,
    USES,
    VERSION,
    Act,
    Body,
    make_act,
    parse_act,
    possession_message,
    proposal_id,
)
from ledger.applications.identity_state import (
    ADMINISTRATORS,
    ADMINISTRATORS_MAX,
    Changes,
    KeyRow,
    KeyUse,
    MemberRow,
    Proposal,
    Register,
    key_key,
    parse_administrators,
    parse_proposal,
)
from ledger.applications.interface import Application, Origin, State
from ledger.did import key_facts, member_facts
from ledger.encoding import encode
from ledger.errors import DecodeFault, Fault
from ledger.genesis import ROLES, Genesis
from ledger.keys import Scheme, short_key

# --- rules ----------------------------------------------------------------------------------------


def require_sizes(act: Body, scheme: Scheme) -> None:
    """A key and a signature are of the network's scheme, since no other can be checked there."""
    for part, size in (
        (act.key, scheme.public_key_bytes),
        (act.possession, scheme.signature_bytes),
    ):
        if part and len(part) != size:
            raise DecodeFault("identity.parts", f"of {scheme.name}, that has {size:,} bytes")


def require_administrator(register: Register, sender: bytes) -> None:
    """Only who is an administrator at this place of the ledger proposes, approves, withdraws."""
    if sender not in register.administrators():
        raise Fault("identity.authority", "only an administrator may")


def require_governed(threshold: int) -> None:
    """Where the genesis asks for no approvals, none can be given."""
    if threshold == 0:
        raise Fault("identity.fixed", "the members of this network do not change")


def require_new_name(register: Register, name: str) -> None:
    """A name that was ever a member's never becomes another one's."""
    if register.member(name) is not None:
        raise Fault("identity.name-used", name)


def require_member(register: Register, name: str) -> MemberRow:
    """A change is about somebody who is a member now."""
    row = register.member(name)
    if row is None or not row.roles:
        raise Fault("identity.unknown", f"{name} is no member")
    return row


def require_enough_administrators(
    register: Register, before: MemberRow | None, after: MemberRow, threshold: int
) -> None:
    """Who goes leaves as many administrators as a change needs; who comes finds room."""
    was, becomes = before is not None and before.is_administrator, after.is_administrator
    count = len(register.administrators()) - was + becomes
    if was and not becomes and count < threshold:
        raise Fault("identity.too-few", f"{threshold} administrators must stay")
    if becomes and count > ADMINISTRATORS_MAX:
        raise Fault("identity.too-many", f"at most {ADMINISTRATORS_MAX} administrators")


def require_proposal(register: Register, identity: bytes) -> Proposal:
    """Only a change that is open is approved, or withdrawn from."""
    found = register.proposal(identity)
    if found is None:
        raise Fault("identity.no-proposal", identity.hex())
    return found


def require_first_approval(proposal: Proposal, sender: bytes) -> None:
    """One approval a key."""
    if sender in proposal.approvals:
        raise Fault("identity.approved", "this key has approved it already")


def require_room(proposal: Proposal) -> None:
    """Keys that were rotated since are kept beside those that count; there is an end to it."""
    if len(proposal.approvals) >= ADMINISTRATORS_MAX:
        raise Fault("identity.too-many", f"at most {ADMINISTRATORS_MAX} keys approve a change")


def require_own_approval(proposal: Proposal, sender: bytes) -> None:
    """One takes back what one gave."""
    if sender not in proposal.approvals:
        raise Fault("identity.not-approved", "this key has not approved it")


def has_enough_approvals(register: Register, approvals: Sequence[bytes], threshold: int) -> bool:
    """Whether keys that administrators use now gave as many approvals as the genesis asks for."""
    administrators = register.administrators()
    return sum(key in administrators for key in approvals) >= threshold


def require_key_in_use(register: Register, public_key: bytes) -> KeyRow:
    """A key acts for its member until it is rotated, revoked, replaced or removed."""
    row = register.key(public_key)
    if row is None or row.use is not KeyUse.IN_USE:
        raise Fault("identity.key-gone", "this key is no member's any more")
    return row


def require_new_key(register: Register, public_key: bytes, genesis: Genesis) -> None:
    """A key is safe, no validator's, and was never in use before."""
    genesis.suite.members.check_public_key(public_key)
    validators = genesis.epoch.validators.members
    if any(public_key in (each.statement_key, each.checkpoint_key) for each in validators):
        raise Fault("identity.key-used", "it is a validator's")
    if register.key(public_key) is not None:
        raise Fault("identity.key-used", "it is or was a member's")


def require_possession(act: Body, sender: bytes, genesis: Genesis) -> None:
    """The new key agrees to take the place of the sender's: nobody locks themselves out."""
    message = possession_message(genesis.network, sender, act.key)
    if not genesis.suite.members.verify(act.key, message, act.possession):
        raise Fault("identity.possession", "the new key did not sign for the old one")


# --- the application ------------------------------------------------------------------------------


class Identity(Application):
    """Changes members, roles and keys; knows the rules of one network."""

    name: ClassVar[str] = NAME
    version: ClassVar[int] = VERSION
    authenticated: ClassVar[bool] = True

    def __init__(self, genesis: Genesis | None = None) -> None:
        self._genesis = genesis

    def for_network(self, genesis: Genesis) -> Identity:
        count = sum(ADMINISTRATOR in member.roles for member in genesis.members)
        if count > ADMINISTRATORS_MAX:
            raise Fault("identity.too-many", f"at most {ADMINISTRATORS_MAX} administrators")
        return Identity(genesis)

    def begin(self, state: State) -> None:
        register = Changes(state, 0, 0)
        state.put(ADMINISTRATORS, encode(()))
        for member in self._network.members:
            roles = tuple(role for role in ROLES if role in member.roles)
            register.enter(member.name, member.public_key, roles)

    def check(self, body: bytes) -> None:
        self._parse(body)

    def apply(self, state: State, origin: Origin, body: bytes) -> None:
        act = self._parse(body)
        register = Changes(state, origin.height, origin.timestamp_ms)
        if act.act in (Act.ROTATE, Act.REVOKE):
            self._change_own_key(register, origin.sender, act)
            return
        require_governed(self._network.approvals)
        sender = short_key(origin.sender)
        require_administrator(register, sender)
        if act.act is Act.APPROVE:
            self._approve(register, sender, act.proposal)
        elif act.act is Act.WITHDRAW:
            self._withdraw(register, sender, act.proposal)
        else:
            self._require_possible(register, act)
            identity = proposal_id(origin.transaction, origin.operation)
            self._settle(register, identity, Proposal(act, (sender,), origin.height))

    def describe(self, body: bytes) -> dict[str, object]:
        act = parse_act(body)
        described: dict[str, object] = {"act": str(act.act)}
        for part, value in act._asdict().items():
            if part in USES[act.act]:
                described[part] = value.hex() if isinstance(value, bytes) else value
        return described

    def describe_state(self, key: bytes, value: bytes | None) -> dict[str, object]:
        if key[:1] == b"m":
            return member_facts(self._network.network, key[1:].decode(errors="replace"), value)
        if key[:1] == b"k" and key == key_key(key[1:]):
            return key_facts(key[1:], value)
        if key[:1] == b"p" and value is not None:
            return {"proposal": key[1:].hex()} | self.proposal_facts(parse_proposal(value))
        if key == ADMINISTRATORS:
            return {"administrators": [each.hex() for each in parse_administrators(value)]}
        return super().describe_state(key, value)

    def proposal_facts(self, proposal: Proposal) -> dict[str, object]:
        """A proposal for people: what it would change, and who has approved it."""
        return {
            "change": self.describe(make_act(proposal.change).body),
            "approvals": [key.hex() for key in proposal.approvals],
            "needed": self._network.approvals,
            "proposed_at": proposal.height,
        }

    @property
    def _network(self) -> Genesis:
        assert self._genesis is not None, "identity runs in a network: `for_network`"
        return self._genesis

    def _parse(self, body: bytes) -> Body:
        act = parse_act(body)
        require_sizes(act, self._network.suite.members)
        return act

    def _change_own_key(self, register: Changes, sender: bytes, act: Body) -> None:
        name = require_key_in_use(register, sender).name
        row = require_member(register, name)
        self._require_enough(register, row, replace(row, key=act.key))
        if act.act is Act.ROTATE:
            require_new_key(register, act.key, self._network)
            require_possession(act, sender, self._network)
        use = KeyUse.ROTATED if act.act is Act.ROTATE else KeyUse.REVOKED
        register.change(name, key=act.key, use=use)

    def _approve(self, register: Changes, sender: bytes, identity: bytes) -> None:
        proposal = require_proposal(register, identity)
        require_first_approval(proposal, sender)
        require_room(proposal)
        self._settle(register, identity, proposal._replace(approvals=(*proposal.approvals, sender)))

    def _withdraw(self, register: Changes, sender: bytes, identity: bytes) -> None:
        proposal = require_proposal(register, identity)
        require_own_approval(proposal, sender)
        left = tuple(key for key in proposal.approvals if key != sender)
        register.put_proposal(identity, proposal._replace(approvals=left) if left else None)

    def _settle(self, register: Changes, identity: bytes, proposal: Proposal) -> None:
        """Carry out a change that has enough approvals; keep one that has not."""
        if has_enough_approvals(register, proposal.approvals, self._network.approvals):
            self._require_possible(register, proposal.change)
            _carry_out(register, proposal.change)
            register.put_proposal(identity, None)
        else:
            register.put_proposal(identity, proposal)

    def _require_possible(self, register: Register, change: Body) -> None:
        """The change could be made now: asked when it is proposed, and again when it is made."""
        if change.act is Act.ADD:
            require_new_name(register, change.name)
            require_new_key(register, change.key, self._network)
            self._require_enough(register, None, MemberRow(change.key, change.roles, 0, 0, 0))
            return
        row = require_member(register, change.name)
        if change.act is Act.REPLACE:
            require_new_key(register, change.key, self._network)
            after = replace(row, key=change.key)
        else:
            after = replace(row, roles=change.roles)
        self._require_enough(register, row, after)

    def _require_enough(
        self, register: Register, before: MemberRow | None, after: MemberRow
    ) -> None:
        require_enough_administrators(register, before, after, self._network.approvals)


def _carry_out(register: Changes, change: Body) -> None:
    if change.act is Act.ADD:
        register.enter(change.name, change.key, change.roles)
    elif change.act is Act.REMOVE:
        register.change(change.name, key=b"", roles=(), use=KeyUse.REMOVED)
    elif change.act is Act.ROLES:
        register.change(change.name, roles=change.roles)
    else:
        register.change(change.name, key=change.key, use=KeyUse.REPLACED)
