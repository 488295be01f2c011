"""Views that end by a certificate: what Jolteon and HotStuff share, all but the rules of safety.

    b0 <- qc0 b1 <- qc1 b2          one value a view, each certifies its parent; slot = (view,)

Upon entering a view as its leader: propose a value that extends the highest qc, with the tc of the
    view before where that qc is older.
Upon a valid proposal of the current view by its leader: vote, if the protocol's rule allows it, to
    the leader of the next view.
Upon a quorum of votes: form a qc.
How views end is in consensus/views.py.

A value says in `extra` what the leader policy reads of it later.  Where a policy does not know who
leads, as after catching up, this validator votes for whoever proposes first, and tells everyone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from consensus.chained import NO_VIEW
from consensus.interface import (
    AnyCertificate,
    Context,
    DecisionProof,
    Message,
    Recovery,
    Root,
    Signed,
    Timer,
)
from consensus.leaders import Decided
from consensus.pacemaker_messages import (
    PROPOSAL,
    TIMEOUT,
    VOTE,
    Proposal,
    Timeout,
    Vote,
    check_certificate,
    qc_view,
)
from consensus.tree import VALUES_A_SLOT
from consensus.views import VIEWS_KEPT, Views
from ledger.certificate import Certificate, TimeoutCertificate
from ledger.errors import DecodeFault
from ledger.statement import Slot
from ledger.value import Value


class Paced(Views):
    """One validator, or an observer, of one epoch."""

    MESSAGES: ClassVar[tuple[type[Message], ...]] = (Proposal, Vote, Timeout)
    PARAMETERS: ClassVar[Mapping[str, int]] = {"timeout_ms": 1_000, "timeout_max_ms": 8_000}

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self._heard: list[Signed] = []
        """Proposals of the current view, two of a sender at most."""
        self._candidates: dict[bytes, Proposal] = {}
        """The proposals of the current view by value digest, oldest first."""
        self._requested: tuple[Certificate | None, TimeoutCertificate | None] | None = None
        """What the proposal will extend whose payload was asked for."""
        self._announced = 0
        """The last view in which we had nothing to propose and said so."""

    # --- events -----------------------------------------------------------------------------------

    def on_start(self) -> None:
        slot = (self.view,)
        proposal, vote, timeout = (self.said(each, slot) for each in (PROPOSAL, VOTE, TIMEOUT))
        if proposal is not None:
            self.broadcast(proposal)
        if isinstance(vote, Vote):
            self.say_vote(vote)
        if timeout is not None:
            self.broadcast(timeout)
        self.act()

    def on_message(self, signed: Signed) -> None:
        message = signed.message
        if isinstance(message, Proposal):
            self._on_proposal(signed, message)
        elif isinstance(message, Vote):
            self._on_vote(signed, message)
        elif isinstance(message, Timeout):
            self._on_timeout(signed, message)
        self.act()

    def on_certificate(self, certificate: AnyCertificate) -> None:
        try:
            check_certificate(certificate)
        except DecodeFault as fault:
            # A liar's entry between honest ones makes a tc with right signatures that says nothing.
            self.note("refused", reason=fault.reason, phase=certificate.phase)
            return
        if isinstance(certificate, Certificate):
            self._process_qc(certificate)
        else:
            self._process_tc(certificate)
        self.act()

    def on_timer(self, timer: Timer) -> None:
        if self.has_fired(timer.slot):
            if self.pending and self._requested is None:
                self.ask_payload(NO_VIEW, self.root.value)
            self._time_out()
        self.act()

    def on_payload(self, slot: Slot, payload: tuple[bytes, ...]) -> None:
        if slot == NO_VIEW and not payload:
            self.found_nothing()
        if slot != (self.view,) or self._requested is None:
            self.act()
            return
        (qc, tc), self._requested = self._requested, None
        if not payload and not self.awaits_decision():
            self.found_nothing()
        elif self.me is not None and self.safety.is_unvoted(self.view):
            parent = qc.value if qc is not None else self.root.value
            epoch, time_ms = self.context.epoch, self.now.wall_ms
            extra = self.leadership.extra(self._decided(parent), qc)
            value = Value(epoch, parent, slot, self.me, time_ms, payload, extra)
            self.note("proposed", view=self.view, value=value.digest)
            self.broadcast(Proposal(value, qc, tc))
        self.act()

    def on_verdict(self, value: Value, valid: bool) -> None:
        self.tree.judge(value.digest, valid)
        self.act()

    def on_value(self, value: Value) -> None:
        if value.epoch == self.context.epoch and len(value.slot) == 1:
            self.tree.add(value)
            if self.safety.high_qc is not None:
                self.update(self.safety.high_qc)
                self._commit(self.safety.high_qc)
        self.act()

    def on_decision(self, values: tuple[Value, ...], proof: DecisionProof) -> None:
        if not self.safety.proves(values, proof, self.context.epoch):
            self.note("refused", reason="paced.decision", phase=VOTE)
            return
        fresh = tuple(value for value in values if value.slot > self.root.slot)
        for value in proof.values:
            self.tree.offer(value)
        if fresh and fresh[0].parent == self.root.value:
            self._decide(fresh, proof)
        self._process_qc(proof.certificates[0])
        self.act()

    def on_certified(self, root: Root) -> None:
        if root.slot > self.root.slot:
            self.adopt(root)
            self.leadership.adopted(root)
            self._root_moved()
            if root.slot[0] >= self.view:
                self._enter(root.slot[0] + 1)
        for phase in (PROPOSAL, VOTE, TIMEOUT):
            self.settle(phase, root.slot)
        self.act()

    # --- steady state -----------------------------------------------------------------------------

    def _try_propose(self) -> None:
        """Propose once in a view, on the highest qc, if anybody may vote for it."""
        qc, tc = self.safety.high_qc, self.safety.entry_tc()
        leads = self._leader(self.view) == self.me and self.safety.is_unvoted(self.view)
        busy = self._requested is not None or self.said(PROPOSAL, (self.view,)) is not None
        if not leads or busy or not self.safety.may_propose(self.view, qc, tc):
            return
        parent = qc.value if qc is not None else self.root.value
        if self.tree.path(parent) is None:
            return
        if self.has_work():
            self._requested = (qc, tc)
            self.ask_payload((self.view,), parent)
        elif qc is not None and tc is None and self._announced < self.view:
            self._announced = self.view
            self.broadcast(qc)

    def _on_proposal(self, signed: Signed, proposal: Proposal) -> None:
        value = proposal.value
        if signed.sender != value.proposer or value.epoch != self.context.epoch:
            self.note("refused", reason="paced.proposer", phase=PROPOSAL)
            return
        self._process_qc(proposal.qc)
        if proposal.tc is not None:
            self._process_tc(proposal.tc)
        is_near = self.view - VIEWS_KEPT <= proposal.view <= self.view
        if not (self._is_above_root(proposal) and is_near):
            return  # Below the root, late, or of a view that no certificate leads to.
        if proposal.view == self.view:
            told = sum(1 for each in self._heard if each.sender == signed.sender)
            if told < VALUES_A_SLOT and signed not in self._heard:
                self._heard.append(signed)
        elif self._leader(proposal.view) == signed.sender:
            self.count(signed)
            self.tree.offer(value)

    def _hear_leader(self) -> None:
        """Take up the proposals of the current view that are its leader's, once it is known."""
        leader = self._leader(self.view)
        for signed in self._heard:
            proposal = signed.message
            assert isinstance(proposal, Proposal)
            is_new = proposal.value.digest not in self._candidates
            if is_new and leader in (None, signed.sender) and self._says_its_past(proposal):
                self.count(signed)
                if self.tree.offer(proposal.value):
                    self._candidates[proposal.value.digest] = proposal

    def _says_its_past(self, proposal: Proposal) -> bool:
        """Whether a value carries what the leader policy wants."""
        value = proposal.value
        if self.tree.slot_of(value.parent) is None:
            return True  # Yet to be fetched; it matters to later leaders only.
        return self.leadership.is_fitting(value.extra, self._decided(value.parent), proposal.qc)

    def _decided(self, digest: bytes) -> Decided:
        """What a policy reads of a value of the tree, or of the root."""
        return self.leadership.parent(self.tree.get(digest))

    @abstractmethod
    def may_vote(self, proposal: Proposal) -> bool:
        """Whether the protocol's rule allows a vote for a valid value."""

    def _try_vote(self) -> None:
        """Vote, to the next leader."""
        for digest, proposal in self._candidates.items():
            if self.tree.is_valid(digest) and self.may_vote(proposal):
                self.safety.voted(self.view)
                self._persist()
                self.note("voted", view=self.view, value=digest)
                self.say_vote(Vote(self.view, digest))

    def say_vote(self, vote: Vote) -> None:
        """Send a vote to the next leader, or to everyone where that is unknown."""
        leader = self._leader(vote.view + 1)
        if leader is None:
            self.broadcast(vote)
        else:
            self.send(leader, vote)

    def _on_vote(self, signed: Signed, vote: Vote) -> None:
        if not self.view - VIEWS_KEPT <= vote.view <= self.view + self.context.slot_window:
            return
        self.count(signed)
        quorum = self.certificate_quorum(VOTE, self.validators)
        qc = self.tally.certificate(VOTE, (vote.view,), vote.value, quorum)
        if qc is not None:
            self._process_qc(qc)

    def _process_qc(self, qc: Certificate | None) -> None:
        if qc is None:
            return
        self.update(qc)
        if qc_view(qc) >= self.view:
            self._enter(qc_view(qc) + 1)
        self._commit(qc)
        if self._unbacked is not None:
            self._process_tc(self._unbacked)

    def update(self, qc: Certificate) -> None:
        """Take note of a qc, perhaps once more since values arrived: locks, and what it decides."""
        if self.safety.keep(qc):
            self.note("locked", view=qc_view(qc), value=qc.value)

    def _commit(self, qc: Certificate) -> None:
        """Decide what a qc decides: the first of a chain that ends with the certified value."""
        chain: list[Value] = []
        digest = qc.value
        while len(chain) < self.safety.CHAIN:
            value = self.tree.get(digest)
            if value is None:
                return
            chain.insert(0, value)
            digest = value.parent
        if chain[-1].slot != qc.slot or not self.safety.may_commit(*chain):
            return
        path = self.tree.path(chain[0].digest)
        if path is not None:
            self._decide(path, DecisionProof((qc,), tuple(chain[1:])))

    def _decide(self, values: tuple[Value, ...], proof: DecisionProof) -> None:
        self.decide(values, proof)
        self.leadership.decided(values)
        self._root_moved()

    def _root_moved(self) -> None:
        self.tree.move(self.root)
        self.pending = False  # The replica says so where something is left.
        # A liar's proposal may have hung below the new root: nobody decides it, so nobody waits.
        self._heard = [each for each in self._heard if self._is_above_root(each.message)]
        self._candidates = {
            digest: each for digest, each in self._candidates.items() if self._is_above_root(each)
        }

    def _is_above_root(self, message: Message) -> bool:
        """Whether a proposal extends the root, or a value certified since."""
        assert isinstance(message, Proposal)
        return qc_view(message.qc) >= self.root.slot[0]

    # --- what follows from what is known ----------------------------------------------------------

    def act(self) -> None:
        self._hear_leader()
        self.fetch_missing()
        if self.me is not None:
            self.validate_next()
            self._try_vote()
            self._try_propose()
            self.keep_time()

    def _enter(self, view: int) -> None:
        self._candidates.clear()
        self._heard.clear()
        self._requested = None
        super()._enter(view)

    def has_work(self) -> bool:
        return self._requested is not None or super().has_work()

    def tips(self) -> list[bytes]:
        qc = self.safety.high_qc
        certified = [qc.value] if qc is not None and qc.slot > self.root.slot else []
        return [*self._candidates, *certified]
