"""Rows of the table of known bugs that have no mutant here, each with the reason."""

from __future__ import annotations

NOT_HERE: dict[str, str] = {
    "D4m": "nothing asserts that a leader's certificate is unique: an equivocator may make several "
    "of one block, and quorums leave at most one block that has any",
    "D5m": "Mysticeti's leaders take turns whatever was committed, so there is no schedule of them "
    "that could change at different commits",
    "L7": "it needs a certified fork, so more liars than a quorum tolerates: a qc that does not "
    "extend the decided root is of no use to anyone, since its path never reaches the root",
    "L10": "a rule of one implementation of Simplex, which has blocks certified by the application "
    "after they are notarized; a notarized block is all that this one waits for",
    "E3": "evidence has no time in it: there is no field that a mutant could fill from a clock",
    "E4": "there are no threshold signatures: every certificate names its signers",
    "E5": "a Tendermint vote names no justification by design of the paper; who broke the lock "
    "rule without saying two things cannot be named, and the documents say so",
    "S6": "the host's rule, a failed write ends the process, has its test in "
    "tests/schedules/test_durability.py; there is no predicate to override: the exception itself "
    "ends the run",
    "T2": "a plugin names delays and never points in time, so no mutant of one can use the wall "
    "clock for a timer; the host's timers are trio's, which know no wall clock",
    "N3m": "links are authenticated and statements signed: the sender in the envelope is looked up "
    "in the validator set and its key checks the signature, so there is no second place that "
    "a mutant could take the sender from",
}
