"""A second opinion: mutants that nobody thought of, made by a machine.

    python -m tests.zoo mechanical --budget 3m

Takes the source of every small rule, changes one thing in it (a comparison flipped or made one
looser or stricter, a conjunct dropped, a number off by one, a sum turned, a negation left out), and
plays the rule's own tests, all saved schedules of bare plugins and a few drawn plans with what
comes of it.  A mutant counts as noticed where anything breaks, where a schedule does not come about
any more, or where a run does not end.  Survivors are listed; each is equivalent, for the reason in
`EQUIVALENT`, or a gap.
"""

from __future__ import annotations
import __future__

import argparse
import ast
import contextlib
import copy
import inspect
import io
import multiprocessing
import resource
import signal
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FunctionType
from typing import Any

import pytest

from consensus import leaders, tally
from consensus.protocols import jolteon_safety, tendermint_log, tendermint_state
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import Proposal as TendermintProposal
from ledger import certificate, validators
from sim.plugin_drawing import draw_scenario, draw_twins
from sim.plugin_process import BUGS
from sim.plugins import run
from tests.zoo.leader_rows import LEADERS
from tests.zoo.model import numbers
from tests.zoo.protocols import JOLTEON, TENDERMINT
from tests.zoo.rounds import draw_plan, play

RULES: tuple[tuple[Any, str], ...] = (
    *((tendermint_state.State, name) for name in (
        "may_prevote_fresh", "may_prevote_again", "find_polka", "is_commit",
        "round_to_skip_to", "reason_for_round", "may_give_up_proposer", "timeout_ms", "_is_near",
        "may_come_from", "may_carry", "says_its_past", "distrusts_leader",
    )),
    (TendermintProposal, "is_coherent"),
    *((tendermint_log.MessageLog, name) for name in ("has_quorum", "later_round")),
    *((jolteon_safety.Safety, name) for name in (
        "may_vote", "is_unvoted", "is_certified", "follows", "covers", "may_commit",
        "may_timeout", "keep", "entry_tc", "proves",
    )),
    (Jolteon, "may_join"),
    *((tally.Tally, name) for name in ("add", "certificate", "timeout_certificate")),
    (leaders.Policy, "after_failure"),
    *((leaders.Leadership, name) for name in ("leader_after", "has_failed", "is_overdue",
                                              "is_fitting")),
    (certificate, "check_signers"),
    *((validators, name) for name in ("faults_tolerated", "quorum_size")),
)  # fmt: skip
"""(owner, rule)."""
EQUIVALENT: dict[str, str] = {
    **dict.fromkeys(
        (
            "Safety.follows line 4: 0 becomes -1",
            "Safety.may_commit line 4: 0 becomes -1",
            "Safety.entry_tc line 4: 0 becomes -1",
            "Safety.proves line 8: 0 becomes -1",
        ),
        "the last of one is the first of one: views, and the certificate of a decision",
    ),
    "State._is_near line 5: Lt becomes LtE": "slots of the own instance are judged before",
    "State._is_near line 5: 0 becomes -1": "slots of the own instance are judged before",
    "MessageLog.later_round line 5: Gt becomes GtE": "the highest round so far is replaced by "
    "itself; an equal one at the beginning is the own round, and no later one",
}
"""Why nothing can tell a change from the original, by what it says."""
_TENDERMINT_TESTS = tuple(
    f"consensus/test_tendermint{name}.py" for name in ("_rules", "", "_leaders", "_lost_leads")
)
_JOLTEON_TESTS = tuple(
    f"consensus/test_jolteon_{name}.py"
    for name in ("rules", "messages", "steady", "view_change", "decisions", "proposing")
)
TESTS: dict[Any, tuple[str, ...]] = {
    tendermint_state.State: _TENDERMINT_TESTS,
    TendermintProposal: _TENDERMINT_TESTS,
    tendermint_log.MessageLog: _TENDERMINT_TESTS,
    jolteon_safety.Safety: _JOLTEON_TESTS,
    Jolteon: _JOLTEON_TESTS,
    tally.Tally: ("consensus/test_tally.py", *_TENDERMINT_TESTS),
    leaders.Policy: ("consensus/test_leaders.py", *_TENDERMINT_TESTS),
    leaders.Leadership: ("consensus/test_leaders.py", *_TENDERMINT_TESTS),
    certificate: ("ledger/test_certificate.py",),
    validators: ("ledger/test_certificate.py",),
}
"""The files of tests of the owner of a rule."""
FLIPS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
PLANS = 12
LONGEST_S = 120
"""Seconds of processor time after which a mutant counts as one that does not end."""


