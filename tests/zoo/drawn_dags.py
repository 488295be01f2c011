"""Drawn DAGs for Mysticeti's rules alone: followers that see other parts of one first must agree.

Three validators make one block a round; the fourth makes up to three, and may refer to fewer blocks
than it must.  Followers see all of it but some blocks that no later ones need, each in its own
order.
What they decide must not contradict one another (P1), none may fail (P19), and what one of them
decided must convince whoever knows nothing (P10).  The fourth's clock may be far ahead, which the
time of nothing decided may be (P3), and whoever asks for blocks without a pause is sent each of
them once (P16).

In some of them the fourth's blocks build on what nobody decided or give a false height, and some
are invalid, or nobody can judge them.  Then nothing is decided that was not judged (P6), nothing
is judged that need not be or cannot be yet, what brings nothing is accepted, and who only follows
falls silent (P10).
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from consensus.interface import (
    Certified,
    Decide,
    DecisionProof,
    DecisionReceived,
    Dismiss,
    Forward,
    Hint,
    Root,
    Signed,
    Validate,
)
from consensus.protocols.mysticeti import Mysticeti
from consensus.protocols.mysticeti_inbox import ASKED_MAX
from consensus.protocols.mysticeti_messages import Block, encode_want
from ledger.value import Value
from sim.plugin_process import BUGS
from tests.consensus.mysticeti_bench import (
    EARLIER,
    EPOCH,
    NODES,
    NOW,
    Drawing,
    Follower,
    agree,
)
from tests.zoo.model import Mutant, Verdict, judge

QUORUM = 3
YEAR_MS = 365 * 86_400_000
TIMERS_MAX = 3 * ASKED_MAX
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
    if number % 3 == 0:
        return misjudged(protocol, draw)
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


def draw_dag(draw: Random, *, ahead: bool = False, twister: int | None = None) -> Drawing:
    """Some rounds that are drawn, and behind them some in which everyone refers to the same.

    The blocks of a `twister` may build on anything.
    """
    drawing = Drawing()
    liar = draw.randrange(NODES) if twister is None else twister
    count = draw.choice((3, 3, 4, 6, 7))
    twice, few, forgetful = draw.choice((0.0, 0.3, 0.6)), draw.choice((0.0, 0.0, 0.4)), 0.5
    if twister is not None:
        twice, few = 0.6, 0.0
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
                base = _base(draw) if author == twister else {}
                drawing.add(name, parents, timestamp_ms=NOW.wall_ms + late_ms + variant, **base)
                made.setdefault(author, []).append(name)
        before = made
    return drawing


def _base(draw: Random) -> dict[str, Any]:
    """What a liar says that its block builds on."""
    if draw.random() < 0.6:
        return {}
    parent = draw.choice((EPOCH, EARLIER.digest, draw.randbytes(32)))
    return {"parent": parent, "base_height": draw.choice((0, 1, 2, 4, 1_000))}


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


def misjudged(protocol: type, draw: Random) -> tuple[str, ...]:
    """What followers break whom a liar shows what nobody can judge, or need judge any more."""
    liar = draw.randrange(NODES)
    drawing = draw.choice((_draw_beside, draw_dag))(draw, twister=liar)
    _refer_late(drawing, draw, liar)
    odd_share = draw.choice((0.0, 0.5, 0.5))
    odd = {
        drawing.digest(name): draw.random() for name in drawing.blocks
        if draw.random() < (odd_share if _author(name) == liar else 0.02)
    }  # fmt: skip
    unjudged = frozenset(digest for digest, share in odd.items() if share < 0.5)
    invalid = frozenset(odd) - unjudged
    window = draw.choice((2, 4, 256, 256))
    try:
        for _ in range(2):
            names = sorted(drawing.blocks, key=lambda name: _round(name) + draw.uniform(0.0, 2.0))
            follower = Follower(
                protocol, drawing, unjudged=unjudged, invalid=invalid, batch_window=window
            ).see(*names)
            found = _unjudged(follower) or _unaccepted(follower) or _restless(follower)
            if found:
                return (found,)
    except BUGS:
        return ("P19",)
    return ()


def _draw_beside(draw: Random, *, twister: int) -> Drawing:
    """Rounds of the other three, and a few blocks of the fourth beside them."""
    others = [author for author in range(NODES) if author != twister]
    drawing, last = Drawing(), draw.choice((5, 6, 8))
    shares = {round_: draw.choice((0.0, 0.0, 0.4, 1.0, 1.0))
              for round_ in draw.sample(range(1, last), draw.choice((1, 2, 3)))}  # fmt: skip
    for round_ in range(1, last + 1):
        before = [f"{round_ - 1}.{author}" for author in others] if round_ > 1 else []
        for author in others:
            is_referred = draw.random() < shares.get(round_ - 1, 0.0)
            strange = [f"{round_ - 1}.{twister}"] if is_referred else []
            drawing.add(f"{round_}.{author}", [*before, *strange])
        if round_ in shares:
            drawing.add(f"{round_}.{twister}", before, **_base(draw))
    return drawing


def _refer_late(drawing: Drawing, draw: Random, liar: int) -> None:
    """One more block, which refers to one of the liar's that nobody has referred to."""
    free = [name for name in _free(drawing) if _author(name) == liar]
    last = max(_round(name) for name in drawing.blocks)
    before = [name for name in drawing.blocks if _round(name) == last and _author(name) != liar]
    if free and len(before) == QUORUM:
        drawing.add(f"{last + 1}.{_author(before[0])}", [*before, draw.choice(free)])


