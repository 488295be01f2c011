"""The load client of a peer, a process of its own: `python -m benchmarks.peers.client`.

Alike to `benchmarks/harness/client.py` in what counts: arrivals drawn beforehand, open load, due
times, posts of what fell due within an interval, rows of the same form.  What is in a block is read
at one node, as there; of the others only that they have it, which costs them little.  The peer's
own language is an argument (`benchmarks/peers/adapter`).
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.harness.client import arrivals, connect, leave_with_harness
from benchmarks.peers.adapter import Words
from benchmarks.peers.run import WORDS

BATCH_MAX = 400
POLL_S = 0.02
ANSWER_S = 5.0


@dataclass(slots=True)
class Entry:
    """One transaction on its way."""

    raw: bytes
    due_s: float
    node: int
    sent_s: float | None = None
    height: int = 0
    status: str = ""


@dataclass(slots=True)
class PeerClient:
    """All that one client offers and sees."""

    words: Words
    urls: list[str]
    interval_s: float
    entries: dict[str, Entry]
    first: int
    """Height from which on blocks are looked at."""
    start: float = 0.0
    seen: dict[int, list[float | None]] = field(default_factory=dict)
    """height -> when each node showed it."""
    over: threading.Event = field(default_factory=threading.Event)
    late_s: float = 0.0

    def now(self) -> float:
        return time.monotonic() - self.start

    def drive(self, start: float, deadline_s: float) -> None:
        """Offer all; returns when every node has shown all of it, or the time is over."""
        self.start = start
        nodes = range(len(self.urls))
        threads = [threading.Thread(target=self._send, args=(n,), daemon=True) for n in nodes]
        threads += [threading.Thread(target=self._follow, args=(n,), daemon=True) for n in nodes]
        threads.append(threading.Thread(target=self._read, daemon=True))
        for thread in threads:
            thread.start()
        while self.now() < deadline_s and not self._is_done():
            self.over.wait(0.1)
        self.over.set()
        for thread in threads:
            thread.join(2 * ANSWER_S)

    def _is_done(self) -> bool:
        if any(not entry.status for entry in self.entries.values()):
            return False
        used = {entry.height for entry in self.entries.values() if entry.height}
        return all(None not in self.seen.get(height, [None]) for height in used)

    def _send(self, node: int) -> None:
        connection = connect(self.urls[node], ANSWER_S)
        mine = [entry for entry in self.entries.values() if entry.node == node]
        place = 0
        while place < len(mine) and not self.over.is_set():
            stop, now = place, self.now()
            while stop < min(len(mine), place + BATCH_MAX) and self._is_due(mine[stop], now):
                stop += 1
            if stop == place:
                time.sleep(self.interval_s)
                continue
            self._post(connection, mine[place:stop])
            place = stop
        connection.close()

    def _is_due(self, entry: Entry, now: float) -> bool:
        """Whether the interval is over in which it fell due."""
        return (int(entry.due_s / self.interval_s) + 1) * self.interval_s <= now

    def _post(self, connection: http.client.HTTPConnection, entries: list[Entry]) -> None:
        now = self.now()
        for entry in entries:
            entry.sent_s = now
            self.late_s = max(self.late_s, now - entry.due_s)
        try:
            body = self.words.post([entry.raw for entry in entries])
            connection.request("POST", self.words.path, body, {"content-type": "application/json"})
            answer = connection.getresponse().read()
            reasons = self.words.refusals(answer, len(entries))
        except (OSError, ValueError, http.client.HTTPException):
            connection.close()
            return  # nobody knows what it took: what comes of it is seen in the blocks
        for entry, reason in zip(entries, reasons, strict=True):
            if reason and not entry.status:
                entry.status = f"refused {reason}".replace(",", ";").replace("\n", " ")

    def _follow(self, node: int) -> None:
        """See when a node has each block."""

        def see(height: int, answer: bytes) -> bool:
            is_there = self.words.is_there(answer)
            if is_there:
                self.seen.setdefault(height, [None] * len(self.urls))[node] = self.now()
            return is_there

        self._climb(node, self.words.sign_path, see)

    def _read(self) -> None:
        """See what is in each block."""

        def read(height: int, answer: bytes) -> bool:
            found = self.words.block(answer)
            for identity in found or ():
                entry = self.entries.get(identity)
                if entry is not None and not entry.height:
                    entry.height, entry.status = height, "confirmed"
            return found is not None

        self._climb(0, self.words.block_path, read)

    def _climb(
        self, node: int, path: Callable[[int], str], take: Callable[[int, bytes], bool]
    ) -> None:
        """Ask a node about one height after another, each until the answer is one of its block."""
        connection = connect(self.urls[node], ANSWER_S)
        height = self.first
        while not self.over.is_set():
            is_there = False
            try:
                connection.request("GET", path(height))
                is_there = take(height, connection.getresponse().read())
            except (OSError, ValueError, http.client.HTTPException):
                connection.close()
            if is_there:
                height += 1
            else:
                time.sleep(POLL_S)
        connection.close()


def prepare(job: dict[str, Any]) -> PeerClient:
    """Draw the arrivals and make what arrives."""
    words = WORDS[job["peer"]]()
    draw = Random(f"{job['seed']} peer")
    entries = {}
    due = arrivals(draw, job["arrival"], job["rate_per_s"], job["duration_s"])
    for number, moment in enumerate(due):
        identity = f"{job['prefix']}-{number:028}"
        raw = words.transaction(identity, draw.randbytes(job["payload_bytes"]))
        turn = int(moment / job["interval_s"]) % len(job["urls"])
        entries[identity] = Entry(raw, moment, turn)
    return PeerClient(words, job["urls"], job["interval_s"], entries, job["height"] + 1)


def main() -> None:
    """Read a job, prepare, wait for the start, drive, write, report."""
    job = json.loads(sys.stdin.readline())
    client = prepare(job)
    print("ready", flush=True)
    start = float(sys.stdin.readline())
    threading.Thread(target=leave_with_harness, daemon=True).start()
    used = time.process_time()
    client.drive(start, job["duration_s"] + job["settle_s"])
    used = time.process_time() - used
    with Path(job["rows"]).open("w", encoding="utf-8") as file:
        for entry in client.entries.values():
            sent = "" if entry.sent_s is None else round(entry.sent_s * 1e6)
            file.write(
                f"{round(entry.due_s * 1e6)},{sent},{entry.node},1,{entry.height or ''},"
                f"{entry.status or 'unconfirmed'}\n"
            )
    Path(job["blocks"]).write_text(json.dumps(client.seen), encoding="utf-8")
    print(json.dumps({"posts": 0, "late_s": client.late_s, "cpu_s": used}), flush=True)


if __name__ == "__main__":
    main()
