"""P10 and P11: how long a network may make no progress, and what excuses it for ever.

The bound is the protocol's own (`Consensus.recovery_bound_ms`), with what the replica and its
clients take beside it.  A run that stalls for longer has failed, unless a fault that never ends has
left no quorum: then it is excused, which is neither passed nor failed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from consensus.interface import Consensus
from ledger.genesis import Genesis
from ledger.validators import ValidatorSet
from p2p.topology import Topology, topology_named
from sim.agenda import MS
from sim.network import TAIL_MS_MAX
from sim.regions import latency_ms, placed
from sim.scenario import Scenario
from sim.world import World

_CLIENT_MS = 8_000
"""The longest that a client waits before it tries the next node."""
_REPLICA_MS = 15_000
"""What a replica takes beside its protocol: links and restarts, batches that are asked for, ranges
that are asked of the wrong peer first."""
_PULL_MS = 50
"""What gossip takes on top where a message is offered first and then asked for."""
_MEANS = 8
"""An exponentially distributed time exceeds so many times its mean once in three thousand."""


@dataclass(slots=True)
class Patience:
    """How long nothing has moved on, while something waited."""

    bound_ms: int
    longest_ms: int = 0
    """The longest that this ever was."""
    _since_ms: int | None = None
    _progress: tuple[int, ...] = field(default=())

    def is_out(self, now_ms: int, progress: tuple[int, ...], is_idle: bool) -> bool:
        """Whether the bound has passed; any other `progress` than before begins it anew."""
        if self._since_ms is None or is_idle or progress != self._progress:
            self._since_ms, self._progress = now_ms, progress
        self.longest_ms = max(self.longest_ms, now_ms - self._since_ms)
        return now_ms - self._since_ms >= self.bound_ms


def declared_bound_ms(scenario: Scenario, protocol: type[Consensus], genesis: Genesis) -> int:
    """How long this network may make no progress once all is calm."""
    validators = genesis.epoch.validators
    declared_ms = protocol.recovery_bound_ms(
        {**protocol.PARAMETERS, **dict(scenario.parameters)},
        validators,
        delay_ms=_delay_ms(scenario),
        chaos_ms=scenario.stable_ms,
    )
    # A client may have to come past every validator that may be faulty.
    return declared_ms + _CLIENT_MS * (validators.faults + 1) + _REPLICA_MS


def _delay_ms(scenario: Scenario) -> int:
    """The longest that a message takes in calm weather, but for a very rare one."""
    calm, pace = scenario.calm, scenario.pace
    mean_us = calm.jitter_us + pace.sync_us + pace.job_us
    places = placed(scenario.regions, scenario.nodes) if scenario.regions else ()
    farthest_ms = max((latency_ms(a, b) for a in set(places) for b in set(places)), default=0)
    tail_ms = TAIL_MS_MAX if calm.tail_us else 0
    hop_ms = 1 + (calm.delay_us + _MEANS * mean_us) // MS + farthest_ms + tail_ms
    topology = topology_named(scenario.topology, scenario.nodes, scenario.seed)
    return hop_ms if topology.is_full else (hop_ms + _PULL_MS) * _hops_max(topology)


def _hops_max(topology: Topology) -> int:
    """The longest of the shortest ways between two nodes."""
    longest = 0
    for start in range(topology.size):
        hops, edge = {start: 0}, [start]
        for node in edge:
            for other in topology.neighbours[node]:
                if other not in hops:
                    hops[other] = hops[node] + 1
                    edge.append(other)
        longest = max(longest, *hops.values())
    return longest


def core(world: World, quorum: int) -> frozenset[int]:
    """The nodes that are up and have, themselves included, a quorum of such nodes at hand.

    In a full mesh that means links to them, else paths over them.
    """
    up = {node.index for node in world.nodes if node.is_reachable}
    near = {one: [two for two in up if world.network.is_open(one, two)] for one in up}
    if not world.network.is_full:
        return frozenset(one for one in up if len(_reached(near, one)) >= quorum)
    return frozenset(one for one in up if len(near[one]) + 1 >= quorum)


def _reached(near: dict[int, list[int]], start: int) -> set[int]:
    reached, waiting = {start}, [start]
    while waiting:
        for other in near[waiting.pop()]:
            if other not in reached:
                reached.add(other)
                waiting.append(other)
    return reached


def excuse(world: World, validators: ValidatorSet, protocol: type[Consensus]) -> str:
    """Why this world may stall for ever, in a few words; empty where it may not."""
    robbed = sorted({node.index for node in world.nodes if node.was_robbed})
    if len(robbed) > validators.faults:
        return f"{len(robbed)} validators lost their disks, of which {validators.faults} may"
    down = [node.index for node in world.nodes if not node.is_reachable]
    if len(down) > validators.faults:
        return f"{len(down)} validators are down for ever, of which {validators.faults} may be"
    if protocol.fault_model == "none" and (down or robbed):
        return f"validator {(down + robbed)[0]} is faulty, and the protocol tolerates no fault"
    wrong = sorted({one.kind for one in world.scenario.incidents} & {"clock", "drift"})
    if protocol.lock_step and wrong:
        return f"clocks were wrong ({', '.join(wrong)}), and the protocol goes by the clock"
    ahead = _clocks_ahead(world.scenario)
    if protocol.fault_model == "crash" and ahead > validators.faults:
        return f"{ahead} clocks ran ahead, of which {validators.faults} may"
    sound = core(world, validators.quorum) - set(robbed)
    if len(sound) < validators.quorum:
        return f"links stay cut: {len(sound)} validators reach a quorum of {validators.quorum}"
    return ""


def _clocks_ahead(scenario: Scenario) -> int:
    """How many clocks ever ran ahead.

    What bears crashes alone has logs that nobody may cut: an entry that one such server made and
    another one took, at the same moment or while the entry waited there, holds up all others until
    its time has come.
    """
    wrong = [one for one in scenario.incidents if one.kind in ("clock", "drift") and one.amount > 0]
    return len({node for one in wrong for node in one.nodes})
