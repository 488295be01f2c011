"""Schedules that break a protocol with one rule missing of who leads and what that rests on, and do
nothing to the protocol as it is.

Each returns the properties that broke, by their numbers.  Validators 0 to 2 are honest unless said
otherwise, and no decisions are exchanged, so that what a validator knows came in messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import cast

from consensus.interface import Consensus, Pending, Signed
from consensus.pacemaker_messages import Proposal as PacedProposal
from consensus.protocols.hotstuff import HotStuff
from consensus.protocols.tendermint import Tendermint
from consensus.protocols.tendermint_messages import (
    NIL,
    NO_ROUND,
    PRECOMMIT,
    PREVOTE,
    PROPOSAL,
    Precommit,
    Prevote,
    Proposal,
)
from consensus.protocols.tendermint_state import Stage as Step
from ledger.encoding import encode
from ledger.statement import Slot
from ledger.value import Value
from sim.plugin_step import Packet
from sim.plugins import EPOCH, Crash, PluginScenario, Script, run
from tests.consensus.chained_stage import ChainedStage
from tests.consensus.harness import FAST, HEALED_MS, OTHER_PAYLOAD, PAYLOAD, Stage

HONEST = (0, 1, 2)
LIAR = 3
LIVENESS = ("P10",)
VALIDITY = ("P6",)
LATE_HEIGHTS = 6
LED = 8
"""Decisions after which whoever has the lead keeps it."""
AGE = 40
"""Decisions while a batch waits: more than the policy's patience."""
LIE = encode(((LIAR,), ()))
"""What `reputation` reads where a value says that the liar alone signed the one before."""
Broken = tuple[str, ...]


def numbered(number: int) -> bytes:
    """A payload of its own."""
    return bytes([0x80 + number]) * 32


def script_of(protocol: type[Consensus], liar: int | None = None) -> Script:
    """All are up, with short timeouts, and nothing to order yet.

    A liar is a validator that follows the protocol, and may say more than that (`inject`).
    """
    parameters = FAST if issubclass(protocol, Tendermint) else (("timeout_ms", 30),)
    script = Script(
        PluginScenario(
            protocol, parameters=parameters, payloads=0, payload_max=1, exchange_ms=0,
            twins=() if liar is None else (liar,),
        )
    )  # fmt: skip
    script.run_ms(5)
    if liar is not None:
        script.crash(len(script.seats) - 1)  # The second of the twins.
    return script


def led_at(protocol: type[Tendermint], at: Slot, leader: int) -> type[Tendermint]:
    """The protocol with this leader of one slot."""

    class Led(protocol):  # type: ignore[valid-type, misc]
        def leader(self, slot: Slot) -> int | None:
            return leader if slot == at else super().leader(slot)

    return cast("type[Tendermint]", Led)


def among(*seats: int) -> Callable[[int, int, Packet], bool]:
    """Only these hear one another."""
    return lambda sender, receiver, packet: {sender, receiver} <= set(seats)


def tendermint_at(script: Script, seat: int) -> Tendermint:
    """The plugin of a seat."""
    plugin = script.seats[seat].plugin
    assert isinstance(plugin, Tendermint)
    return plugin


def until(script: Script, condition: Callable[[], object], limit_ms: int = 2_000) -> None:
    """Play on until the condition holds, which it must."""
    assert script.run_until(condition, limit_ms=limit_ms), "the schedule did not come about"


def have_decided(script: Script, seats: Iterable[int], count: int) -> Callable[[], bool]:
    """Whether these seats have decided so many values."""
    return lambda: all(script.seats[seat].durable >= count for seat in seats)


# --- who leads is agreed --------------------------------------------------------------------------


def decided_in_two_rounds(protocol: type[Tendermint]) -> Broken:
    """A decides X in round 0, B and C the same X in round 1; then the liar is silent for ever."""
    plan = {
        "proposal 0": "AB<Z",
        "prevote 0": "A<BZ B<AZ Z<AB C<AB z<AB",
        "precommit 0": "A<BZ B<Cz C<Bz z<BC",
        "round 1": "BCz",
    }
    scenario = PluginScenario(protocol, parameters=FAST, twins=(LIAR,), exchange_ms=0)
    stage = Stage(protocol, "ZB", plan, scenario)
    stage.until(have_decided(stage, HONEST, 1))
    commits = [stage.plugin(name).last_commit for name in "ABC"]
    assert [commit and commit.slot[1] for commit in commits] == [0, 1, 1]
    stage.crash(3)
    stage.crash(4)
    stage.allow = None
    stage.submit(OTHER_PAYLOAD)
    return () if stage.run_until(have_decided(stage, HONEST, 2), limit_ms=HEALED_MS) else LIVENESS


