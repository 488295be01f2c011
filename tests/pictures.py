"""Pictures for teaching, from the schedules of the tests: python -m tests.pictures lock FILE

Each page shows a run that breaks because one rule is missing, beside the same schedule with the
rule in place.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from consensus.protocols.tendermint import Tendermint
from sim.page import Shown, pages
from sim.record import Recording
from sim.record_plugins import PluginRecorder
from tests.consensus.harness import Stage
from tests.consensus.mutants_tendermint import IgnoresLock
from tests.consensus.test_tendermint_safety import LOCKED_BY_TWO

FORKED = (
    "Rule L23 is missing: a validator prevotes a fresh value although it is locked on another. v3 "
    "leads rounds 0 and 1 and lies: it runs twice under one key, as v3 and v3'. In round 0, v0, v1 "
    "and v3 prevote and precommit #1. Only v0 hears three precommits for it and decides #1; v1 is "
    "locked on #1. In round 1, v3' proposes a fresh #3 to v1 and v2. v1 should refuse it, prevotes "
    "it all the same, and with v2 and v3' makes a quorum: v2 and v1 decide #3. Two honest "
    "validators have decided different values, although only one of four is faulty."
)
SAFE = (
    "The same schedule with rule L23 in place. v1 is locked on #1, so in round 1 it prevotes nil "
    "and no quorum forms for #3. Nothing more is decided while the network is split; once it has "
    "healed, everyone decides #1, as v0 did at the beginning. The liar is accused."
)


def lock_run(protocol: type[Tendermint]) -> Recording:
    """v0 decided #1, v1 is locked on it, and a fresh value is proposed."""
    recorder = PluginRecorder()
    Stage(protocol, "Zz", LOCKED_BY_TWO, recorder=recorder).heal()
    return recorder.recording()


def lock_page() -> str:
    """Tendermint forks without its lock rule."""
    return pages(
        "Why Tendermint locks",
        [
            Shown("Without the lock rule", FORKED, lock_run(IgnoresLock)),
            Shown("With the lock rule", SAFE, lock_run(Tendermint)),
        ],
    )


PAGES = {"lock": lock_page}


def main(arguments: list[str] | None = None) -> None:
    """Write one of the pages."""
    parser = argparse.ArgumentParser(prog="python -m tests.pictures", description=lock_page.__doc__)
    parser.add_argument("name", choices=sorted(PAGES))
    parser.add_argument("file", type=Path)
    chosen = parser.parse_args(arguments)
    chosen.file.write_text(PAGES[chosen.name](), encoding="utf-8")


if __name__ == "__main__":
    main()
