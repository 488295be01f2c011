"""`python -m benchmarks hashes`: the same hunt in two processes that hash differently.

Python salts the hashes of strings with PYTHONHASHSEED, so whatever iterates over a set goes another
way under another one.  Two searches play the same scenarios, each with its own; only where every
event of every scenario was the same do their trace hashes agree.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
HASH_SEEDS = ("1", "2")


@click.command()
@click.option("--protocol", default="jolteon", show_default=True)
@click.option("--scenarios", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--seed", default=1, show_default=True, help="What is drawn.")
@click.option("--strategy", "strategies", multiple=True, help="As in search; all unless given.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True,
              help="Processes of each of the two searches.")  # fmt: skip
def hashes(
    protocol: str, scenarios: int, seed: int, strategies: tuple[str, ...], workers: int
) -> None:
    """Play scenarios twice, under two PYTHONHASHSEED values, and compare what happened.

    \b
    python -m benchmarks hashes --protocol tendermint --scenarios 10000
    """
    words = ["search", "--protocol", protocol, "--scenarios", str(scenarios), "--seed", str(seed)]
    words += ["--workers", str(workers), "--keep-going", "--json"]
    words += [word for name in strategies for word in ("--strategy", name)]
    click.echo(f"playing {scenarios} scenarios of {protocol} twice", err=True)
    first, second = _search_twice(words)
    for hash_seed, found in zip(HASH_SEEDS, (first, second), strict=True):
        click.echo(f"PYTHONHASHSEED={hash_seed}  {found['trace_hash']}")
    alike = {key: one for key, one in first.items() if key != "speed"} == {
        key: one for key, one in second.items() if key != "speed"
    }
    click.echo(
        f"{protocol}: {first['scenarios']} scenarios, {first['events']} events, "
        f"{sum(first['broken'].values())} broken; {'all alike' if alike else 'NOT ALIKE'}"
    )
    if not alike:
        raise SystemExit(1)


def _search_twice(words: list[str]) -> list[dict[str, Any]]:
    """The documents of two searches that run side by side."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, str(ROOT / "node.py"), *words, "-o", str(Path(folder, "findings"))]
        files = [Path(folder, hash_seed) for hash_seed in HASH_SEEDS]
        processes = []
        for file, hash_seed in zip(files, HASH_SEEDS, strict=True):
            environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
            with file.open("wb") as out:
                processes.append(subprocess.Popen(words, stdout=out, env=environment))
        codes = [process.wait() for process in processes]
        if any(code not in (0, 1) for code in codes):
            raise click.ClickException("a search failed; its message is above")
        return [json.loads(file.read_bytes()) for file in files]
