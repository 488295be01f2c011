"""Leading the demo: a network, its processes, the story, the summary."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from api.client import LedgerClient
from host.cluster import open_cluster
from host.commands.options import microseconds
from host.demo.screen import Screen
from host.demo.story import DEADLINE_S, RECEIPT_FILE, Demo
from host.home import GENESIS_FILE, read_private
from host.network import MEMBER_KEY_FILE, Plan, create_network
from host.signals import one_error
from ledger.errors import Fault

REFRESH_S = 0.25
PLAIN_REFRESH_S = 5.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user asked for."""

    folder: Path
    """Of the new network."""
    plan: Plan
    sources: tuple[Path, ...]
    """Where to look for a git repository."""
    stay: bool
    """Whether the nodes run on after the summary."""
    keep: bool
    """Whether the folder is there afterwards."""

    def closing(self) -> list[str]:
        """What the user may try next."""
        if not self.keep:
            return ["keep the network with --dir DIR, keep it running with --stay"]
        command = f"python node.py verify {self.folder}/{RECEIPT_FILE}"
        lines = [f"check it yourself: {command} --genesis {self.folder}/{GENESIS_FILE}"]
        if self.stay:
            lines.append(f"submit something: python node.py submit --network {self.folder} "
                         "--record FILE")  # fmt: skip
        else:
            lines.append(f"run it again: python node.py cluster {self.folder}")
        return lines


async def run_demo(settings: Settings, screen: Screen, sum_up: Callable[[], None]) -> None:
    """Make the network, tell the story, sum up.

    Returns after the summary, or with `stay` never.  Raises UserError, UnreachableError.
    """
    folder, plan = settings.folder, settings.plan
    screen.step(f"making a network of {plan.validators} validators in {folder}")
    genesis = await trio.to_thread.run_sync(create_network, folder, plan)
    screen.fact(
        "network",
        f"{plan.validators} validators, {plan.protocol.name}, {plan.engine}; "
        f"id {genesis.network.hex()[:16]}...",
        network=genesis.network.hex(),
    )
    signer = genesis.suite.members.signer(read_private(folder / MEMBER_KEY_FILE))
    async with open_cluster(folder) as cluster:
        client = LedgerClient(cluster.urls, genesis, signer=signer, clock=microseconds)
        async with client, trio.open_nursery() as nursery:
            demo = Demo(settings.folder, settings.sources, screen, cluster, client)
            nursery.start_soon(demo.board.watch)
            async with _moving_table(demo):
                with trio.move_on_after(DEADLINE_S) as limit:
                    try:
                        with one_error():
                            await demo.tell()
                    except Fault as fault:
                        screen.fact("stopped", f"while {screen.doing}: {fault}", holds=False)
                if limit.cancelled_caught:
                    screen.fact("in time", f"gave up while {screen.doing}", holds=False)
            sum_up()
            if settings.stay:
                screen.step("the nodes run; Ctrl-C stops them")
                async with _moving_table(demo):
                    await trio.sleep_forever()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def _moving_table(demo: Demo) -> AsyncIterator[None]:
    """Show the table again and again while inside."""
    with demo.screen.moving() as is_moving:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_refresh, demo, REFRESH_S if is_moving else PLAIN_REFRESH_S)
            yield
            nursery.cancel_scope.cancel()


async def _refresh(demo: Demo, pause_s: float) -> None:
    while True:
        await trio.sleep(pause_s)
        demo.show_table()
