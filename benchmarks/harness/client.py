"""One load client, a process of its own: `python -m benchmarks.harness.client`.

Reads a JSON job, signs everything, says "ready", begins at the time on the monotonic clock that the
next line tells, and writes one row a transaction to a file.  The load is open: each transaction has
a due time drawn beforehand and its latency counts from there, whether or not client or node was
late, so nothing is left out where it would hurt (no coordinated omission).

It does what `api.client` does for one transaction, for thousands: a node that does not answer or
has no room loses what it was to get to the next one, and what is not confirmed for a while is sent
again elsewhere.  Input that ends means that the harness is gone: the client goes, too.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import msgpack

from host.home import read_genesis, read_private
from ledger.applications.records import make_record
from ledger.keys import Signer
from ledger.senders import Nobody
from ledger.transaction import Operation, make_transaction

BATCH_MAX = 400
"""Transactions in one post."""
DOWN_S = 0.5
"""How long a node that did not answer is left alone."""
NOT_NOW_S = 0.2
"""How long what found no room waits before it is offered to the next node."""
NOT_NOW = frozenset({"mempool.full", "node.busy"})
SILENT_S = 3.0
"""A stream without a word for so long is asked for elsewhere."""
POST_S = 5.0
"""How long a node may take to answer a post; a paused one never does."""
STUCK_S = 1.0
"""What waits behind a post for so long goes to another node."""


@dataclass(slots=True)
class Item:
    """One transaction on its way."""

    raw: bytes
    due_s: float
    sent_s: float = -1.0
    """When it was first posted."""
    last_s: float = 0.0
    """When it was last posted."""
    attempts: int = 0
    lane: int = 0
    """Of the node that has it."""
    height: int = 0
    status: str = ""
    """confirmed, failed, or refused and why; empty while it is open."""


class Spoiler:
    """Puts one and the same signature under everything: it costs a node a whole check to see."""

    def __init__(self, signer: Signer) -> None:
        self.public_key = signer.public_key
        self._signature = signer.sign(b"something else")

    def sign(self, message: bytes) -> bytes:
        return self._signature


def record_of(payload: bytes) -> Operation:
    """A record of these bytes; of none, the digest of an empty file, the smallest there is."""
    if payload:
        return make_record("", b"", payload)
    return make_record("", hashlib.sha256(b"").digest())


class Client:
    """All lanes of one client, and what became of its transactions."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.urls: list[str] = job["urls"]
        self.interval_s: float = job["interval_s"]
        self.resend_s: float = job["resend_s"]
        self.settle_s: float = job["settle_s"]
        self.first: int = job["height"] + 1
        self.items: dict[str, Item] = {}
        self.height = 0
        """Of the last confirmed block that was shown."""
        self.start = 0.0
        self.is_over = threading.Event()
        self.left = 0
        self.last_due_s: float = job["duration_s"]
        self.posts = 0
        self.late_s = 0.0
        self.lanes = [Lane(self, number, url) for number, url in enumerate(self.urls)]
        self._prepare(job)

    def _prepare(self, job: dict[str, Any]) -> None:
        """Draw the arrivals and sign what arrives."""
        genesis = read_genesis(Path(job["genesis"]))
        signer: Signer = Nobody(int(job["client"]))
        if job["signed"] or job["spoil"]:
            signer = genesis.suite.members.signer(read_private(Path(job["key"])))
        if job["spoil"]:
            signer = Spoiler(signer)
        draw = Random(f"{job['seed']} client {job['client']}")
        self.expiry = expiry = int(job["height"]) + genesis.limits.replay_window // 2
        nonce = time.time_ns() // 1_000 * 256 + int(job["client"])
        for due in arrivals(draw, job["arrival"], job["rate_per_s"], job["duration_s"]):
            nonce += 256
            operations = [
                record_of(draw.randbytes(job["payload_bytes"])) for _ in range(job["records"])
            ]
            transaction = make_transaction(
                signer, genesis.network, operations, nonce=nonce, expiry=expiry
            )
            item = Item(transaction.raw, due)
            # What falls due within one interval is one post, and the posts go round the nodes.
            turn = int(due / self.interval_s) + int(job["client"])
            item.lane = turn % len(self.lanes)
            self.lanes[item.lane].scheduled.append(item)
            self.items[transaction.id.hex()] = item
        self.left = len(self.items)

    def drive(self, start: float) -> None:
        """Offer everything; returns when all has ended or the time to settle is over."""
        self.start = start
        threads = [threading.Thread(target=lane.drive, daemon=True) for lane in self.lanes]
        threads.append(threading.Thread(target=self._follow, daemon=True))
        for thread in threads:
            thread.start()
        deadline = self.last_due_s + self.settle_s
        while self.left > 0 and self.now() < deadline:
            self.is_over.wait(0.25)
            self._resend()
        self.is_over.set()
        for thread in threads:
            thread.join(2 * POST_S)

    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    def end(self, item: Item, status: str, height: int = 0) -> None:
        """A transaction has come to an end; the first one counts."""
        if not item.status:
            item.status, item.height = status, height
            self.left -= 1

    def pass_on(self, items: Iterable[Item], lane: int, after_s: float = 0.0) -> None:
        """Give what one lane could not post to the next."""
        target = (lane + 1) % len(self.lanes)
        at = self.now() + after_s
        for item in items:
            item.lane = target
            self.lanes[target].again.append((at, item))

    def _resend(self) -> None:
        """What should have been confirmed long ago goes to the next node, ever more rarely."""
        now = self.now()
        for lane in self.lanes:
            if now - lane.busy_since > STUCK_S:
                self.pass_on(lane.due_of_schedule(now), lane.number)
        for item in self.items.values():
            if item.due_s > now:
                break
            waiting = not item.status and item.attempts
            if waiting and now - item.last_s > self.resend_s * 2.0 ** (item.attempts - 1):
                item.last_s = now
                self.pass_on([item], item.lane)

    def _follow(self) -> None:
        """Read the confirmed blocks at whichever node tells them."""
        height, turn = self.first, 0
        while not self.is_over.is_set():
            connection = connect(self.urls[turn % len(self.urls)], SILENT_S)
            turn += 1
            try:
                connection.request("GET", f"/v1/stream?from={height}&ids=1")
                answer = connection.getresponse()
                while not self.is_over.is_set() and (line := answer.readline()):
                    if line.strip():
                        self._confirm(json.loads(line))
                        height += 1
            except (OSError, ValueError, http.client.HTTPException):
                pass  # the node is gone or silent: the next one tells the same
            finally:
                connection.close()
            self.is_over.wait(0.05)

    def _confirm(self, line: dict[str, Any]) -> None:
        self.height = line["height"]
        failed = set(line["failed"])
        for place, identity in enumerate(line["ids"]):
            item = self.items.get(identity)
            if item is not None:
                self.end(item, "failed" if place in failed else "confirmed", line["height"])


