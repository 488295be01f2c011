"""Reading suites: ready ones by name, files, scenarios of the simulator; and what is no suite."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

from benchmarks.harness.replay import replayed
from benchmarks.harness.suite import (
    FULL_DISK,
    KINDS,
    LINKS,
    NO_FAULT,
    NODES,
    SMALL_DISK,
    Event,
    Experiment,
    Lineage,
    PeerRun,
    Proofs,
    Scenario,
    Simulated,
    Suite,
    protocols_of,
)
from benchmarks.peers.run import PEERS
from consensus.byzantine import attackers_named
from consensus.registry import protocol_named
from ledger.errors import UserError
from ledger.genesis import POLICIES
from ledger.keys import REAL_SCHEMES
from p2p.topology import topology_named
from sim.scenario_file import read_scenario
from sim.toml_text import parse_toml, read_fields

ARRIVALS = ("poisson", "constant")
SUITES = Path(__file__).resolve().parents[1] / "suites"


def read_suite(name: str) -> Suite:
    """A ready suite by its name, a TOML file, or a scenario file of the simulator.

    Raises UserError that names the key.
    """
    text = suite_text(name)
    table = parse_toml(text, "a suite")
    if "mode" in table:
        return replace(replayed(read_scenario(text)), name=Path(name).stem)
    suite: Suite = read_fields(Suite, table, name=Path(name).stem)
    _check(suite)
    return suite


def suite_text(name: str) -> str:
    """The TOML of a suite.  Raises UserError where there is none."""
    path = SUITES / f"{name}.toml"
    try:
        return (path if path.is_file() else Path(name)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        known = ", ".join(ready_suites())
        raise UserError(f"there is no suite {name}; ready ones are {known}, or a file") from None


def ready_suites() -> list[str]:
    """The names of the suites that come with the program."""
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def _check(suite: Suite) -> None:
    anything = suite.experiments or suite.proofs or suite.lineages or suite.simulated
    _that(bool(anything), "experiments", "none is named")
    parts: list[Experiment | Proofs | Lineage | Simulated] = [*suite.experiments, *suite.proofs]
    names = [one.name for one in [*parts, *suite.lineages, *suite.simulated, *suite.peers]]
    _that(len(set(names)) == len(names), "experiments", "two have one name")
    for scenario in suite.scenarios:
        where = f"scenario {scenario.name}"
        if scenario.byzantine:
            attackers_named(scenario.byzantine)
        for event in scenario.events:
            _check_event(where, event)
    for each in suite.simulated:
        for protocol in protocols_of(each):
            protocol_named(protocol)
        _that(set(each.links) <= {"world", "lan"}, each.name, "simulated links are world or lan")
    for peer in suite.peers:
        _check_peer(peer)
    known = {scenario.name: scenario for scenario in suite.scenarios}
    known.setdefault(NO_FAULT, Scenario(NO_FAULT))
    for one in suite.experiments:
        where = f"experiment {one.name}"
        for protocol in protocols_of(one):
            protocol_named(protocol)
        for name in one.scenarios:
            _that(name in known, where, f"there is no scenario {name!r}")
            fault_s = known[name].fault_s
            fits = fault_s is None or one.warmup_s < fault_s < one.warmup_s + one.measure_s
            _that(fits, where, f"{name!r} begins outside of what is measured")
        for name in one.scenarios if one.native else ():
            _check_native(where, known[name])
        for link in one.links:
            _that(link in LINKS, where, f"links are {', '.join(LINKS)}")
        for topology, size in product(one.topologies, one.validators):
            topology_named(topology, size, 0)
        _that(one.arrival in ARRIVALS, where, f"arrival is {' or '.join(ARRIVALS)}")
        _that(one.policy in POLICIES, where, f"policies are {', '.join(POLICIES)}")
        _that(one.signed or one.policy == "open", where, "what nobody signed needs an open policy")
        _that(one.scheme in REAL_SCHEMES, where, f"schemes are {', '.join(REAL_SCHEMES)}")
        _that(bool(one.rates_per_s) and min(one.rates_per_s) > 0, where, "rates are above 0")
        _that(all(1 <= n <= 100 for n in one.validators), where, "1 to 100 validators")
        _that(min(one.measure_s, one.repetitions, one.clients) > 0, where, "nothing is measured")


def _check_peer(one: PeerRun) -> None:
    where = f"peer {one.name}"
    _that(one.peer in PEERS, where, f"peers are {', '.join(PEERS)}")
    variants = PEERS[one.peer].variants
    _that(set(one.variants) <= set(variants), where, f"variants are {', '.join(variants)}")
    _that(set(one.links) <= set(LINKS), where, f"links are {', '.join(LINKS)}")
    _that(one.arrival in ARRIVALS, where, f"arrival is {' or '.join(ARRIVALS)}")
    _that(bool(one.rates_per_s) and min(one.rates_per_s) > 0, where, "rates are above 0")
    _that(1 <= one.validators <= 100, where, "1 to 100 validators")
    _that(one.measure_s > 0, where, "nothing is measured")


def _check_event(where: str, event: Event) -> None:
    _that(event.kind in KINDS, where, f"kinds are {', '.join(KINDS)}")
    numbers = _is_numbered(event)
    _that(event.nodes in NODES or numbers, where, f"nodes are {', '.join(NODES)}, or numbers")
    is_lasting = event.until_s is None
    _that(event.needs != SMALL_DISK or numbers, where, "a small disk is made for numbered nodes")
    _that(event.amount > 0 or event.kind != "slow-disk", where, "slow-disk needs an amount")
    _that(event.kind not in ("flood", FULL_DISK) or not is_lasting, where, "until_s is missing")
    _that(event.at_s >= 0, where, "at_s is 0 or more")
    _that(event.until_s is None or event.until_s > event.at_s, where, "it ends before it begins")


def _check_native(where: str, scenario: Scenario) -> None:
    failing = [event for event in scenario.events if event.kind == "failing-sync"]
    _that(all(map(_is_numbered, failing)), where, "a failing disk is made for numbered nodes")
    full = [event for event in scenario.events if event.kind == FULL_DISK]
    sized = all(event.amount for event in full)
    _that(sized, where, "a full disk of the kernel's has a size: it needs an amount")
    both = _numbers(failing) & _numbers(full)
    _that(not both, where, "one disk either fails or is full")


def _numbers(events: list[Event]) -> set[str]:
    return {word for event in events for word in event.nodes.split()}


def _is_numbered(event: Event) -> bool:
    return all(word.isdigit() for word in event.nodes.split())


def _that(holds: bool, where: str, sentence: str) -> None:
    if not holds:
        raise UserError(f"{where}: {sentence}")
