"""A Tendermint validator alone, under a leader policy, over drawn histories and proposals.

Some instances are decided, in the first round or behind it; perhaps the validator starts again, or
takes over the last one by its certificate, or one has led for long and left a batch out.  Then
somebody proposes.  Who leads is told here by a rule of its own: whose value was decided last, and
turns after a failure.  A value that an honest validator must refuse gets no prevote (P6).  A right
one gets it, a leader that is to be replaced does not, and while there is nothing to order nothing
is said (P10).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from random import Random
from typing import cast

from consensus.interface import Certified, Effect, Pending
from consensus.leaders import Reputation
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import NIL, NO_ROUND, PREVOTE, Prevote, Proposal
from ledger.certificate import Certificate
from ledger.encoding import encode
from ledger.value import Value
from tests.consensus.jolteon_bench import BLANK
from tests.consensus.tendermint_bench import Bench, commit_of, root_of, said_in, value_of
from tests.zoo.leader_rows import LEADERS
from tests.zoo.model import Mutant, Verdict, judge

ME = 0
NODES = 4
LONG = 33
"""Heights of one leader after which, and of a batch's age, from which on it is to be replaced."""
NOBODY = encode(((), ()))
"""What a value says under `reputation` whose commit is not shown."""


def fits(mutant: Mutant) -> bool:
    """Whether it is about who leads a Tendermint round."""
    return mutant in LEADERS and mutant.protocol == Tendermint.name


def attempt(mutant: Mutant, number: int) -> tuple[Verdict, int]:
    """One history, and one proposal."""
    return judge(mutant, partial(broken, number=number), f"leads {number}"), 1


def broken(protocol: type, number: int) -> tuple[str, ...]:
    """The properties that a validator breaks over the history of this number."""
    draw = Random(f"leads {number}")
    story = _Story(cast("type[Tendermint]", protocol), draw)
    if not story.live():
        return ("P10",)
    return story.judge_proposal()


