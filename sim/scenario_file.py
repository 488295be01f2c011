"""Scenario files: one run as text, to read, to keep, to send to somebody, and to play again.

    # jolteon, 4 validators: agreement is broken after 61 ms.
    mode = "plugins"
    protocol = "jolteon"
    expect = "agreement"

    seed = 7
    twins = [3]

    [[crashes]]
    seat = 1
    at_ms = 40

`mode` says what runs: bare plugins (`sim.plugin_scenario`) or whole replicas (`sim.scenario`); the
keys after it are the fields of that scenario.  `docs/search.md` lists them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from consensus.byzantine import attackers_named
from consensus.interface import Consensus
from consensus.registry import protocol_named
from ledger.errors import UserError
from ledger.limits import Limits
from p2p.topology import topology_named
from sim.plugin_scenario import PluginScenario
from sim.regions import latency_ms
from sim.scenario import Scenario
from sim.toml_text import parse_toml, read_fields, write_fields

PLUGINS = "plugins"
REPLICAS = "replicas"
NODES_MAX = 100
AnyScenario = PluginScenario | Scenario
_HEAD = ("mode", "protocol", "expect", "sound")
_RATES = (
    "loss", "duplicate", "replay", "split", "late", "withhold", "mutate", "bad", "splice", "hoard",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ScenarioFile:
    """A scenario, and what is said of it."""

    scenario: AnyScenario
    protocol: str
    """By its entry point's name, or as module:Class."""
    expect: str = ""
    """The property that it breaks; empty: none."""
    sound: str = ""
    """A protocol that keeps every property in the same scenario, or empty."""
    note: str = ""
    """What it is and what it broke, in words; lines become comments."""

    @property
    def mode(self) -> str:
        return PLUGINS if isinstance(self.scenario, PluginScenario) else REPLICAS


def write_scenario(file: ScenarioFile) -> str:
    """The text that `read_scenario` reads back to an equal file."""
    lines = [f"# {line}".rstrip() for line in file.note.splitlines()]
    for name in _HEAD:
        word = getattr(file, name)
        if word:
            lines.append(f'{name} = "{word}"')
    return "\n".join(lines) + "\n\n" + write_fields(file.scenario, leave_out=("protocol",))


def read_scenario(
    text: str, *, find: Callable[[str], type[Consensus]] = protocol_named
) -> ScenarioFile:
    """The scenario of a text; `find` gives the plugin of a name.

    Raises UserError, naming the key, for whatever is not exactly a scenario.
    """
    table = parse_toml(text, "a scenario")
    head = {name: _word(table, name) for name in _HEAD}
    if head["mode"] not in (PLUGINS, REPLICAS):
        raise UserError(f'this is not a scenario: mode must be "{PLUGINS}" or "{REPLICAS}"')
    if not head["protocol"]:
        raise UserError("this is not a scenario: protocol is missing")
    protocol = find(head["protocol"])
    scenario: AnyScenario
    if head["mode"] == PLUGINS:
        scenario = read_fields(PluginScenario, table, protocol=protocol)
    else:
        scenario = read_fields(Scenario, table, protocol=head["protocol"])
    check_scenario(scenario, protocol)
    note = "\n".join(_comments(text))
    return ScenarioFile(scenario, head["protocol"], head["expect"], head["sound"], note)


def _word(table: dict[str, Any], name: str) -> str:
    word = table.pop(name, "")
    if not isinstance(word, str) or '"' in word or "\\" in word or not (word or word.isprintable()):
        raise UserError(f"{name}: expected a name")
    return word


