"""Raft: an elected leader writes everybody's log.  For crash faults only: one liar breaks it.

Source: Ongaro, "Consensus: Bridging Theory and Practice" (PhD dissertation, Stanford 2014), figure
3.1 and section 3.6, and its formal specification raft.tla, whose actions stand at the rules.  A
quorum is a majority.

    Upon the election timer:          Timeout         term + 1; ask everybody for a vote
    Upon a request of this term:      RequestVote     vote for the candidate, if we voted for nobody
                                                      else in it and its log is not behind ours
    Upon votes of a quorum:           BecomeLeader    lead this term
    Upon work, as the leader:         ClientRequest   append one entry to the log, tell everybody
    Upon an entry of this term:       AppendEntries   fetch what is missing before it, drop what
                                                      contradicts it, store it, say so
    Upon acceptances of a quorum:     AdvanceCommit   decide this entry and all before it
    Upon anything of a later term:    UpdateTerm      follow in that term
    Upon the leader's timer:          (section 6.2)   no quorum accepted its entry: lead no longer

Commit rule: `may_commit`: a quorum accepted an entry in the term in which it was made.  An entry of
    an earlier term is decided with a later one only, whoever has it (section 3.6.2, figure 3.7).
Durable: the vote and every acceptance, by the replica; with an acceptance the undecided entries up
    to it.  A term that was seen without a promise may be forgotten: it promised nothing.
Liveness: the timers are drawn anew for every term from a range that doubles with every term since
    the last decision, so that in the end one candidate is alone for long enough.  Requests and
    entries are sent again until something comes of them.
Deviations:
* Texts followed: raft.tla (2014, with the corrections in its change log), and raft.go of etcd-io.
* What cannot be seen in crash-only networks is not looked for: nobody asks why a leader leads.
* Entries are chained by digest.  Where AppendEntries names the entry before by index and term, this
  one names it by digest, and who lacks it fetches it, rather than let the leader count back.
* Acceptances are signed, so that a quorum of them is a certificate which convinces whoever missed
  the decision; the leader sends it where Raft sends its commit index.
* An entry of an earlier term is not sent again by itself: the new leader's first entry, empty if
  need be (section 6.4), brings it along.  So nothing is ever accepted but in its own term.
* One entry of the own term is under way at a time, as large as there is work.
* An idle ledger is quiet: heartbeats are sent and election timers run only while something waits.
* A leader's own log has its entry once another one has (section 10.2.1 lets it be late).
* A leader steps down where its entry, rather than its heartbeats, finds no quorum in time: servers
  that are up and refuse its entry (its clock was wrong) would otherwise follow it for ever.
* No PreVote, no leadership transfer, no membership change (chapters 4 and 9).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar

from consensus.interface import (
    AnyCertificate,
    DecisionProof,
    Message,
    Root,
    Signed,
    Timer,
)
from consensus.protocols.raft_messages import (
    ACCEPT,
    APPEND,
    REQUEST,
    VOTE,
    Accept,
    Append,
    RequestVote,
    Vote,
    encode_hint,
    parse_hint,
)
from consensus.protocols.raft_record import Record
from consensus.protocols.raft_state import PATIENCE, Role, Server
from ledger.certificate import Certificate
from ledger.errors import DecodeFault
from ledger.statement import Slot
from ledger.validators import ValidatorSet
from ledger.value import Value


class Raft(Server):
    """Slot of a value, an entry of the log = (term, index); of a vote = (term,)."""

    name = "raft"
    fault_model = "crash"
    MESSAGES: ClassVar[tuple[type[Message], ...]] = (RequestVote, Vote, Append, Accept)
    PARAMETERS: ClassVar[Mapping[str, int]] = {
        "election_ms": 600,
        "election_max_ms": 8_000,
        "heartbeat_ms": 200,
    }

    @classmethod
    def recovery_bound_ms(
        cls,
        parameters: Mapping[str, int],
        validators: ValidatorSet,
        *,
        delay_ms: int,
        chaos_ms: int,
    ) -> int:
        # A timer that runs when the chaos ends is a leader's at most.  Terms without a leader then
        # double their timers past what an election and an entry take: two round trips and what is
        # fetched.  From there on two candidates stand in each other's way only where their timers,
        # drawn from a range as long as the shortest, end within a message's time of each other; and
        # a leader whose entries are refused leads again only where its timer ends first.  Eight
        # terms in a row all but exclude it; each takes an election and a leader's patience.
        longest_ms = max(parameters["election_max_ms"], 12 * delay_ms)
        term_ms = min(parameters["election_ms"] + 2 * chaos_ms, longest_ms)
        bound_ms = PATIENCE * term_ms + 6 * delay_ms
        for _ in range(8 + validators.faults):
            term_ms = min(2 * term_ms, longest_ms)
            bound_ms += (2 + PATIENCE) * term_ms + delay_ms
        return bound_ms

    # --- the rules --------------------------------------------------------------------------------

    def may_vote(self, request: RequestVote, candidate: int) -> bool:
        """RequestVote: of this term, nobody else has our vote, and its log is not behind ours."""
        voted = self.said(VOTE, (self.term,))
        is_free = voted is None or (isinstance(voted, Vote) and voted.candidate == candidate)
        return request.term == self.term and is_free and self.is_up_to_date(request.last)

    def is_up_to_date(self, last: Slot) -> bool:
        """Whether a log that ends there is not behind ours: a later term wins, then the length."""
        return last >= self.last

    def is_elected(self) -> bool:
        """BecomeLeader: votes of a quorum for us, in this term."""
        mine = (self.me or 0).to_bytes(2, "big")
        votes = self.tally.count(VOTE, (self.term,), mine)
        return self.role is Role.CANDIDATE and votes >= self.validators.quorum

    def may_accept(self, value: Value) -> bool:
        """AppendEntries: an entry of this term, which goes on where a log can end."""
        below = self.tree.slot_of(value.parent)
        index = 0 if below is None or below == (0,) else below[1]
        return below is not None and value.slot == (self.term, index + 1)

    def is_further(self, value: Value) -> bool:
        """AppendEntries: an entry of the term that ends the log, and comes late, cuts nothing off.

        Whoever accepts an entry has those before it, perhaps without having been offered them.
        """
        term, index = self.last
        return value.slot[0] != term or value.slot[1] > index

    def is_welcome(self, value: Value) -> bool:
        """Whether the own entry is in another log already, or nobody else is needed.

        Not before that does it go into the leader's own: one that all others refuse, since its
        clock was wrong, would keep that log ahead of theirs, and whoever has it would have to lead.
        """
        accepted = self.tally.count(ACCEPT, value.slot, value.digest)
        return value.proposer != self.me or accepted > 0 or self.validators.quorum == 1

    def may_commit(self, value: Value, certificate: Certificate) -> bool:
        """AdvanceCommitIndex: a quorum has accepted the entry, in the term that made it."""
        said = (certificate.phase, certificate.slot, certificate.value)
        return said == (ACCEPT, value.slot, value.digest)

    # --- events -----------------------------------------------------------------------------------

    def on_start(self) -> None:
        # Restart: whatever this server was, it follows now.
        self._act()

    def on_pending(self, oldest_age: int) -> None:
        self.pending = self._woken = True
        self._act()

    def on_payload(self, slot: Slot, payload: tuple[bytes, ...]) -> None:
        if not payload:
            self.pending = self._woken
        is_mine = self.role is Role.LEADER and slot == self._next_slot() and self._requested
        self._requested = False
        if is_mine and (payload or self._awaits_decision()) and self.said(APPEND, slot) is None:
            # ClientRequest
            assert self.me is not None
            epoch, time_ms = self.context.epoch, self.now.wall_ms
            value = Value(epoch, self.tip, slot, self.me, time_ms, payload)
            self.note("proposed", term=self.term, index=slot[1], value=value.digest)
            self.broadcast(Append(value))
        self._act()

    def on_verdict(self, value: Value, valid: bool) -> None:
        self.tree.judge(value.digest, valid)
        self._act()

    def on_value(self, value: Value) -> None:
        if self._is_entry(value):
            self.tree.add(value)
        self._act()

    def on_message(self, signed: Signed) -> None:
        message, sender = signed.message, signed.sender
        assert isinstance(message, RequestVote | Vote | Append | Accept)
        if message.term > self.term:
            self._update_term(message.term)
        if message.term < self.term:
            if isinstance(message, RequestVote | Append):
                self._refuse(sender)
        elif isinstance(message, RequestVote):
            self._on_request(sender, message)
        elif isinstance(message, Append):
            self._on_append(signed, message)
        else:
            self._count(signed)
        self._act()

    def on_certificate(self, certificate: AnyCertificate) -> None:
        if isinstance(certificate, Certificate) and certificate.phase == ACCEPT:
            self._learn_commit(certificate)
        self._act()

    def on_decision(self, values: tuple[Value, ...], proof: DecisionProof) -> None:
        if not self._proves(values, proof):
            self.note("refused", reason="raft.decision", phase=ACCEPT)
            return
        fresh = tuple(value for value in values if value.slot > self.root.slot)
        if fresh and fresh[0].parent == self.root.value:
            self._decide(fresh, proof.certificates[0])
        self._act()

    def on_certified(self, root: Root) -> None:
        if root.slot > self.root.slot:
            self.adopt(root)
            self._root_moved()
        if len(root.slot) == 2:
            term, index = root.slot
            for phase in (REQUEST, VOTE):
                self.settle(phase, (term,))
            for phase in (APPEND, ACCEPT):
                self.settle(phase, (term, index + 1))
        self._act()

    def on_hint(self, peer: int, hint: bytes) -> None:
        try:
            term, leads = parse_hint(hint)
        except DecodeFault:
            return
        if self.term < term <= self.term + self.context.slot_window:
            self._update_term(term)
        if leads and term == self.term and self.role is not Role.LEADER:
            self._follow(peer)
        self._act()

    def on_timer(self, timer: Timer) -> None:
        if self._timers.get(timer.name) != timer.slot:
            return
        del self._timers[timer.name]
        self.tree.ask_again()
        if timer.name == "election":
            self._stand()
        elif timer.name == "lead":
            self._step_down()
        else:
            self._say_again()
        self._act()

    # --- elections --------------------------------------------------------------------------------

    def _stand(self) -> None:
        # Timeout
        self._update_term(self.term + 1)
        self.role = Role.CANDIDATE
        self.note("entered", term=self.term)
        self.broadcast(RequestVote(self.term, self.last))

    def _update_term(self, term: int) -> None:
        # UpdateTerm
        self.term = term
        self.role, self.leading = Role.FOLLOWER, None
        self._offered, self._requested = None, False
        self.tally.forget_below((term,))
        self._stop("retry")
        self._stop("lead")

    def _step_down(self) -> None:
        """Section 6.2: a leader without a quorum makes way, in its own term."""
        self.note("stepped-down", term=self.term)
        self.role, self.leading = Role.FOLLOWER, None
        self._stop("retry")

    def _on_request(self, sender: int, request: RequestVote) -> None:
        if self.me is None:
            return
        if self.commit is not None and request.last <= self.commit.slot and sender != self.me:
            self.send(sender, self.commit)  # It may not know that its last entry is decided.
        if self.may_vote(request, sender):
            if self.said(VOTE, (self.term,)) is None:
                self._stop("election")  # It runs anew: once, however often we are asked.
            self.send(sender, Vote(self.term, sender))

    def _follow(self, leader: int) -> None:
        """The leader of this term was heard."""
        if self.role is Role.CANDIDATE:
            self._stop("retry")
        if self.role is not Role.LEADER:
            self.role = Role.FOLLOWER
            self._stop("election")  # It runs anew.
        self.leading = leader

    def _refuse(self, sender: int) -> None:
        """Its term is over."""
        if self.me is not None and sender != self.me:
            self.tell(sender, encode_hint(self.term, leads=False))

    # --- the log ----------------------------------------------------------------------------------

    def _on_append(self, signed: Signed, append: Append) -> None:
        value = append.value
        if value.proposer != signed.sender or not self._is_entry(value):
            self.note("refused", reason="raft.proposer", phase=APPEND)
            return
        self._follow(signed.sender)
        if value.slot <= self.root.slot:
            if self.commit is not None and self.me not in (None, signed.sender):
                self.send(signed.sender, self.commit)
            return
        self._count(signed)
        if self.tree.offer(value):
            self._offered = value
            accepted = self.said(ACCEPT, value.slot)
            if accepted is not None:
                self.send(signed.sender, accepted)

    def _try_accept(self) -> None:
        """AppendEntries: the log ends in this entry now, and what contradicts it is gone."""
        value = self._offered
        if value is None or self.said(ACCEPT, value.slot) is not None:
            return
        is_next = self.may_accept(value) and self.is_further(value) and self.is_welcome(value)
        if is_next and self.tree.is_valid(value.digest):
            self.tip = value.digest
            self.persist(Record(self.term, self.tree.known(self.tip)).encode())
            self.note("voted", term=self.term, index=value.slot[1], value=value.digest)
            self.send(value.proposer, Accept(self.term, value.slot[1], value.digest))

    def _count(self, signed: Signed) -> None:
        earlier = self.tally.add(signed)
        if earlier is not None:
            self.accuse(earlier, signed)
        if isinstance(signed.message, Vote) and self.is_elected():
            # BecomeLeader
            self.role, self.leading = Role.LEADER, self.me
            self._stop("election")
            self.note("elected", term=self.term)
        elif isinstance(signed.message, Accept):
            quorum = self.certificate_quorum(ACCEPT, self.validators)
            _, slot, digest = signed.message.statement()
            certificate = self.tally.certificate(ACCEPT, slot, digest, quorum)
            if certificate is not None and slot > self.root.slot:
                self._learn_commit(certificate)
                self.broadcast(certificate)

    # --- decisions --------------------------------------------------------------------------------

    def _learn_commit(self, certificate: Certificate) -> None:
        is_new = self.commit is None or certificate.slot > self.commit.slot
        if len(certificate.slot) == 2 and certificate.slot > self.root.slot and is_new:
            self.commit = certificate

    def _try_commit(self) -> None:
        """AdvanceCommitIndex."""
        value = self.tree.get(self.commit.value) if self.commit is not None else None
        path = self.tree.path(value.digest) if value is not None else None
        if self.commit is not None and path and self.may_commit(path[-1], self.commit):
            self._decide(path, self.commit)

    def _decide(self, values: tuple[Value, ...], certificate: Certificate) -> None:
        self.decide(values, DecisionProof((certificate,)))
        if self.commit is None or certificate.slot > self.commit.slot:
            self.commit = certificate
        self._root_moved()

    def _root_moved(self) -> None:
        self.tree.move(self.root)
        self.tally.forget_below(self.root.slot)
        if self.tree.path(self.tip) is None:
            self.tip = self.root.value
        if self._offered is not None and self._offered.slot <= self.root.slot:
            self._offered = None
        if self.root.slot[0] > self.term:
            self._update_term(self.root.slot[0])
        self._stop_all()
        self.pending = self._requested = False  # The replica says so where something is left.

    def _proves(self, values: tuple[Value, ...], proof: DecisionProof) -> bool:
        """Whether a peer's decision is a chain whose last entry a quorum accepted."""
        if len(proof.certificates) != 1 or proof.values or not values:
            return False
        entries = all(self._is_entry(value) for value in values)
        linked = all(
            later.parent == earlier.digest and later.slot > earlier.slot
            for earlier, later in pairwise(values)
        )
        return entries and linked and self.may_commit(values[-1], proof.certificates[0])

    # --- what follows from what is known ----------------------------------------------------------

    def _act(self) -> None:
        """Do all that the state allows; doing it twice changes nothing."""
        self._try_commit()
        for tip in self._tips():
            missing = self.tree.to_fetch(tip)
            if missing is not None:
                self.fetch(missing)
        if self.me is None:
            return
        for tip in (self.tip, *self._tips()):  # After a restart the own log is judged again.
            value = self.tree.to_validate(tip)
            if value is not None:
                self.validate(value)
        self._try_accept()
        self._try_lead()
        self._keep_time()

    def _try_lead(self) -> None:
        """Ask for the next entry, unless one is under way."""
        is_free = self._under_way() is None and not self._requested
        if self.role is Role.LEADER and is_free and self._has_work():
            self._requested, self._woken = True, False
            self.request_payload(self._next_slot(), self.tip)

    def _say_again(self) -> None:
        """The entry under way, or the request for votes; a leader with neither still leads."""
        if self.role is Role.CANDIDATE:
            request = self.said(REQUEST, (self.term,))
            assert request is not None, "a candidate has asked"
            self.broadcast(request)
        elif self.role is Role.LEADER:
            if self.commit is not None:
                self.broadcast(self.commit)
            entry = self._under_way()
            if entry is not None:
                self.broadcast(entry)
            for other in self.validators.others(self.me):
                self.tell(other, encode_hint(self.term, leads=True))
