"""What a block costs each protocol, predicted: what `sim.counting` counts must come to the same.

n validators, and L = n - 1 links from each.  One payload is there to be decided and none follows,
so nothing is shared with the next block: a pipelined protocol pays for all of its rounds.  What
goes to everyone counts once a link.  Dissemination, checkpoints and catching up are apart: they are
the same for all protocols.

The formulas follow from the rules of each protocol, message by message, and from the sizes of what
they say (`sim.sizes`); nothing in them has been fitted.  They hold for every size of 3f + 1
validators, with a quorum of q = n - f = 2f + 1, for the second block of a network's life (later on
numbers take more bytes, and HotStuff's values name more authors).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sim import sizes
from sim.sizes import DIGEST_FIELD, NIL, NUMBER, signed


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one decided block."""

    messages: int
    """Over links."""
    octets: int
    """Of these messages, as payloads of frames."""
    signatures: int
    """Statements signed."""
    delays: int
    """Message delays until the last validator has decided."""
    waits: int = 0
    """Timers that had to fire meanwhile, with nothing on its way."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.messages + other.messages,
            self.octets + other.octets,
            self.signatures + other.signatures,
            self.delays + other.delays,
            self.waits + other.waits,
        )


@dataclass(frozen=True, slots=True)
class Net:
    """A network of n validators, and how many of them speak."""

    n: int
    up: int

    @property
    def links(self) -> int:
        return self.n - 1

    @property
    def faults(self) -> int:
        return (self.n - 1) // 3

    @property
    def quorum(self) -> int:
        return self.n - self.faults

    @property
    def to_all(self) -> int:
        """Messages when everyone who is up tells everyone, also those who are not."""
        return self.up * self.links

    @property
    def late(self) -> int:
        """What everyone who is up hears of a phase after it had a quorum: its own comes first."""
        return self.up * (self.up - self.quorum)


Formula = Callable[[Net], Cost]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a protocol's rules come to."""

    formula: str
    """Messages where all are up, in words of its own."""
    block: Formula
    """A block without a leader that fails; who is down says nothing, and is sent everything."""
    change: Formula | None
    """A block whose leader is down: the wait, the change and the block after it.  None where
    nothing is decided without it."""
    next_change: Formula | None = None
    """A block whose next leader is down, where another one leads every view and collects the votes
    of the one before: two views end by timeouts then.  None for other protocols."""

    def good(self, n: int) -> Cost:
        """With n validators, all of them up."""
        return self.block(Net(n, n))

    def one_down(self, n: int) -> Cost:
        """With one down whose turn it is not."""
        return self.block(Net(n, n - 1))

    def leader_down(self, n: int) -> Cost | None:
        """With the one down that would have led."""
        return self.change(Net(n, n - 1)) if self.change is not None else None

    def next_down(self, n: int) -> Cost | None:
        """With the one down that would have led next."""
        return self.next_change(Net(n, n - 1)) if self.next_change is not None else None


def _cost(*sent: tuple[int, int], signatures: int, delays: int, waits: int = 0) -> Cost:
    """Of (messages, bytes of each)."""
    messages = sum(count for count, _ in sent)
    octets = sum(count * size for count, size in sent)
    return Cost(messages, octets, signatures, delays, waits)


ONE, TWO = sizes.slot(1), sizes.slot(2)
"""Slots of one number, such as (view,), and of two."""
VIEW_VOTE = signed(NUMBER, DIGEST_FIELD)
"""A vote of (number, digest)."""
ROUND_VOTE = signed(NUMBER, NUMBER, DIGEST_FIELD)
"""A vote of (number, number, digest)."""
NIL_VOTE = signed(NUMBER, NUMBER, sizes.blob(0))
"""The same for no value."""


# --- Solo and Raft --------------------------------------------------------------------------------


def _solo(net: Net) -> Cost:
    value = sizes.value(slot=ONE, parent=0)
    return _cost((net.links, signed(value)), signatures=1, delays=1)


def _raft(net: Net) -> Cost:
    return _cost(
        (net.links, signed(sizes.value(slot=TWO))),
        (net.up - 1, ROUND_VOTE),  # The leader accepts, too, over no link.
        (net.links, sizes.bare(_raft_commit(net))),
        signatures=1 + net.up,
        delays=3,
    )


def _raft_commit(net: Net) -> int:
    return sizes.certificate("accept", net.quorum, slot=TWO)


def _raft_election(net: Net) -> Cost:
    """One candidate stands, since no other timer fires before its request is everywhere."""
    election = _cost(
        (net.links, signed(NUMBER, NUMBER, NUMBER)),
        (net.up - 1, signed(NUMBER, NUMBER)),
        (net.up - 1, sizes.bare(_raft_commit(net))),  # Its last entry is decided, voters say.
        signatures=1 + net.up,
        delays=2,
        waits=1,
    )
    return election + _raft(net)


# --- everybody to everybody -----------------------------------------------------------------------


