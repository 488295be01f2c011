"""One client process: pre-signs its transactions, then posts what is due, open-loop.

A transaction has a due time of its own, and its latency counts from there, whether or not the
client was late in sending it: no coordinated omission.  One thread a node posts every few
milliseconds what has come due; `http.client` keeps the client itself cheap.

Started by `benchmarks.runs` with a JSON job on standard input; says "ready" when all is signed,
begins on the next line of input (a time on the monotonic clock), and prints its result as JSON.
"""

from __future__ import annotations

import http.client
import json
import secrets
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgpack

from host.home import read_genesis, read_private
from ledger.applications.records import make_record
from ledger.keys import scheme_named
from ledger.transaction import make_transaction

BATCH_MAX = 400
"""Transactions in one post."""


@dataclass(slots=True)
class Lane:
    """The load of one node."""

    url: str
    raws: list[bytes]
    due_s: list[float]
    """Seconds after the start at which each is posted, ascending."""
    refused: dict[str, int] = field(default_factory=dict)
    posts: int = 0
    late_s: float = 0.0
    """How late the latest post was."""

    def drive(self, start: float, interval_s: float) -> None:
        """Post everything, each transaction not before its time."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        position = 0
        while position < len(self.raws):
            now = time.monotonic() - start
            if self.due_s[position] > now:
                time.sleep(max(interval_s, self.due_s[position] - now))
                continue
            stop = position
            while stop < len(self.raws) and stop - position < BATCH_MAX and self.due_s[stop] <= now:
                stop += 1
            try:
                self._post(connection, self.raws[position:stop])
            except (OSError, http.client.HTTPException):
                # A node that is behind gives up on slow requests.  Nobody knows what it took.
                connection.close()
                self._count("connection lost", stop - position)
            self.late_s = max(self.late_s, now - self.due_s[position])
            position = stop
        connection.close()

    def _post(self, connection: http.client.HTTPConnection, raws: list[bytes]) -> None:
        body = msgpack.packb(raws)
        connection.request(
            "POST", "/v1/transactions", body, {"content-type": "application/msgpack"}
        )
        answer = connection.getresponse()
        rows = msgpack.unpackb(answer.read(), use_list=False)
        self.posts += 1
        for _, reason, _ in rows:
            if reason:
                self._count(reason, 1)

    def _count(self, reason: str, number: int) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + number


def prepare(job: dict[str, Any]) -> tuple[list[Lane], list[tuple[str, float]]]:
    """Sign everything; (lanes, (id, due time) of each transaction)."""
    genesis = read_genesis(Path(job["genesis"]))
    signer = scheme_named("ed25519").signer(read_private(Path(job["key"])))
    count = int(job["rate_per_s"] * job["duration_s"])
    base = time.time_ns() // 1_000
    nonce = base * 256 + int(job["client"])
    lanes = [Lane(url, [], []) for url in job["urls"]]
    offered = []
    for number in range(count):
        operations = [
            make_record("", b"", secrets.token_bytes(job["record_bytes"]))
            for _ in range(job["records"])
        ]
        nonce += 256
        transaction = make_transaction(
            signer,
            genesis.network,
            operations,
            nonce=nonce,
            expiry=int(job["height"]) + genesis.limits.replay_window // 2,
        )
        due = number / job["rate_per_s"]
        # What falls due within one interval is one post, and the posts go round the nodes.
        interval = int(due / job["interval_s"])
        lane = lanes[(interval + int(job["client"])) % len(lanes)]
        lane.raws.append(transaction.raw)
        lane.due_s.append((interval + 1) * job["interval_s"])
        offered.append((transaction.id.hex(), due))
    return lanes, offered


def main() -> None:
    """Read a job, prepare, wait for the start, drive, report."""
    job = json.loads(sys.stdin.readline())
    lanes, offered = prepare(job)
    print("ready", flush=True)
    start = float(sys.stdin.readline())
    used = time.process_time()
    threads = [
        threading.Thread(target=lane.drive, args=(start, job["interval_s"])) for lane in lanes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused: dict[str, int] = {}
    for lane in lanes:
        for reason, number in lane.refused.items():
            refused[reason] = refused.get(reason, 0) + number
    result = {
        "offered": offered,
        "refused": refused,
        "posts": sum(lane.posts for lane in lanes),
        "late_s": max(lane.late_s for lane in lanes),
        "cpu_s": time.process_time() - used,
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
