"""What a mutant of the zoo is, and what it means that one is killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from consensus.interface import Consensus
from consensus.replica import Replica
from sim.plugin_scenario import PluginViolation

KINDS = ("safety", "liveness", "storage", "evidence", "time", "plumbing", "design")
Play = Callable[[type[Consensus]], tuple[str, ...]]
"""A schedule for a bare plugin: the properties that it broke, by their numbers."""
PROPERTIES = {
    "agreement": "P1",
    "prefix": "P2",
    "proof": "P4",
    "certificates": "P5",
    "validity": "P6",
    "once": "P7",
    "liveness": "P10",
    "silence": "P10",
    "accusation": "P13",
    "equivocation": "P14",
    "codec": "P15",
    "memory": "P16",
    "breakdown": "P19",
}
"""The judges of bare plugins in the numbers of the table of properties."""
_STOPPED_BY_THE_GUARD = ("a second value for", "below the settled floor")


@dataclass(frozen=True, slots=True)
class Test:
    """A test that plays a replica and its mutant and asserts the difference."""

    __test__ = False
    module: str
    function: str
    arguments: tuple[tuple[str, Any], ...] = ()
    """One choice of its parameters."""
    disarm: str = ""
    """The class in that module that lacks the rule; "" where the test sets something else."""

    def __str__(self) -> str:
        return f"{self.module.replace('.', '/')}.py::{self.function}"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A protocol or a replica with one rule removed."""

    id: str
    """As in the table of known bugs, with the protocol after it where there are several."""
    protocol: str
    """The plugin that it is a mutant of; "replica", "storage" or "judge" for what serves all."""
    kind: str
    """One of KINDS."""
    removed: str
    """The rule that is missing, in one line, with its place in the paper."""
    expected: tuple[str, ...]
    """The properties one of which must break; any other finding is no kill."""
    plugin: type[Consensus] | None = None
    """The mutated plugin."""
    base: type[Consensus] | None = None
    """What must pass where the mutated plugin does not; the protocol itself."""
    replica: type[Replica] | None = None
    """The mutated replica; for plugins the replica is as it is."""
    nodes: tuple[int, ...] | None = None
    """The replicas that are mutated; None: all."""
    patches: tuple[tuple[Any, str, Any], ...] = ()
    """(module, name, replacement) where the rule is a function or a bound of a module."""
    limits: tuple[tuple[str, int], ...] = ()
    """Limits of the genesis under which a short run can meet the missing rule."""
    play: Play | None = None
    """Its saved schedule, where that is one of bare plugins."""
    test: Test | None = None
    """Its saved schedule, where that is a test of whole replicas."""
    label: str = ""
    """Its name, where no class has one."""
    equivalent: str = ""
    """The argument that nothing can tell it from the original; it does not count then."""
    easy: str = ""
    """The strategy that finds it so soon that the test suite repeats it."""

    @property
    def name(self) -> str:
        kind = self.replica or self.plugin
        if kind is not None:
            return kind.__name__
        return self.label or (self.test.disarm or self.test.function if self.test else self.id)

    @property
    def has_schedule(self) -> bool:
        return self.play is not None or self.test is not None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one scenario showed."""

    broken: tuple[str, ...]
    """The expected properties that the mutant broke: a kill, unless `unsound`."""
    unsound: tuple[str, ...] = ()
    """What the unmutated protocol broke in the same scenario."""
    replay: str = ""
    """How to see it again."""

    @property
    def is_kill(self) -> bool:
        return bool(self.broken) and not self.unsound


SURVIVED = Verdict(())


def judged(
    mutant: Mutant, found: tuple[str, ...], whole: Callable[[], tuple[str, ...]], replay: str
) -> Verdict:
    """What a mutant broke in a scenario, and, where that is a find, what the original breaks."""
    expected = tuple(name for name in found if name in mutant.expected)
    return Verdict(expected, whole(), replay) if expected else SURVIVED


def judge(mutant: Mutant, broken: Play, replay: str) -> Verdict:
    """Play one scenario with a mutated plugin, and where it is found out, with the plugin."""
    assert mutant.plugin is not None
    assert mutant.base is not None
    return judged(mutant, broken(mutant.plugin), partial(broken, mutant.base), replay)


@dataclass(slots=True)
class Effort:
    """What one strategy has done about one mutant."""

    scenarios: int = 0
    seconds: float = 0.0
    kill: Verdict | None = None
    exhausted: bool = False
    """Whether it has nothing left to try."""


@dataclass(slots=True)
class Case:
    """Everything that was done about one mutant."""

    mutant: Mutant
    efforts: dict[str, Effort] = field(default_factory=dict)
    unsound: list[str] = field(default_factory=list)
    """Scenarios in which the unmutated protocol broke something."""
    crashes: list[str] = field(default_factory=list)
    """Strategies that ended in an exception: a defect of the zoo, and not of the mutant."""

    @property
    def kills(self) -> dict[str, Effort]:
        return {name: effort for name, effort in self.efforts.items() if effort.kill is not None}

    @property
    def is_killed(self) -> bool:
        return bool(self.kills)


def numbered(violation: PluginViolation) -> str:
    """The number of what a run of bare plugins broke.

    A plugin that the guard stops has tried to contradict itself: that is P14, noticed in time.
    """
    stopped = any(words in violation.sentence for words in _STOPPED_BY_THE_GUARD)
    if violation.property == "breakdown" and stopped:
        return "P14"
    return PROPERTIES[violation.property]


def numbers(violations: tuple[PluginViolation, ...]) -> tuple[str, ...]:
    """The numbers of what was broken, each once, in order."""
    return tuple(dict.fromkeys(numbered(violation) for violation in violations))
