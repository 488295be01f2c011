"""Genesis: what nodes must agree on is in the network id, and what is unsafe is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import msgpack
import pytest
from hypothesis import given

from ledger.encoding import encode
from ledger.errors import DecodeFault, Fault
from ledger.genesis import Genesis, Member, from_json, parse_genesis, to_json
from ledger.limits import Limits
from ledger.validators import QuorumRule, ValidatorSet
from tests.ledger.builders import damaged, loose_encodings, make_genesis, signer_of, validator_of

GENESIS = make_genesis()
FIELDS: tuple[Any, ...] = msgpack.unpackb(GENESIS.canonical(), use_list=False)
DOCUMENT: dict[str, Any] = json.loads(to_json(GENESIS))
LOW_ORDER_KEY = bytes(32)


def reason_of(genesis: Genesis) -> str:
    with pytest.raises(Fault) as caught:
        parse_genesis(genesis.canonical())
    return caught.value.reason


def with_validators(*names: str, rule: QuorumRule = QuorumRule.BYZANTINE) -> Genesis:
    members = tuple(validator_of(name) for name in names)
    return replace(GENESIS, epoch=replace(GENESIS.epoch, validators=ValidatorSet(members, rule)))


def variants(value: Any) -> Iterator[Any]:
    """Every document that differs from this one in one place."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {name: item for name, item in value.items() if name != key}
            for changed in variants(inner):
                yield {**value, key: changed}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield [*value[:index], *value[index + 1 :]]
            for changed in variants(inner):
                yield [*value[:index], changed, *value[index + 1 :]]
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1, str(value), float(value), None, -1, 2**63, 2**70)
    else:
        yield from (value + "0", value + "00", "", value[1:], None, 0, [value], "\ud800", "e\u0301")


def test_the_json_form_carries_the_genesis() -> None:
    assert from_json(to_json(GENESIS)) == GENESIS
    assert from_json(to_json(GENESIS).encode()) == GENESIS
    assert DOCUMENT["network"] == hashlib.sha256(GENESIS.canonical()).hexdigest()
    assert GENESIS.origin == f"test.example/{DOCUMENT['network']}"


def test_the_canonical_form_is_parsed_back() -> None:
    genesis = parse_genesis(GENESIS.canonical())

    assert genesis == GENESIS
    assert genesis.network == GENESIS.network
    assert genesis.epoch.id == hashlib.sha256(encode(FIELDS[2])).digest()


def test_every_single_change_of_the_file_changes_the_network_id_or_is_refused() -> None:
    # The network id stays in the file, so a change that did not reach it would be taken.
    changed = list(variants(DOCUMENT))

    assert len(changed) > 300
    for document in changed:
        with pytest.raises(Fault):
            from_json(json.dumps(document))


def test_the_canonical_form_has_one_encoding() -> None:
    small = make_genesis(validators=1, members=("alice",))

    for loose in loose_encodings(msgpack.unpackb(small.canonical(), use_list=False)):
        with pytest.raises(DecodeFault):
            parse_genesis(loose)


@given(damaged(GENESIS.canonical()))
def test_damaged_bytes_are_refused_or_are_another_network(raw: bytes) -> None:
    try:
        genesis = parse_genesis(raw)
    except Fault:
        return

    assert genesis.canonical() == raw
    assert (genesis.network == GENESIS.network) == (raw == GENESIS.canonical())


@pytest.mark.parametrize(
    ("genesis", "reason"),
    [
        (replace(GENESIS, policy="nobody"), "genesis.policy"),
        (replace(GENESIS, policy="open", test_network=False), "genesis.policy"),
        (replace(GENESIS, scheme="rsa"), "key.unknown-scheme"),
        (replace(GENESIS, name="two words"), "genesis.name"),
        (replace(GENESIS, name="a+b"), "genesis.name"),
        (replace(GENESIS, name=""), "encoding.length"),
        (replace(GENESIS, applications=(("b", 1), ("a", 1))), "genesis.applications"),
        (replace(GENESIS, applications=(("a", 1), ("a", 2))), "genesis.applications"),
        (replace(GENESIS, applications=(("é", 1),)), "genesis.applications"),
        (replace(GENESIS, applications=(("a\x00", 1),)), "genesis.applications"),
        (replace(GENESIS, epoch=replace(GENESIS.epoch, number=1)), "genesis.epoch"),
        (replace(GENESIS, epoch=replace(GENESIS.epoch, first_height=2)), "genesis.epoch"),
        (
            replace(GENESIS, epoch=replace(GENESIS.epoch, parameters=(("b", 1), ("a", 1)))),
            "genesis.parameters",
        ),
        (with_validators("node0", "node0"), "genesis.duplicate"),
        (with_validators(), "encoding.length"),
        (
            replace(GENESIS, members=(Member("alice", LOW_ORDER_KEY, ("submitter",)),)),
            "key.unsafe",
        ),
        (
            replace(GENESIS, members=(Member("a", signer_of("a").public_key, ("king",)),)),
            "genesis.role",
        ),
        (replace(GENESIS, members=GENESIS.members[:1] * 2), "genesis.duplicate"),
        (
            replace(
                GENESIS,
                members=(GENESIS.members[0], replace(GENESIS.members[1], name="alice")),
            ),
            "genesis.duplicate",
        ),
        (
            replace(
                GENESIS,
                members=(Member("node", GENESIS.epoch.validators.statement_key(0), ()),),
            ),
            "genesis.duplicate",
        ),
        (replace(GENESIS, limits=Limits(replay_window=0)), "encoding.range"),
        (replace(GENESIS, approvals=10_001), "encoding.range"),
    ],
)
def test_what_is_unsafe_or_unknown_is_refused(genesis: Genesis, reason: str) -> None:
    assert reason_of(genesis) == reason


@pytest.mark.parametrize(
    "genesis",
    [
        with_validators("node0"),
        with_validators("node0", "node1", rule=QuorumRule.CRASH),
        replace(GENESIS, policy="open"),
        replace(GENESIS, members=()),
        replace(GENESIS, test_network=False),
        replace(GENESIS, limits=Limits(replay_window=1)),
    ],
)
def test_what_is_safe_is_taken(genesis: Genesis) -> None:
    assert parse_genesis(genesis.canonical()) == genesis
    assert from_json(to_json(genesis)) == genesis


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "1", "{", b"\xff\xfe", "[" * 100_000])
def test_a_file_that_is_no_genesis_is_refused(text: str | bytes) -> None:
    with pytest.raises(Fault, match=r"genesis\.malformed"):
        from_json(text)


def test_another_number_of_limits_is_refused() -> None:
    for limits in (FIELDS[3][:-1], (*FIELDS[3], 1)):
        with pytest.raises(DecodeFault, match=r"genesis\.limits"):
            parse_genesis(encode((*FIELDS[:3], limits, *FIELDS[4:])))


def test_another_version_of_genesis_or_epoch_record_is_refused() -> None:
    epoch = (3, *FIELDS[2][1:])

    with pytest.raises(DecodeFault, match=r"encoding\.range"):
        parse_genesis(encode((2, *FIELDS[1:])))
    with pytest.raises(DecodeFault, match=r"encoding\.version"):
        parse_genesis(encode((*FIELDS[:2], epoch, *FIELDS[3:])))


def test_the_order_of_validators_and_members_is_part_of_the_network() -> None:
    document = deepcopy(DOCUMENT)
    document["members"].reverse()
    swapped = replace(GENESIS, members=GENESIS.members[::-1])

    assert swapped.network != GENESIS.network
    with pytest.raises(Fault, match=r"genesis\.network"):
        from_json(json.dumps(document))
