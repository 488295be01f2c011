"""Every oracle fires: sound runs pass, and each planted fault is found as what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgpack
import pytest

from consensus.interface import Now
from consensus.io import (
    Answer,
    Channel,
    Confirmed,
    Halt,
    HostEvent,
    Job,
    Loop,
    Looped,
    Output,
    PeerUp,
    Report,
    SendFrame,
    StartJob,
    Step,
)
from consensus.recovery import Recovered, Setup
from ledger import layout
from ledger.store import Reader, Write
from ledger.value import Value
from sim.faults import draw_scenario
from sim.oracles import Findings, Violation
from sim.run import Run, SimReport, Wrap, run
from sim.scenario import Incident, Weather
from sim.watcher import Machine
from tests.sim.fixed_leader import FixedLeader, Vote
from tests.sim.planted import FAIR, LOAD, Meddler, set_field, unpack, with_leaf


def properties(report: SimReport) -> set[str]:
    return {violation.property for violation in report.violations}


def wrap_one(index: int, make: Callable[[Machine], Machine]) -> Wrap:
    return lambda node, machine: make(machine) if node == index else machine


# --- a sound world --------------------------------------------------------------------------------


def test_a_sound_world_has_no_findings_and_confirms_everything() -> None:
    report = run(FAIR, FixedLeader)

    assert report.violations == ()
    assert report.confirmed == report.wishes == LOAD.transactions
    assert len(set(report.certified)) == 1


def test_clients_do_what_they_are_for() -> None:
    world = Run(FAIR, FixedLeader)
    report = world.lead()

    assert report.violations == ()
    assert report.submitted > report.wishes
    assert world.clients.refused > 0
    assert any(len(wish.raws) == 2 for wish in world.clients.wishes.values())


# --- worlds with one planted fault ----------------------------------------------------------------


def test_a_quorum_of_one_forks() -> None:
    class Hasty(FixedLeader):
        """Tells every validator something else, and decides upon the own vote."""

        @classmethod
        def certificate_quorum(cls, phase: str, validators: Any) -> int:
            return 1

        def quorum(self) -> int:
            return 1

        def on_verdict(self, value: Value, valid: bool) -> None:
            # What a network would do whose nodes each heard of another proposal.
            assert self.me is not None
            if valid and value.slot == self.slot:
                own = replace(value, extra=bytes([self.me]))
                self._proposals[value.slot] = own
                self.broadcast(Vote(value.slot, own.digest))

    assert "P1" in properties(run(FAIR, Hasty))


def test_a_node_that_does_not_sync_loses_what_it_confirmed() -> None:
    crash = Incident("crash", 3_000, 3_500, (2,))
    found: set[str] = set()
    for seed in range(12):
        scenario = replace(FAIR, seed=seed, incidents=(crash,))
        found |= properties(run(scenario, FixedLeader, wrap=wrap_one(2, forgetful)))

    assert "P2" in found


def forgetful(machine: Machine) -> Machine:
    return Meddler(machine, is_syncing=False)


def test_validators_that_forget_what_they_said_are_found() -> None:
    class Amnesia(Run):
        def remember(self, reader: Reader, setup: Setup) -> Recovered:
            return replace(super().remember(reader, setup), said={}, sent=(), record=None)

    # Votes take long, so that the leader restarts while its proposal is open.
    slow = Weather(delay_us=150_000)
    crashes = tuple(Incident("crash", at, at + 100, (0,)) for at in (600, 1_100, 1_600))
    scenario = replace(FAIR, weather=slow, incidents=crashes)

    # Said twice, or its peers remind it of what it has said: found one way or the other.
    found = properties(Amnesia(scenario, FixedLeader).lead())

    assert found & {"P14", "P19"}
    assert run(scenario, FixedLeader).violations == ()


def test_a_batch_number_used_twice_is_found() -> None:
    class Recounting(Run):
        def remember(self, reader: Reader, setup: Setup) -> Recovered:
            return replace(super().remember(reader, setup), sequence=0)

    crash = Incident("crash", 900, 1_000, (0, 1, 2, 3))

    assert "P14" in properties(Recounting(replace(FAIR, incidents=(crash,)), FixedLeader).lead())


def test_a_job_that_breaks_is_a_finding() -> None:
    @dataclass(frozen=True)
    class Broken(Job):
        def run(self, reader: Reader) -> Any:
            raise LookupError("a mistake in a job")

    def sabotage(output: Output) -> list[Output]:
        return [StartJob(output.number, Broken())] if isinstance(output, StartJob) else [output]

    report = run(FAIR, FixedLeader, wrap=wrap_one(1, lambda m: Meddler(m, output=sabotage)))

    assert properties(report) == {"P19"}
    assert "a mistake in a job" in report.violations[0].sentence


def test_a_validator_without_its_disk_is_one_of_the_faulty() -> None:
    # Leader 0 keeps its disk; validator 2 loses everything that it has said and confirmed.
    theft = Incident("lost-disk", 2_500, 3_000, (2,))

    report = run(replace(FAIR, incidents=(theft,)), FixedLeader)

    assert report.violations == ()
    assert len(set(report.certified)) == 1


def test_a_confirmation_without_a_certificate_is_found() -> None:
    def drop(write: Write) -> list[Write]:
        return [] if write[0] == layout.CERTIFIED else [write]

    report = run(FAIR, FixedLeader, wrap=wrap_one(1, lambda m: Meddler(m, write=drop)))

    assert "P2" in properties(report)


def test_a_validator_that_says_two_things_is_found() -> None:
    @dataclass
    class TwoFaced:
        """Signs a second vote beside each of its own, with the right key."""

        machine: Machine

        def step(self, now: Now, event: HostEvent) -> Step:
            step = self.machine.step(now, event)
            return replace(
                step, outputs=[o for output in step.outputs for o in self._double(output)]
            )

        def _double(self, output: Output) -> list[Output]:
            if not isinstance(output, SendFrame) or output.channel is not Channel.PROTOCOL:
                return [output]
            row = list(unpack(output.payload))
            if row[1] != 1 or row[4] != Vote.KIND:
                return [output]
            row[5] = msgpack.packb((unpack(row[5])[0], bytes(32)))
            return [output, replace(output, payload=msgpack.packb(tuple(row)))]

    report = run(FAIR, FixedLeader, wrap=wrap_one(3, TwoFaced))

    assert "P14" in properties(report)


def test_a_changed_promise_on_the_disk_is_found() -> None:
    said: list[bytes] = []

    def change(write: Write) -> list[Write]:
        key, value = write
        if key[:1] != layout.SIGNED or value is None or b"vote" not in key:
            return [write]
        said.append(key)
        kind, body, _, signature = unpack(value)
        other = msgpack.packb((kind, body, bytes(32), signature))
        return [write, (key, other)]

    report = run(FAIR, FixedLeader, wrap=wrap_one(3, lambda m: Meddler(m, write=change)))

    assert said
    assert "P14" in properties(report)


def test_a_block_changed_on_its_way_to_the_disk_is_found() -> None:
    def change(write: Write) -> list[Write]:
        key, value = write
        if key[:1] != layout.BLOCK or value is None:
            return [write]
        return [(key, with_leaf(value, -1, set_field(6, bytes(32))))]

    report = run(FAIR, FixedLeader, wrap=wrap_one(2, lambda m: Meddler(m, write=change)))

    assert "P1" in properties(report)


def test_a_confirmed_transaction_that_a_node_lacks_in_the_end_is_found() -> None:
    world = Run(FAIR, FixedLeader)
    assert world.lead().is_sound

    world.clients.acknowledged[bytes(32)] = 1
    world.chain.finish(0, world.world.nodes[0].engine, world.clients.acknowledged)

    assert [violation.property for violation in world.findings.found] == ["P8"]


def answer_twice(output: Output) -> list[Output]:
    return [output, output] if isinstance(output, Answer) else [output]


def accuse(output: Output) -> list[Output]:
    blame = Report("accused", (("culprit", 0),))
    return [output, blame] if isinstance(output, Confirmed) else [output]


def refuse_to_vote(output: Output) -> list[Output]:
    refusal = Report("refused to vote", (("reason", "no reason"),))
    return [output, refusal] if isinstance(output, Confirmed) else [output]


def halt(output: Output) -> list[Output]:
    return [output, Halt("no reason")] if isinstance(output, Confirmed) else [output]


def admit_all(output: Output) -> list[Output]:
    if not isinstance(output, Answer):
        return [output]
    admitted = tuple(replace(admission, reason="") for admission in output.admissions)
    return [replace(output, admissions=admitted)]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (answer_twice, "P9"),
        (accuse, "P13"),
        (refuse_to_vote, "P19"),
        (halt, "P19"),
        (admit_all, "P6"),
    ],
)
def test_a_node_that_misbehaves_in_what_it_says_is_found(
    change: Callable[[Output], list[Output]], name: str
) -> None:
    everyone: Wrap = lambda _, machine: Meddler(machine, output=change)  # noqa: E731

    assert name in properties(run(FAIR, FixedLeader, wrap=everyone))


def test_an_exception_is_a_finding_that_says_where() -> None:
    class Broken(FixedLeader):
        def on_verdict(self, value: Value, valid: bool) -> None:
            raise AssertionError("a mistake in the plugin")

    report = run(FAIR, Broken)

    assert properties(report) == {"P19"}
    assert "a mistake in the plugin" in report.violations[0].sentence
    assert "test_oracles.py" in report.violations[0].sentence


def test_a_network_that_never_decides_is_found_when_the_bound_has_passed() -> None:
    class Mute(FixedLeader):
        def propose(self, value: Value) -> None:
            pass

    report = run(FAIR, Mute)

    assert properties(report) == {"P10"}
    assert report.violations[0].time_ms >= FAIR.stable_ms + FAIR.bound_ms


def test_a_network_that_chatters_when_idle_is_found() -> None:
    class Chatterbox(FixedLeader):
        def on_start(self) -> None:
            super().on_start()
            self.set_timer("chat", (0,), 1_000)

        def on_timer(self, timer: Any) -> None:
            super().on_timer(timer)
            if timer.name == "chat" and self.me is not None:
                self.tell((self.me + 1) % 4, b"still there?")
                self.set_timer("chat", (0,), 1_000)

    report = run(FAIR, Chatterbox)

    assert properties(report) == {"P10"}
    assert "idle network sent" in report.violations[0].sentence


def test_a_queue_without_bound_is_found() -> None:
    @dataclass
    class Flooder:
        machine: Machine
        has_flooded: bool = False

        def step(self, now: Now, event: HostEvent) -> Step:
            if isinstance(event, Looped) and event.content == "flood":
                return Step([(b"\xf0flood", b"")], True, [])
            step = self.machine.step(now, event)
            if isinstance(event, PeerUp) and not self.has_flooded:
                self.has_flooded = True
                step.outputs += [Loop("flood")] * 30_000
            return step

    slow = Incident("slow-disk", 1, 3_000, (1,), 1_000)
    report = run(replace(FAIR, incidents=(slow,)), FixedLeader, wrap=wrap_one(1, Flooder))

    assert "P16" in properties(report)


# --- liars are not judged -------------------------------------------------------------------------


def test_the_honest_are_judged_beside_a_liar_and_the_liar_is_not() -> None:
    report = run(
        FAIR,
        FixedLeader,
        wrap=wrap_one(3, lambda m: Meddler(m, output=halt)),
        liars=frozenset({3}),
    )

    assert report.violations == ()
    assert report.confirmed == report.wishes


def test_findings_keep_the_first_ones() -> None:
    findings = Findings(lambda: 3)

    for number in range(100):
        findings.add("P1", f"finding {number}", number)

    assert findings.found[0] == Violation("P1", "finding 0", 3, (0,))
    assert len(findings.found) == 20


def test_a_drawn_scenario_of_the_small_protocol_is_sound() -> None:
    # Without views it waits for its leader's clock, so clocks stay right here.
    faults = ("loss", "duplicate", "reorder", "replay", "partition", "crash", "pause")

    reports = [
        run(draw_scenario(seed, "fixed-leader", 4, faults=faults), FixedLeader) for seed in range(4)
    ]

    assert [report.violations for report in reports] == [()] * 4
