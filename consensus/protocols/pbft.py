"""PBFT: a primary numbers the requests, several at a time; the others see that it does so once.

Source: Castro, Liskov, "Practical Byzantine Fault Tolerance" (OSDI 1999), whose sections stand at
the rules; the version with signatures.  "2f+1" is the epoch's quorum.

    Upon work, at the primary of the view:     4.2    <pre-prepare, v, n, m>: m gets the next number
    Upon a pre-prepare of this view:           4.2    <prepare, v, n, d>, if the number lies in the
                                                      window, has no other value, and m is valid
    Upon 2f+1 prepares for d (the primary's    4.2    prepared: <commit, v, n, d>
      pre-prepare is its own):
    Upon 2f+1 commits for d, of any view:      4.2    decide it once all lower numbers are decided
    Upon the timer, or a primary that starves  4.4    leave the view: <view-change, v+1, the last
      a batch:                                        number decided, what was prepared beyond it>
    Upon view changes of f+1 for later views:  4.5.2  ask for the view that f+1 ask for, too
    Upon view changes of 2f+1 for v+1:         4.5.2  start the timer, twice as long each time
      and at the primary of v+1:               4.4    <new-view, v+1, V>
    Upon a new-view whose V is right:          4.4    enter the view; prepare again, for each number
                                                      from min-s to max-s of V, what was prepared in
                                                      the highest view, and null where nothing was

Commit rule: one certificate of phase "commit" for the value, of any view, at its number.
Durable: with each vote the value voted for, with each commit the prepared certificate, and what
    opened the view; every statement, by the replica.
Liveness: while there is work, a timer sends again the votes on what is undecided, or the view
    change and the certificate that led to it.  Whoever repeats itself is answered with the commit
    certificates of what is decided, and with what opened a later view.
Deviations:
* Texts followed: the OSDI paper, section 4; ACM TOCS 20(4), 2002, section 4.5, as quoted in an
  implementation; hyperledger/fabric, consensus/pbft/viewchange.go; and, for the proof, the post on
  PBFT at decentralizedthoughts (2025-02-14).
* Requests are payloads of batches, and clients hear of confirmed blocks instead of f+1 replies.
* Checkpoints are those of the ledger, one a block.  The low water mark is the last number decided
  here.  Instead of carrying the checkpoint's proof, a view change or new-view waits until its base
  is decided here as well: decisions and certified blocks reach everyone by the replica's exchange.
* A value names the one before it, so that values in flight do not order a batch twice.  Where a
  gap is filled with null, or with what an earlier primary proposed, those that stood on the old
  value amount to null, too: they keep their numbers and bytes, and their batches are pending again.
* A new-view holds digests of what was prepared, with proof of what is chosen; O follows from it and
  is not sent.  So the primary of the new view sends prepares for it, where the paper's sends none.
* committed-local asks for no own prepare: 2f+1 commits prove that f+1 honest validators prepared.
* A primary that leaves a batch unordered while `overdue` blocks pass is suspected; the paper's
  timer for each request has the same purpose.
* While others are in flight, numbers are assigned `spacing_ms` apart, so that values fill up: where
  links are fast, every block costs more than the wait.  The paper's batching has the same purpose.
* Idle: no timer runs and nothing is proposed unless something is to be ordered or on its way.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import ClassVar

from consensus.doubling import failing_ms, growing_ms
from consensus.interface import (
    MESSAGE_BYTES_MAX,
    AnyCertificate,
    DecisionProof,
    Message,
    Root,
    Signed,
    Timer,
)
from consensus.protocols.pbft_messages import (
    COMMIT,
    NULL,
    PREPARE,
    VIEW_CHANGE,
    WINDOW_MAX,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    ViewChange,
    longest_message,
)
from consensus.protocols.pbft_state import NOWHERE
from consensus.protocols.pbft_views import Views
from ledger.certificate import TimeoutCertificate
from ledger.encoding import encode
from ledger.limits import VALIDATORS_MAX
from ledger.statement import Slot
from ledger.validators import ValidatorSet
from ledger.value import Value


class Pbft(Views):
    """Slot of a value and of votes = (sequence number, view); of view changes = (view,)."""

    name = "pbft"
    MESSAGES: ClassVar[tuple[type[Message], ...]] = (
        PrePrepare,
        Prepare,
        Commit,
        ViewChange,
        NewView,
    )
    PARAMETERS: ClassVar[Mapping[str, int]] = {
        "timeout_ms": 1_000,
        "timeout_max_ms": 20_000,
        "retry_ms": 400,
        "window": 8,
        "spacing_ms": 50,
        "overdue": 32,
    }
    MAY_BE_ZERO = frozenset({"spacing_ms"})

    @classmethod
    def validators_max(cls, parameters: Mapping[str, int], signature_bytes: int) -> int:
        window = parameters["window"]
        if window > WINDOW_MAX:
            return 0

        def size(validators: int) -> int:
            return len(encode(longest_message(validators, window, signature_bytes).row()))

        return bisect_left(
            range(1, VALIDATORS_MAX + 1), True, key=lambda n: size(n) > MESSAGE_BYTES_MAX
        )

    @classmethod
    def recovery_bound_ms(
        cls,
        parameters: Mapping[str, int],
        validators: ValidatorSet,
        *,
        delay_ms: int,
        chaos_ms: int,
    ) -> int:
        # A timer that runs when the chaos ends is not longer than twice all of it, for timers
        # double.  When it fires, all ask for the next view within one retry and a message.  Then f
        # faulty primaries may take their turns; the next is honest, and its view must last for as
        # long as it takes: view changes, a new-view, values to fetch, three phases, and again three
        # for what then becomes pending again.
        view_ms = 12 * delay_ms + parameters["retry_ms"]
        longest_ms = max(parameters["timeout_max_ms"], view_ms)
        timeout_ms = min(parameters["timeout_ms"] + 2 * chaos_ms, longest_ms)
        entering_ms = parameters["retry_ms"] + 2 * delay_ms
        views = validators.faults + 2
        return (
            2 * timeout_ms
            + 2 * entering_ms
            + growing_ms(parameters["timeout_ms"], view_ms)
            + failing_ms(timeout_ms, longest_ms, views=views, between_ms=entering_ms)
            + 2 * view_ms
        )

    # --- what arrives -----------------------------------------------------------------------------

    def on_start(self) -> None:
        # Whoever proposed them may be gone for good, and these are all that is left of them.
        for values in self.voted.values():
            for value in values.values():
                self.offer(value)
        if self.has_work():
            self._say_again()
        self._advance()

    def on_pending(self, oldest_age: int) -> None:
        self.pending = self._woken = True
        if self.me is not None and not self.is_changing and self.is_overdue(oldest_age):
            self._ask(self.view + 1)
        self._advance()

    def on_message(self, signed: Signed) -> None:
        message = signed.message
        if isinstance(message, ViewChange):
            self._hear_change(signed, message)
        elif isinstance(message, NewView):
            self._hear_new_view(signed, message)
        elif not self._hear_vote(signed):
            return  # Of n votes, one makes a quorum; no rule applies to the others.
        self._advance()

    def _hear_vote(self, signed: Signed) -> bool:
        """Count a vote; whether it assigned something or made a quorum."""
        message = signed.message
        phase, slot, _ = message.statement()
        if slot[0] <= self.last:
            self._remind(signed.sender, phase, slot[0])
        if not self._is_near(slot):
            return False
        if isinstance(message, PrePrepare) and not self.is_of_primary(signed.sender, message.value):
            return False
        known = self.log.proven(phase, slot)
        earlier = self.log.add(signed)
        if earlier is not None:
            self.accuse(earlier, signed)
        return isinstance(message, PrePrepare) or self.log.proven(phase, slot) is not known

    def _remind(self, sender: int, phase: str, sequence: int) -> None:
        """Who votes again on what is decided lacks the decision."""
        proof, key = self.decided.get(sequence), (sequence, sender, phase)
        if proof is None or sender == self.me:
            return
        if key in self._late and self.me is not None and self.may_answer(sender, (sequence,)):
            self.send(sender, proof)
        self._late[key] = None

    def on_certificate(self, certificate: AnyCertificate) -> None:
        if isinstance(certificate, TimeoutCertificate):
            if certificate.phase == VIEW_CHANGE and len(certificate.slot) == 1:
                self.changes.learn_certificate(certificate)
        elif certificate.phase in (PREPARE, COMMIT) and self._is_near(certificate.slot):
            self.log.learn_certificate(certificate)
        self._advance()

    def on_decision(self, values: tuple[Value, ...], proof: DecisionProof) -> None:
        if len(values) == 1 and self.is_commit(values[0], proof):
            if self._is_near(values[0].slot):
                for value in (*values, *proof.values):
                    self.log.learn_value(value)
                self.log.learn_certificate(proof.certificates[0])
        else:
            self.note("refused", reason="pbft.decision", phase=COMMIT)
        self._advance()

    def on_verdict(self, value: Value, valid: bool) -> None:
        if value.digest in self._verdicts:
            self._verdicts[value.digest] = valid
            self._advance()

    def on_value(self, value: Value) -> None:
        if value.digest in self._fetched:
            self.log.learn_value(value)
            self._advance()

    def on_certified(self, root: Root) -> None:
        if root.slot[0] > self.last:
            self.adopt(root)
            self.calm_view = max(self.calm_view, root.slot[-1])
            self._root_moved()
        for phase in (PREPARE, COMMIT):
            self.settle(phase, (root.slot[0] + 1, 0))
        self._advance()

    def on_timer(self, timer: Timer) -> None:
        if self._timers.get(timer.name) != timer.slot:
            return
        del self._timers[timer.name]
        if timer.name == "retry":
            self._say_again()
            self._doubts = True  # Batches expire, too.
        elif timer.name == "view":
            # 4.4, 4.5.2
            self._ask(self.asked + 1)
        self._advance()

    # --- the rules --------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Apply the rules until none applies: each returns whether it changed something."""
        while self._rule_decide() or self._rule_enter_view():
            pass
        if self.me is not None:
            self._rule_join()
            self._rule_open_view()
            self._rule_prepare()
            self._rule_commit()
            self._rule_assign()
        self._keep_time()

    def _rule_prepare(self) -> None:
        # 4.2, and 4.4 for what is assigned again
        for sequence in sorted(self.redo):
            if self.may_prepare(sequence):
                self._prepare_again(sequence)
        before = self.root.value
        for sequence, value in enumerate(self.line(), self.last + 1):
            if sequence > self.redo_last and self.may_prepare(sequence):
                self._prepare_fresh(sequence, before)
            before = value.digest

    def _prepare_again(self, sequence: int) -> None:
        digest = self.redo[sequence]
        value = self._known(sequence, digest) if digest != NULL else None
        if value is not None or digest == NULL:
            self._prepare(sequence, value)

    def _prepare_fresh(self, sequence: int, before: bytes) -> None:
        value = self.log.proposal((sequence, self.view))
        if value is not None and self.may_accept(value, before) and self._is_valid(value):
            self._prepare(sequence, value)

    def _prepare(self, sequence: int, value: Value | None) -> None:
        if value is not None:
            self._keep_value(value)
            self.remember()
        self.say(Prepare(sequence, self.view, value.digest if value is not None else NULL))

    def _rule_commit(self) -> None:
        # 4.2
        for sequence in range(self.last + 1, self.last + self.window + 1):
            proof = self.prepared_certificate(sequence)
            if proof is None or not self.may_commit(sequence):
                continue
            value = self._known(sequence, proof.value) if proof.value != NULL else None
            if value is None and proof.value != NULL:
                continue
            self.prepared[sequence] = proof
            if value is not None:
                self._keep_value(value)
            self.remember()
            self.say(Commit(sequence, self.view, proof.value))

    def _rule_decide(self) -> bool:
        # 4.2: in the order of the numbers
        sequence = self.last + 1
        commit = self.find_commit(sequence)
        if commit is None:
            return False
        voted = self._known(sequence, commit.value) if commit.value != NULL else None
        if voted is None and commit.value != NULL:
            return False
        value = self.amounts_to(sequence, voted, self.root.value)
        is_void = voted is not None and voted.digest != value.digest
        self.decide((value,), DecisionProof((commit,), (voted,) if is_void and voted else ()))
        self.decided[sequence] = commit
        self.calm_view = max(self.calm_view, self.view)
        self._root_moved()
        return True

    def _root_moved(self) -> None:
        """Forget what is decided; the timer runs anew where work is left.

        Section 4.4: the timer is restarted if the backup still waits for some request.
        """
        first = self.last + 1
        self.log.forget_below(first)
        for table in (self.prepared, self.voted, self.redo):
            for sequence in [sequence for sequence in table if sequence < first]:
                del table[sequence]
        kept = first - 2 * self.window
        self.decided = {n: proof for n, proof in self.decided.items() if n >= kept}
        self._late = {key: None for key in self._late if key[0] >= kept}
        self._verdicts = {d: one for d, one in self._verdicts.items() if self.log.value(d)}
        self._fetched.clear()
        self._doubts, self._requested = True, None
        self._stop("view")

    def _rule_assign(self) -> None:
        """4.2: the primary gives the next number to what is to be ordered."""
        if not self.pending or self._requested is not None:
            return
        line = self.line()
        sequence = self.last + len(line) + 1
        if self.may_assign(sequence):
            wait_ms = self.wait_ms(len(line))
            if wait_ms > 0:
                self._run("pace", (sequence, self.view), wait_ms)
                return
            self.ask_payload((sequence, self.view), line[-1].digest if line else self.root.value)
        elif self._doubts:
            self.ask_payload(NOWHERE, self.root.value)

    def on_payload(self, slot: Slot, payload: tuple[bytes, ...]) -> None:
        if not payload:
            self.pending = self._woken
        if slot == self._requested:
            self._requested = None
        line = self.line()
        is_next = slot == (self.last + len(line) + 1, self.view) and self.may_assign(slot[0])
        if is_next and payload and self.said(PREPARE, slot) is None:
            assert self.me is not None
            before = line[-1].digest if line else self.root.value
            epoch, time_ms = self.context.epoch, self.now.wall_ms
            value = Value(epoch, before, slot, self.me, time_ms, payload)
            self._assigned_ms = self.now.monotonic_ms
            self.note("proposed", sequence=slot[0], view=slot[1], value=value.digest)
            self.log.propose(value)
            self._keep_value(value)
            self.remember()
            self.say(PrePrepare(value))
        self._advance()
