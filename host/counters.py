"""What a node counts about itself: for its status, its metrics and whoever measures it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

from consensus.io import Report
from consensus.recovery import Setup
from ledger.keys import ConsensusSigner, KeyPair, Scheme, Signer, Suite
from p2p import frames
from p2p.peers import Peers


@dataclass(slots=True)
class Counters:
    """Since the node started."""

    steps: int = 0
    synced_writes: int = 0
    writes: int = 0
    applied: int = 0
    failed: int = 0
    skipped: int = 0
    signatures_made: int = 0
    signatures_checked: int = 0
    reports: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def report(self, report: Report) -> None:
        """Count what the replica reports."""
        self.reports[report.name] = self.reports.get(report.name, 0) + 1
        if report.name == "executed":
            fields = dict(report.fields)
            self.applied += fields["applied"]
            self.failed += fields["failed"]
            self.skipped += fields["skipped"]

    def made(self) -> None:
        with self._lock:
            self.signatures_made += 1

    def checked(self) -> None:
        # By the threads of the workers and by the main one.
        with self._lock:
            self.signatures_checked += 1

    def figures(self, peers: Peers) -> dict[str, float]:
        """Everything by metric name, traffic of all links together."""
        found: dict[str, float] = {
            "steps_total": self.steps,
            "writes_total": self.writes,
            "synced_writes_total": self.synced_writes,
            "signatures_made_total": self.signatures_made,
            "signatures_checked_total": self.signatures_checked,
            "transactions_applied_total": self.applied,
            "transactions_failed_total": self.failed,
            "transactions_skipped_total": self.skipped,
        }
        for name, count in self.reports.items():
            found[f"reports_{name.replace(' ', '_').replace('-', '_')}_total"] = count
        for status in peers.status():
            for channel in frames.Channel:
                label = channel.name.lower()
                for direction, messages, octets in (
                    ("in", status.traffic.messages_in, status.traffic.bytes_in),
                    ("out", status.traffic.messages_out, status.traffic.bytes_out),
                ):
                    for kind, table in (("messages", messages), ("bytes", octets)):
                        key = f"link_{label}_{kind}_{direction}_total"
                        found[key] = found.get(key, 0) + table[channel]
        return found


class CountedSigner:
    """A key that counts what it signs."""

    def __init__(self, signer: Signer, counters: Counters) -> None:
        self.public_key = signer.public_key
        self._signer = signer
        self._counters = counters

    def sign(self, message: bytes) -> bytes:
        self._counters.made()
        return self._signer.sign(message)


class CountedScheme:
    """A signature scheme that counts what it checks."""

    def __init__(self, scheme: Scheme, counters: Counters) -> None:
        self.name = scheme.name
        self.public_key_bytes = scheme.public_key_bytes
        self.signature_bytes = scheme.signature_bytes
        self._scheme = scheme
        self._counters = counters

    def signer(self, seed: bytes) -> KeyPair:
        return self._scheme.signer(seed)

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        self._counters.checked()
        return self._scheme.verify(public_key, message, signature)

    def check_public_key(self, public_key: bytes) -> None:
        self._scheme.check_public_key(public_key)


def counted(setup: Setup, counters: Counters) -> Setup:
    """The same setup, whose keys and checks are counted."""
    keys, suite = setup.signer, setup.suite
    signer = keys and ConsensusSigner(
        CountedSigner(keys.statements, counters), CountedSigner(keys.checkpoints, counters)
    )
    counted_suite = Suite(
        suite.name,
        CountedScheme(suite.statements, counters),
        CountedScheme(suite.checkpoints, counters),
        CountedScheme(suite.members, counters),
    )
    return replace(setup, signer=signer, counted=counted_suite)
