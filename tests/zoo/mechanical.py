"""A second opinion: mutants that nobody thought of, made by a machine.

    python -m tests.zoo mechanical --budget 3m

Takes the source of every small rule, changes one thing in it (a comparison flipped or made one
looser or stricter, a conjunct dropped, a number off by one, a sum turned, a negation left out), and
plays all saved schedules of bare plugins and a few drawn plans with what comes of it.  A mutant
counts as noticed where anything breaks, where a schedule does not come about any more, or where a
run does not end.  Survivors are listed; each is equivalent, for the reason in `EQUIVALENT`, or a
gap.
"""

from __future__ import annotations
import __future__

import argparse
import ast
import copy
import inspect
import multiprocessing
import resource
import signal
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from types import FunctionType
from typing import Any

from consensus import tally
from consensus.protocols import jolteon_safety, tendermint_log, tendermint_state
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import Proposal as TendermintProposal
from ledger import certificate, validators
from sim.plugin_drawing import draw_scenario, draw_twins
from sim.plugins import run
from tests.zoo.model import numbers
from tests.zoo.protocols import JOLTEON, TENDERMINT
from tests.zoo.rounds import draw_plan, play

RULES: tuple[tuple[Any, str], ...] = (
    *((tendermint_state.State, name) for name in (
        "may_prevote_fresh", "may_prevote_again", "find_polka", "is_commit",
        "round_to_skip_to", "reason_for_round", "may_give_up_proposer", "timeout_ms", "_is_near",
    )),
    (TendermintProposal, "is_coherent"),
    *((tendermint_log.MessageLog, name) for name in ("has_quorum", "later_round")),
    *((jolteon_safety.Safety, name) for name in (
        "may_vote", "is_unvoted", "is_certified", "follows", "covers", "may_commit",
        "may_timeout", "keep", "entry_tc", "proves",
    )),
    (Jolteon, "may_join"),
    *((tally.Tally, name) for name in ("add", "certificate", "timeout_certificate")),
    (certificate, "check_signers"),
    *((validators, name) for name in ("faults_tolerated", "quorum_size")),
)  # fmt: skip
"""(owner, rule)."""
EQUIVALENT: dict[str, str] = {}
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
LONGEST_S = 60
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
    for mutants, base in ((TENDERMINT, Tendermint), (JOLTEON, Jolteon)):
        for mutant in mutants:
            if mutant.play is None:
                continue
            try:
                found = mutant.play(base)
            except (AssertionError, LookupError, TypeError, ValueError, AttributeError) as error:
                return f"schedule of {mutant.id}: {type(error).__name__}"
            if found:
                return f"schedule of {mutant.id}: {found[0]}"
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
    resource.setrlimit(resource.RLIMIT_CPU, (LONGEST_S, LONGEST_S))
    owner, rule = RULES[change_at[0]]
    channel.send(notice(changes_of(owner, rule)[change_at[1]]))


def hunt(change_at: tuple[int, int]) -> str:
    """What notices a change, played in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(change_at, theirs))
    process.start()
    theirs.close()
    try:
        return str(ours.recv())
    except EOFError:
        process.join()
        out_of_time = process.exitcode in (-signal.SIGXCPU, -signal.SIGKILL)
        return "it does not end" if out_of_time else "it breaks down"
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
