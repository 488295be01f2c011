"""Every rule of identity is missed by some test: without the rule, that test fails."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from ledger import execution, membership
from ledger.applications import identity, identity_body, identity_state
from ledger.applications.identity_body import Act, Body, make_act
from ledger.applications.identity_state import KeyRow, KeyUse, MemberRow, Proposal
from ledger.errors import LedgerError
from tests.ledger import test_identity as tests
from tests.ledger.governed import GENESIS, add, key, remove, roles


def nothing(*_: object) -> None:
    """A rule that asks for nothing."""


def any_member(register: identity_state.Register, name: str) -> MemberRow:
    """The member, or one made up."""
    return register.member(name) or MemberRow(b"", (), 0, 0, 0)


def any_key(register: identity_state.Register, public_key: bytes) -> KeyRow:
    """The key, used or not, or one made up."""
    return register.key(public_key) or KeyRow("sam", KeyUse.IN_USE, 0, 0)


def any_proposal(register: identity_state.Register, proposal: bytes) -> Proposal:
    """The proposal, or one made up."""
    return register.proposal(proposal) or Proposal(Body(Act.REMOVE, "sam"), (bytes(32),), 0)


def all_approvals_count(_: object, approvals: tuple[bytes, ...], threshold: int) -> bool:
    """Whoever's keys they are now."""
    return len(approvals) >= threshold


def one_approval_is_enough(*_: object) -> bool:
    """As if nobody else had to agree."""
    return True


def any_role(members: membership.Members, public_key: bytes) -> membership.Standing:
    """As if every member could submit."""
    whole = STANDING(members, public_key)
    return whole._replace(may_submit=bool(whole.roles))


STANDING = membership.Members.standing
impossible = tests.test_a_change_that_cannot_be_is_refused
MUTANTS: list[tuple[object, str, object, Callable[[], object]]] = [
    (identity, "require_administrator", nothing, tests.test_one_approval_is_not_enough),
    (identity, "require_governed", nothing, tests.test_without_approvals_only_own_keys_change),
    (
        identity,
        "require_new_name",
        nothing,
        partial(impossible, add("sam", of="dan"), "identity.name-used"),
    ),
    (
        identity,
        "require_new_name",
        nothing,
        tests.test_a_change_that_has_become_impossible_is_not_made,
    ),
    (
        identity,
        "require_new_key",
        nothing,
        partial(impossible, add("dan", of="sam"), "identity.key-used"),
    ),
    (identity, "require_new_key", nothing, tests.test_names_and_keys_of_the_past_never_come_back),
    (
        identity,
        "require_member",
        any_member,
        partial(impossible, remove("dan"), "identity.unknown"),
    ),
    (
        identity,
        "require_member",
        any_member,
        partial(impossible, roles("dan", "auditor"), "identity.unknown"),
    ),
    (identity, "require_enough_administrators", nothing, tests.test_enough_administrators_stay),
    (identity, "require_enough_administrators", nothing, tests.test_there_is_room_for_so_many),
    (identity, "require_proposal", any_proposal, tests.test_what_is_withdrawn_counts_no_more),
    (identity, "require_first_approval", nothing, tests.test_one_approval_is_not_enough),
    (identity, "require_room", nothing, tests.test_there_is_room_for_so_many_approvals),
    (identity, "require_own_approval", nothing, tests.test_what_is_withdrawn_counts_no_more),
    (
        identity,
        "require_key_in_use",
        any_key,
        tests.test_inside_a_block_rules_see_what_stands_before,
    ),
    (
        identity,
        "require_possession",
        nothing,
        partial(tests.test_a_new_key_must_have_signed, "nobody"),
    ),
    (
        identity,
        "has_enough_approvals",
        all_approvals_count,
        tests.test_approvals_of_a_key_that_is_gone_do_not_count,
    ),
    (
        identity,
        "has_enough_approvals",
        one_approval_is_enough,
        tests.test_one_approval_is_not_enough,
    ),
    (
        identity_body,
        "require_roles",
        nothing,
        partial(
            tests.test_roles_and_names_have_one_form, "dan", ("administrator",), "identity.roles"
        ),
    ),
    (
        identity_body,
        "require_plain_name",
        nothing,
        partial(tests.test_roles_and_names_have_one_form, ".dan", ("submitter",), "identity.name"),
    ),
    (
        identity,
        "require_possession",
        nothing,
        partial(tests.test_a_new_key_must_have_signed, "another network"),
    ),
    (membership.Members, "standing", any_role, tests.test_who_is_no_submitter_is_skipped),
    (
        membership,
        "_read",
        lambda *_: ("submitter",),
        tests.test_a_rotated_key_is_skipped_and_the_new_one_acts,
    ),
    (membership, "Register", lambda _: None, tests.test_a_change_holds_from_the_next_block_on),
    (
        execution.Executor,
        "_begin",
        nothing,
        tests.test_the_members_of_the_genesis_are_the_beginning,
    ),
]


@pytest.mark.parametrize(("module", "name", "lenient", "test"), MUTANTS)
def test_a_test_fails_without_the_rule(
    monkeypatch: pytest.MonkeyPatch,
    module: object,
    name: str,
    lenient: object,
    test: Callable[[], object],
) -> None:
    test()
    monkeypatch.setattr(module, name, lenient)

    with pytest.raises((AssertionError, LedgerError, pytest.fail.Exception)):
        test()


def test_a_proposal_is_named_by_what_made_it() -> None:
    """Two operations alike are two proposals: an approval is never of another one."""
    ids = {
        identity_body.proposal_id(transaction, operation)
        for transaction in (bytes(32), key("ada"))
        for operation in (0, 1)
    }

    assert len(ids) == 4
    assert GENESIS.approvals == 2
    assert make_act(Body(Act.REMOVE, "sam")) == remove("sam")
