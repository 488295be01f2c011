"""P21: no change of members without its approvals, no transaction of a key that is gone, and every
identity operation ends as its rules say.

Written apart from the application, like all oracles: it takes the stored blocks and batches apart
by hand, keeps members in plain rows, and compares every key of every node's state after every
block.  Who may submit a block's transactions it tells `sim.chain_oracle`, which judges that (P6).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ledger.genesis import Genesis
from sim.oracles import Findings
from sim.signed import check_of, short
from sim.state_oracle import Executed, StateOracle, pack, unpack

_ROLES = ("submitter", "auditor", "administrator")
_ROTATED, _REVOKED, _REPLACED, _REMOVED = 2, 3, 4, 5
_USE = {"replace": _REPLACED, "remove": _REMOVED}


@dataclass
class Rows:
    """Members as the rules lead to them."""

    members: dict[str, list[Any]] = field(default_factory=dict)
    """Name -> [key, roles, changes, height, timestamp]."""
    keys: dict[bytes, list[Any]] = field(default_factory=dict)
    """Short key -> [name, use, from, to]."""
    proposals: dict[bytes, list[Any]] = field(default_factory=dict)
    """Id -> [body, [approving short key], height]."""

    def administrators(self) -> list[bytes]:
        """Short keys, ascending."""
        rows = self.members.values()
        return sorted(short(row[0]) for row in rows if row[0] and "administrator" in row[1])

    def submitters(self) -> frozenset[bytes]:
        rows = self.members.values()
        return frozenset(row[0] for row in rows if row[0] and "submitter" in row[1])

    def state(self) -> dict[bytes, bytes]:
        """Every key and value that a store must hold."""
        made = {b"m" + name.encode(): pack(row) for name, row in self.members.items()}
        made |= {b"k" + key: pack(row) for key, row in self.keys.items()}
        made |= {b"p" + identity: pack(row) for identity, row in self.proposals.items()}
        return made | {b"administrators": pack(self.administrators())}


class IdentityOracle(StateOracle[Rows]):
    """Replays the changes of each block once, and judges every node that stores it."""

    application: ClassVar[str] = "identity"
    broken: ClassVar[str] = "P21"

    def __init__(self, genesis: Genesis, findings: Findings) -> None:
        self._network, self._threshold = genesis.network, genesis.approvals
        self._is_signed = check_of(genesis.scheme)
        founding = genesis.epoch.validators.members
        self._validators = [key for v in founding for key in (v.statement_key, v.checkpoint_key)]
        founders = Rows()
        for member in genesis.members:
            roles = [role for role in _ROLES if role in member.roles]
            founders.members[member.name] = [member.public_key, roles, 0, 0, 0]
            founders.keys[short(member.public_key)] = [member.name, 1, 0, 0]
        super().__init__(genesis, findings, founders)
        self.made = 0
        """Changes that had their approvals."""
        self.rotated = 0
        self.refused = 0

    def submitters(self, height: int) -> frozenset[bytes]:
        """Whose transactions the block of this height may hold."""
        return self.after[min(height, len(self.after)) - 1].submitters()

    def administrators(self, height: int) -> list[bytes]:
        """Whose short keys administer in the block of this height, as the one before left it."""
        return self.after[min(height, len(self.after)) - 1].administrators()

    def compare(self, node: int, height: int, held: dict[bytes, bytes]) -> None:
        if held != self.after[height].state():
            self.complain(node, height, "its members are not those that the changes lead to")

    def replay(self, node: int, height: int, time: int, block: Iterator[Executed]) -> Rows:
        rows, submitters = deepcopy(self.after[-1]), self.submitters(height)
        for each in block:
            if each.sender not in submitters:
                self.complain(node, height, "it holds a transaction of a key that is no member's")
            trial, reason = deepcopy(rows), ""
            for number, body in each.bodies:
                place = hashlib.sha256(each.identity + number.to_bytes(2, "big")).digest()
                reason = reason or self._act(trial, each.sender, body, place, height, time)
            if each.bodies:
                self.check_end(node, height, "a change", each, reason)
            self.refused += bool(reason)
            if not reason:
                rows = trial
        return rows

    def _act(
        self, rows: Rows, sender: bytes, body: bytes, place: bytes, height: int, time: int
    ) -> str:
        """Why an operation fails, or nothing; changes the rows."""
        act, _, key, _, proposal, possession = unpack(body)
        if act in ("rotate", "revoke"):
            return self._own(rows, sender, act, key, possession, (height, time))
        if not self._threshold:
            return "identity.fixed"
        sender = short(sender)
        if sender not in rows.administrators():
            return "identity.authority"
        if act not in ("approve", "withdraw"):
            reason = self._impossible(rows, body)
            if reason:
                return reason
            rows.proposals[place] = [body, [sender], height]
            return self._settle(rows, place, height, time)
        if proposal not in rows.proposals:
            return "identity.no-proposal"
        approvals = rows.proposals[proposal][1]
        if act == "withdraw":
            if sender not in approvals:
                return "identity.not-approved"
            approvals.remove(sender)
            if not approvals:
                del rows.proposals[proposal]
            return ""
        if sender in approvals:
            return "identity.approved"
        approvals.append(sender)
        return self._settle(rows, proposal, height, time)

    def _settle(self, rows: Rows, place: bytes, height: int, time: int) -> str:
        body, approvals, _ = rows.proposals[place]
        administrators = rows.administrators()
        if len([key for key in approvals if key in administrators]) < self._threshold:
            return ""
        reason = self._impossible(rows, body)
        if reason:
            return reason
        del rows.proposals[place]
        self.made += 1
        act, name, key, roles, _, _ = unpack(body)
        if act == "add":
            rows.members[name] = [key, roles, 0, height, time]
            rows.keys[short(key)] = [name, 1, height, 0]
            return ""
        if act in _USE:
            _take_key(rows, name, _USE[act], height)
            rows.members[name][0] = key
            if key:
                rows.keys[short(key)] = [name, 1, height, 0]
        if act in ("roles", "remove"):
            rows.members[name][1] = roles
        _touch(rows, name, height, time)
        return ""

    def _impossible(self, rows: Rows, body: bytes) -> str:
        act, name, key, roles, _, _ = unpack(body)
        before = rows.members.get(name)
        if act == "add":
            if before is not None:
                return "identity.name-used"
        elif before is None or not before[1]:
            return "identity.unknown"
        if key and (short(key) in rows.keys or key in self._validators):
            return "identity.key-used"
        was = before is not None and bool(before[0]) and "administrator" in before[1]
        stays = act == "replace" or (act == "roles" and "administrator" in roles)
        if was and not stays and len(rows.administrators()) - 1 < self._threshold:
            return "identity.too-few"
        return ""

    def _own(
        self, rows: Rows, sender: bytes, act: str, key: bytes, possession: bytes, now: Any
    ) -> str:
        name, use = rows.keys[short(sender)][:2]
        if use != 1:
            return "identity.key-gone"
        is_last = len(rows.administrators()) - 1 < self._threshold
        if act == "revoke" and is_last and "administrator" in rows.members[name][1]:
            return "identity.too-few"
        if act == "rotate":
            if short(key) in rows.keys or key in self._validators:
                return "identity.key-used"
            message = b"ledger key possession\x00" + self._network + sender + key
            if not self._is_signed(key, message, possession):
                return "identity.possession"
            self.rotated += 1
        height, time = now
        _take_key(rows, name, _ROTATED if act == "rotate" else _REVOKED, height)
        rows.members[name][0] = key
        if key:
            rows.keys[short(key)] = [name, 1, height, 0]
        _touch(rows, name, height, time)
        return ""


def _take_key(rows: Rows, name: str, use: int, height: int) -> None:
    key = rows.members[name][0]
    if key:
        row = rows.keys[short(key)]
        row[1], row[3] = use, height


def _touch(rows: Rows, name: str, height: int, time: int) -> None:
    row = rows.members[name]
    row[2], row[3], row[4] = row[2] + 1, height, time
