"""P20: amounts are neither created nor lost, and every payment ends as the rules of payments say.

Written apart from the application, like all oracles: it takes the stored blocks and batches apart
by hand, keeps balances as plain numbers, and compares every node's state after every block.
"""

from __future__ import annotations

from typing import Any

import msgpack

from ledger import layout
from ledger.genesis import Genesis
from ledger.store import Reader, Write
from sim.oracles import Findings
from sim.signed import short
from sim.stored import executed_height, operations_of
from sim.watcher import Watcher

_STATE = b"\x10payments\x00"
_WORD_MAX = 2**63 - 1

Balances = dict[bytes, int]


class PaymentsOracle(Watcher):
    """Replays the payments of each block once, and judges every node that stores it."""

    def __init__(self, genesis: Genesis, findings: Findings) -> None:
        self._findings, self._scheme = findings, genesis.scheme
        self._authorities = [
            short(m.public_key) for m in genesis.members if "administrator" in m.roles
        ]
        self.after: list[Balances] = [{}]
        """Balances after each height, zero ones left out."""
        self.issued = [0]
        """What is in circulation after each height."""
        self.paid = 0
        """Payments that were applied."""
        self.refused = 0

    def written(self, node: int, writes: list[Write], reader: Reader) -> None:
        for key, value in writes:
            if key[:1] == layout.BLOCK and value is not None:
                self._judge(node, int.from_bytes(key[1:], "big"), value, reader)

    def _judge(self, node: int, height: int, raw: bytes, reader: Reader) -> None:
        if height == len(self.after):
            self._replay(node, height, raw, reader)
        if height >= len(self.after) or executed_height(reader) != height:
            # Blocks out of order are another oracle's; of several in one write the last one counts.
            return
        held = {
            key[len(_STATE) :]: int.from_bytes(value, "big")
            for key, value in reader.scan(_STATE, _STATE + b"\xff" * 40)
        }
        total = held.pop(b"total", 0)
        balances = {key[1:]: amount for key, amount in held.items()}
        if sum(balances.values()) != total:
            self._complain(node, height, f"balances add up to {sum(balances.values())}, and "
                           f"{total} is in circulation")  # fmt: skip
        if total != self.issued[height] or balances != self.after[height]:
            self._complain(node, height, "its balances are not those that the payments lead to")

    def _replay(self, node: int, height: int, raw: bytes, reader: Reader) -> None:
        _, leaves = _unpack(raw)
        operations = dict(operations_of(_unpack(_unpack(leaves[0])[2])[9], reader, self._scheme))
        balances, total = dict(self.after[-1]), self.issued[-1]
        for leaf in map(_unpack, leaves[1:-1]):
            trial, amount = dict(balances), total
            reason = ""
            for _, name, _, body in operations.get(leaf[6], ()):
                if name == "payments" and not reason:
                    sender = short(_unpack(leaf[6])[2])
                    reason, amount = self._act(trial, amount, sender, *_unpack(body))
            if leaf[5] != reason:
                self._complain(node, height, f"a payment ended with {leaf[5] or 'success'!r}, not "
                               f"{reason or 'success'!r}")  # fmt: skip
            if reason:
                self.refused += 1
            else:
                balances, total = trial, amount
                self.paid += 1
        self.after.append({account: held for account, held in balances.items() if held})
        self.issued.append(total)

    def _act(
        self, rows: Balances, total: int, sender: bytes, act: str, account: bytes, amount: int
    ) -> tuple[str, int]:
        """(why the payment fails, or nothing; what is in circulation then); changes the rows."""
        held = rows.get(sender, 0)
        if act == "issue":
            if sender not in self._authorities:
                return "payment.authority", total
            if total + amount > _WORD_MAX:
                return "payment.total", total
            rows[account] = rows.get(account, 0) + amount
            return "", total + amount
        if act == "redeem" and account != sender:
            return "payment.account", total
        if amount > held:
            return "payment.overdraft", total
        rows[sender] = held - amount
        if act == "redeem":
            return "", total - amount
        rows[account] = rows.get(account, 0) + amount
        return "", total

    def _complain(self, node: int, height: int, sentence: str) -> None:
        self._findings.add("P20", f"node {node} after block {height}: {sentence}", node)


def _unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False, use_list=False)
