"""The mutants of who leads, each with the rule that it lacks and its saved schedule."""

from __future__ import annotations

from consensus.interface import Consensus
from consensus.leaders import Policy, Reputation, Sticky
from consensus.protocols.hotstuff import HotStuff
from consensus.protocols.jolteon import Jolteon
from consensus.protocols.tendermint import Tendermint
from tests.consensus import leaders_schedules as s
from tests.consensus import mutants_leaders as m
from tests.zoo.model import Mutant, Play


def led(id_: str, kind: str, plugin: type[Consensus], base: type[Consensus], policy: type[Policy],
        removed: str, expected: str, play: Play | None = None,
        equivalent: str = "") -> Mutant:  # fmt: skip
    """A row whose base is a protocol under a policy."""
    right = type(base.__name__, (base,), {"LEADERS": policy})
    return Mutant(f"{id_}-{base.name}", base.name, kind, removed, (expected,),
                  plugin=plugin, base=right, play=play, equivalent=equivalent)  # fmt: skip


LEADERS = (
    led("W1", "liveness", m.ReadsOwnRound, Tendermint, Sticky,
        "who leads follows from what all agree on, not from the own commit's round", "P10",
        s.decided_in_two_rounds),
    led("W2", "liveness", m.Obeys, Tendermint, Sticky, "after a failure all take turns", "P10",
        s.crash_of_the_leader),
    led("W3", "liveness", m.GuessesTheLeader, Tendermint, Sticky,
        "who does not know who leads takes what comes", "P10",
        s.locked_without_the_one_who_caught_up),
    led("W4", "safety", m.TakesBorrowedNames, Tendermint, Sticky,
        "a fresh value names its proposer, who leads its round", "P6", s.borrowed_name),
    led("W5", "safety", m.TakesTheWord, Tendermint, Reputation,
        "a value names the signers that the commit before it shows", "P6", s.signers_made_up),
    led("W6", "safety", m.ForgetsWhoLed, Tendermint, Reputation,
        "what the policy reads is durable", "P6", s.signers_made_up_after_a_restart),
    led("W7", "liveness", m.NeverDistrusts, Tendermint, Sticky,
        "a leader that leaves a batch out is prevoted nil", "P10", s.left_out),
    led("W8", "liveness", m.Forgives, Tendermint, Sticky,
        "a leader whose last round failed is prevoted nil", "P10", s.always_late),
    led("W9", "liveness", m.DistrustsAll, Tendermint, Sticky,
        "only round 0 is the distrusted one's", "P10", s.left_out),
    led("W10", "liveness", m.DistrustsIdly, Tendermint, Sticky,
        "nobody is distrusted while there is nothing to order", "P10", s.idle_and_distrusted),
    led("W11", "safety", m.TakesAnything, Tendermint, Sticky,
        "a value says nothing that no policy reads", "P6",
        equivalent="argued, not proven: a fresh value that says it is prevoted nil all the same, "
        "since it is not what `says_its_past` asks for, so that no later one has it; it is only "
        "kept for nothing"),
    led("W7", "liveness", m.PatientJolteon, Jolteon, Sticky,
        "a leader that leaves a batch out is left", "P10", s.left_out),
    led("W2", "liveness", m.StubbornHotStuff, HotStuff, Sticky,
        "after a failure all take turns", "P10", s.live_whoever_crashes),
    led("W5", "safety", m.CredulousHotStuff, HotStuff, Reputation,
        "a value names the signers of its parent's qc", "P6", s.chained_signers_made_up),
    led("W12", "liveness", m.NoTurnsHotStuff, HotStuff, Reputation,
        "a turn is as many views as a decision takes", "P10", s.live_from_a_crash_on),
)  # fmt: skip
