"""Links that the kernel makes bad: a network namespace a node, and traffic control between them.

    node0 [eth0]---[h0]  hub  [h1]---[eth0] node1        hub: a namespace of its own, which routes
                      [machine]
                         |
                    [ledgerPID] the machine, where the clients are

What goes from one node to another leaves the hub by an interface of the receiver, in a class that
the sender's address selects.  There it is delayed and lost (netem), or narrowed (htb), behind the
sender's back, as in a real network; a partition is a rule of the hub's routing that drops.

A namespace lives as long as a process is in it, and its interfaces as long as it does.  Each is
held by a `cat` whose standard input ends with the harness, so nothing has to be taken down.
Addresses are of 198.18.0.0/15, which is for benchmarks (RFC 2544, C.2.2).
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from benchmarks.harness.wires import Links, write_peers
from host.home import CONFIG_FILE, Endpoint, config_text, read_config
from host.network import homes_of
from host.proxy import LinkRule, Way
from ledger.errors import UnreachableError

Run = Callable[[Sequence[str], str], Awaitable[str]]
"""(command, its input) -> its output.  Raises UnreachableError with what it said."""
UNBOUND = "rate 10gbit burst 1mb cburst 1mb quantum 60000"
QUEUE_PACKETS = 10_000
"""Under way on one link of one direction; what comes on top is lost."""
MTU_BYTES = 1_514
FORWARD = "echo 1 > /proc/sys/net/ipv4/ip_forward"
TRIES_S = 10.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Names and addresses of one network."""

    size: int
    """How many nodes."""
    number: int
    """Which of the 512 networks of 198.18.0.0/15."""
    leg: str
    """The interface on the machine's side, at most 15 characters."""

    def address(self, place: int) -> str:
        return f"198.{18 + self.number // 256}.{self.number % 256}.{place}"

    def node(self, node: int) -> str:
        return self.address(node + 1)

    @property
    def hub(self) -> str:
        return self.address(254)

    @property
    def machine(self) -> str:
        return self.address(253)

    def hub_lines(self, pids: Sequence[int], machine_pid: int) -> list[str]:
        """What `ip` is told in the hub: a leg to each node's namespace, and one to the machine."""
        lines = ["link set lo up"]
        ends = [(f"h{node}", "eth0", pid, self.node(node)) for node, pid in enumerate(pids)]
        for near, far, pid, address in [*ends, ("machine", self.leg, machine_pid, self.machine)]:
            lines += [
                f"link add {near} type veth peer name {far} netns {pid}",
                # Else one "packet" is up to 64 KiB, which is lost or not as a whole.
                f"link set dev {near} gso_max_segs 1",
                f"link set {near} up",
                f"addr add {self.hub}/32 dev {near}",
                f"route add {address}/32 dev {near}",
            ]
        return lines

    def node_lines(self, node: int) -> list[str]:
        """What `ip` is told in a node's namespace."""
        return [
            "link set lo up",
            "link set dev eth0 gso_max_segs 1",
            "link set eth0 up",
            f"addr add {self.node(node)}/32 dev eth0",
            f"route add {self.hub}/32 dev eth0",
            f"route add default via {self.hub}",
        ]

    def machine_lines(self) -> list[str]:
        """What `ip` is told on the machine itself: all that this network is to it."""
        return [
            f"addr add {self.machine}/32 dev {self.leg}",
            f"link set {self.leg} up",
            f"route add {self.hub}/32 dev {self.leg}",
            f"route add {self.address(0)}/24 via {self.hub} src {self.machine}",
        ]

    def class_lines(self) -> list[str]:
        """What `tc` is told in the hub: a class for each direction.  Clients have none."""
        lines = []
        for to in range(self.size):
            lines.append(f"qdisc replace dev h{to} root handle 1: htb default 0")
            for source in range(self.size):
                if source != to:
                    lines.append(f"class replace {_class((source, to))} htb {UNBOUND}")
                    lines.append(
                        f"filter add dev h{to} parent 1: protocol ip prio 1 "
                        f"u32 match ip src {self.node(source)}/32 flowid 1:{source + 1:x}"
                    )
        return lines

    def rule_lines(self, way: Way, old: LinkRule, new: LinkRule) -> tuple[list[str], list[str]]:
        """(what `tc`, what `ip` is told in the hub) so that a direction is as the new rule says."""
        tc, ip = [], []
        if old.kib_per_s != new.kib_per_s:
            tc.append(f"class replace {_class(way)} htb {_rate(new)}")
        before, after = _queue(way, old), _queue(way, new)
        if before != after:
            source, to = way
            tc.append(f"qdisc replace dev h{to} parent 1:{source + 1:x} handle {after}")
        if old.blocked != new.blocked:
            verb = "add" if new.blocked else "del"
            source_ip, to_ip = self.node(way[0]), self.node(way[1])
            ip.append(f"rule {verb} pref 100 from {source_ip}/32 to {to_ip}/32 blackhole")
        return tc, ip


