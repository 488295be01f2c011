"""The mutants of what serves all protocols: the replica, execution, and the design's own rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from consensus import confirmation as confirmation_module
from consensus import replica as replica_module
from consensus import tally as tally_module
from consensus.protocols.tendermint import Tendermint
from consensus.recovery import Recovered, Setup
from consensus.replica import Replica
from tests.schedules import (
    test_batches as batches,
)
from tests.schedules import (
    test_catch_up as catch_up,
)
from tests.schedules import (
    test_confirmation as confirmation,
)
from tests.schedules import (
    test_durability as durability,
)
from tests.schedules import (
    test_guard as guard,
)
from tests.schedules import (
    test_judgement as judgement,
)
from tests.schedules import (
    test_making_batches as making,
)
from tests.schedules import (
    test_once as once,
)
from tests.schedules import (
    test_restart as restart,
)
from tests.schedules import (
    test_rounds as rounds,
)
from tests.schedules import (
    test_values as values,
)
from tests.schedules import (
    test_words as words,
)
from tests.schedules.mutants import lacking
from tests.zoo.model import Mutant, Test

CONFIRMATION = "_confirmation"
EXECUTOR = "_confirmation._executor"
GREETING = "_greeting"
INSPECTOR = "_ordering._inspector"
ORDERING = "_ordering"
OUTBOX = "_outbox"
POOL = "_spreading.pool"
SPREADING = "_spreading"
VALUES = "_ordering.values"
WHOLE = ""
Arguments = dict[str, Any]


def rule(id_: str, kind: str, module: Any, part: str, lacks: type[Any], removed: str,
         expected: str, test: str, arguments: Arguments | None = None, *,
         disarm: str | None = None, **more: Any) -> Mutant:  # fmt: skip
    """A mutant of one part of a replica, whose saved schedule is a test in the same module."""
    replica = lacking(part, lacks) if part else lacks
    saved = Test(
        module.__name__,
        test,
        tuple((arguments or {}).items()),
        lacks.__name__ if disarm is None else disarm,
    )
    return Mutant(id_, "replica", kind, removed, tuple(expected.split()), replica=replica,
                  test=saved, **more)  # fmt: skip


T, J, S = ({"protocol": name} for name in ("tendermint", "jolteon", "solo"))
TIGHT = (("batch_window", 4), ("replay_window", 8))

DURABILITY = (
    rule("S1", "storage", durability, OUTBOX, durability.NeverSyncs, "a promise is synced before "
         "it leaves", "P2 P8 P14 P19 P10", "test_without_syncs_some_power_cut_breaks_a_promise", T),
    rule("S2", "storage", confirmation, OUTBOX, confirmation.LazyDisk, "what is called confirmed "
         "is durable", "P2", "test_confirmed_means_certified_and_durable"),
    rule("S2a", "storage", confirmation, CONFIRMATION, confirmation.ConfirmsExecuted, "confirmed "
         "means certified", "P2", "test_confirmed_means_certified_and_durable", easy="replicas"),
    rule("S3", "storage", durability, OUTBOX, durability.WritesAtOnce, "a batch is written with "
         "the promise that rests on it", "P10 P19 P8",
         "test_a_disk_that_fails_keeps_no_promise_without_what_it_rests_on"),
    rule("S3a", "storage", durability, WHOLE, durability.DecidesLater, "a decision is in one batch "
         "with what is said upon it", "P2 P8 P10 P14 P19",
         "test_a_decision_is_in_one_batch_with_what_is_said_upon_it"),
    rule("S3b", "storage", confirmation, CONFIRMATION, confirmation.SignsLater, "a checkpoint is "
         "signed in the batch that stores the execution", "P10 P14 P19",
         "test_a_checkpoint_is_signed_in_the_batch_that_stores_the_execution"),
    rule("D7", "design", durability, WHOLE, durability.HearsItselfAtOnce, "a broadcast arrives at "
         "ourselves after it is durable", "P14 P19",
         "test_a_broadcast_arrives_at_ourselves_only_after_it_is_durable", T),
)  # fmt: skip

GUARD = (
    rule("D8", "design", guard, "_ordering._guard", guard.SignsAnything, "the guard refuses a "
         "second value", "P14", "test_a_plugin_that_contradicts_itself_is_stopped_before_anyone_"
         "hears_it", {"plugin": guard.SaysTwo, "reason": "a second value"}, plugin=guard.SaysTwo,
         base=Tendermint),
    rule("D9", "design", guard, ORDERING, guard.SettlesAtOnce, "no floor reaches a slot whose "
         "decision is not certified", "P19 P10",
         "test_a_plugin_that_settles_what_is_only_decided_has_to_wait",
         plugin=guard.SettlesDecided, base=Tendermint),
    rule("D10", "design", guard, ORDERING, guard.SettlesAtAnyCertificate, "a floor rises with the "
         "certificate that covers its decision", "P19 P10",
         "test_a_plugin_that_settles_what_is_only_decided_has_to_wait",
         plugin=guard.SettlesDecided, base=Tendermint),
    rule("X1", "design", restart, GREETING, restart.AsksNobody, "after a restart nothing is signed "
         "before a quorum has answered", "P14",
         "test_a_validator_signs_nothing_after_a_restart_until_a_quorum_has_answered"),
    rule("X2", "design", restart, GREETING, restart.AsksOne, "one answer is no quorum", "P14",
         "test_a_validator_signs_nothing_after_a_restart_until_a_quorum_has_answered"),
    rule("X3", "design", restart, GREETING, restart.AnswersNothing, "peers remember what a "
         "validator said", "P14",
         "test_a_validator_with_a_lost_or_older_disk_votes_no_more_and_still_follows",
         {"lost": True}),
    rule("X4", "design", restart, GREETING, restart.BelievesAnyone, "only the own signature is a "
         "reason to refuse to vote", "P19", "test_no_liar_can_keep_a_validator_from_voting"),
    rule("X5", "design", restart, CONFIRMATION, restart.SignsWhatComes, "what is executed before "
         "the answers came is signed when they are there", "P10",
         "test_what_is_executed_before_the_answers_came_is_signed_when_they_are_there"),
)  # fmt: skip

CONFIRMING = (
    rule("D11", "design", confirmation, CONFIRMATION, confirmation.SignsOnce, "checkpoint "
         "signatures are sent again until covered", "P10",
         "test_checkpoint_signatures_are_sent_again_until_a_certificate_covers_them", T),
    rule("D12", "design", confirmation, WHOLE, confirmation.ForgetsSignature, "checkpoint "
         "signatures are sent again after a restart", "P10",
         "test_checkpoint_signatures_are_sent_again_after_a_restart"),
    rule("D13", "design", confirmation, CONFIRMATION, confirmation.KeepsCertificates, "a covered "
         "signature is answered with the certificate", "P10",
         "test_whoever_holds_a_certificate_answers_a_covered_signature_with_it"),
    rule("D14", "design", confirmation, WHOLE, confirmation.ForgetsCertificate, "a certificate is "
         "handed out after a restart, too", "P10",
         "test_a_certificate_is_still_handed_out_after_all_its_holders_restarted"),
    rule("D15", "design", confirmation, CONFIRMATION, confirmation.KeepsDecisions, "decision "
         "proofs are sent to whoever is behind", "P10",
         "test_d_is_down_a_decides_and_idles_b_and_c_lost_each_others_last_votes",
         {**T, "restart": False}),
    rule("D16", "design", confirmation, CONFIRMATION, confirmation.DropsDecisions, "decision "
         "proofs are kept until a certificate covers them", "P10",
         "test_d_is_down_a_decides_and_idles_b_and_c_lost_each_others_last_votes",
         {**T, "restart": False}),
    rule("D17", "design", confirmation, WHOLE, confirmation.ForgetsDecisions, "decision proofs "
         "outlive a restart", "P10",
         "test_d_is_down_a_decides_and_idles_b_and_c_lost_each_others_last_votes",
         {**T, "restart": True}),
    rule("D18", "design", confirmation, EXECUTOR, confirmation.WritesMore, "executions are the "
         "same everywhere", "P1 P19",
         "test_one_diverging_execution_stops_its_node_loudly_and_nobody_else", nodes=(3,),
         disarm="", easy="replicas"),
    rule("D19", "design", confirmation, WHOLE, confirmation.RunsAhead, "votes run no further than "
         "run_ahead beyond the certificates", "P16",
         "test_more_diverging_executions_than_tolerated_stop_the_ledger_within_run_ahead",
         limits=(("run_ahead", 2),)),
    rule("D20", "design", judgement, CONFIRMATION, judgement.ShrugsOff, "a quorum for what is "
         "never valid stops the node", "P6 P19",
         "test_a_quorum_for_what_is_never_valid_stops_the_node_loudly"),
)  # fmt: skip

ONCE = (
    rule("O1", "safety", once, EXECUTOR, once.ForgetsNonces, "a nonce is used once", "P6 P7",
         "test_a_transaction_signed_twice_with_one_nonce_takes_effect_once", easy="replicas"),
    rule("O2", "safety", once, EXECUTOR, once.PaysPerSignature, "a transaction's id leaves its "
         "signature out", "P6 P7", "test_a_transaction_signed_anew_pays_once"),
    rule("N4m", "plumbing", once, EXECUTOR, once.ForgetsEarly, "nonces are remembered for the "
         "whole replay window", "P6 P7", "test_a_replay_inside_the_window_is_known_by_its_nonce",
         limits=TIGHT, easy="blocks"),
    rule("O3", "safety", once, EXECUTOR, once.IgnoresExpiry, "what has expired is skipped", "P6 P7",
         "test_a_replay_after_the_window_is_known_by_its_expiry", limits=TIGHT, easy="blocks"),
    rule("O4", "safety", once, EXECUTOR, once.AllowsAnyExpiry, "expiry is at most a window ahead",
         "P6 P7", "test_nothing_is_executed_that_outlives_the_memory_of_its_nonce", limits=TIGHT,
         easy="blocks"),
    rule("O5", "design", once, EXECUTOR, once.TrustsApplications, "an unknown application is a "
         "failed transaction", "P19",
         "test_an_unknown_application_is_a_failed_transaction_and_no_exception", easy="blocks"),
    rule("O6", "design", once, EXECUTOR, once.KeepsHalf, "a failed transaction leaves nothing "
         "behind", "P6", "test_a_transaction_that_fails_half_way_leaves_nothing_behind",
         easy="blocks"),
)  # fmt: skip

BATCHES = (
    rule("B1", "design", batches, SPREADING, batches.TakesOldBatches, "a batch beyond its window "
         "is not taken again", "P3 P10 P19",
         "test_an_old_batch_that_comes_again_does_not_take_the_block_with_it", limits=TIGHT),
    rule("L12", "liveness", batches, POOL, batches.DropsForGood, "what was in a batch that went "
         "stale is pending again", "P10",
         "test_a_batch_that_was_not_ordered_in_time_is_made_anew_and_confirmed_once",
         limits=TIGHT),
    rule("B2", "design", batches, VALUES, batches.NeverForMissing, "a missing batch is not yet, "
         "and not never", "P10 P19",
         "test_a_missing_batch_is_not_yet_valid_and_the_vote_follows_once_a_holder_sent_it"),
    rule("L11", "liveness", batches, SPREADING, batches.AsksProposersOnly, "a missing batch is "
         "asked for until it comes", "P10",
         "test_a_missing_batch_is_not_yet_valid_and_the_vote_follows_once_a_holder_sent_it"),
    rule("B3", "design", batches, POOL, batches.NeverGivesUp, "a batch that nobody has is given up",
         "P10", "test_a_named_batch_that_nobody_has_costs_one_round_and_is_given_up"),
    rule("B4", "design", batches, POOL, batches.HoldsAnything, "a creator's unordered batches are "
         "bounded", "P16", "test_a_creator_that_floods_the_nodes_is_bounded"),
    rule("B5", "design", batches, POOL, batches.NamesNothing, "a named batch is taken however many "
         "its creator has", "P10",
         "test_a_named_batch_is_taken_however_many_its_creator_has"),
    rule("B6", "design", making, POOL, making.InsistsOnQuorum, "a leader waits for holders not "
         "for ever", "P10", "test_a_leader_waits_for_a_quorum_of_holders_and_not_for_ever"),
    rule("B7", "design", making, POOL, making.AsksNobody, "a leader names a batch once a quorum "
         "has it", "P10", "test_a_leader_waits_for_a_quorum_of_holders_and_not_for_ever"),
    rule("B9", "design", making, POOL, making.CountsGivenBack, "a batch that no value may name any "
         "more makes room for another", "P10",
         "test_what_no_value_may_name_any_more_makes_room_for_another_batch"),
    rule("B8", "design", judgement, VALUES, judgement.BelievesValues, "a value is judged",
         "P6 P7 P19", "test_a_batch_is_not_ordered_twice_within_the_window"),
)  # fmt: skip

TIME = (
    rule("T1", "time", values, VALUES, values.TrustsClocks, "a value ahead of the clock is not yet "
         "valid", "P3", "test_a_value_ahead_of_the_clock_is_not_yet_valid_and_becomes_so"),
    rule("T1a", "time", values, VALUES, values.GivesUpEarly, "not yet is not never", "P10 P19",
         "test_a_value_ahead_of_the_clock_is_not_yet_valid_and_becomes_so"),
    rule("T3", "time", values, CONFIRMATION, values.JudgesDecisions, "nothing decided is judged by "
         "a clock", "P19", "test_nothing_decided_is_judged_by_a_clock", T),
    rule("T3a", "time", values, VALUES, values.RefusesOld, "a value is never too old", "P10 P19",
         "test_a_proposer_whose_clock_is_behind_is_followed_and_block_times_still_grow"),
)  # fmt: skip

PLUMBING = (
    rule("N1m", "plumbing", words, INSPECTOR, words.ForgetsNetwork, "statements name their network",
         "P1", "test_words_of_another_network_with_the_same_validators_never_end_a_round",
         {"protocol": "tendermint", "message": words.TENDERMINT[1], "first": 0}),
    rule("D21", "design", words, INSPECTOR, words.ForgetsEpoch, "statements name their epoch",
         "P1", "test_old_words_of_another_epoch_never_end_a_round",
         {"protocol": "jolteon", "message": words.JOLTEON[1], "first": 1}),
    rule("D22", "safety", words, INSPECTOR, words.BelievesCertificates, "a certificate is exactly "
         "a quorum of signers", "P4",
         "test_a_certificate_that_is_not_exactly_a_quorum_moves_nobody",
         {"protocol": "tendermint", "signers": (1, 1, 1)}),
    rule("D23", "plumbing", words, WHOLE, words.ReadsAnyEncoding, "a message has one encoding",
         "P15", "test_a_second_encoding_of_a_vote_is_refused"),
    rule("N6m", "plumbing", words, WHOLE, words.TrustsPeers, "a peer's mistake stops nobody",
         "P19", "test_a_peer_whose_every_frame_is_damaged_stops_nobody", T),
    rule("D24", "design", rounds, WHOLE, rounds.NeverRests, "an idle ledger is quiet", "P10",
         "test_an_idle_ledger_is_quiet_and_wakes_at_once", T, easy="replicas"),
    rule("D31", "plumbing", values, ORDERING, values.ForgetsQuestions, "what is asked for since a "
         "decision is asked for until it comes", "P10",
         "test_what_was_asked_for_since_a_decision_is_asked_for_until_it_comes"),
    rule("D32", "plumbing", values, ORDERING, values.JudgesWhatIsPassed, "nothing is judged that "
         "an adopted root has passed", "P10",
         "test_nothing_is_judged_any_more_that_an_adopted_root_has_passed"),
    rule("D33", "plumbing", catch_up, WHOLE, catch_up.LeavesTooSoon, "who is behind is helped for "
         "longer than a link outlives silence", "P10",
         "test_who_missed_the_last_block_is_told_once_it_hears_again", T),
    rule("D25", "plumbing", catch_up, "_sync", catch_up.NeverDoubts, "who claims in vain is asked "
         "last", "P10", "test_a_peer_that_claims_heights_it_does_not_have_keeps_nobody_behind",
         {"answers": False}),
    rule("D26", "plumbing", catch_up, "_sync", catch_up.ForgetsLies, "a lie is kept in mind",
         "P10", "test_a_peer_that_claims_heights_it_does_not_have_keeps_nobody_behind",
         {"answers": False}),
)  # fmt: skip


def patched(
    id_: str,
    kind: str,
    module: Any,
    removed: str,
    expected: str,
    test: str,
    *patches: tuple[Any, str, Any],
    replica: type[Replica] | None = None,
    easy: str = "",
) -> Mutant:
    """A mutant that a test makes by replacing a function or a bound of the product."""
    saved = Test(module.__name__, test)
    return Mutant(id_, "replica", kind, removed, tuple(expected.split()), test=saved,
                  patches=patches, replica=replica, easy=easy)  # fmt: skip


class ForgetsNumbers(Replica):
    """Counts its batches from the beginning after every start."""

    def __init__(self, setup: Setup, recovered: Recovered) -> None:
        super().__init__(setup, replace(recovered, sequence=0))


PATCHED = (
    patched("N5m", "plumbing", rounds, "what one validator says is bounded in values and slots",
            "P16", "test_a_liars_many_values_and_far_slots_fill_no_memory",
            (tally_module, "VALUES_A_SIGNER", 1_000), easy="votes"),
    patched("D27", "plumbing", catch_up, "a range is checked against its certificate before it is "
            "executed", "P19", "test_who_believes_a_range_is_stopped_by_a_single_liar",
            (replica_module, "CheckBlocks", catch_up.BelievesPeers), easy="ranges"),
    patched("D28", "design", values, "a decided value without payload makes no block", "P3",
            "test_a_decided_value_without_payload_makes_no_block",
            (confirmation_module, "next_header", values.header_of_anything)),
    patched("D29", "design", values, "block times grow", "P3",
            "test_a_proposer_whose_clock_is_behind_is_followed_and_block_times_still_grow",
            (confirmation_module, "next_header", values.times)),
    patched("D30", "design", making, "no sequence number of a batch is used twice", "P14",
            "test_a_creator_uses_no_sequence_number_twice_after_a_crash",
            replica=ForgetsNumbers),
)  # fmt: skip

REPLICAS = (
    *DURABILITY, *GUARD, *CONFIRMING, *ONCE, *BATCHES, *TIME, *PLUMBING, *PATCHED,
)  # fmt: skip
