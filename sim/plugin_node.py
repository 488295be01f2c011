"""One seat: a plugin, and the least that it can tell from a replica.

Payloads by digest, verdicts, fetches, decisions of peers and checkpoint certificates; no batches,
blocks or execution.
"""

from __future__ import annotations

from consensus.interface import (
    Certified,
    Decide,
    DecisionReceived,
    Dismiss,
    PayloadReady,
    Pending,
    RequestPayload,
    Settle,
    Validate,
    ValueReceived,
    Verdict,
)
from consensus.ordering import still_fetched
from ledger.statement import Slot
from ledger.value import Value
from sim.plugin_life import Life
from sim.plugin_scenario import MS
from sim.plugin_step import Request, Surroundings

RUN_AHEAD = 16
"""Decided blocks beyond the certified ones with which a seat still proposes and votes."""
REFETCH_MS = 100
"""A replica's tick: how often it asks again for values that have not come."""


class Seat(Life):
    """A running plugin with its replica's part around it."""

    def __init__(self, world: Surroundings, index: int, validator: int) -> None:
        self.certified = 0
        """How many decided values a checkpoint certificate covers."""
        self.held: dict[bytes, None] = {}
        """Payloads that are here, in the order in which they came; durable."""
        self._shares: dict[tuple[int, bytes], dict[int, None]] = {}
        super().__init__(world, index, validator)

    def _forget(self) -> None:
        super()._forget()
        self._asked: RequestPayload | None = None
        self._validating: dict[bytes, Value] = {}
        self._fetching: dict[bytes, Slot] = {}
        self._will_refetch = False
        self._ordinals = {value.digest: ordinal for ordinal, value in enumerate(self.log)}
        self._ordinals[self._world.context.epoch] = -1
        self._ordered = {
            payload: ordinal for ordinal, value in enumerate(self.log) for payload in value.payload
        }
        self.known: dict[bytes, Value] = {}
        """Values that messages carried."""

    def _serve(self, request: Request) -> None:
        if isinstance(request, RequestPayload):
            self._asked = request
            self.later(self._brief_us(), self._answer_payload)
        elif isinstance(request, Validate):
            self._keep((request.value,))
            self._validating[request.value.digest] = request.value
            self.later(self._brief_us(), self._judge, request.value)
        elif isinstance(request, Dismiss):
            self._validating.pop(request.value.digest, None)
        else:
            self._fetch(request.value)

    @property
    def unjudged(self) -> tuple[bytes, ...]:
        """Values whose verdict the plugin waits for."""
        return tuple(self._validating)

    def hear_decision(self, decision: Decide) -> None:
        """A peer's decision that no certificate covers yet."""
        proof = decision.proof
        is_proven = bool(proof.certificates or proof.signed)
        if is_proven and self._world.has_right_certificates(proof.certificates):
            self._learn((*decision.values, *proof.values))
            self.take(DecisionReceived(decision.values, proof))

    # --- decided and certified --------------------------------------------------------------------

    def _append(self, values: tuple[Value, ...]) -> None:
        for value in values:
            self._ordinals[value.digest] = len(self.log)
            for payload in value.payload:
                self._ordered.setdefault(payload, len(self.log))
            self.log.append(value)

    def hear_share(self, validator: int, ordinal: int, digest: bytes) -> None:
        """A validator's checkpoint signature over the log up to and with this ordinal."""
        if ordinal < self.certified:
            return
        signers = self._shares.setdefault((ordinal, digest), {})
        signers[validator] = None
        holds = ordinal < self.durable and self.log[ordinal].digest == digest
        if len(signers) >= self._world.context.validators.quorum and holds:
            self.certify(self.log[: ordinal + 1])

    def certify(self, log: list[Value]) -> None:
        """A certificate covers this log: take over what is missing and tell the plugin."""
        length = len(log)
        if length <= self.certified or self.plugin is None:
            return
        for ordinal in range(len(self.log), length):
            self._append((log[ordinal],))
        for ordinal in range(self.durable, length):
            self._world.oracles.decided(self.validator, ordinal, self.log[ordinal])
        self.durable = max(self.durable, length)
        self.certified = length
        self.decisions = [
            (ordinal, decision)
            for ordinal, decision in self.decisions
            if ordinal + len(decision.values) > length
        ]
        self._shares = {key: ones for key, ones in self._shares.items() if key[0] >= length}
        for settle in self._settling:
            self._settle(settle)
        self._settling = []
        root = self.root(length)
        self._fetching = still_fetched(self._fetching, root)
        self.take(Certified(root))
        self.wake()

    def _settle(self, effect: Settle) -> None:
        if effect.floor > self._floors.get(effect.phase, (0,)):
            self._floors[effect.phase] = effect.floor
            gone = [key for key in self._sent if key[0] == effect.phase and key[1] < effect.floor]
            for key in gone:
                del self._sent[key]

    def _may_run_ahead(self) -> bool:
        # Blocks count, as in a replica: nobody certifies values without payload, which make none.
        if not self._world.scenario.exchange_ms:
            return True
        return sum(1 for value in self.log[self.certified :] if value.payload) <= RUN_AHEAD

    # --- payloads, verdicts, values ---------------------------------------------------------------

    def has_unordered(self) -> bool:
        """Whether a payload is here that no decided value names."""
        return not self.held.keys() <= self._ordered.keys()

    def hold(self, payloads: tuple[bytes, ...]) -> None:
        """Payloads arrive."""
        fresh = [payload for payload in payloads if payload not in self.held]
        for payload in fresh:
            self.held[payload] = None
        if fresh:
            self.wake()

    def wake(self) -> None:
        """Look again at everything that waits, and tell the plugin that there is work."""
        self._answer_payload()
        for value in list(self._validating.values()):
            self._judge(value)
        if self.has_unordered():
            self.take(Pending(0))

    def refetch(self) -> None:
        """Ask again for the values that have not come."""
        for digest in self._fetching:
            self._world.ask_for_value(self.index, digest)

    def _refetch_later(self) -> None:
        """Whatever else is going on: the plugin asks once, and may have nothing else to do."""
        if self._fetching and not self._will_refetch:
            self._will_refetch = True
            self.later(REFETCH_MS * MS, self._refetch_now)

    def _refetch_now(self) -> None:
        self._will_refetch = False
        self.refetch()
        self._refetch_later()

    def _answer_payload(self) -> None:
        asked = self._asked
        if asked is None or not self._may_run_ahead():
            return
        line = self._ancestors(asked.parent)
        if line is None:
            return
        self._asked = None
        excluded = {payload for value in line[0] for payload in value.payload}
        free = [one for one in self.held if one not in self._ordered and one not in excluded]
        payload = tuple(free[: self._world.scenario.payload_max])
        if self.is_byzantine and self._world.draw.random() * 1_000 < self._world.scenario.bad:
            payload = (*payload, self._world.bad_payload())
        self.take(PayloadReady(asked.slot, payload))

    def _ancestors(self, parent: bytes) -> tuple[list[Value], int] | None:
        """(undecided ancestors, ordinal after the decided one below them); None while unknown."""
        path: list[Value] = []
        while parent and parent not in self._ordinals:
            value = self.known.get(parent)
            if value is None or len(path) > self._world.context.slot_window:
                return None
            path.append(value)
            parent = value.parent
        return path, self._ordinals[parent] + 1 if parent else len(self.log)

    def _judge(self, value: Value) -> None:
        if value.digest not in self._validating or not self._may_run_ahead():
            return
        valid = True if self.is_byzantine else self._verdict(value)
        if valid is not None:
            del self._validating[value.digest]
            self.take(Verdict(value, valid))

    def _verdict(self, value: Value) -> bool | None:
        """Valid or never; None while that is not known."""
        right_epoch = value.epoch == self._world.context.epoch
        if not right_epoch or len(set(value.payload)) != len(value.payload):
            return False
        line = self._ancestors(value.parent)
        if line is None:
            return None
        path, base = line
        named = {payload for ancestor in path for payload in ancestor.payload}
        for payload in value.payload:
            if payload in named or self._ordered.get(payload, base) < base:
                return False
            if self._world.oracles.is_bad(payload):
                return False
        missing = tuple(payload for payload in value.payload if payload not in self.held)
        if missing:
            self.later(3 * self._brief_us(), self.hold, missing)
            return None
        return True

    def _fetch(self, digest: bytes) -> None:
        value = self.known.get(digest)
        if value is not None:
            self.later(self._brief_us(), self.take, ValueReceived(value))
        elif digest not in self._fetching:
            assert self.plugin is not None, "it has just asked"
            self._fetching[digest] = self.plugin.root.slot
            self._world.ask_for_value(self.index, digest)
            self._refetch_later()

    def receive_value(self, value: Value) -> None:
        """A peer's answer to a fetch."""
        if value.digest in self._fetching:
            self._learn((value,))

    def _keep(self, values: tuple[Value, ...]) -> None:
        for value in values:
            self.known[value.digest] = value

    def _learn(self, values: tuple[Value, ...]) -> None:
        self._keep(values)
        for value in values:
            if value.digest in self._fetching:
                del self._fetching[value.digest]
                self.take(ValueReceived(value))
        if values and self._validating:
            for waiting in list(self._validating.values()):
                self._judge(waiting)
