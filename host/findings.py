"""What a hunt leaves behind: scenario files that show its findings again, and a corpus of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from host.plugins import find_protocol
from host.replay import scenario_of
from host.search import Result
from ledger.errors import UserError
from sim.plugin_scenario import PluginScenario
from sim.scenario_file import ScenarioFile, write_scenario
from sim.search import Hunt, play
from sim.shrink import Size, size_of


def write_finding(hunt: Hunt, result: Result, folder: Path) -> Path:
    """Write the scenario file of a finding, and another one for whole replicas if they break too.

    Raises UserError where that is not possible.
    """
    found = result.shrunk
    short = hunt.protocol.rpartition(":")[2]
    name = f"{short}-{found.broken}-{found.strategy}-{hunt.seed}-{found.number}"
    note = (
        f"{short}, {found.scenario.nodes} validators: {found.broken} is broken after "
        f"{found.time_ms} ms.\n{found.sentence}\n"
        f"Found by {found.strategy}, scenario {found.number} of seed {hunt.seed}; "
        f"made small: {smaller(result)}."
    )
    path = folder / f"{name}.toml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = ScenarioFile(found.scenario, hunt.protocol, found.broken, note=note)
        path.write_text(write_scenario(file), encoding="utf-8")
        if result.whole is not None and result.whole != found.scenario:
            whole = replace(file, scenario=result.whole, expect=result.whole_words.split()[0])
            path.with_stem(f"{name}-whole").write_text(write_scenario(whole), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    return path


def smaller(result: Result) -> str:
    """What became of the size of a scenario, in words."""
    before, after = size_of(result.found.scenario), size_of(result.shrunk.scenario)
    words = (
        ("faults", before.faults, after.faults),
        (_submitted(result), before.rounds, after.rounds),
        ("validators", before.nodes, after.nodes),
        ("ms of faults", before.stable_ms, after.stable_ms),
    )
    return ", ".join(f"{first} to {last} {name}" for name, first, last in words)


def size_document(size: Size) -> dict[str, int]:
    """A size for programs."""
    return {
        "faults": size.faults,
        "rounds": size.rounds,
        "nodes": size.nodes,
        "stable_ms": size.stable_ms,
    }


def _submitted(result: Result) -> str:
    is_bare = isinstance(result.found.scenario, PluginScenario)
    return "payloads" if is_bare else "transactions"


def replay_words(path: Path) -> str:
    """What a person types to see a finding again."""
    return shlex.join(["python", "node.py", "sim", "--scenario", str(path)])


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one file of a corpus."""

    path: Path
    is_as_stated: bool
    words: str


def judge_corpus(folder: Path) -> Iterator[Judged]:
    """Run every scenario file of a folder, in the order of their names.

    Raises UserError for a folder without any, or a file that is none.
    """
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise UserError(f"there is no scenario file (*.toml) in {folder}")
    for path in paths:
        file = scenario_of(str(path))
        yield _judge(path, file)


def _judge(path: Path, file: ScenarioFile) -> Judged:
    broken = play(file.scenario, find_protocol(file.protocol)).properties
    is_as_stated = file.expect in broken if file.expect else not broken
    words = f"{file.protocol} breaks {', '.join(broken) or 'nothing'}"
    if not is_as_stated:
        words += f", and should break {file.expect or 'nothing'}"
    if file.sound:
        protocol = find_protocol(file.sound)
        scenario = file.scenario
        if isinstance(scenario, PluginScenario):
            scenario = replace(scenario, protocol=protocol)
        else:
            scenario = replace(scenario, protocol=file.sound)
        also = play(scenario, protocol).properties
        is_as_stated = is_as_stated and not also
        words += f"; {file.sound} breaks {', '.join(also) or 'nothing'}"
    return Judged(path, is_as_stated, words)
