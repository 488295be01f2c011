"""The statement is the only thing a consensus key signs, so no two of them share their bytes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ledger.encoding import encode
from ledger.statement import DOMAIN, VERSION, Statement
from ledger.transaction import DOMAIN as TRANSACTION_DOMAIN

EXAMPLE = Statement(bytes(32), b"\x01" * 32, "prevote", (7, 0), b"\x02" * 32)
statements = st.builds(
    Statement,
    network=st.binary(min_size=32, max_size=32),
    epoch=st.binary(min_size=32, max_size=32),
    phase=st.sampled_from(("prevote", "precommit", "a", "é")),
    slot=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4).map(tuple),
    value=st.binary(max_size=96),
)


def test_the_signed_bytes_are_the_domain_and_the_encoded_fields() -> None:
    fields = (VERSION, EXAMPLE.network, EXAMPLE.epoch, "prevote", (7, 0), EXAMPLE.value)

    assert EXAMPLE.signed_bytes() == b"ledger statement\x00" + encode(fields)


def test_every_field_is_signed() -> None:
    changed = [
        replace(EXAMPLE, network=b"\x03" * 32),
        replace(EXAMPLE, epoch=b"\x03" * 32),
        replace(EXAMPLE, phase="precommit"),
        replace(EXAMPLE, slot=(7, 1)),
        replace(EXAMPLE, slot=(7,)),
        replace(EXAMPLE, value=b""),
    ]

    assert len({statement.signed_bytes() for statement in (EXAMPLE, *changed)}) == 7


@given(statements, statements)
def test_two_statements_share_their_signed_bytes_only_when_equal(
    left: Statement, right: Statement
) -> None:
    assert (left.signed_bytes() == right.signed_bytes()) == (left == right)


def test_no_other_signed_message_begins_like_a_statement() -> None:
    assert not DOMAIN.startswith(TRANSACTION_DOMAIN)
    assert not TRANSACTION_DOMAIN.startswith(DOMAIN)
    # A C2SP note has no zero byte, and so is no statement and no transaction.
    assert b"\x00" in DOMAIN
    assert b"\x00" in TRANSACTION_DOMAIN
