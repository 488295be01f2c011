"""What a run was: everything that is needed to repeat it, and to judge its figures."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from benchmarks.ceilings import Ceilings
from benchmarks.harness.suite import Suite, plain

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = (
    "cryptography", "pynacl", "msgpack", "trio", "plyvel", "starlette", "hypercorn", "httpx",
)  # fmt: skip
"""Whose versions change the figures."""


def run_record(
    suite: Suite, text: str, command: list[str], found: Ceilings | None
) -> dict[str, Any]:
    """Of a run that begins now."""
    return {
        "format": 1,
        "command": command,
        "suite": suite.name,
        "title": suite.title,
        "question": suite.question,
        "seed": suite.seed,
        "configuration": plain(suite),
        "suite_text": text,
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
        "ceilings": None if found is None else asdict(found),
        "finished": False,
    }


def command_words(suite: str, peers: tuple[str, ...]) -> list[str]:
    """How to repeat a run: files of one machine by their names, since a report is read on others.

    The suite itself stands beside the record.
    """
    words = ["python", "-m", "benchmarks", "run"]
    words.append(Path(suite).name if Path(suite).is_absolute() else suite)
    for given in peers:
        name, _, path = given.partition("=")
        words += ["--peer", f"{name}={Path(path).name}"]
    return words


def commit() -> str:
    """The version of this program, with "+" where files have changed since; or its number."""
    try:
        head = _git("rev-parse", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return f"version {importlib.metadata.version('ledger-node')}"


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """Cores, memory, system, and how busy it is already."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": available or os.cpu_count(),
        "memory_mib": psutil.virtual_memory().total // 2**20,
        "load_average": [round(one, 2) for one in os.getloadavg()],
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Of the libraries that do the work."""
    found = {"python": sys.version.split(" ", maxsplit=1)[0]}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # plyvel is not everywhere
    return found
