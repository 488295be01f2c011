"""CometBFT with its own kvstore application: a test network of its own, on loopback addresses.

Tried on v0.34 and v0.38 and written for v1.0 alike, whose flags are the same.  It takes one
program, which makes a network's files (`testnet`) and runs a node of it (`start`).  What the
kvstore takes it executes without fail, so that nothing of it is ever counted as failed.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import httpx
import trio

from benchmarks.peers.adapter import Peer, Words
from host.home import Endpoint
from ledger.errors import UnreachableError

HOST = "127.0.0.1"
START_S = 30.0
POLL_S = 0.1
DIGEST_BYTES = 32
"""In place of no payload, as in a record of ours."""
COMMON = {
    ("mempool", "size"): "100000",
    ("mempool", "cache_size"): "200000",
    ("rpc", "max_request_batch_size"): "0",
    ("rpc", "max_body_bytes"): "100000000",
    ("tx_index", "indexer"): '"null"',
    ("instrumentation", "prometheus"): "false",
}
"""So that no bound of a queue or a post is measured, and nothing that the other side does not do:
v0.38 takes ten transactions in one post and answers a longer one with a single error."""
TUNED = {
    ("consensus", "timeout_commit"): '"0s"',
    ("consensus", "peer_gossip_sleep_duration"): '"5ms"',
    ("p2p", "flush_throttle_timeout"): '"5ms"',
    ("p2p", "send_rate"): "51200000",
    ("p2p", "recv_rate"): "51200000",
    ("mempool", "recheck"): "false",
}
"""What its documentation offers for a fast local network."""


class CometWords(Words):
    """JSON-RPC over HTTP."""

    path: ClassVar[str] = "/"

    def transaction(self, identity: str, payload: bytes) -> bytes:
        # A value as long as the payload, as text: in a kvstore's there must be no second "=".
        size = len(payload) or DIGEST_BYTES
        return f"{identity}={base64.b64encode(payload + bytes(size)).decode()[:size]}".encode()

    def post(self, transactions: list[bytes]) -> bytes:
        return json.dumps(
            [
                {
                    "jsonrpc": "2.0",
                    "id": number,
                    "method": "broadcast_tx_sync",
                    "params": {"tx": base64.b64encode(raw).decode()},
                }
                for number, raw in enumerate(transactions)
            ]
        ).encode()

    def refusals(self, answer: bytes, count: int) -> list[str]:
        told = json.loads(answer)
        rows = told if isinstance(told, list) else [told]
        if len(rows) != count:
            raise ValueError("an answer of another length")
        return [_refusal(row) for row in rows]

    def sign_path(self, height: int) -> str:
        return f"/commit?height={height}"

    def is_there(self, answer: bytes) -> bool:
        return bool(json.loads(answer).get("result"))

    def block_path(self, height: int) -> str:
        return f"/block?height={height}"

    def block(self, answer: bytes) -> list[str] | None:
        told = json.loads(answer).get("result")
        if not told:
            return None
        raws = told["block"]["data"]["txs"] or []
        return [base64.b64decode(raw).partition(b"=")[0].decode() for raw in raws]


def _refusal(row: dict[str, Any]) -> str:
    if "error" in row:
        return str(row["error"].get("data") or row["error"].get("message"))
    code = row.get("result", {}).get("code", 0)
    return f"code {code}" if code else ""


class CometBFT(Peer):
    """Four validators, each with its kvstore inside."""

    name: ClassVar[str] = "cometbft"
    binary: ClassVar[str] = "cometbft"
    variants: ClassVar[tuple[str, ...]] = ("default", "tuned")
    differs: ClassVar[str] = (
        "its kvstore checks no signatures and proves nothing of its state; around the same payload "
        "it has a name of 32 bytes, ours a header and a signature. It syncs votes and blocks "
        "before it goes on, as ours does (some 13 synced writes a block and node), but not the "
        "state of the kvstore. As it comes a block waits a second for stragglers; tuned it does "
        "not. A block counts once a node has stored it, before it is executed, and nodes are asked "
        "every 20 ms. What they have stored is not judged."
    )

    def __init__(self, program: Path, folder: Path, nodes: int, variant: str) -> None:
        super().__init__(program, folder, nodes, variant)
        found = [Endpoint(HOST, port) for port in _free_ports(2 * nodes)]
        self._listens, self._answers = found[:nodes], found[nodes:]

    @property
    def urls(self) -> list[str]:
        return [f"http://{place.host}:{place.port}" for place in self._answers]

    @property
    def listens(self) -> list[Endpoint]:
        return self._listens

    async def start(self) -> None:
        await self._make()
        with trio.move_on_after(START_S) as patience:
            # The highest first: who dials in vain tries again only after some seconds.
            for node in reversed(range(self.nodes)):
                self.processes.insert(0, await self._run(node))
                await self._hears(node)
            await self._grows()
        if patience.cancelled_caught:
            raise UnreachableError(f"{self.name} made no block within {START_S:g} s")

    async def _make(self) -> None:
        """Make the files of the network."""
        made = await trio.run_process(
            [
                str(self.program), "testnet", "--v", str(self.nodes), "--o", str(self.folder),
                "--populate-persistent-peers", "--starting-ip-address", HOST,
            ],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )  # fmt: skip
        if made.returncode:
            last = made.stderr.decode(errors="replace").strip().splitlines()[-1:]
            # It is kept with the results, where no place on this machine belongs.
            said = "".join(last).replace(str(self.folder), self.folder.name)
            raise UnreachableError(f"{self.name} testnet failed: {said}")
        for node in range(self.nodes):
            file = self._home(node) / "config" / "config.toml"
            text = file.read_text(encoding="utf-8")
            settings = {**COMMON, **(TUNED if self.variant == "tuned" else {})}
            settings["p2p", "persistent_peers"] = f'"{self._dialled(node, text)}"'
            file.write_text(configured(text, settings), encoding="utf-8")

    def _home(self, node: int) -> Path:
        return self.folder / f"node{node}"

    def _dialled(self, node: int, text: str) -> str:
        """Those that a node dials, of all that `testnet` has named in their order."""
        named = "".join(re.findall(r"^persistent_peers = .*", text, re.MULTILINE))
        places = []
        for other, name in enumerate(re.findall(r"(\w+)@", named)):
            if other > node:
                place = self.relays.get((node, other), self._listens[other])
                places.append(f"{name}@{place.host}:{place.port}")
        return ",".join(places)

    async def _run(self, node: int) -> trio.Process:
        listens, answers = self._listens[node], self._answers[node]
        return await trio.lowlevel.open_process(
            [
                str(self.program), "start", "--home", str(self._home(node)),
                "--proxy_app=persistent_kvstore",
                "--p2p.laddr", f"tcp://{listens.host}:{listens.port}",
                "--rpc.laddr", f"tcp://{answers.host}:{answers.port}",
                "--rpc.pprof_laddr", "", "--p2p.pex=false", "--log_level", "error",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    async def _hears(self, node: int) -> None:
        """Wait until a node listens for the others."""
        place = self._listens[node]
        while self.processes[0].poll() is None:
            try:
                stream = await trio.open_tcp_stream(place.host, place.port)
            except OSError:
                await trio.sleep(POLL_S)  # not up yet
                continue
            await stream.aclose()
            return

    async def height(self) -> int:
        told = await _ask(f"{self.urls[0]}/status")
        return int(told["sync_info"]["latest_block_height"])

    async def is_idle(self) -> bool:
        told = [await _ask(f"{url}/num_unconfirmed_txs") for url in self.urls]
        return not any(int(one["total"]) for one in told)

    async def link_bytes(self) -> float | None:
        """Of connections that are there: one that was lost takes its count along."""
        try:
            told = [await _ask(f"{url}/net_info") for url in self.urls]
        except UnreachableError:
            return None  # too busy to answer: the other figures stand
        peers = [peer for one in told for peer in one["peers"]]
        return sum(float(peer["connection_status"]["SendMonitor"]["Bytes"]) for peer in peers)

    async def _grows(self) -> None:
        """Wait until every node shows the second block."""
        async with httpx.AsyncClient(timeout=2.0) as client:
            for url in self.urls:
                while True:
                    if any(process.poll() is not None for process in self.processes):
                        raise UnreachableError(f"a node of {self.name} ended while starting")
                    try:
                        answer = await client.get(f"{url}/status")
                        height = answer.json()["result"]["sync_info"]["latest_block_height"]
                        if int(height) >= 2:
                            break
                    except (httpx.HTTPError, ValueError, KeyError):
                        pass  # not up yet
                    await trio.sleep(POLL_S)


async def _ask(url: str) -> dict[str, Any]:
    """The result of a call.  Raises UnreachableError."""
    try:
        async with httpx.AsyncClient(timeout=5.0) as client:
            told: dict[str, Any] = (await client.get(url)).json()["result"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise UnreachableError(f"no answer from a node: {type(error).__name__}") from None
    return told


def configured(text: str, settings: dict[tuple[str, str], str]) -> str:
    """A config.toml with these settings, all else as it was; what it does not know stays out."""
    section, lines = "", []
    for line in text.splitlines():
        if found := re.match(r"\s*\[([^\]]+)\]", line):
            section = found[1]
        key = line.partition("=")[0].strip()
        value = settings.get((section, key)) if "=" in line else None
        lines.append(line if value is None else f"{key} = {value}")
    return "\n".join(lines) + "\n"


def _free_ports(count: int) -> list[int]:
    """Ports that nobody has, all at once, so that they differ."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]
