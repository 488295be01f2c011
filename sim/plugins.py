"""Bare plugins in virtual time: one protocol against a hostile network, from one seed.

No frames, batches, execution or disk formats: only what a plugin can tell.  That makes a run cheap
enough to draw thousands of, and lets a hand-written schedule say who hears what:

    report = run(PluginScenario(Tendermint, seed=7))
    assert not report.violations

    script = Script(PluginScenario(Tendermint, twins=(3,)))
    script.allow = lambda sender, receiver, packet: receiver != 0
    assert script.run_until(lambda: script.seats[1].log, limit_ms=2_000)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from consensus.interface import Message, Signed
from sim.plugin_drawing import draw_attack, draw_duel, draw_scenario, draw_twins, hasty
from sim.plugin_memory import items_kept
from sim.plugin_network import EPOCH, NETWORK, Allow
from sim.plugin_node import Seat
from sim.plugin_oracles import KEPT_AT_REST_MAX, KEPT_MAX
from sim.plugin_plans import PluginPlans
from sim.plugin_scenario import (
    MS,
    Clock,
    Crash,
    Partition,
    Pause,
    PluginReport,
    PluginScenario,
    PluginViolation,
    Round,
    Stumble,
)
from sim.record_plugins import PluginRecorder
from sim.trace import Trace

__all__ = [
    "EPOCH",
    "NETWORK",
    "Clock",
    "Crash",
    "Partition",
    "Pause",
    "PluginReport",
    "PluginScenario",
    "PluginViolation",
    "PluginWorld",
    "Round",
    "Script",
    "Stumble",
    "draw_attack",
    "draw_duel",
    "draw_scenario",
    "draw_twins",
    "hasty",
    "run",
]

SLICE_MS = 20
"""How often a run looks whether it is over."""
LOOK_MS = 1_000
"""How often it looks at what plugins keep."""
AFTERMATH_MS = 1_000
"""How long a run goes on after a wrong proof."""
EVENTS_MAX = 500_000
"""Steps after which a run counts as one that never falls silent."""
OUTNUMBERED_MS = 2_000
"""How long a run goes on after stabilisation that has more liars than the quorum rule bears."""


def run(scenario: PluginScenario, recorder: PluginRecorder | None = None) -> PluginReport:
    """Play a scenario to its end, and let a recorder see it."""
    return PluginWorld(scenario, recorder).run()


class PluginWorld(PluginPlans):
    """Seats on their network, and the clients; what replicas tell one another beside."""

    def __init__(self, scenario: PluginScenario, recorder: PluginRecorder | None = None) -> None:
        super().__init__(scenario, recorder)
        self.trace = Trace()
        self.events = 0
        self.seats += [
            Seat(self, index, validator) for index, validator in enumerate(scenario.seats)
        ]
        self._payloads: dict[bytes, None] = {}
        self._to_submit = scenario.payloads
        self._ticking: dict[int, None] = {}
        self._finished_ms: int | None = None
        if recorder is not None:
            recorder.begin(self)
        self._plan()

    # --- the run ----------------------------------------------------------------------------------

    def _plan(self) -> None:
        scenario, at = self.scenario, self.agenda.at
        for seat in self.seats:
            at(int(self.draw.random() * 2 * MS), self._boot, seat)
        for crash in scenario.crashes:
            seat = self.seats[crash.seat]
            at(crash.at_ms * MS, seat.crash, crash.boundary)
            if crash.until_ms is not None:
                at(crash.until_ms * MS, seat.crash)
                at(crash.until_ms * MS + 1, self._boot, seat)
        for pause in scenario.pauses:
            at(pause.at_ms * MS, self.seats[pause.seat].pause)
            at(pause.until_ms * MS, self.seats[pause.seat].resume)
        if scenario.hush:
            at(scenario.stable_ms * MS, self._on_stable)
        for clock in scenario.clocks:
            at(clock.at_ms * MS, self.seats[clock.seat].set_clock, clock.step_ms, clock.rate)
        time_us = 0
        for number in range(scenario.payloads):
            time_us += int(self.draw.expovariate(1 / scenario.interval_ms) * MS)
            at(time_us, self._submit, hashlib.sha256(b"payload %d" % number).digest())

    def run(self) -> PluginReport:
        """Play to the end: everything decided within the bound, then silence, or a violation.

        Attackers go on until the network is stable and everything is decided; they could keep the
        others awake for ever.  So do twins that say what nobody else accepts: they hold it for
        valid, and would wait for its decision for ever.  Where liars are too many,
        only safety and honesty are judged.
        """
        scenario, agenda, due_ms = self.scenario, self.agenda, self.scenario.due_ms
        has_time = not (scenario.protocol.lock_step and scenario.clocks)
        is_live = self.oracles.is_quorum_honest and has_time
        end_ms = scenario.end_ms if is_live else scenario.stable_ms + OUTNUMBERED_MS
        look_ms, events = LOOK_MS, 0
        while agenda.now_ms < end_ms and len(agenda) and not self._is_broken():
            self._skip_silence(look_ms, scenario.stable_ms, due_ms, end_ms)
            agenda.run_until(agenda.now_us + SLICE_MS * MS)
            self._submit_again()
            if not self._is_finished():
                self._finished_ms = None
            elif self._finished_ms is None:
                self._finished_ms = agenda.now_ms
            if agenda.now_ms >= look_ms:
                look_ms = agenda.now_ms + LOOK_MS
                if self.events > events:
                    self._judge_memory(KEPT_MAX)
                events = self.events
            if self._finished_ms is not None:
                if scenario.heals:
                    self._become_stable()
                if self._is_stable():
                    self._end_attacks()
            if agenda.now_ms >= due_ms and self._finished_ms is None and is_live:
                self._not_live()
        if is_live and not self.oracles.violations:
            if self._finished_ms is None:
                self._not_live()
            elif len(agenda):
                self.oracles.violated("silence", f"{len(agenda)} things are still planned")
            else:
                self._judge_memory(KEPT_AT_REST_MAX)
        return self.report()

    def _skip_silence(self, *times_ms: int) -> None:
        """Leap over slices in which nothing is planned, and none of these times comes."""
        agenda = self.agenda
        if self.oracles.violations:
            return
        next_us = min(agenda.next_us, *(ms * MS for ms in times_ms if ms > agenda.now_ms))
        slices = (next_us - agenda.now_us - 1) // (SLICE_MS * MS)
        if slices > 0:
            agenda.run_until(agenda.now_us + slices * SLICE_MS * MS)

    def _judge_memory(self, most: int) -> None:
        for seat in self._honest():
            assert seat.plugin is not None, "it is up"
            count = items_kept(seat.plugin)
            self.oracles.kept(seat.validator, count, len(seat.timers), most=most)

    def _end_attacks(self) -> None:
        scenario = self.scenario
        are_one = self.adversary is not None or scenario.heals
        deceive = scenario.bad or scenario.mutate or scenario.splice
        for seat in self.seats:
            if seat.is_attacker or ((are_one or deceive) and seat.is_byzantine):
                seat.crash()

    def report(self) -> PluginReport:
        """What the run showed so far."""
        return PluginReport(
            scenario=self.scenario,
            decided=tuple(self.oracles.log),
            lengths=tuple(seat.durable for seat in self.seats),
            violations=tuple(self.oracles.violations),
            events=self.events,
            messages=self.messages,
            forked=self.oracles.is_forked,
            accused=tuple(sorted(self.oracles.accused)),
            finished_ms=self._finished_ms,
            trace_hash=self.trace.hexdigest(),
        )

    def _is_broken(self) -> bool:
        """Whether there is no more to see: a wrong proof may yet become a fork."""
        if self.events > EVENTS_MAX:
            return True
        found = self.oracles.violations
        if not found or any(one.property != "proof" for one in found):
            return bool(found)
        return self.agenda.now_ms > found[0].time_ms + AFTERMATH_MS

    def _not_live(self) -> None:
        undecided = sum(1 for one in self._payloads if not self.oracles.has_decided(one))
        lengths = [seat.durable for seat in self.seats]
        self.oracles.violated("liveness", f"{undecided} payloads are undecided; logs: {lengths}")

    def _honest(self) -> list[Seat]:
        return [seat for seat in self.seats if seat.is_up and not seat.is_byzantine]

    def _is_finished(self) -> bool:
        """Whether every honest seat that is up has decided every payload."""
        if self._to_submit:
            return False
        if not all(self.oracles.has_decided(payload) for payload in self._payloads):
            return False
        needed = self._blocks_end()
        return all(seat.durable >= needed for seat in self._honest())

    def _blocks_end(self) -> int:
        """The number of decided values up to the last one with a payload."""
        log = self.oracles.log
        end = len(log)
        while end and not log[end - 1].payload:
            end -= 1
        return end

    # --- clients ----------------------------------------------------------------------------------

    def _submit(self, payload: bytes) -> None:
        """A client hands a payload to one seat; the others get it from there, or later."""
        up = self._honest()
        if not up:
            self.agenda.after(100 * MS, self._submit, payload)
            return
        self._to_submit -= 1
        self._payloads[payload] = None
        first = self.draw.choice(up)
        first.hold((payload,))
        for seat in self.seats:
            if seat is not first and self._connected(first, seat):
                seat.later(self._delay_us(), seat.hold, (payload,))
        self._tick_all()

    def _submit_again(self) -> None:
        """Clients of a seat that is down for good turn to the others."""
        up = self._honest()
        if up and any(crash.until_ms is None for crash in self.scenario.crashes):
            for payload in self._payloads:
                if not any(payload in seat.held for seat in up):
                    up[0].hold((payload,))

    def _boot(self, seat: Seat) -> None:
        """Start a seat that was down, or down for a moment."""
        seat.boot()
        self._ticking.pop(seat.index, None)
        self._tick_all()

    def bad_payload(self) -> bytes:
        """A payload that no honest validator accepts."""
        payload = self.draw.randbytes(32)
        self.oracles.offered_bad(payload)
        return payload

    # --- what replicas tell one another -----------------------------------------------------------

    def has_decided(self, index: int, first: int) -> None:
        """A seat durably decided the values from ordinal `first` on: it signs checkpoints."""
        seat = self.seats[index]
        for ordinal in range(first, seat.durable):
            value = seat.log[ordinal]
            self.oracles.decided(seat.validator, ordinal, value)
            if self.recorder is not None:
                self.recorder.decided(index, ordinal, value)
            if value.payload and self.scenario.exchange_ms:
                self._share(seat, ordinal, value.digest)
        self._tick_all()

    def _share(self, seat: Seat, ordinal: int, digest: bytes) -> None:
        seat.later(self._delay_us(), seat.hear_share, seat.validator, ordinal, digest)
        for receiver in self.seats:
            if self._connected(seat, receiver) and not self._is_withheld():
                receiver.later(
                    self._delay_us(), receiver.hear_share, seat.validator, ordinal, digest
                )

    def _is_withheld(self) -> bool:
        return self._happens(self.scenario.loss) or self._happens(self.scenario.withhold)

    def _tick_all(self) -> None:
        interval_us = self.scenario.exchange_ms * MS
        for seat in self.seats:
            if interval_us and seat.is_up and seat.index not in self._ticking:
                self._ticking[seat.index] = None
                seat.later(int(interval_us * (0.7 + 0.6 * self.draw.random())), self._tick, seat)

    def _tick(self, seat: Seat) -> None:
        """A seat with outstanding work asks one peer what it has."""
        self._ticking.pop(seat.index, None)
        if not self._is_outstanding():
            return
        self._share_again(seat)
        seat.wake()
        peers = [peer for peer in self.seats if peer.is_up and self._converse(seat, peer)]
        if peers and not self._is_withheld():
            seat.later(self._delay_us(), self._answer, seat, self.draw.choice(peers))
        self._tick_all()

    def _share_again(self, seat: Seat) -> None:
        """A crash may have swallowed the own checkpoint signatures before anyone counted them."""
        for ordinal in range(seat.certified, seat.durable):
            if seat.log[ordinal].payload:
                seat.hear_share(seat.validator, ordinal, seat.log[ordinal].digest)

    def _is_outstanding(self) -> bool:
        """Whether anything is undecided, or decided and not yet certified everywhere."""
        goal = len(self.oracles.log)
        certified = self._blocks_end()
        return any(
            seat.durable < goal or seat.certified < certified or seat.has_unordered()
            for seat in self.seats
            if seat.is_up and not seat.is_attacker
        )

    def _answer(self, seat: Seat, peer: Seat) -> None:
        """What a peer has that a seat lacks: payloads, a certificate, checkpoints, decisions."""
        if not peer.is_up:
            return
        seat.hold(tuple(peer.held))
        if peer.certified > seat.certified:
            seat.certify(peer.log[: peer.certified])
        for ordinal in range(seat.certified, peer.durable):
            if peer.log[ordinal].payload:
                seat.hear_share(peer.validator, ordinal, peer.log[ordinal].digest)
        for ordinal, decision in list(peer.decisions):
            if seat.is_up and ordinal + len(decision.values) > len(seat.log):
                seat.hear_decision(decision)

    def ask_for_value(self, index: int, digest: bytes) -> None:
        """A seat asks every peer for a value."""
        seat = self.seats[index]
        for peer in self.seats:
            if self._connected(seat, peer) and not self._happens(self.scenario.loss):
                peer.later(self._delay_us(), self._give_value, seat, peer, digest)

    def _give_value(self, seat: Seat, peer: Seat, digest: bytes) -> None:
        value = peer.known.get(digest)
        if value is not None and self._connected(peer, seat):
            seat.later(self._delay_us(), seat.receive_value, value)


class Script(PluginWorld):
    """A world for hand-written schedules: set `allow`, then run step by step.

    Nothing is lost but by `allow`; what it refuses waits in `dropped`.
    """

    def run_ms(self, duration_ms: int) -> None:
        """Let this much time pass."""
        self.agenda.run_until(self.agenda.now_us + duration_ms * MS)

    def run_until(self, condition: Callable[[], object], *, limit_ms: int) -> bool:
        """Let time pass until the condition holds; False if it never did within the limit."""
        end_ms = self.agenda.now_ms + limit_ms
        while not condition():
            if self.agenda.now_ms >= end_ms:
                return False
            self.run_ms(1)
        return True

    def submit(self, payload: bytes, *seats: int) -> None:
        """Clients hand a payload to these seats, or to all."""
        self._payloads[payload] = None
        for index in seats or range(len(self.seats)):
            self.seats[index].hold((payload,))

    def inject(self, validator: int, message: Message, *seats: int) -> Signed:
        """Deliver a message signed with a Byzantine validator's key to these seats."""
        signed = self.sign(validator, message)
        for index in seats:
            self.agenda.after(MS, self.seats[index].deliver, validator, signed)
        return signed

    def release(self, chosen: Allow) -> int:
        """Deliver what `allow` refused, where chosen; how many packets that were."""
        kept, count = [], 0
        for sender, receiver, packet in self.dropped:
            if chosen(sender, receiver, packet):
                count += 1
                validator = self.seats[sender].validator
                self.agenda.after(MS, self.seats[receiver].deliver, validator, packet)
            else:
                kept.append((sender, receiver, packet))
        self.dropped = kept
        return count

    def crash(self, seat: int, boundary: str = "now") -> None:
        """Stop a seat, now or at its next write."""
        self.seats[seat].crash(boundary)

    def restart(self, seat: int) -> None:
        """Start a stopped seat from what is durable."""
        self._boot(self.seats[seat])
