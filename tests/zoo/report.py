"""The table of the zoo: for people, as Markdown, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.zoo.campaign import Campaign
from tests.zoo.model import Case, Effort, Mutant

NEVER = ""
"""What stands where a strategy does not fit or had no turn."""


def cell(effort: Effort | None) -> str:
    """What one strategy did: scenarios and seconds to the kill, or how many found nothing."""
    if effort is None:
        return NEVER
    if effort.kill is None:
        return f"- of {effort.scenarios}"
    return f"{effort.scenarios} ({effort.seconds:.1f} s)"


def rows(campaign: Campaign) -> list[list[str]]:
    """The table, its head first."""
    head = ["id", "mutant", "expected", "found by", *campaign.strategies]
    return [head, *(_row(case, campaign.strategies) for case in campaign.cases)]


def _row(case: Case, strategies: Sequence[str]) -> list[str]:
    mutant, kills = case.mutant, case.kills
    found = ", ".join(
        f"{name} {'/'.join(effort.kill.broken)}" for name, effort in kills.items() if effort.kill
    )
    return [
        mutant.id,
        mutant.name,
        "/".join(mutant.expected),
        "; ".join(words for words in (found or "NOT FOUND", _crashed(case)) if words),
        *(cell(case.efforts.get(name)) for name in strategies),
    ]


def _crashed(case: Case) -> str:
    return f"crashed: {', '.join(case.crashes)}" if case.crashes else ""


def as_text(campaign: Campaign) -> str:
    """The table in columns."""
    table = rows(campaign)
    widths = [max(len(row[place]) for row in table) for place in range(len(table[0]))]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
             for row in table]  # fmt: skip
    return "\n".join([*lines, "", *summary(campaign)])


def as_markdown(campaign: Campaign) -> str:
    """The table, and what each mutant lacks."""
    head, *body = rows(campaign)
    lines = [_line([*head[:3], "the rule that is missing", *head[3:]])]
    lines.append(_line(["---"] * (len(head) + 1)))
    for case, row in zip(campaign.cases, body, strict=True):
        lines.append(_line([*row[:3], case.mutant.removed, *row[3:]]))
    return "\n".join([*lines, "", *summary(campaign), ""])


def _line(words: Sequence[str]) -> str:
    return "| " + " | ".join(word.replace("|", "/") for word in words) + " |"


def summary(campaign: Campaign) -> list[str]:
    """The score, and whatever needs a look."""
    killed, count = campaign.score
    lines = [f"mutation score: {killed} of {count}, {100 * killed / max(1, count):.1f} %"]
    for name in campaign.strategies:
        efforts = [case.efforts[name] for case in campaign.cases if name in case.efforts]
        if efforts:
            kills = sum(effort.kill is not None for effort in efforts)
            scenarios = sum(effort.scenarios for effort in efforts)
            seconds = sum(effort.seconds for effort in efforts)
            lines.append(f"{name}: {kills} of the {len(efforts)} it tried, {scenarios} scenarios, "
                         f"{seconds:.0f} s of processor time")  # fmt: skip
    for case in campaign.cases:
        if not case.is_killed:
            lines.append(f"survived: {case.mutant.id} {case.mutant.name}: {case.mutant.removed}")
        lines += [f"the unmutated protocol fails, too: {case.mutant.id} {where}"
                  for where in case.unsound]  # fmt: skip
        lines += [f"a worker failed: {case.mutant.id} {where}" for where in case.crashes]
    return lines


def equivalents(mutants: Sequence[Mutant]) -> list[str]:
    """The mutants that do not count, each with the argument."""
    return [f"equivalent: {mutant.id} {mutant.name}: {mutant.equivalent}"
            for mutant in mutants if mutant.equivalent]  # fmt: skip


def as_json(campaign: Campaign) -> str:
    """Everything, for programs."""
    killed, count = campaign.score
    return json.dumps(
        {"killed": killed, "all": count, "mutants": [_entry(case) for case in campaign.cases]},
        indent=1,
    )


def _entry(case: Case) -> dict[str, Any]:
    mutant = case.mutant
    return {
        "id": mutant.id,
        "name": mutant.name,
        "protocol": mutant.protocol,
        "kind": mutant.kind,
        "removed": mutant.removed,
        "expected": mutant.expected,
        "killed": case.is_killed,
        "unsound": case.unsound,
        "crashes": case.crashes,
        "strategies": {
            name: {
                "scenarios": effort.scenarios,
                "seconds": round(effort.seconds, 2),
                "broken": effort.kill.broken if effort.kill else (),
                "replay": effort.kill.replay if effort.kill else "",
            }
            for name, effort in case.efforts.items()
        },
    }