@dataclass(slots=True)
class Lane:
    """The posts to one node."""

    client: Client
    number: int
    url: str
    scheduled: deque[Item] = field(default_factory=deque)
    again: deque[tuple[float, Item]] = field(default_factory=deque)
    """(not before, item) of what comes from other lanes."""
    busy_since: float = math.inf
    """When the post that is under way began."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    """Of the schedule, which two threads take from."""

    def drive(self) -> None:
        client = self.client
        connection = connect(self.url, POST_S)
        down_until = 0.0
        while not client.is_over.is_set():
            due = self._due()
            if not due:
                time.sleep(client.interval_s)
                continue
            if client.now() < down_until:
                client.pass_on(due, self.number)
                continue
            self.busy_since = client.now()
            try:
                rows = self._post(connection, due)
            except (OSError, http.client.HTTPException, ValueError):
                # Nobody knows what it took; sending it again does no harm.
                connection.close()
                down_until = client.now() + DOWN_S
                client.pass_on(due, self.number, NOT_NOW_S)
                continue
            finally:
                self.busy_since = math.inf
            for item, (_, reason, _) in zip(due, rows, strict=True):
                if reason in NOT_NOW:
                    client.pass_on([item], self.number, NOT_NOW_S)
                elif reason:
                    client.end(item, f"refused {reason}")
        connection.close()

    def _due(self) -> list[Item]:
        now = self.client.now()
        found: list[Item] = []
        for _ in range(min(len(self.again), BATCH_MAX)):
            at, item = self.again.popleft()
            if at > now:
                self.again.append((at, item))
            elif not item.status:
                found.append(item)
        return found + self.due_of_schedule(now, BATCH_MAX - len(found))

    def due_of_schedule(self, now: float, count: int = BATCH_MAX) -> list[Item]:
        """Take what is due of the own schedule."""
        interval = self.client.interval_s
        found: list[Item] = []
        with self._lock:
            while self.scheduled and len(found) < count:
                if (int(self.scheduled[0].due_s / interval) + 1) * interval > now:
                    break
                found.append(self.scheduled.popleft())
        return found

    def _post(self, connection: http.client.HTTPConnection, items: list[Item]) -> Any:
        now = self.client.now()
        for item in items:
            if not item.attempts:
                item.sent_s = now
                self.client.late_s = max(self.client.late_s, now - item.due_s)
            item.attempts += 1
            item.last_s = now
            item.lane = self.number
        body = msgpack.packb([item.raw for item in items])
        connection.request(
            "POST", "/v1/transactions", body, {"content-type": "application/msgpack"}
        )
        rows = msgpack.unpackb(connection.getresponse().read(), use_list=False)
        self.client.posts += 1
        if len(rows) != len(items):
            raise ValueError("an answer of another length")
        return rows


def connect(url: str, timeout_s: float) -> http.client.HTTPConnection:
    """A connection that is made when it is first used."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)


def arrivals(draw: Random, kind: str, rate_per_s: float, duration_s: float) -> list[float]:
    """Due times of a Poisson process or of a constant rate."""
    assert kind in ("poisson", "constant"), kind
    if kind == "constant":
        return [number / rate_per_s for number in range(int(rate_per_s * duration_s))]
    due, moment = [], draw.expovariate(rate_per_s)
    while moment < duration_s:
        due.append(moment)
        moment += draw.expovariate(rate_per_s)
    return due


def leave_with_harness() -> None:
    """Ends this process when nobody is left to read its result."""
    sys.stdin.read()
    os._exit(1)


def main() -> None:
    """Read a job, prepare, wait for the start, drive, write, report."""
    job = json.loads(sys.stdin.readline())
    client = Client(job)
    print("ready", flush=True)
    start = float(sys.stdin.readline())
    threading.Thread(target=leave_with_harness, daemon=True).start()
    used = time.process_time()
    client.drive(start)
    used = time.process_time() - used
    with Path(job["rows"]).open("w", encoding="ascii") as file:
        for item in client.items.values():
            is_late = client.height >= client.expiry
            status = item.status or ("expired" if is_late else "unconfirmed")
            sent_us = round(item.sent_s * 1e6) if item.attempts else ""
            file.write(
                f"{round(item.due_s * 1e6)},{sent_us},{item.lane},{item.attempts},"
                f"{item.height or ''},{status}\n"
            )
    told = {"posts": client.posts, "late_s": client.late_s, "cpu_s": used}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
