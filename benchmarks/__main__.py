"""`python -m benchmarks SUITE`: measures.  See `--help`."""

from __future__ import annotations

import sys

import click

from benchmarks.bundle import bundle
from benchmarks.costs import costs
from benchmarks.gossip import gossip
from benchmarks.growth import growth
from benchmarks.harness import command as harness
from benchmarks.harness import probe
from benchmarks.hashes import hashes
from benchmarks.ingest import ingest
from benchmarks.leaders import leaders
from benchmarks.lineage import lineage
from benchmarks.plugins import plugins
from benchmarks.report import command as report
from benchmarks.simulation import simulation
from benchmarks.stages import stages
from benchmarks.state import state
from benchmarks.throughput import throughput
from host.commands.main import run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def benchmarks() -> None:
    """Measure the ledger on this machine, beside what the machine itself can do."""


benchmarks.add_command(costs)
benchmarks.add_command(bundle)
benchmarks.add_command(harness.command)
benchmarks.add_command(harness.suites)
benchmarks.add_command(probe.command)
benchmarks.add_command(report.command)
benchmarks.add_command(gossip)
benchmarks.add_command(growth)
benchmarks.add_command(hashes)
benchmarks.add_command(ingest)
benchmarks.add_command(leaders)
benchmarks.add_command(lineage)
benchmarks.add_command(plugins)
benchmarks.add_command(simulation)
benchmarks.add_command(stages)
benchmarks.add_command(state)
benchmarks.add_command(throughput)

if __name__ == "__main__":
    sys.exit(run(command=benchmarks, name="python -m benchmarks"))
