"""Networks that are too large to run as processes, in the simulator: virtual time, real messages.

The same replicas, plugins, frames and stores, with links and disks of drawn delays and a signer
that only hashes.  So messages, bytes and delays are those of the protocol, and processor time is
nobody's: rows of this kind say "simulated" and never stand in one table with measured ones.

    python -m benchmarks.harness.simulated        a process that reads a job and prints its row
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import trio

from benchmarks.harness.drive import ROOT
from benchmarks.harness.suite import Simulated
from benchmarks.harness.verdict import Verdict
from benchmarks.metrics import NoData
from benchmarks.simulation import UntilHeight
from consensus.registry import protocol_named
from sim.regions import REGIONS
from sim.scenario import Load, Scenario, Weather

LINKS = Weather(delay_us=500, jitter_us=200)
"""What a message takes beside the distance."""
BOUND_MS = 3_600_000
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """One simulated network."""

    protocol: str
    validators: int
    link: str
    decisions: int
    seed: int


def scenario_of(job: Job) -> Scenario:
    """Fair weather, and enough to order for so many decisions."""
    load = Load(transactions=4 * job.decisions, members=3, interval_ms=600, unsound=0)
    crash_only = protocol_named(job.protocol).fault_model == "crash"
    return Scenario(
        job.seed,
        job.protocol,
        job.validators,
        crash_only=crash_only,
        weather=LINKS,
        calm=LINKS,
        regions=REGIONS if job.link == "world" else (),
        load=load,
        bound_ms=BOUND_MS,
    )


def measure(job: Job) -> tuple[Figures, Verdict]:
    """Simulate one network; (its row, what the oracles say)."""
    report = UntilHeight(scenario_of(job), protocol_named(job.protocol), job.decisions).lead()
    decisions = min(report.certified)
    if decisions < job.decisions or not report.confirmed:
        raise NoData(f"{job.protocol} with {job.validators} stood still at {decisions} decisions")
    row = {
        "kind": "simulated",
        "protocol": job.protocol,
        "validators": job.validators,
        "link": job.link,
        "scenario": "none",
        "seed": job.seed,
        "decisions": decisions,
        "simulated_p50_ms": report.latency_ms[0],
        "simulated_p95_ms": report.latency_ms[1],
        "messages_per_decision": sum(report.frames.values()) / decisions,
        "protocol_messages_per_decision": report.frames["protocol"] / decisions,
        "bytes_per_decision": sum(report.bytes.values()) / decisions,
    }
    broken = [violation.sentence for violation in report.violations]
    text = broken[0] if broken else f"no property was broken in {report.event_count:,} events"
    return row, Verdict(not broken, decisions, 0, 0, f"simulated: {text}")


async def run_simulated(one: Simulated, job: Job, keep: Callable[[Figures], object]) -> Verdict:
    """Simulate in a process of its own, which Ctrl-C ends.  Raises NoData."""
    words = [job.protocol, job.validators, job.link, job.decisions, job.seed]
    done = await trio.run_process(
        [sys.executable, "-m", "benchmarks.harness.simulated"],
        stdin=json.dumps(words).encode(),
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise NoData(f"{one.name}: {''.join(last) or 'the simulation ended without a word'}")
    row, verdict = json.loads(done.stdout)
    keep({"experiment": one.name, "name": f"{one.name}-{'-'.join(map(str, words[:3]))}", **row})
    return Verdict(**verdict)


def main() -> None:
    """Read a job, simulate, print [row, verdict]."""
    row, verdict = measure(Job(*json.load(sys.stdin)))
    fields = ("sound", "height", "transactions", "audited", "text")
    print(json.dumps([row, {name: getattr(verdict, name) for name in fields}]))


if __name__ == "__main__":
    main()