def crash_of_the_leader(protocol: type[Tendermint]) -> Broken:
    """Whoever has the lead crashes, and never comes back."""
    script = script_of(protocol)
    script.submit(PAYLOAD)
    until(script, have_decided(script, range(4), 1))
    leader = script.seats[0].log[-1].proposer
    script.crash(leader)
    script.submit(OTHER_PAYLOAD)
    others = [seat for seat in range(4) if seat != leader]
    return () if script.run_until(have_decided(script, others, 2), limit_ms=5_000) else LIVENESS


def locked_without_the_one_who_caught_up(protocol: type[Tendermint]) -> Broken:
    """C takes over instance 1 by its certificate; A and B are locked on what 1 proposed in instance
    2, and the liar, without whose vote nothing was decided, falls silent."""
    script = script_of(protocol, LIAR)
    script.allow = among(0, 1, LIAR)
    script.submit(PAYLOAD)
    until(script, have_decided(script, (0, 1, LIAR), 1))
    assert script.seats[0].log[0].proposer == 1
    script.seats[2].certify(script.seats[0].log)
    script.run_ms(5)

    def hears(sender: int, receiver: int, packet: Packet) -> bool:
        if not isinstance(packet, Signed) or LIAR in (sender, receiver):
            return False
        phase, slot, _ = packet.message.statement()
        return slot != (2, 0) or phase == PRECOMMIT or receiver != 2

    script.allow = hears
    script.crash(LIAR)
    script.submit(OTHER_PAYLOAD)
    until(script, lambda: tendermint_at(script, 0).said(PREVOTE, (2, 0)))
    voted = tendermint_at(script, 0).said(PREVOTE, (2, 0))
    assert isinstance(voted, Prevote)
    assert voted.value != NIL
    script.inject(LIAR, voted, 0, 1)
    until(script, lambda: all(tendermint_at(script, seat).lock.round == 0 for seat in (0, 1)))
    script.inject(LIAR, Precommit(2, 0, NIL), 0, 1, 2)
    return () if script.run_until(have_decided(script, (0, 1, 2), 2), limit_ms=10_000) else LIVENESS


# --- what a value says of its past ----------------------------------------------------------------


def decides(protocol: type[Tendermint], value: Value) -> bool:
    """Whether three who are honest decide what validator 3 proposes first of all."""
    script = script_of(led_at(protocol, (1, 0), LIAR), LIAR)
    script.allow = among(*HONEST)
    script.submit(PAYLOAD, *HONEST)
    script.inject(LIAR, Proposal(value, 0, NO_ROUND, None), *HONEST)
    until(script, have_decided(script, HONEST, 1))
    assert not script.oracles.violations
    return script.seats[0].log[0] == value


def first_of(proposer: int = LIAR, extra: bytes = b"") -> Value:
    """A value of the liar's for instance 1."""
    return Value(EPOCH, b"", (1, 0), proposer, 1_234, (PAYLOAD,), extra)


def borrowed_name(protocol: type[Tendermint]) -> Broken:
    """The liar names another one as the proposer, to whom a sticky policy would give the lead."""
    return VALIDITY if decides(protocol, first_of(proposer=0)) else ()


def said_to_nobody(protocol: type[Tendermint]) -> Broken:
    """The liar writes into its value what no policy reads."""
    return VALIDITY if decides(protocol, first_of(extra=b"\x01")) else ()


def signers_made_up(protocol: type[Tendermint]) -> Broken:
    """The liar's value names as signers of the value before it whom it likes."""
    return VALIDITY if decides(protocol, first_of(extra=LIE)) else ()


def signers_made_up_after_a_restart(protocol: type[Tendermint]) -> Broken:
    """The same in instance 2, after all have started again."""
    script = script_of(led_at(protocol, (2, 0), LIAR), LIAR)
    script.allow = among(*HONEST)
    script.submit(PAYLOAD, *HONEST)
    until(script, have_decided(script, HONEST, 1))
    script.run_ms(5)
    for seat in HONEST:
        script.crash(seat)
        script.restart(seat)
    script.submit(OTHER_PAYLOAD, *HONEST)
    lie = replace(first_of(extra=LIE), slot=(2, 0), payload=(OTHER_PAYLOAD,))
    script.inject(LIAR, Proposal(lie, 0, NO_ROUND, None), *HONEST)
    until(script, have_decided(script, HONEST, 2))
    return VALIDITY if script.seats[0].log[1] == lie else ()