@dataclass(frozen=True, slots=True)
class Change:
    """One mutant: a rule, and what is changed in it."""

    owner: Any
    rule: str
    number: int
    says: str
    """As "State.may_prevote_again line 3: <= becomes <"."""


def changes_of(owner: Any, rule: str) -> list[Change]:
    """Every change of one rule."""
    name = f"{owner.__name__.rpartition('.')[2]}.{rule}"
    return [
        Change(owner, rule, number, f"{name} line {line}: {what}")
        for number, (_, line, what) in enumerate(_mutated_trees(_source(owner, rule)))
    ]


def apply(change: Change) -> None:
    """Put the changed rule in the place of the right one, in this process."""
    tree = list(_mutated_trees(_source(change.owner, change.rule)))[change.number][0]
    old = inspect.getattr_static(change.owner, change.rule)
    function = old.fget if isinstance(old, property) else getattr(old, "__func__", old)
    assert isinstance(function, FunctionType)
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    space: dict[str, Any] = {}
    flags = __future__.annotations.compiler_flag
    code = compile(ast.fix_missing_locations(tree), f"<{change.says}>", "exec", flags)
    exec(code, function.__globals__, space)
    # The code is exchanged in place: whoever imported the function by name has it, too.
    function.__code__ = space[change.rule].__code__


def _source(owner: Any, rule: str) -> ast.Module:
    found = inspect.getattr_static(owner, rule)
    function = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def _mutated_trees(tree: ast.Module) -> Iterator[tuple[ast.Module, int, str]]:
    """(tree with one change, line, what it is)."""
    for place, node in enumerate(ast.walk(tree)):
        for what, change in _changes_at(node):
            mutated = copy.deepcopy(tree)
            change(list(ast.walk(mutated))[place])
            yield mutated, getattr(node, "lineno", 0), what


def _changes_at(node: ast.AST) -> Iterator[tuple[str, Any]]:
    if isinstance(node, ast.Compare):
        for position, operator in enumerate(node.ops):
            for other in FLIPS[type(operator)]:

                def flip(found: Any, position: int = position, other: Any = other) -> None:
                    found.ops[position] = other()

                yield f"{type(operator).__name__} becomes {other.__name__}", flip
    elif isinstance(node, ast.BoolOp):
        for position in range(len(node.values)):

            def drop(found: Any, position: int = position) -> None:
                rest = [value for place, value in enumerate(found.values) if place != position]
                found.values = rest if len(rest) > 1 else rest * 2

            yield f"operand {position + 1} of {type(node.op).__name__.lower()} dropped", drop
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):

        def affirm(found: Any) -> None:
            found.op, found.operand = ast.Not(), ast.UnaryOp(ast.Not(), found.operand)

        yield "not dropped", affirm
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):

        def turn(found: Any) -> None:
            found.op = ast.Sub() if isinstance(found.op, ast.Add) else ast.Add()

        yield "plus becomes minus, or the other way", turn
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        for by in (-1, 1):

            def shift(found: Any, by: int = by) -> None:
                found.value += by

            yield f"{node.value} becomes {node.value + by}", shift


# --- noticing -------------------------------------------------------------------------------------


def notice(change: Change) -> str:
    """What notices a change, played in this process; "" if nothing does."""
    apply(change)
    return _failing_test(TESTS[change.owner]) or _failing_schedule() or _failing_plan()


