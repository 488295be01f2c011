"""Oracles over what nodes say and do; those over what they store are in `sim/chain_oracle.py`.

Oracles are written apart from what they judge.  Nothing in them calls the code that builds blocks,
trees, certificates or results: formats are taken apart again by hand, the Merkle root is the
recursive definition of RFC 9162, the quorum is a table.  The one thing borrowed is the plugin's own
decoder, without which a vote on the wire is just bytes.

    P1   no two honest nodes hold different blocks or leaves for one height
    P2   what a node called confirmed it still has, unchanged, after every restart
    P3   headers link, hashes and leaf counts are right, times grow
    P4   a certificate carries a quorum of distinct right signatures over the root of those leaves
    P6   a block holds exactly the transactions of its batches that may be executed, rightly signed
    P7   no sender's nonce is used twice
    P8   what was confirmed anywhere is in the log of every node in the end
    P9   a request is answered once
    P10  after stabilisation everything sound is confirmed in time, and then there is silence
    P13  nobody honest is accused
    P14  no validator signs two values for one phase and slot
    P16  every queue is bounded
    P19  no node with a whole disk stops, breaks down or refuses to vote
    P20  amounts are neither created nor lost; every payment ends as its rules say
    P21  members change as their rules say: by k approvals, and for ever
    P22  documents change as their rules say: versions in a row, by their owner, until a tombstone

The numbers are those of the project's table of properties.  P9 is judged by the clients, P10 and
P16 by whoever leads the run, P20, P21 and P22 by
`sim/payments_oracle.py`, `sim/identity_oracle.py` and `sim/documents_oracle.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack

from consensus.interface import Message
from consensus.io import Channel, Report, SendFrame
from ledger import layout
from ledger.store import Reader, Write
from sim.watcher import Watcher

VIOLATIONS_MAX = 20
"""A broken run breaks everywhere; the first findings say why."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise."""

    property: str
    sentence: str
    time_ms: int
    nodes: tuple[int, ...]


MessageOf = Callable[[int, bytes], Message]
"""The plugin's message of (kind, body)."""


class Findings:
    """The violations of one run, the first ones in order."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self.found: list[Violation] = []

    def add(self, name: str, sentence: str, *nodes: int) -> None:
        """A property is broken, at these nodes."""
        if len(self.found) < VIOLATIONS_MAX:
            self.found.append(Violation(name, sentence, self._now_ms(), nodes))


class VoteOracle(Watcher):
    """P14: what each validator signs, seen on the wire and on its disk."""

    def __init__(self, findings: Findings, message_of: MessageOf) -> None:
        self.proposer = 0
        """The node that last proposed a value; the leader, as far as one can see."""
        self._findings = findings
        self._message_of = message_of
        self._said: dict[tuple[int, str, tuple[int, ...]], bytes] = {}
        self._logs: dict[tuple[int, int], bytes] = {}
        self._on_disk: dict[tuple[int, bytes], bytes] = {}
        self._robbed: set[int] = set()

    def sent(self, node: int, output: SendFrame) -> None:
        payload = output.payload
        # A packet is an array of version, kind and more; the kind is its third byte.
        if output.channel is Channel.PROTOCOL and payload[2] == 1:
            _, _, _, sender, kind, body, _ = _unpack(payload)
            if sender == node:
                message = self._message_of(kind, body)
                self._note(node, *message.statement())
                if message.values():
                    self.proposer = node
        elif output.channel is Channel.DISSEMINATION and payload[2] == 16:
            raw = _unpack(payload)[3]
            _, _, _, creator, sequence, _, _ = _unpack(raw)
            if creator == node:
                self._note(node, "batch", (sequence,), hashlib.sha256(raw).digest())
        elif output.channel is Channel.CHECKPOINT and payload[2] == 32:
            _, _, _, sender, height, size, root, _ = _unpack(payload)
            log = size.to_bytes(8, "big") + root
            differs = self._logs.setdefault((sender, height), log) != log
            if differs and sender == node and node not in self._robbed:
                self._findings.add("P14", f"node {node} signed two logs for height {height}", node)

    def _note(self, node: int, phase: str, slot: tuple[int, ...], value: bytes) -> None:
        differs = self._said.setdefault((node, phase, slot), value) != value
        if differs and node not in self._robbed:
            self._findings.add("P14", f"node {node} said two values in {phase} {slot}", node)

    def robbed(self, node: int) -> None:
        """Without its disk a validator is one of those that may be faulty."""
        self._robbed.add(node)

    def written(self, node: int, writes: list[Write], reader: Reader) -> None:
        """A promise on the disk may be settled, and never changed.  Checkpoints move on."""
        if node in self._robbed:
            return
        for key, value in writes:
            is_promise = key[:1] == layout.SIGNED and not key.startswith(_CHECKPOINT)
            if is_promise and value is not None:
                said = _unpack(value)[2]
                if self._on_disk.setdefault((node, key), said) != said:
                    self._findings.add("P14", f"node {node} replaced a stored statement", node)


class HealthOracle(Watcher):
    """P13 and P19: nodes do not stop by themselves, and do not blame each other."""

    def __init__(self, findings: Findings, liars: frozenset[int]) -> None:
        self._findings = findings
        self._liars = liars
        self._robbed: set[int] = set()

    def robbed(self, node: int) -> None:
        """A validator that lost its disk may refuse to vote, and may contradict itself."""
        self._robbed.add(node)

    def failed(self, node: int, reason: str) -> None:
        self._findings.add("P19", f"node {node} stopped: {reason}", node)

    def reported(self, node: int, report: Report) -> None:
        if report.name == "accused":
            culprit = dict(report.fields)["culprit"]
            if culprit not in self._liars and culprit not in self._robbed:
                self._findings.add("P13", f"node {node} accused the honest node {culprit}", node)
        elif report.name == "refused to vote" and node not in self._robbed:
            reason = dict(report.fields)["reason"]
            self._findings.add("P19", f"node {node} lost nothing and does not vote: {reason}", node)


_CHECKPOINT = layout.SIGNED + b"checkpoint\x00"


def _unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False, use_list=False)