def _class(way: Way) -> str:
    source, to = way
    return f"dev h{to} parent 1: classid 1:{source + 1:x}"


def _rate(rule: LinkRule) -> str:
    if not rule.kib_per_s:
        return UNBOUND
    bits = round(rule.kib_per_s * 8 * 1024)
    # As much at once as passes in 10 ms, but a packet at least.
    burst = max(2 * MTU_BYTES, bits // 800)
    return f"rate {bits}bit burst {burst} cburst {burst} quantum {MTU_BYTES}"


def _queue(way: Way, rule: LinkRule) -> str:
    """The handle, the kind and the words of the queue of a direction."""
    number = way[0] + 1
    if not (rule.delay_ms or rule.jitter_ms or rule.loss_percent):
        return f"{0x200 + number:x}: pfifo limit {QUEUE_PACKETS}"
    words = f"{0x100 + number:x}: netem limit {QUEUE_PACKETS}"
    if rule.delay_ms or rule.jitter_ms:
        # Evenly between no jitter and twice its mean.
        words += f" delay {rule.delay_ms + rule.jitter_ms:g}ms {rule.jitter_ms:g}ms"
    if rule.loss_percent:
        words += f" loss {rule.loss_percent:g}%"
    return words


async def run(words: Sequence[str], told: str = "") -> str:
    """Run a command.  Raises UnreachableError with its first complaint."""
    program = words[words.index("--") + 1] if "--" in words else words[0]
    try:
        done = await trio.run_process(
            list(words), stdin=told.encode(), capture_stdout=True, capture_stderr=True, check=False
        )
    except OSError as error:
        raise UnreachableError(f"{program} cannot be run: {error.strerror}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it failed"]
        raise UnreachableError(f"{program}: {said[0]}")
    return done.stdout.decode(errors="replace")


class Namespaces(Links):
    """The links of one network, as the kernel carries them."""

    def __init__(
        self, layout: Layout, link: str, hub: int, nodes: Sequence[int], run: Run = run
    ) -> None:
        """hub, nodes: a process in each namespace."""
        super().__init__(layout.size, link)
        self.layout = layout
        self._hub, self._nodes = hub, nodes
        self._run = run
        self._set = dict.fromkeys(self.base, LinkRule())
        self._turn = trio.Lock()

    def prefix(self, node: int) -> tuple[str, ...]:
        """The words before a command that is to run where a node does."""
        return _inside(self._nodes[node])

    async def build(self) -> None:
        """Link the namespaces with each other and with the machine."""
        layout, hub = self.layout, _inside(self._hub)
        await self._tell(hub, "ip", layout.hub_lines(self._nodes, os.getpid()))
        await self._run([*hub, "sh", "-c", FORWARD], "")
        for node in range(layout.size):
            await self._tell(self.prefix(node), "ip", layout.node_lines(node))
        await self._tell((), "ip", layout.machine_lines())
        await self._tell(hub, "tc", layout.class_lines())
        await self.apply()

    async def apply(self) -> None:
        async with self._turn:
            tc, ip = [], []
            for way, old in self._set.items():
                new = self.rule(way)
                more_tc, more_ip = self.layout.rule_lines(way, old, new)
                tc += more_tc
                ip += more_ip
                self._set[way] = new
            await self._tell(_inside(self._hub), "tc", tc)
            await self._tell(_inside(self._hub), "ip", ip)

    async def reset(self, nodes: Sequence[int]) -> None:
        """Both ends learn of it: one from the kernel, one from the segment that it sends."""
        for node in nodes:
            others = [self.layout.node(one) for one in range(self.layout.size) if one != node]
            for other in others:
                await self._run([*self.prefix(node), "ss", "-KHn", "dst", other], "")

    async def relayed_bytes(self) -> float:
        """So far, over all directions, with what TCP, IP and Ethernet put around it."""
        total = 0
        for node in range(self.layout.size):
            words = [*_inside(self._hub), "tc", "-s", "class", "show", "dev", f"h{node}"]
            for line in (await self._run(words, "")).splitlines():
                if line.split()[:1] == ["Sent"]:
                    total += int(line.split()[1])
        return total

    async def _tell(self, where: Sequence[str], program: str, lines: Sequence[str]) -> None:
        if lines:
            await self._run([*where, program, "-batch", "-"], "\n".join(lines) + "\n")


def _inside(pid: int) -> tuple[str, ...]:
    return ("nsenter", f"--net=/proc/{pid}/ns/net", "--")


@asynccontextmanager
async def _namespace() -> AsyncIterator[int]:
    """A new network namespace; the process that holds it, which ends with this one."""
    try:
        process = await trio.lowlevel.open_process(
            ["unshare", "--net", "cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise UnreachableError(f"unshare cannot be run: {error.strerror}") from None
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    async with process.stdin, process.stdout, process.stderr:
        try:
            with suppress(trio.BrokenResourceError):
                await process.stdin.send_all(b"here\n")
            # `cat` answers, so it runs, and so it is inside.
            if not await process.stdout.receive_some():
                said = bytes(await process.stderr.receive_some()).decode(errors="replace").strip()
                raise UnreachableError(f"no network namespace can be made here: {said}")
            yield process.pid
        finally:
            if process.poll() is None:
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


@asynccontextmanager
async def open_namespaces(folder: Path, link: str) -> AsyncIterator[Namespaces]:
    """Namespaces for the nodes of a network that does not run yet, whose addresses change.

    All are gone with the block.  Raises UnreachableError where the kernel refuses.
    """
    homes = homes_of(folder)
    pid = os.getpid()
    layout = Layout(len(homes), pid % 512, f"ledger{pid}")
    async with _holders(1 + layout.size) as [hub, *nodes]:
        for node, home in enumerate(homes):
            config = read_config(home)
            there = layout.node(node)
            config = replace(
                config,
                listen=Endpoint(there, config.listen.port),
                api=Endpoint(there, config.api.port),
            )
            (home / CONFIG_FILE).write_text(config_text(config), encoding="utf-8")
        write_peers(homes)
        links = Namespaces(layout, link, hub, nodes)
        try:
            await links.build()
            yield links
        finally:
            # It would go with the hub, but a moment later, when the next network may need its name.
            with trio.CancelScope(shield=True):
                await trio.run_process(
                    ["ip", "link", "delete", layout.leg], capture_stderr=True, check=False
                )


@asynccontextmanager
async def _holders(count: int) -> AsyncIterator[list[int]]:
    if count == 0:
        yield []
        return
    async with _namespace() as pid, _holders(count - 1) as others:
        yield [pid, *others]


# --- what the kernel can do ---

TRIALS = {
    "namespaces": "ip link add near type veth peer name far",
    "partition": "ip rule add from 198.18.0.1 to 198.18.0.2 blackhole",
    "bandwidth": "tc qdisc add dev lo root handle 1: htb && "
    "tc class add dev lo parent 1: classid 1:1 htb rate 1mbit && "
    "tc filter add dev lo parent 1: protocol ip prio 1 u32 match ip src 198.18.0.1/32 flowid 1:1",
    "netem": "tc qdisc add dev lo root netem delay 1ms loss 1%",
}
"""Tried in a namespace of its own, which is gone afterwards."""


def lacking() -> dict[str, str]:
    """What the kernel or the machine cannot do of `TRIALS` and of resets, and why."""
    found = {name: _complaint(script) for name, script in TRIALS.items()}
    found["reset"] = found["namespaces"] or _reset_complaint()
    return {name: why for name, why in found.items() if why}


def _complaint(script: str) -> str:
    words = ["unshare", "--net", "sh", "-c", script]
    try:
        done = subprocess.run(words, capture_output=True, timeout=TRIES_S, check=False)
    except OSError as error:
        return f"{words[0]}: {error.strerror}"
    except subprocess.TimeoutExpired:
        return f"{script.split()[0]} does not answer"
    if not done.returncode:
        return ""
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return said[0].removeprefix("Error: ").rstrip(".") if said else "it failed"


def _reset_complaint() -> str:
    """Whether `ss -K` resets a connection: one of our own, made for that."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = server.getsockname()
        with socket.create_connection(here) as dialled, server.accept()[0] as accepted:
            port = dialled.getsockname()[1]
            words = ["ss", "-KHn", f"sport = :{port} and dport = :{here[1]}"]
            try:
                subprocess.run(words, capture_output=True, timeout=TRIES_S, check=False)
            except (OSError, subprocess.TimeoutExpired):
                return "there is no program ss"
            accepted.setblocking(False)
            try:
                accepted.recv(1)
            except BlockingIOError:
                return "the kernel resets no connection for ss -K"
            except ConnectionError:
                return ""
    return ""