class _FirstFailure:
    """Remembers which test failed, or which file could not be read."""

    name = ""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file was read."""
        self._look_at(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A part of a test is over."""
        self._look_at(report)

    def _look_at(self, report: pytest.CollectReport | pytest.TestReport) -> None:
        if report.failed:
            self.name = self.name or report.nodeid.rpartition("/")[2]


def _failing_test(files: Sequence[str]) -> str:
    """The first test of these files that fails; "" if none does."""
    failure, folder = _FirstFailure(), Path(__file__).parents[1]
    options = ["-x", "-q", "-n0", "-p", "no:cacheprovider", "--assert=plain"]
    with contextlib.redirect_stdout(io.StringIO()) as told:
        code = pytest.main([*options, *(str(folder / file) for file in files)], plugins=[failure])
    assert failure.name or code == pytest.ExitCode.OK, told.getvalue()
    return failure.name


def _failing_schedule() -> str:
    """The first saved schedule that breaks something or does not come about; "" if none does."""
    for mutant in (*TENDERMINT, *JOLTEON, *LEADERS):
        if mutant.play is None:
            continue
        assert mutant.base is not None
        try:
            found = mutant.play(mutant.base)
        except BUGS as error:
            return f"schedule of {mutant.id}: {type(error).__name__}"
        if found:
            return f"schedule of {mutant.id}: {found[0]}"
    return ""


def _failing_plan() -> str:
    """What a few drawn plans break; "" if nothing does."""
    for number in range(PLANS):
        for protocol in (Tendermint, Jolteon):
            plan = draw_plan(Random(f"swarm {number}").choice, protocol.name, number)
            for name, found in (
                ("swarm", play(protocol, plan, is_about_liveness=True)),
                ("twins", numbers(run(draw_twins(protocol, number)).violations)),
                ("random", numbers(run(draw_scenario(protocol, number)).violations)),
            ):
                if found:
                    return f"{name} {number}: {found[0]}"
    return ""


def _report(change_at: tuple[int, int], channel: Any) -> None:
    spent = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (spent + LONGEST_S,) * 2)
    owner, rule = RULES[change_at[0]]
    channel.send(notice(changes_of(owner, rule)[change_at[1]]))


def hunt(change_at: tuple[int, int]) -> str:
    """What notices a change, played in a process of its own.

    Raises RuntimeError where that process fails by itself: the change is not noticed by that.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(change_at, theirs))
    process.start()
    theirs.close()
    try:
        return str(ours.recv())
    except EOFError:
        process.join()
        if process.exitcode in (-signal.SIGXCPU, -signal.SIGKILL):
            return "it does not end"
        raise RuntimeError(f"the process of change {change_at} failed") from None
    finally:
        process.join()


def parser() -> argparse.ArgumentParser:
    """What the command understands."""
    made = argparse.ArgumentParser(
        prog="python -m tests.zoo mechanical",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--budget", type=float, default=600.0, help="seconds of wall time")
    made.add_argument("--rule", action="append", help="only rules of this name; repeat")
    return made


def main(arguments: Sequence[str]) -> int:
    """Run the command: 0 if every survivor is known to be equivalent."""
    options = parser().parse_args(arguments)
    end = time.monotonic() + options.budget
    noticed = tried = left = 0
    gaps = []
    for index, (owner, rule) in enumerate(RULES):
        if options.rule and rule not in options.rule:
            continue
        for number, change in enumerate(changes_of(owner, rule)):
            if time.monotonic() > end:
                left += 1
                continue
            tried += 1
            by = hunt((index, number))
            noticed += bool(by)
            argument = EQUIVALENT.get(change.says, "")
            print(
                f"{'noticed ' if by else 'SURVIVED'}  {change.says}  {by or argument}", flush=True
            )
            if not by and not argument:
                gaps.append(change.says)
    print(f"{noticed} of {tried} noticed, {tried - noticed - len(gaps)} equivalent, "
          f"{len(gaps)} gaps, {left} not tried within the budget")  # fmt: skip
    return int(bool(gaps))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