def _comments(text: str) -> list[str]:
    """The lines of the comment that the text begins with."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[1:].removeprefix(" "))
    return lines


def check_scenario(scenario: AnyScenario, protocol: type[Consensus]) -> None:
    """Whether it can be played at all.  Raises UserError, naming the key, where not."""
    _check(1 <= scenario.nodes <= NODES_MAX, "nodes", f"expected 1 to {NODES_MAX}")
    for name, _ in scenario.parameters:
        known = ", ".join(protocol.PARAMETERS) or "none"
        _check(name in protocol.PARAMETERS, f"parameters.{name}", f"known are {known}")
    for name in ("seed", "stable_ms", "quiet_ms"):
        _check(getattr(scenario, name) >= 0, name, "expected 0 or more")
    if isinstance(scenario, PluginScenario):
        _check_plugins(scenario)
    else:
        _check_replicas(scenario)


def _check_plugins(scenario: PluginScenario) -> None:
    for name in _RATES:
        _check(0 <= getattr(scenario, name) <= 1_000, name, "expected 0 to 1000 per thousand")
    for name in ("interval_ms", "late_ms", "payload_max"):
        _check(getattr(scenario, name) > 0, name, "expected 1 or more")
    for name in ("payloads", "exchange_ms", "delay_us", "jitter_us", "slow_us", "sync_us"):
        _check(getattr(scenario, name) >= 0, name, "expected 0 or more")
    for validator in scenario.twins:
        _check(0 <= validator < scenario.nodes, "twins", f"there is no validator {validator}")
    seats = range(len(scenario.seats))
    for place, crash in enumerate(scenario.crashes):
        where = f"crashes[{place}]"
        _check(crash.seat in seats, f"{where}.seat", f"there is no seat {crash.seat}")
        words = ("now", "before", "after", "amid")
        _check(crash.boundary in words, f"{where}.boundary", f"known are {', '.join(words)}")
        _check_times(where, crash.at_ms, crash.until_ms)
    for place, stumble in enumerate(scenario.stumbles):
        where = f"stumbles[{place}]"
        _check(stumble.seat in seats, f"{where}.seat", f"there is no seat {stumble.seat}")
    for place, pause in enumerate(scenario.pauses):
        where = f"pauses[{place}]"
        _check(pause.seat in seats, f"{where}.seat", f"there is no seat {pause.seat}")
        _check_times(where, pause.at_ms, pause.until_ms)
    for place, clock in enumerate(scenario.clocks):
        where = f"clocks[{place}]"
        _check(clock.seat in seats, f"{where}.seat", f"there is no seat {clock.seat}")
        _check(clock.rate > 0, f"{where}.rate", "expected 1 or more per thousand")
        _check_times(where, clock.at_ms, None)
    for validator, attack in scenario.attacks:
        _check(0 <= validator < scenario.nodes, "attacks", f"there is no validator {validator}")
        attackers_named(attack)
    for place, partition in enumerate(scenario.partitions):
        _check_times(f"partitions[{place}]", partition.at_ms, partition.until_ms)


def _check_replicas(scenario: Scenario) -> None:
    # Importing it here would be a circle the other way round: it writes replay commands.
    from sim.faults import INCIDENTS

    for region in scenario.regions:
        latency_ms(region, region)
    topology_named(scenario.topology, scenario.nodes, scenario.seed)
    for name, _ in scenario.limits:
        _check(name in Limits.__dataclass_fields__, f"limits.{name}", "there is no such limit")
    for validator in scenario.twins:
        _check(0 <= validator < scenario.nodes, "twins", f"there is no validator {validator}")
    for validator, attack in scenario.attacks:
        _check(0 <= validator < scenario.nodes, "attacks", f"there is no validator {validator}")
        attackers_named(attack)
    for place, (_, seen) in enumerate(scenario.sides):
        _check(len(seen) == scenario.nodes, f"sides[{place}]", f"expected {scenario.nodes} sides")
    stations = range(scenario.nodes + len(scenario.twins))
    for place, incident in enumerate(scenario.incidents):
        where = f"incidents[{place}]"
        _check(incident.kind in INCIDENTS, f"{where}.kind", f"known are {', '.join(INCIDENTS)}")
        for node in incident.nodes:
            _check(node in stations, f"{where}.nodes", f"there is no node {node}")
        _check_times(where, incident.at_ms, incident.until_ms)


def _check_times(where: str, at_ms: int, until_ms: int | None) -> None:
    _check(at_ms >= 0, f"{where}.at_ms", "expected 0 or more")
    _check(until_ms is None or until_ms >= at_ms, f"{where}.until_ms", "it ends before it begins")


def _check(holds: bool, key: str, sentence: str) -> None:
    if not holds:
        raise UserError(f"{key}: {sentence}")