def _tendermint(net: Net) -> Cost:
    value = sizes.value(slot=TWO, parent=0)
    return _cost(
        (net.links, signed(value, NUMBER, NUMBER, NIL)),
        (2 * net.to_all, ROUND_VOTE),
        signatures=1 + 2 * net.up,
        delays=3,
    )


def _tendermint_round(net: Net) -> Cost:
    """Everybody prevotes nil and precommits nil; 2f + 1 of those begin the next round at once."""
    nil = _cost((2 * net.to_all, NIL_VOTE), signatures=2 * net.up, delays=2, waits=1)
    return nil + _tendermint(net)


def _simplex(net: Net) -> Cost:
    # The block before is decided: its finalization goes with the proposal.
    parent = sizes.certificate("end", net.quorum, slot=ONE)
    return _cost(
        (net.links, signed(sizes.value(slot=ONE), parent)),
        (2 * net.to_all, VIEW_VOTE),
        signatures=1 + 2 * net.up,
        delays=3,
    )


def _simplex_dummy(net: Net) -> Cost:
    """Everybody votes for the dummy block and passes its notarization on.

    A dummy vote that comes after the quorum is answered: with that, and with what was decided.
    """
    dummy = sizes.bare(sizes.certificate("end", net.quorum, slot=ONE, said=0))
    finalization = sizes.bare(sizes.certificate("end", net.quorum, slot=ONE))
    ended = _cost(
        (net.to_all, signed(NUMBER)),
        (net.to_all + net.late, dummy),
        (net.late, finalization),
        signatures=net.up,
        delays=1,
        waits=1,
    )
    return ended + _simplex(net)


def _pbft(net: Net) -> Cost:
    return _cost(
        (net.links, signed(sizes.value(slot=TWO))),
        ((net.up - 1) * net.links, ROUND_VOTE),
        (net.to_all, ROUND_VOTE),
        signatures=2 * net.up,
        delays=3,
    )


def _pbft_view(net: Net) -> Cost:
    """Nothing was prepared: empty reports.  New-view and pre-prepare leave together."""
    asked = sizes.timeout_certificate("view-change", net.quorum, slot=ONE, said=sizes.DIGEST)
    report = sizes.row(NUMBER, sizes.array(0))
    reports = sizes.array(net.quorum) + net.quorum * report
    opened = _cost(
        (net.to_all, signed(NUMBER, NUMBER, sizes.array(0))),
        (net.links, signed(NUMBER, asked, reports, sizes.array(0))),
        signatures=net.up + 1,
        delays=1,
        waits=1,
    )
    return opened + _pbft(net)


# --- chains of certified values -------------------------------------------------------------------


def _chain(net: Net, views: int, extras: tuple[int, ...], *, payloads: int = 1) -> Cost:
    """A proposal and votes for each view, and one certificate more; `extras` are bytes of extra.

    Votes go to the next leader, whose own crosses no link.
    """
    qc = sizes.certificate("vote", net.quorum, slot=ONE)
    named = (payloads, *(0 for _ in extras[1:]))
    proposals = [
        (net.links, signed(sizes.value(slot=ONE, payloads=count, extra=extra), qc, NIL))
        for count, extra in zip(named, extras, strict=True)
    ]
    assert len(proposals) == views
    return _cost(
        *proposals,
        (views * (net.up - 1), VIEW_VOTE),
        (net.links, sizes.bare(qc)),
        signatures=views * (1 + net.up),
        delays=2 * views + 1,
    )


def _failed_views(net: Net, views: int) -> Cost:
    """Views in a row that end by timeouts.

    Everybody's timeout makes a certificate of timeouts (tc) everywhere, and everybody broadcasts
    that with the highest qc.  A timeout that comes after the quorum is answered with both.  From
    the second view on timeouts carry the tc that led there, and so does the proposal that follows.
    """
    qc, tc = sizes.certificate("vote", net.quorum, slot=ONE), _tc(net)
    cost = _cost(
        (net.to_all, signed(NUMBER, qc, NIL)),
        ((views - 1) * net.to_all, signed(NUMBER, qc, tc)),
        (views * (net.to_all + net.late), sizes.bare(qc)),
        (views * (net.to_all + net.late), sizes.bare(tc)),
        signatures=views * net.up,
        delays=2 * views - 1,  # The certificates travel while the next timer runs, or a proposal.
        waits=views,
    )
    return cost + Cost(0, net.links * (tc - NIL), 0, 0)


def _tc(net: Net) -> int:
    known = sizes.row(NUMBER, DIGEST_FIELD)
    return sizes.timeout_certificate("timeout", net.quorum, slot=ONE, said=known)


def _jolteon(net: Net) -> Cost:
    return _chain(net, 2, (0, 0))


def _jolteon_view(net: Net) -> Cost:
    return _failed_views(net, 1) + _jolteon(net)


