"""A small stand-in for the CometBFT program: the commands and the RPC that the adapter uses.

All nodes share one folder: each adds what is posted to it to a pool, and the first makes a block of
the pool every 50 ms.  One node shows each block later than the others.
With FAKE_COMET=ends in the environment the second ends when something is posted to it; a node ends
when whoever started it has, unless it says "stays", as the real ones do.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CONFIG = """[p2p]
laddr = "tcp://0.0.0.0:26656"
persistent_peers = "id0@127.0.0.1:26656,id1@127.0.0.2:26656"
flush_throttle_timeout = "100ms"
[rpc]
max_request_batch_size = 10
[mempool]
size = 5000
[consensus]
timeout_commit = "1s"
"""
LATE_S = 0.1


def testnet(words: list[str]) -> None:
    folder, count = Path(words[words.index("--o") + 1]), int(words[words.index("--v") + 1])
    for node in range(count):
        config = folder / f"node{node}" / "config"
        config.mkdir(parents=True)
        (config / "config.toml").write_text(CONFIG)
    for name in ("pool", "blocks"):
        (folder / name).mkdir()


class Node:
    def __init__(self, home: Path) -> None:
        self.folder = home.parent
        self.number = int(home.name.removeprefix("node"))
        self.count = self.taken_bytes = 0
        config = (home / "config" / "config.toml").read_text()
        [bound] = re.findall(r"max_request_batch_size = (\d+)", config)
        self.batch_max = int(bound)
        [dialled] = re.findall(r'persistent_peers = "(.*)"', config)
        places = [each.partition("@")[2].split(":") for each in dialled.split(",") if each]
        self.links = [socket.create_connection((host, int(port))) for host, port in places]

    def post(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A post that is too long gets one answer in all, as from the real one."""
        if os.environ.get("FAKE_COMET") == "ends" and self.number == 1:
            os._exit(1)
        assert all(row["method"] == "broadcast_tx_sync" for row in rows)
        if self.batch_max and len(rows) > self.batch_max:
            return [{"error": {"code": -32600, "message": "batch request exceeds maximum"}}]
        return [{"id": row["id"], **self.take(row["params"]["tx"])} for row in rows]

    def take(self, raw: str) -> dict[str, Any]:
        if base64.b64decode(raw).startswith(b"full"):
            return {"error": {"code": -32603, "message": "mempool is full"}}
        self.count += 1
        self.taken_bytes += len(base64.b64decode(raw))
        for link in self.links:
            link.sendall(base64.b64decode(raw))
        path = self.folder / "pool" / f"{self.number}-{self.count}"
        path.with_suffix(".new").write_text(raw)
        path.with_suffix(".new").rename(path.with_suffix(".tx"))
        return {"result": {"code": 0}}

    def forge(self) -> None:
        height = 0
        while True:
            time.sleep(0.05)
            paths = sorted((self.folder / "pool").glob("*.tx"))
            height += 1
            block = {"txs": [path.read_text() for path in paths] or None, "at": time.time()}
            new = self.folder / "blocks" / "new"
            new.write_text(json.dumps(block))
            new.rename(self.folder / "blocks" / str(height))
            for path in paths:
                path.unlink()

    def block(self, height: int) -> dict[str, Any]:
        path = self.folder / "blocks" / str(height)
        if path.is_file():
            block = json.loads(path.read_text())
            if self.number == 0 or time.time() - block["at"] > LATE_S:
                return {"result": {"block": {"data": {"txs": block["txs"]}}}}
        return {"error": {"code": -32603, "message": "height must be less than the newest"}}

    def unconfirmed(self) -> dict[str, Any]:
        return {"result": {"total": str(len(list((self.folder / "pool").glob("*.tx"))))}}

    def net_info(self) -> dict[str, Any]:
        """Everything that came in goes out to one other node."""
        sent = {"connection_status": {"SendMonitor": {"Bytes": str(self.taken_bytes)}}}
        return {"result": {"peers": [sent]}}

    def status(self) -> dict[str, Any]:
        newest = max((int(p.name) for p in (self.folder / "blocks").glob("[0-9]*")), default=0)
        return {"result": {"sync_info": {"latest_block_height": str(newest)}}}


def listen(place: str) -> None:
    """Take what others send, and forget it."""
    host, port = place.removeprefix("tcp://").split(":")
    listener = socket.create_server((host, int(port)))

    def swallow(link: socket.socket) -> None:
        while link.recv(4096):
            pass

    while True:
        link, _ = listener.accept()
        threading.Thread(target=swallow, args=(link,), daemon=True).start()


def start(words: list[str]) -> None:
    laddr = words[words.index("--p2p.laddr") + 1]
    threading.Thread(target=listen, args=(laddr,), daemon=True).start()
    node = Node(Path(words[words.index("--home") + 1]))
    host, port = words[words.index("--rpc.laddr") + 1].removeprefix("tcp://").split(":")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path.startswith("/status"):
                self.answer(node.status())
            elif self.path.startswith("/num_unconfirmed_txs"):
                self.answer(node.unconfirmed())
            elif self.path.startswith("/net_info"):
                self.answer(node.net_info())
            else:
                self.answer(node.block(int(self.path.partition("height=")[2])))

        def do_POST(self) -> None:
            rows = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.answer(node.post(rows))

        def answer(self, document: Any) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    if node.number == 0:
        threading.Thread(target=node.forge, daemon=True).start()
    if os.environ.get("FAKE_COMET") != "stays":
        threading.Thread(target=leave, args=(os.getppid(),), daemon=True).start()
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()


def leave(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command == "version":
        sys.stdout.write("0.0-fake\n")
    else:
        {"testnet": testnet, "start": start}[command](rest)