def chained_signers_made_up(protocol: type[HotStuff]) -> Broken:
    """The liar's value, the first of the chain, names signers where there are none."""
    stage = ChainedStage(
        protocol, {1: LIAR}, parameters=(("timeout_max_ms", 200), ("timeout_ms", 30)), twins=(LIAR,)
    )
    stage.isolate(3, 4)
    stage.shows_certificates = True
    stage.begin()
    lie = Value(EPOCH, b"", (1,), LIAR, 1_234, (PAYLOAD,), LIE)
    for seat in HONEST:
        stage.seats[seat].hold(lie.payload)
    stage.inject(LIAR, PacedProposal(lie, None, None), *HONEST)
    until(stage, have_decided(stage, HONEST, 1), 20_000)
    return VALIDITY if stage.seats[0].log[0] == lie else ()


# --- a leader that is slow, or leaves something out -----------------------------------------------


def left_out(protocol: type[Consensus]) -> Broken:
    """Validator 1, which stays in the lead, orders everything but one batch."""
    script = script_of(protocol, 1)
    honest = (0, 2, 3)
    for number in range(LED + AGE):
        script.submit(numbered(number))
        if number == LED:
            script.submit(PAYLOAD, *honest)
        for seat in honest if number > LED else ():
            script.seats[seat].take(Pending(number - LED))
        wanted = partial(script.oracles.has_decided, numbered(number))
        has_come = script.run_until(wanted, limit_ms=2_000)
        if script.oracles.has_decided(PAYLOAD):
            return ()
        if not has_come:
            break
    return LIVENESS


def idle_and_distrusted(protocol: type[Tendermint]) -> Broken:
    """Validator 1 has led for long; validator 0 alone saw a batch wait, which is the last one."""
    script = script_of(protocol)
    for number in range(AGE):
        script.submit(numbered(number))
        until(script, have_decided(script, range(4), number + 1))
    script.submit(PAYLOAD)
    script.seats[0].take(Pending(AGE))
    script.run_ms(2_000)
    assert [value.proposer for value in script.seats[0].log[: AGE + 1]] == [1] * (AGE + 1)
    return () if all(seat.durable == AGE + 1 for seat in script.seats) else LIVENESS


def always_late(protocol: type[Tendermint]) -> Broken:
    """Validator 1 proposes and votes so late that each first round fails, and yet gets a polka.

    Every height takes a timeout more for as long as it leads.
    """
    script = script_of(protocol, 1)
    others = (0, 2, 3)
    for height in range(1, LATE_HEIGHTS + 1):
        slot = (height, 0)
        script.allow = _late(script, slot)
        script.submit(numbered(height))
        until(script, lambda: all(tendermint_at(script, seat).stage == Step.PRECOMMIT
                                  for seat in others))  # fmt: skip
        script.release(lambda sender, receiver, packet: sender == 1)
        script.run_ms(5)
        script.allow = None
        script.release(lambda sender, receiver, packet: True)
        until(script, have_decided(script, range(4), height))
        if tendermint_at(script, 0).proposer((height + 1, 0)) != 1:
            return ()
    return LIVENESS


def _late(script: Script, slot: Slot) -> Callable[[int, int, Packet], bool]:
    """In this slot seat 3 hears no proposal, nobody the late one's prevote, and no precommits."""

    def hears(sender: int, receiver: int, packet: Packet) -> bool:
        if not isinstance(packet, Signed):
            return False
        phase, where, _ = packet.message.statement()
        if where != slot:
            return True
        return {
            PROPOSAL: receiver != 3,
            PREVOTE: sender != 1,
            PRECOMMIT: False,
        }[phase]

    return hears


# --- chains ---------------------------------------------------------------------------------------


def live_whoever_crashes(protocol: type[HotStuff]) -> Broken:
    """One of four crashes for ever after 200 ms."""
    return _live(protocol, [Crash(seat, 200, None) for seat in range(4)])


def live_from_a_crash_on(protocol: type[HotStuff]) -> Broken:
    """One of four crashes for ever before anything is decided."""
    return _live(protocol, [Crash(LIAR, 3, None)])


def _live(protocol: type[HotStuff], crashes: Iterable[Crash]) -> Broken:
    scenarios = (
        PluginScenario(protocol, crashes=(crash,), bound_ms=30_000, quiet_ms=1_000)
        for crash in crashes
    )
    return LIVENESS if any(run(scenario).violations for scenario in scenarios) else ()
