"""Drawn damage to a range of blocks that a peer gives to a node that is behind.

A right range is changed by one to three edits (a bit, a block or batch left out, doubled or moved,
another first height) and offered to a new replica: none may stop it (P19), and nothing is executed
of a range that is not exactly what was certified (P4).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from random import Random

from consensus.packets import Blocks
from ledger.encoding import encode
from ledger.execution import parse_block_entry
from tests.schedules.test_catch_up import flipped, history, offered, with_item
from tests.zoo.model import Mutant, Verdict, judged
from tests.zoo.replicas import patching

MUTANTS = ("D27",)
EDITS = ("leaf", "leaf", "batch", "note", "first", "order", "missing", "double")


def fits(mutant: Mutant) -> bool:
    """Whether it is the check of ranges that lacks the rule."""
    return mutant.id in MUTANTS


def attempt(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """One range."""
    with patching(mutant):
        found = broken(number)
    return judged(mutant, found, partial(broken, number), f"ranges {number}"), 1


def broken(number: int) -> tuple[str, ...]:
    """The properties that a replica breaks to which the range of this number is given."""
    draw = Random(f"ranges {number}")
    right = history()
    given = right
    for _ in range(draw.choice((1, 1, 2, 3))):
        given = _edit(draw, given)
    stage = offered(given)
    found = ("P19",) if stage.stopped else ()
    if given != right and stage.replica(0).status().executed > 0:
        found += ("P4",)
    return found


def _edit(draw: Random, packet: Blocks) -> Blocks:
    edit = draw.choice(EDITS)
    if edit == "note":
        return replace(packet, note=_flip(draw, packet.note))
    if edit == "first":
        return replace(packet, first=draw.randrange(1, 5))
    if edit == "leaf" and packet.blocks:
        place = draw.randrange(len(packet.blocks))
        first, leaves = parse_block_entry(packet.blocks[place])
        leaf = draw.randrange(len(leaves))
        changed = encode((first, with_item(leaves, leaf, _flip(draw, leaves[leaf]))))
        return replace(packet, blocks=with_item(packet.blocks, place, changed))
    if edit == "batch" and packet.batches:
        place = draw.randrange(len(packet.batches))
        changed = _flip(draw, packet.batches[place])
        return replace(packet, batches=with_item(packet.batches, place, changed))
    return _rearrange(draw, edit, packet)


def _rearrange(draw: Random, edit: str, packet: Blocks) -> Blocks:
    """Whole blocks with their batches, of which each has one here."""
    pairs = list(zip(packet.blocks, packet.batches, strict=True))
    if edit == "order":
        draw.shuffle(pairs)
    elif edit == "double":
        pairs.append(draw.choice(pairs))
    elif len(pairs) > 1:
        del pairs[draw.randrange(len(pairs))]
    blocks, batches = zip(*pairs, strict=True)
    return replace(packet, blocks=blocks, batches=batches)


def _flip(draw: Random, data: bytes) -> bytes:
    return flipped(data, draw.randrange(len(data)))