def _jolteon_votes_lost(net: Net) -> Cost:
    """The votes go to who is down: so its own view fails, and the one before.

    Behind its timeout everybody sends its vote once more, to everyone.  With that the value is
    certified after all, when its view has ended: whoever is late with a timeout hears of that qc,
    with which the next view begins and fails.  Two more in a row decide the value with their first.
    """
    qc = sizes.certificate("vote", net.quorum, slot=ONE)
    lost = _cost(
        (net.links, signed(sizes.value(slot=ONE), qc, NIL)),
        (net.up + net.to_all, VIEW_VOTE),
        (net.to_all, signed(NUMBER, qc, NIL)),
        (net.to_all + net.late, sizes.bare(qc)),
        (net.to_all, sizes.bare(_tc(net))),
        signatures=1 + 2 * net.up,
        delays=3,  # Of the votes to who is down nobody who is up knows.
        waits=1,
    )
    return lost + _failed_views(net, 1) + _chain(net, 2, (0, 0), payloads=0)


def _hotstuff(net: Net) -> Cost:
    # A value names the signers of its parent's qc, and of the values before it f - 1 authors: the
    # second payload's value is the fourth of its chain, so there are not more than that.
    authors = [min(net.faults - 1, depth) for depth in (3, 4, 5)]
    extras = tuple(sizes.row(_numbers(net.quorum), _numbers(count)) for count in authors)
    return _chain(net, 3, extras)


def _hotstuff_turn(net: Net) -> Cost:
    """`reputation` reads what was decided four views ago: it has the next view led by the same."""
    return _failed_views(net, 2) + _hotstuff(net)


def _numbers(count: int) -> int:
    return sizes.array(count) + count * NUMBER


# --- Streamlet ------------------------------------------------------------------------------------

EPOCH = 5
"""Bytes of an epoch's number: seconds since 1970."""


def _streamlet_epoch(net: Net, payloads: int) -> Cost:
    slot = sizes.slot(1, EPOCH)
    parent = sizes.certificate("vote", net.quorum, slot=slot)
    return _cost(
        (net.links, signed(sizes.value(slot=slot, payloads=payloads), parent)),
        (net.to_all, signed(EPOCH, DIGEST_FIELD)),
        signatures=1 + net.up,
        delays=2,
    )


NEXT_EPOCH = Cost(0, 0, 0, 0, waits=1)


def _streamlet(net: Net) -> Cost:
    """The block before was of the epoch before: this one is the second of three in a row."""
    return _streamlet_epoch(net, 1) + NEXT_EPOCH + _streamlet_epoch(net, 0)


def _streamlet_gap(net: Net) -> Cost:
    """After an epoch without a block three have to follow in a row, led by others."""
    return NEXT_EPOCH + _streamlet(net) + NEXT_EPOCH + _streamlet_epoch(net, 0)


# --- Mysticeti ------------------------------------------------------------------------------------


def _block(parents: int, payloads: int) -> int:
    """A block that refers to so many of the round before, or of earlier ones."""
    references = sizes.array(parents) + parents * sizes.row(NUMBER, NUMBER, DIGEST_FIELD)
    extra = sizes.row(NUMBER, references)
    return signed(sizes.value(slot=ONE, payloads=payloads, extra=extra))


def _mysticeti(net: Net) -> Cost:
    # Who fell silent is referred to by its last block, until that is in a decided sub-DAG: by then
    # two rounds have passed where it led the round before.
    return _cost(
        (net.to_all, _block(net.n, 1)),
        (net.to_all, _block(net.n, 0)),
        (net.to_all, _block(net.up, 0)),
        signatures=3 * net.up,
        delays=3,
    )


def _mysticeti_skip(net: Net) -> Cost:
    """The timer sends the last block again and ends the wait for the leader's.

    The next leader's round then takes three rounds, and brings the blocks of this one along.
    """
    return _cost(
        (2 * net.to_all, _block(net.n, 1)),
        (3 * net.to_all, _block(net.n, 0)),
        signatures=4 * net.up,
        delays=4,
        waits=1,
    )


PREDICTED: dict[str, Prediction] = {
    "solo": Prediction("L values", _solo, None),
    "raft": Prediction("L appends, L acceptances, L certificates", _raft, _raft_election),
    "tendermint": Prediction(
        "L proposals, nL prevotes, nL precommits", _tendermint, _tendermint_round
    ),
    "simplex": Prediction("L proposals, nL votes, nL finalize messages", _simplex, _simplex_dummy),
    "jolteon": Prediction(
        "2L proposals, 2L votes, L certificates", _jolteon, _jolteon_view, _jolteon_votes_lost
    ),
    "hotstuff": Prediction("3L proposals, 3L votes, L certificates", _hotstuff, _hotstuff_turn),
    "mysticeti": Prediction("3nL blocks: three rounds of one of each", _mysticeti, _mysticeti_skip),
    "pbft": Prediction("L pre-prepares, (n - 1)L prepares, nL commits", _pbft, _pbft_view),
    "streamlet": Prediction("2L proposals, 2nL votes", _streamlet, _streamlet_gap),
}
"""By name of the protocol; one by a third party has none, and is counted all the same."""
