"""What a block costs each protocol: predicted by formula, counted in a run, and both the same.

n validators, and L = n - 1 links from each.  One payload is there to be decided and none follows,
so nothing is shared with the next block: a pipelined protocol pays for all of its rounds.  What
goes to everyone counts once a link.  Dissemination, checkpoints and catching up are apart: they are
the same for all protocols.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from consensus.interface import Consensus
from sim.counting import Count, Counted

TRIED = 6
"""Seats tried as the one that is down, where the network is too large for trying all: the leaders
of the next rounds are among them."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one decided block."""

    messages: int
    """Over links."""
    signatures: int
    """Statements signed."""
    delays: int
    """Message delays from the proposal until the last validator has decided."""

    @classmethod
    def of(cls, count: Count) -> Cost:
        return cls(sum(count.messages.values()), count.signatures, count.delays)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a protocol's rules come to."""

    formula: str
    """Messages, in words of its own."""
    good: Callable[[int], Cost]
    """With n validators, all of them up."""
    one_down: Callable[[int], Cost]
    """With one down whose turn it is not: it says nothing, and is sent everything."""


PREDICTED: dict[str, Prediction] = {
    "solo": Prediction(
        "L values",
        lambda n: Cost(n - 1, 1, 1),
        lambda n: Cost(n - 1, 1, 1),
    ),
    "raft": Prediction(
        "L appends, L acceptances, L certificates",
        lambda n: Cost(3 * (n - 1), n, 3),
        lambda n: Cost(2 * (n - 1) + n - 2, n - 1, 3),
    ),
    "tendermint": Prediction(
        "L proposals, nL prevotes, nL precommits",
        lambda n: Cost((n - 1) * (2 * n + 1), 2 * n + 1, 3),
        lambda n: Cost((n - 1) * (2 * n - 1), 2 * n - 1, 3),
    ),
    "simplex": Prediction(
        "L proposals, nL votes, nL finalize messages",
        lambda n: Cost((n - 1) * (2 * n + 1), 2 * n + 1, 3),
        lambda n: Cost((n - 1) * (2 * n - 1), 2 * n - 1, 3),
    ),
    "jolteon": Prediction(
        "2L proposals, 2L votes, L certificates",
        lambda n: Cost(5 * (n - 1), 2 * n, 5),
        lambda n: Cost(3 * (n - 1) + 2 * (n - 2), 2 * (n - 1), 5),
    ),
    "hotstuff": Prediction(
        "3L proposals, 3L votes, L certificates",
        lambda n: Cost(7 * (n - 1), 3 * n, 7),
        lambda n: Cost(4 * (n - 1) + 3 * (n - 2), 3 * (n - 1), 7),
    ),
    "mysticeti": Prediction(
        "3nL blocks: three rounds of one of each",
        lambda n: Cost(3 * n * (n - 1), 3 * n, 3),
        lambda n: Cost(3 * (n - 1) ** 2, 3 * (n - 1), 3),
    ),
    "pbft": Prediction(
        "L pre-prepares, (n - 1)L prepares, nL commits",
        lambda n: Cost(2 * n * (n - 1), 2 * n, 3),
        lambda n: Cost(2 * (n - 1) ** 2, 2 * (n - 1), 3),
    ),
    # Lock-step: the second of two epochs begins after a second, which is twenty delays here.
    "streamlet": Prediction(
        "2L proposals, 2nL votes",
        lambda n: Cost(2 * (n - 1) * (n + 1), 2 * (n + 1), 22),
        lambda n: Cost(2 * (n - 1) * n, 2 * n, 22),
    ),
}
"""By name of the protocol; one by a third party has none, and is counted all the same."""


def count_good(protocol: type[Consensus], nodes: int) -> Count:
    """One block of a network in its stride."""
    world = Counted(protocol, nodes)
    world.decide_one(b"first".ljust(32, b"\0"))
    return world.decide_one(b"second".ljust(32, b"\0"))


def count_one_down(protocol: type[Consensus], nodes: int) -> tuple[Count, Count]:
    """(best, worst) of the same with one validator down: who it is makes the difference.

    The worst is one whose turn it is: it is waited for, and its place taken.  Where the network
    cannot go on without it, as Solo without its sequencer, it is left out.
    """
    counts = []
    for seat in range(min(nodes, TRIED)):
        world = Counted(protocol, nodes)
        world.decide_one(b"first".ljust(32, b"\0"))
        world.crash(seat)
        count = world.try_to_decide(b"second".ljust(32, b"\0"))
        if count is not None:
            counts.append(count)
    counts.sort(key=lambda count: sum(count.messages.values()))
    assert counts, "no validator can be spared"
    return counts[0], counts[-1]
