"""PBFT's state, its conditions, and the words in which its rules are written.

The rules themselves stand in `pbft.py`, which is to be read first.  Each condition that safety or
liveness rests on is one small method here, so that a test can break exactly one.
"""

from __future__ import annotations

from collections.abc import Sequence

from consensus.answers import Answers
from consensus.interface import Consensus, Context, DecisionProof, Message, Recovery, Signed
from consensus.leaders import round_robin
from consensus.protocols.pbft_log import Changes, MessageLog
from consensus.protocols.pbft_messages import (
    COMMIT,
    NULL,
    PREPARE,
    VIEW_CHANGE,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    Report,
    ViewChange,
    is_request,
    null_value,
)
from consensus.protocols.pbft_record import VALUES_A_SEQUENCE, Record, parse_record
from consensus.tally import Tally
from ledger.certificate import Certificate
from ledger.statement import Slot
from ledger.value import Value

DOUBLINGS_MAX = 20
NOWHERE: Slot = (0,)
"""The slot of a request for payload that is not proposed, but shows whether there is any."""
VIEWS_AHEAD = 4
"""Later views whose pre-prepares are kept: they may overtake the new-view, and are large."""


class State(Consensus):
    """Where a validator stands, and what it may do from there."""

    def __init__(self, context: Context, recovery: Recovery) -> None:
        super().__init__(context, recovery)
        self.log = MessageLog(self.make_tally(), self.quorum)
        self.changes = Changes(self.certificate_quorum(VIEW_CHANGE, self.validators))
        self.view = 0
        """The last view that was entered."""
        self.asked = 0
        """The highest view that was asked for or entered: beyond `view`, nothing is voted for."""
        self.new_view: Signed | None = None
        """What opened the view."""
        self.offered: Signed | None = None
        """A new-view that waits until its base is decided here."""
        self.redo: dict[int, bytes] = {}
        """The paper's O: what the new-view assigned again, by sequence number."""
        self.redo_last = 0
        """The paper's max-s: beyond it the primary assigns what it likes."""
        self.prepared: dict[int, Certificate] = {}
        """Of each undecided number, the last that was prepared here."""
        self.voted: dict[int, dict[bytes, Value]] = {}
        """Undecided values that were voted for here, by number, the latest last."""
        self.decided: dict[int, Certificate] = {}
        """Why the last numbers were decided, for whoever still asks."""
        self.calm_view = self.root.slot[-1] if len(self.root.slot) == 2 else 0
        """The view in which something was decided last: timeouts grow from there."""
        self.height_at_entry = self.root.height
        self.pending = False
        """Whether there may be something to order."""
        self._woken = self._doubts = False
        self._assigned_ms = 0
        """When a number was assigned last."""
        self._requested: Slot | None = None
        """For which slot a payload is asked for."""
        self._verdicts: dict[bytes, bool | None] = {}
        self._fetched: dict[bytes, None] = {}
        self._late: dict[tuple[int, int, str], None] = {}
        """(sequence, sender, phase) of votes that came after the decision."""
        self._answers = Answers(self.parameters["retry_ms"] // 2)
        self._timers: dict[str, Slot] = {}
        self._recover(recovery)

    def _recover(self, recovery: Recovery) -> None:
        """Stand where the last promise was made."""
        if recovery.record is not None:
            record = parse_record(recovery.record)
            for proof in record.prepared:
                if proof.slot[0] > self.last:
                    self.prepared[proof.slot[0]] = proof
            for value in record.values:
                if value.slot[0] > self.last:
                    self.voted.setdefault(value.slot[0], {})[value.digest] = value
            if record.new_view is not None:
                self._open(record.new_view)
        for signed in recovery.sent:
            message = signed.message
            if isinstance(message, ViewChange):
                self.asked = max(self.asked, message.view)
                self.changes.add(signed)
            elif isinstance(message, NewView) and message.view > self.view:
                self.offered = signed
        for value in [each for ones in self.voted.values() for each in ones.values()]:
            if value.slot[1] == self.view and self._has_voted_for(value):
                self.log.propose(value)

    def _has_voted_for(self, value: Value) -> bool:
        said = self.said(PREPARE, value.slot)
        return said is not None and said.statement()[2] == value.digest

    def _open(self, new_view: Signed) -> None:
        """Stand in the view that a new-view opens."""
        message = new_view.message
        assert isinstance(message, NewView)
        self.view = message.view
        self.asked = max(self.asked, message.view)
        self.new_view = new_view
        chosen = self.choose(message.reports)
        self.redo = {n: claim[2] for n, claim in chosen.items() if n > self.last}
        self.redo_last = max([self.base_of(message.reports), *chosen])

    # --- the conditions that safety and liveness rest on ------------------------------------------

    @property
    def last(self) -> int:
        """The last sequence number decided here: the low water mark h."""
        return self.root.slot[0]

    @property
    def window(self) -> int:
        return self.parameters["window"]

    @property
    def is_changing(self) -> bool:
        """Whether this validator has left its view and waits for another."""
        return self.asked > self.view

    @property
    def quorum(self) -> int:
        """The paper's 2f+1."""
        return self.validators.quorum

    def make_tally(self) -> Tally:
        """What counts votes: distinct signers."""
        return Tally()

    def leader(self, slot: Slot) -> int:
        """Section 4: the primary of view v is validator v mod n.  The slot is (view,)."""
        return round_robin(self.validators.size, slot[0])

    def primary(self, view: int) -> int:
        return self.leader((view,))

    def is_in_window(self, sequence: int) -> bool:
        """Section 4.2: between the water marks h and H."""
        return self.last < sequence <= self.last + self.window

    def may_prepare(self, sequence: int) -> bool:
        """Section 4.2: in this view, between the water marks, once."""
        is_first = self.said(PREPARE, (sequence, self.view)) is None
        return is_first and not self.is_changing and self.is_in_window(sequence)

    def is_of_primary(self, sender: int, value: Value) -> bool:
        """Section 4.2: from the primary of its view, which is this one or soon will be."""
        view = value.slot[1]
        is_soon = self.view <= view <= self.view + VIEWS_AHEAD
        return is_soon and self.primary(view) == sender == value.proposer

    def may_accept(self, value: Value, before: bytes) -> bool:
        """Whether the primary may assign this: a fresh value on top of the one before."""
        is_fresh = value.slot == (value.slot[0], self.view) and value.slot[0] > self.redo_last
        return is_request(value) and is_fresh and value.parent == before

    def may_assign(self, sequence: int) -> bool:
        """Section 4.2: the primary of this view, between the water marks; 4.4: beyond max-s."""
        is_mine = self.primary(self.view) == self.me and not self.is_changing
        return is_mine and self.is_in_window(sequence) and sequence > self.redo_last

    def wait_ms(self, in_flight: int) -> int:
        """How long the primary lets a value fill up while others are in flight."""
        rest_ms = self._assigned_ms + self.parameters["spacing_ms"] - self.now.monotonic_ms
        return rest_ms if in_flight else 0

    def prepared_certificate(self, sequence: int) -> Certificate | None:
        """Section 4.2, prepared(m, v, n, i): a quorum's prepares of this view."""
        return self.log.proven(PREPARE, (sequence, self.view))

    def may_commit(self, sequence: int) -> bool:
        """Section 4.2: in this view, once."""
        is_first = self.said(COMMIT, (sequence, self.view)) is None
        return is_first and not self.is_changing and self.is_in_window(sequence)

    def find_commit(self, sequence: int) -> Certificate | None:
        """Section 4.2, committed: a quorum's commits of one view, whichever."""
        return self.log.commit(sequence)

    def amounts_to(self, sequence: int, value: Value | None, before: bytes) -> Value:
        """What a number means once the one before is known: a value that names another, nothing."""
        if value is not None and value.parent == before:
            return value
        return null_value(self.context.epoch, sequence, before)

    def is_commit(self, value: Value, proof: DecisionProof) -> bool:
        """The commit rule, for a decision of a peer."""
        if len(proof.certificates) != 1 or len(proof.values) > 1 or len(value.slot) != 2:
            return False
        certificate, sequence = proof.certificates[0], value.slot[0]
        voted = proof.values[0] if proof.values else None
        if certificate.phase != COMMIT or len(certificate.slot) != 2:
            return False
        if certificate.slot[0] != sequence or sequence < 1:
            return False
        if certificate.value == value.digest:
            return is_request(value) and voted is None
        if certificate.value != (voted.digest if voted is not None else NULL):
            return False
        is_void = voted is None or (voted.slot[:1] == (sequence,) and voted.parent != value.parent)
        return is_void and value == null_value(self.context.epoch, sequence, value.parent)

    def claims(self) -> tuple[Certificate, ...]:
        """Section 4.4, P: the proof of what was prepared here last, of each undecided number."""
        return tuple(proof for _, proof in sorted(self.prepared.items()))

    def is_usable(self, change: ViewChange) -> bool:
        """Section 4.4: a new view starts where its base is decided, and within the window of it.

        What a report names as decided is believed once it is decided here, too.
        """
        claims = change.report.claims
        is_near = all(sequence <= change.base + self.window for sequence, _, _ in claims)
        return change.base <= self.last and is_near

    def base_of(self, reports: Sequence[Report]) -> int:
        """Section 4.4, min-s: all up to this number is decided."""
        return max(report.base for report in reports)

    def choose(self, reports: Sequence[Report]) -> dict[int, tuple[int, int, bytes]]:
        """Section 4.4, O: for each number from min-s to max-s what was prepared in the highest
        view, null where nothing was."""
        base = self.base_of(reports)
        found: dict[int, tuple[int, int, bytes]] = {}
        for report in reports:
            for claim in report.claims:
                sequence = claim[0]
                if sequence > base:
                    found[sequence] = max(claim, found.get(sequence, claim))
        return {n: found.get(n, (n, -1, NULL)) for n in range(base + 1, max(found, default=0) + 1)}

    def is_proven(self, new_view: NewView) -> bool:
        """Section 4.4: O is what the primary should have computed, and every claim in it proven."""
        chosen = self.choose(new_view.reports).values()
        wanted = [((n, view), digest) for n, view, digest in chosen if view >= 0]
        return wanted == [(proof.slot, proof.value) for proof in new_view.proofs]

    def is_wanted(self, new_view: NewView) -> bool:
        """Section 4.4: of a later view, and of none that was given up already."""
        return new_view.view > self.view and new_view.view >= self.asked

    def view_to_join(self) -> int:
        """Section 4.5.2: the view that f+1 ask for, one of them honest."""
        return self.changes.highest_asked_by(self.validators.faults + 1)

    def is_overdue(self, oldest_age: int) -> bool:
        """Whether the primary left a batch unordered for too long while it ordered others."""
        decided = self.root.height - self.height_at_entry
        return min(oldest_age, decided) >= self.parameters["overdue"]

    def may_lose_patience(self) -> bool:
        """Section 4.5.2: in a change of view the timer waits until a quorum asks for that view."""
        return not self.is_changing or self.changes.certificate(self.asked) is not None

    def timeout_ms(self) -> int:
        """Section 4.5.2: doubles with every view in which nothing was decided."""
        failed = min(max(0, self.asked - self.calm_view - 1), DOUBLINGS_MAX)
        return min(self.parameters["timeout_ms"] << failed, self.parameters["timeout_max_ms"])

    def remember(self) -> None:
        """Make view, certificates and values durable, in one batch with what this step says."""
        values = [each for _, ones in sorted(self.voted.items()) for each in ones.values()]
        self.persist(Record(self.new_view, self.claims(), tuple(values)).encode())

    # --- words ------------------------------------------------------------------------------------

    def _is_near(self, slot: Slot) -> bool:
        """Whether a message of this slot is counted: others may be ahead by a window."""
        if len(slot) != 2:
            return False
        ahead = slot[0] - self.last
        return 0 < ahead <= 2 * self.window and slot[1] <= self.view + self.context.slot_window

    def _keep_value(self, value: Value) -> None:
        """Count a value among those that were voted for here."""
        kept = self.voted.setdefault(value.slot[0], {})
        kept.pop(value.digest, None)
        kept[value.digest] = value
        if len(kept) > VALUES_A_SEQUENCE:
            del kept[next(iter(kept))]

    def _find(self, sequence: int, digest: bytes) -> Value | None:
        """The value with this digest, if it is here."""
        kept = self.voted.get(sequence, {}).get(digest)
        return kept if kept is not None else self.log.value(digest)

    def _known(self, sequence: int, digest: bytes) -> Value | None:
        """The value with this digest; where it is unknown, it is fetched."""
        value = self._find(sequence, digest)
        if value is None and digest not in self._fetched:
            self._fetched[digest] = None
            self.fetch(digest)
        return value

    def _is_valid(self, value: Value) -> bool | None:
        """The verdict on a value; None until it comes."""
        if value.digest not in self._verdicts:
            self._verdicts[value.digest] = None
            self.validate(value)
        return self._verdicts[value.digest]

    def leave_unjudged(self) -> None:
        """What earlier views assigned and this one does not is judged no more: it may be lost."""
        for digest, valid in list(self._verdicts.items()):
            value = self.log.value(digest)
            if valid is None and value is not None and digest not in self.redo.values():
                del self._verdicts[digest]
                self.dismiss(value)

    def assigned(self, sequence: int) -> bytes | None:
        """What a number is assigned to in this view: a digest, NULL, or None for nothing yet."""
        prepared = self.log.proven(PREPARE, (sequence, self.view))
        if prepared is not None:
            return prepared.value
        if sequence <= self.redo_last:
            return self.redo.get(sequence)
        proposal = self.log.proposal((sequence, self.view))
        return proposal.digest if proposal is not None else None

    def line(self) -> list[Value]:
        """What the numbers after the last decided one amount to in this view, without a gap.

        Null values among them are shown to the replica, so that it knows what stands on them.
        """
        found: list[Value] = []
        before = self.root.value
        for sequence in range(self.last + 1, self.last + 2 * self.window + 1):
            digest = self.assigned(sequence)
            if digest is None:
                break
            value = self._known(sequence, digest) if digest != NULL else None
            if value is None and digest != NULL:
                break
            found.append(self.amounts_to(sequence, value, before))
            before = found[-1].digest
            if not found[-1].payload:
                self._is_valid(found[-1])
        return found

    def say(self, message: Message) -> None:
        """Broadcast, unless this validator only follows."""
        if self.me is not None:
            self.broadcast(message)
            if isinstance(message, PrePrepare | Prepare | Commit):
                phase, (sequence, view), value = message.statement()
                self.note("voted", phase=phase, sequence=sequence, view=view, value=value)

    def may_answer(self, peer: int, what: Slot) -> bool:
        """Whether a peer was not sent this just now: (number,) of a decision, (0, view) of what
        opened a view."""
        return self._answers.may_give(peer, what, self.now.monotonic_ms)

    def ask_payload(self, slot: Slot, parent: bytes) -> None:
        self._requested, self._woken, self._doubts = slot, False, False
        self.request_payload(slot, parent)

    def has_work(self) -> bool:
        """Whether something is to be ordered, or on its way in this view.

        What was on its way in a view that is left becomes pending again, unless it is decided.
        """
        numbers = range(self.last + 1, self.last + self.window + 1)
        on_its_way = not self.is_changing and any(self.assigned(n) is not None for n in numbers)
        return self.pending or on_its_way or self.log.commit(self.last + 1) is not None

    def _run(self, name: str, slot: Slot, delay_ms: int) -> None:
        """Let a timer run, unless it does."""
        if self._timers.get(name) != slot:
            self._stop(name)
            self._timers[name] = slot
            self.set_timer(name, slot, delay_ms)

    def _stop(self, name: str) -> None:
        slot = self._timers.pop(name, None)
        if slot is not None:
            self.cancel_timer(name, slot)