def _unjudged(follower: Follower) -> str:
    """Whether something was judged before what it builds on was decided, or decided unjudged."""
    known, valid = {EPOCH, EARLIER.digest}, set()
    for effect in follower.said:
        if isinstance(effect, Validate):
            if effect.value.parent not in known:
                return "P10"
            if effect.value.digest not in follower.unjudged | follower.invalid:
                valid.update(effect.value.payload)
        elif isinstance(effect, Decide):
            known.update(value.digest for value in effect.values)
            if any(not valid.issuperset(value.payload) for value in effect.values):
                return "P6"
    return ""


def _unaccepted(follower: Follower) -> str:
    """Whether a block waits for a verdict on what can bring nothing any more."""
    plugin = follower.plugin
    decided = [EPOCH, EARLIER.digest, *(value.digest for value in follower.decided)]
    heights = {digest: height for height, digest in enumerate(decided)}
    last = len(decided) - 1

    def is_old(block: Block) -> bool:
        height = block.base_height
        is_recent = heights.get(block.value.parent) == height > last - plugin.window
        return height <= last and not is_recent

    for each in plugin.waiting.values():
        lacked = [
            parent for parent in each.block.parents
            if parent.digest not in plugin.dag
            and parent.round > plugin.order.passed[parent.author]
        ]  # fmt: skip
        if not lacked and is_old(each.block):
            return "P10"
        refused = [plugin.refused[one.digest] for one in lacked if one.digest in plugin.refused]
        if any(is_old(one.block) for one in refused):
            return "P10"
    return ""


def _restless(follower: Follower) -> str:
    """Whether it goes on waiting for what never comes, once its last decision is certified."""
    if follower.decided:
        last = follower.decided[-1]
        follower.give(Certified(Root(last.digest, last.slot, follower.plugin.root.height)))
    for _ in range(TIMERS_MAX if follower.timers else 0):
        follower.go_off()
    asked = {one.value.digest for one in follower.said if isinstance(one, Validate)}
    left = {one.value.digest for one in follower.said if isinstance(one, Dismiss)}
    return "P10" if follower.timers or (asked & follower.unjudged) - left else ""


def _convinced(
    protocol: type, drawing: Drawing, values: tuple[Value, ...], said: tuple[Signed, ...]
) -> list[Value]:
    """What one that knows nothing decides upon a peer's decision."""
    follower = Follower(protocol, drawing)
    follower.give(DecisionReceived(values, DecisionProof((), (), said)))
    return follower.decided
