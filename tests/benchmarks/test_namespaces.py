"""Links of the kernel: what it is told, and, where it may be told, that it does it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import trio

from benchmarks.harness.drive import Lines
from benchmarks.harness.injector import rule_of
from benchmarks.harness.namespaces import Layout, Namespaces, lacking, open_namespaces, run
from benchmarks.harness.suite import Event
from host.home import read_config
from host.proxy import LinkRule
from ledger.errors import UnreachableError
from tests.host.program import call

LAYOUT = Layout(3, 300, "ledger7")
FREE = LinkRule()
QUEUE = "qdisc replace dev h2 parent 1:1"
CLASS = "class replace dev h2 parent 1: classid 1:1"


class Kernel:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def __call__(self, words: Sequence[str], told: str) -> str:
        await trio.lowlevel.checkpoint()
        self.told += [f"{words[words.index('--') + 1]} {line}" for line in told.splitlines()]
        return ""


def test_each_network_has_addresses_of_its_own_within_what_is_for_benchmarks() -> None:
    names = {Layout(100, number, "x").node(99) for number in range(512)}

    assert len(names) == 512
    assert all(name.startswith(("198.18.", "198.19.")) for name in names)
    assert len({LAYOUT.node(0), LAYOUT.node(2), LAYOUT.hub, LAYOUT.machine}) == 4


@pytest.mark.parametrize(
    ("old", "new", "tc", "ip"),
    [
        (FREE, FREE, [], []),
        (
            FREE,
            LinkRule(delay_ms=25, jitter_ms=1, loss_percent=5),
            [f"{QUEUE} handle 101: netem limit 10000 delay 26ms 1ms loss 5%"],
            [],
        ),
        (
            LinkRule(loss_percent=5),
            FREE,
            [f"{QUEUE} handle 201: pfifo limit 10000"],
            [],
        ),
        (
            FREE,
            LinkRule(kib_per_s=64),
            [f"{CLASS} htb rate 524288bit burst 3028 cburst 3028 quantum 1514"],
            [],
        ),
        (
            FREE,
            LinkRule(blocked=True),
            [],
            ["rule add pref 100 from 198.19.44.1/32 to 198.19.44.3/32 blackhole"],
        ),
        (
            LinkRule(blocked=True),
            FREE,
            [],
            ["rule del pref 100 from 198.19.44.1/32 to 198.19.44.3/32 blackhole"],
        ),
    ],
)
def test_a_rule_becomes_what_tc_and_ip_are_told(
    old: LinkRule, new: LinkRule, tc: list[str], ip: list[str]
) -> None:
    assert LAYOUT.rule_lines((0, 2), old, new) == (tc, ip)


@pytest.mark.trio
async def test_only_what_changes_is_told_and_the_end_undoes_the_beginning() -> None:
    kernel = Kernel()
    links = Namespaces(LAYOUT, "loopback", 1, [2, 3, 4], kernel)

    first = await links.begin([(0, 1), (1, 0)], rule_of(Event("partition", 0.0)))
    second = await links.begin([(0, 1)], rule_of(Event("partition", 0.0)))
    assert len(kernel.told) == 2
    await links.end(first)
    assert len(kernel.told) == 3
    await links.end(second)

    added = {line.replace(" add ", " del ") for line in kernel.told if " add " in line}
    assert added == {line for line in kernel.told if " del " in line}
    assert len(added) == 2


@pytest.mark.trio
async def test_what_a_program_complains_about_is_the_error() -> None:
    with pytest.raises(UnreachableError, match=r"^sh: no such thing$"):
        await run(["sh", "-c", "echo no such thing >&2; exit 1"])
    with pytest.raises(UnreachableError, match="no-such-program cannot be run"):
        await run(["no-such-program"])


ECHO = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 7000))
print("bound", flush=True)
while True:
    server.sendto(*server.recvfrom(2000))
"""
ASK = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(float(sys.argv[2]))
client.sendto(b"x" * 1000, (sys.argv[1], 7000))
try:
    print(len(client.recv(2000)))
except TimeoutError:
    print("nothing")