class _Story:
    """The validator, and what is known of it from outside."""

    def __init__(self, protocol: type[Tendermint], draw: Random) -> None:
        self.protocol, self.draw = protocol, draw
        self.bench = Bench(protocol, ME)
        self.last: Value | None = None
        """What was decided last."""
        self.is_known = True
        """Whether the validator has it, and not its digest alone."""
        self.has_left = False
        """Whether it had to leave the first round of whoever leads again."""
        self.is_long = False
        """Whether one has led for long, and a batch waits."""

    @property
    def is_told(self) -> bool:
        """Whether values say something for the policy."""
        return issubclass(self.protocol.LEADERS, Reputation)

    @property
    def instance(self) -> int:
        return self.last.slot[0] + 1 if self.last else 1

    def leader(self, round_: int) -> int | None:
        """Who leads a round of the instance, of which nobody was drawn: values name no signers."""
        turn = (self.instance + round_) % NODES
        if self.last is None or (self.is_told and self.is_known) or round_ > 1:
            return turn
        if not self.is_known:
            return None
        if round_ == 0:
            return self.last.proposer
        return (turn + 1) % NODES if turn == self.last.proposer else turn

    # --- what was decided -------------------------------------------------------------------------

    def live(self) -> bool:
        """Let some instances pass; whether nothing is said while there is nothing to order."""
        draw = self.draw
        author = draw.randrange(1, NODES)
        self.is_long = not self.is_told and draw.random() < 0.3
        for number in range(LONG + 1 if self.is_long else draw.randrange(4)):
            if not self.is_long or number == 0:
                author = draw.randrange(NODES)
            if self.is_long and number == LONG and draw.random() < 0.5:
                self.bench.take(Pending(LONG))
            if not self._decide(author):
                return False
        if self.last is not None and draw.random() < 0.3:
            record = self.bench.record if self._has_record() else None
            self.bench = Bench(self.protocol, ME, root=root_of(self.last), record=record)
            self.has_left = self.is_long = False
        elif not self.is_told and not self.is_long and draw.random() < 0.3:
            self.last = value_of(self.instance, draw.randrange(NODES))
            self.bench.take(Certified(root_of(self.last)))
            self.is_known, self.has_left = False, False
        return True

    def _has_record(self) -> bool:
        return self.bench.plugin.leadership.reads_decided(self.instance)

    def _decide(self, author: int) -> bool:
        """Decide one more value; whether nothing is said upon it."""
        draw = self.draw
        value = value_of(self.instance, author, extra=NOBODY if self.is_told else b"")
        leader = self.leader(0)
        self.has_left = not self.is_long and leader != ME and draw.random() < 0.3
        if self.has_left:
            self._go_to(1)
        before = len(self.bench.effects)
        self.bench.decide(value, round_=draw.choice((0, 0, 1, 2)))
        self.last = value
        self.has_left = self.has_left and leader == author
        return not said_in(self.bench.effects[before:], Prevote)

    def _go_to(self, round_: int) -> None:
        """Two others speak of a later round."""
        for sender in (1, 2):
            self.bench.hear(sender, Prevote(self.instance, round_, NIL))

    # --- what is proposed -------------------------------------------------------------------------

    def judge_proposal(self) -> tuple[str, ...]:
        """Let somebody propose, rightly or not; the properties that the answer breaks."""
        draw = self.draw
        round_ = draw.choice((0, 0, 1, 2, 3))
        leader = self.leader(round_)
        is_distrusted = round_ == 0 and not self.is_told and (self.has_left or self.is_long)
        if leader == ME:
            return ()
        if round_:
            self._go_to(round_)
        said = self.bench.take(Pending(LONG if self.is_long else 0))
        if is_distrusted:
            return () if _told(said) == [NIL] else ("P10",)
        sender = draw.randrange(1, NODES) if leader is None else leader
        proposal = self._right(sender, round_)
        if proposal.valid_round == NO_ROUND and self.is_known and draw.random() < 0.5:
            wrong = self._wrong(proposal)
            return ("P6",) if wrong.value.digest in _told(self.bench.hear(sender, wrong)) else ()
        answer = _told(said + self.bench.hear(sender, proposal))
        return () if answer == [proposal.value.digest] else ("P10",)

    def _right(self, sender: int, round_: int) -> Proposal:
        """A fresh value as it must be, or one of the first round again."""
        draw, instance = self.draw, self.instance
        first = self.leader(0)
        if round_ and draw.random() < 0.5:
            author = draw.randrange(1, NODES) if first is None else first
            again = value_of(instance, author, extra=NOBODY if self.is_told else b"")
            signers = tuple((index, BLANK) for index in (1, 2, 3))
            polka = Certificate(PREVOTE, (instance, 0), again.digest, signers)
            return Proposal(again, round_, 0, polka)
        value = value_of(instance, sender, round_=round_, extra=NOBODY if self.is_told else b"")
        if not self.is_told or self.last is None or draw.random() < 0.3:
            return Proposal(value, round_, NO_ROUND, None)
        signers_of = tuple(sorted(draw.sample(range(NODES), 3)))
        named = replace(value, extra=encode((signers_of, ())))
        return Proposal(named, round_, NO_ROUND, commit_of(self.last, signers=signers_of))

    def _wrong(self, right: Proposal) -> Proposal:
        """The same with one thing changed that it says of its proposer or for the policy."""
        draw, value = self.draw, right.value
        if draw.random() < 0.4:
            others = [index for index in range(NODES) if index != value.proposer]
            return replace(right, value=replace(value, proposer=draw.choice(others)))
        if not self.is_told:
            return replace(right, value=replace(value, extra=draw.choice((b"\x01", NOBODY))))
        signers = tuple(index for index in range(NODES) if draw.random() < 0.5)
        lie = encode((signers, ()))
        return replace(right, value=replace(value, extra=lie if lie != value.extra else b"\x01"))


def _told(effects: list[Effect]) -> list[bytes]:
    """What is prevoted."""
    return [prevote.value for prevote in said_in(effects, Prevote)]
