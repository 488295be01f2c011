"""The same runs in another process, whose hashes are salted differently.

The one file of this package that starts a process and reads the environment.
"""

from __future__ import annotations

import os
import subprocess
import sys

from consensus.interface import Consensus
from consensus.registry import place_of, protocol_named
from sim.conformance.recording import corpus
from sim.conformance.subject import Subject

LIMIT_S = 300


def trace_hashes(subject: Subject) -> list[str]:
    """The trace hash of every run of the corpus."""
    return [recording.world.trace.hexdigest() for recording in corpus(subject)]


def trace_hashes_elsewhere(protocol: type[Consensus], hash_seed: int) -> list[str]:
    """The same of another process with this PYTHONHASHSEED."""
    done = subprocess.run(
        [sys.executable, "-m", "sim.conformance.processes", place_of(protocol)],
        env={
            **os.environ,
            "PYTHONHASHSEED": str(hash_seed),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


if __name__ == "__main__":
    sys.stdout.write("\n".join(trace_hashes(Subject(protocol_named(sys.argv[1])))) + "\n")