"""
"""Of datagrams, which nobody sends again."""
KEEP = """
import socket, sys
if sys.argv[1] == "listen":
    server = socket.create_server((sys.argv[2], 7001))
    print("listening", flush=True)
    stream = server.accept()[0]
else:
    stream = socket.create_connection((sys.argv[2], 7001))
print("linked", flush=True)
try:
    print("said" if stream.recv(1) else "closed", flush=True)
except ConnectionError:
    print("reset", flush=True)
"""
PATIENT_S, BRIEF_S = 10.0, 0.3


async def ask(links: Namespaces, source: int, to: int, patience_s: float) -> str:
    """What one node hears when it asks another."""
    words = [sys.executable, "-c", ASK, links.layout.node(to), str(patience_s)]
    return (await run([*links.prefix(source), *words])).strip()


def interfaces() -> str:
    """Of this machine, where namespaces must leave none."""
    return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout


@pytest.mark.trio
async def test_the_kernel_cuts_links_one_way_and_heals_them_and_nothing_stays(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "net"
    call("init", folder, "--validators", "2", "--protocol", "raft").check()
    if set(lacking()) & {"namespaces", "bandwidth", "partition"}:
        with pytest.raises(UnreachableError):
            async with open_namespaces(folder, "loopback"):
                pass
        return

    with trio.fail_after(60):
        async with open_namespaces(folder, "loopback") as links, trio.open_nursery() as nursery:
            assert links.layout.leg in await trio.to_thread.run_sync(interfaces)
            assert read_config(folder / "node1").listen.host == links.layout.node(1)
            words = [*links.prefix(1), sys.executable, "-c", ECHO, links.layout.node(1)]
            server: trio.Process = await nursery.start(
                partial(trio.run_process, words, stdout=subprocess.PIPE, check=False)
            )
            assert await Lines(server).next() == "bound"

            assert await ask(links, 0, 1, PATIENT_S) == "1000"
            before = await links.relayed_bytes()
            cut = await links.begin([(1, 0)], LinkRule(blocked=True))
            assert await ask(links, 0, 1, BRIEF_S) == "nothing"
            # The question arrived, with its headers; the answer did not.
            assert 1000 < await links.relayed_bytes() - before < 2000
            await links.end(cut)
            narrow = await links.begin([(0, 1), (1, 0)], LinkRule(kib_per_s=64))
            assert await ask(links, 0, 1, PATIENT_S) == "1000"
            await links.end(narrow)
            server.kill()

    assert links.layout.leg not in await trio.to_thread.run_sync(interfaces)


@pytest.mark.trio
async def test_a_reset_is_one_to_both_ends(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    call("init", folder, "--validators", "2", "--protocol", "raft").check()
    if set(lacking()) - {"netem"}:
        return  # test_probe.py: a suite that needs it is refused

    with trio.fail_after(60):
        async with open_namespaces(folder, "loopback") as links, trio.open_nursery() as nursery:
            ends = []
            for node, role in ((1, "listen"), (0, "dial")):
                words = [sys.executable, "-c", KEEP, role, links.layout.node(1)]
                process: trio.Process = await nursery.start(
                    partial(trio.run_process, [*links.prefix(node), *words], stdout=subprocess.PIPE)
                )
                ends.append(Lines(process))
                await ends[-1].next()
            assert await ends[0].next() == "linked"

            await links.reset([0])

            assert [await end.next() for end in ends].count("reset") == 2


@pytest.mark.trio
async def test_a_kernel_that_cannot_delay_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    call("init", folder, "--validators", "2", "--protocol", "raft").check()
    lacks = lacking()
    if not lacks:
        async with open_namespaces(folder, "25ms") as links:
            assert links.rule((0, 1)) == LinkRule(delay_ms=25, jitter_ms=1)
        return

    # `tc` understands the words; it is the kernel that refuses.
    reason = lacks["netem"] if set(lacks) == {"netem"} else ""
    with pytest.raises(UnreachableError, match=reason):
        async with open_namespaces(folder, "25ms"):
            pass

    assert f"ledger{os.getpid()}" not in await trio.to_thread.run_sync(interfaces)
