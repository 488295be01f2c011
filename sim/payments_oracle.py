"""P20: amounts are neither created nor lost, and every payment ends as the rules of payments say.

Written apart from the application, like all oracles: it takes the stored blocks and batches apart
by hand, keeps balances as plain numbers, and compares every node's state after every block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from ledger.genesis import Genesis
from sim.oracles import Findings
from sim.signed import short
from sim.state_oracle import Executed, StateOracle, unpack

_WORD_MAX = 2**63 - 1

Balances = dict[bytes, int]


class PaymentsOracle(StateOracle[Balances]):
    """Replays the payments of each block once, and judges every node that stores it."""

    application: ClassVar[str] = "payments"
    broken: ClassVar[str] = "P20"

    def __init__(self, genesis: Genesis, findings: Findings) -> None:
        super().__init__(genesis, findings, {})
        self._authorities = [
            short(m.public_key) for m in genesis.members if "administrator" in m.roles
        ]
        self.issued = [0]
        """What is in circulation after each height."""
        self.paid = 0
        """Payments that were applied."""
        self.refused = 0

    def compare(self, node: int, height: int, held: dict[bytes, bytes]) -> None:
        amounts = {key: int.from_bytes(value, "big") for key, value in held.items()}
        total = amounts.pop(b"total", 0)
        balances = {key[1:]: amount for key, amount in amounts.items()}
        if sum(balances.values()) != total:
            self.complain(node, height, f"balances add up to {sum(balances.values())}, and "
                          f"{total} is in circulation")  # fmt: skip
        if total != self.issued[height] or balances != self.after[height]:
            self.complain(node, height, "its balances are not those that the payments lead to")

    def replay(self, node: int, height: int, time: int, block: Iterator[Executed]) -> Balances:
        """Balances, zero ones left out."""
        balances, total = dict(self.after[-1]), self.issued[-1]
        for each in block:
            trial, amount, sender = dict(balances), total, short(each.sender)
            reason = ""
            for _, body in each.bodies:
                if not reason:
                    reason, amount = self._act(trial, amount, sender, *unpack(body))
            self.check_end(node, height, "a payment", each, reason)
            if reason:
                self.refused += 1
            else:
                balances, total = trial, amount
                self.paid += 1
        self.issued.append(total)
        return {account: held for account, held in balances.items() if held}

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
