"""Drawn DAGs for Mysticeti's rules alone: followers that see other parts of one first must agree.

Three validators make one block a round; the fourth makes up to three, and may refer to fewer blocks
than it must.  Followers see all of it but some blocks that no later ones need, each in its own
order.
What they decide must not contradict one another (P1), none may fail (P19), and what one of them
decided must convince whoever knows nothing (P10).  The fourth's clock may be far ahead, which the
time of nothing decided may be (P3), and whoever asks for blocks without a pause is sent each of
them once (P16).
"""

from __future__ import annotations

from functools import partial
from random import Random

from consensus.interface import Decide, DecisionProof, DecisionReceived, Forward, Hint, Signed
from consensus.protocols.mysticeti import Mysticeti
from consensus.protocols.mysticeti_messages import Block, encode_want
from ledger.value import Value
from sim.plugin_process import BUGS
from tests.consensus.mysticeti_bench import NODES, NOW, Drawing, Follower, agree
from tests.zoo.model import Mutant, Verdict, judge

QUORUM = 3
YEAR_MS = 365 * 86_400_000
NOON_MS = NOW.wall_ms + 1_000
"""After the clocks of all honest validators."""


def fits(mutant: Mutant) -> bool:
    """Whether its rule is one of a DAG."""
    return mutant.base is not None and mutant.base.name == Mysticeti.name


def attempt(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """One DAG, and three followers."""
    return judge(mutant, partial(broken, number=number), f"dags {number}"), 1


def broken(protocol: type, number: int) -> tuple[str, ...]:
    """The properties that followers break that see the DAG of this number."""
    draw = Random(f"dags {number}")
    drawing = draw_dag(draw, ahead=Random(f"dags clock {number}").random() < 0.3)
    try:
        followers = [look(protocol, drawing, draw) for _ in range(3)]
        if any(not agree(one, other) for one in followers for other in followers):
            return ("P1",)
        if any(value.timestamp_ms > NOON_MS for one in followers for value in one.decided):
            return ("P3",)
        return told(protocol, drawing, followers) or asked(protocol, drawing, draw)
    except BUGS:
        return ("P19",)


def draw_dag(draw: Random, *, ahead: bool = False) -> Drawing:
    """Some rounds that are drawn, and behind them some in which everyone refers to the same."""
    drawing = Drawing()
    liar, count = draw.randrange(NODES), draw.choice((3, 3, 4, 6, 7))
    twice, few, forgetful = draw.choice((0.0, 0.3, 0.6)), draw.choice((0.0, 0.0, 0.4)), 0.5
    before: dict[int, list[str]] = {}
    for round_ in range(1, count + draw.choice((4, 5, 7))):
        is_drawn = round_ <= count
        made: dict[int, list[str]] = {}
        # A block that nobody refers to is what one may see and another not.
        forgotten = draw.choice([*before]) if before and draw.random() < forgetful else None
        ready = {who: names for who, names in before.items() if who != forgotten}
        same = [draw.choice(names) for names in ready.values()]
        for author in range(NODES):
            is_double = is_drawn and author == liar and draw.random() < twice
            for variant in range(draw.choice((2, 3)) if is_double else 1):
                name = f"{round_}.{author}" + "'" * variant
                parents = same
                if is_drawn and round_ > 1:
                    least = QUORUM
                    if author == liar and draw.random() < few:
                        least = draw.randrange(1, QUORUM)
                    parents = _parents(draw, ready, min(least, len(ready)))
                late_ms = YEAR_MS if ahead and author == liar else 0
                drawing.add(name, parents, timestamp_ms=NOW.wall_ms + late_ms + variant)
                made.setdefault(author, []).append(name)
        before = made
    return drawing


def _parents(draw: Random, ready: dict[int, list[str]], least: int) -> list[str]:
    """What a block refers to: mostly just as many of the round before as it must."""
    count = draw.choice((least, least, least, len(ready)))
    return [draw.choice(ready[who]) for who in sorted(draw.sample(list(ready), count))]


def look(protocol: type, drawing: Drawing, draw: Random) -> Follower:
    """A follower that sees it in the order of rounds or another, and not all that it need not."""
    free = _free(drawing)
    hidden = [name for name in free if draw.random() < draw.choice((0.0, 0.5, 1.0))]
    seen = [name for name in drawing.blocks if name not in hidden]
    late, lag = draw.randrange(NODES), draw.randrange(4)
    wide = draw.choice((0.0, 0.0, 1.0, 3.0))
    seen.sort(key=lambda one: (
        _round(one) + (lag if _author(one) == late else 0) + draw.uniform(0.0, wide)
    ))  # fmt: skip
    return Follower(protocol, drawing).see(*seen)


def _free(drawing: Drawing) -> list[str]:
    """The blocks that those of the last round do not refer to, not even through others."""
    names = {signed.message.statement()[2]: name for name, signed in drawing.blocks.items()}
    last = max(_round(name) for name in drawing.blocks)
    reached = [name for name in drawing.blocks if _round(name) == last]
    known = set(reached)
    for name in reached:
        block = drawing.blocks[name].message
        assert isinstance(block, Block)
        for parent in block.parents:
            if names[parent.digest] not in known:
                known.add(names[parent.digest])
                reached.append(names[parent.digest])
    return [name for name in drawing.blocks if name not in known]


def _round(name: str) -> int:
    return int(name.partition(".")[0])


def _author(name: str) -> int:
    return int(name.partition(".")[2].rstrip("'"))


def told(protocol: type, drawing: Drawing, followers: list[Follower]) -> tuple[str, ...]:
    """Whether one that knows nothing believes the first decision of another."""
    source = max(followers, key=lambda one: len(one.decided))
    decision = next((each for each in source.said if isinstance(each, Decide)), None)
    if decision is None:
        return ()
    if not _convinced(protocol, drawing, decision.values, decision.proof.signed):
        return ("P10",)
    return ()


def asked(protocol: type, drawing: Drawing, draw: Random) -> tuple[str, ...]:
    """Whether a peer is sent more than once what it asks for all at once."""
    follower = Follower(protocol, drawing, me=0).see_all()
    names = draw.choices(list(drawing.blocks), k=8)
    digests = [drawing.blocks[name].message.statement()[2] for name in names]
    said = [effect for one in digests for effect in follower.give(Hint(1, encode_want((one,))))]
    sent = sum(isinstance(effect, Forward) for effect in said)
    return ("P16",) if sent > len(set(digests)) else ()


def _convinced(
    protocol: type, drawing: Drawing, values: tuple[Value, ...], said: tuple[Signed, ...]
) -> list[Value]:
    """What one that knows nothing decides upon a peer's decision."""
    follower = Follower(protocol, drawing)
    follower.give(DecisionReceived(values, DecisionProof((), (), said)))
    return follower.decided
