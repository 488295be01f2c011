"""`python -m tests.zoo`: does the judge find the bugs that we know?

    python -m tests.zoo --budget 5m --workers 2 --no-schedules

Hunts every mutant of the registry and prints a table: which property was expected, which strategy
found it, after how many scenarios and seconds of processor time, and the mutation score.
Exit codes: 0 all found, 1 a mutant survived, an unmutated protocol failed or a worker did, 2 wrong
usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.zoo import mechanical, report
from tests.zoo.campaign import Campaign, Told
from tests.zoo.model import Case
from tests.zoo.registry import MUTANTS
from tests.zoo.strategies import STRATEGIES, Slice

NAMES = [strategy.name for strategy in STRATEGIES]
UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0}


def seconds(text: str) -> float:
    """A length of time such as 90s, 5m or 1h."""
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS or not number.replace(".", "", 1).isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time such as 90s or 5m")
    return float(number) * UNITS[unit]


def parser() -> argparse.ArgumentParser:
    """What the command understands."""
    made = argparse.ArgumentParser(
        prog="python -m tests.zoo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--budget", type=seconds, default=300.0, help="wall time, such as 5m")
    made.add_argument("--processor-time", action="store_true",
                      help="the budget is processor time of each worker")  # fmt: skip
    made.add_argument("--workers", type=int, default=2, help="processes")
    made.add_argument("--strategy", action="append", choices=NAMES, help="only this one; repeat")
    made.add_argument("--mutant", action="append", metavar="ID", help="only this one; repeat")
    made.add_argument("--no-schedules", action="store_true", help="without the saved schedules")
    made.add_argument("--exhaustive", action="store_true",
                      help="go on with every strategy after the first find")  # fmt: skip
    made.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    made.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there")
    return made


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    if arguments[:1] == ["mechanical"]:
        return mechanical.main(arguments[1:])
    options = parser().parse_args(arguments)
    unknown = set(options.mutant or ()) - {mutant.id for mutant in MUTANTS}
    if unknown:
        print(f"there is no mutant {sorted(unknown)[0]}", file=sys.stderr)
        return 2
    mutants = [m for m in MUTANTS if not options.mutant or m.id in options.mutant]
    names = [
        name
        for name in options.strategy or NAMES
        if not (options.no_schedules and name == "schedule")
    ]
    campaign = Campaign(mutants, names, is_exhaustive=options.exhaustive)
    code = 0
    try:
        campaign.run(
            options.budget,
            options.workers,
            told=_progress(campaign),
            is_processor_time=options.processor_time,
        )
    except KeyboardInterrupt:
        code = 130
    print(report.as_text(campaign))
    print("\n".join(report.equivalents(mutants)))
    if options.json:
        options.json.write_text(report.as_json(campaign) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(report.as_markdown(campaign), encoding="utf-8")
    return code or int(not campaign.is_perfect)


def _progress(campaign: Campaign) -> Told:
    """Tells of every find at once."""

    def told(case: Case, slice_: Slice) -> None:
        if slice_.verdict.is_kill:
            killed, count = campaign.score
            print(f"{killed}/{count}  {case.mutant.id}: {slice_.verdict.broken[0]} by "
                  f"{slice_.strategy}", file=sys.stderr, flush=True)  # fmt: skip

    return told


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
