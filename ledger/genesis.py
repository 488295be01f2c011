"""The genesis: everything that all nodes of a network must agree on before the first block.

Name, epoch record 0, every consensus-critical limit, applications with their versions, members and
roles, governance rule, signature scheme, and whether this is a test network.  The network id is the
SHA-256 of its canonical form; the JSON file is only a way to carry it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from ledger import encoding, note
from ledger.encoding import encode
from ledger.errors import DecodeFault, Fault
from ledger.keys import Suite, suite_named
from ledger.limits import (
    CERTIFICATE_BYTES_MAX,
    GENESIS_BYTES_MAX,
    MEMBERS_MAX,
    ML_DSA_44_KEY_BYTES,
    ML_DSA_65_KEY_BYTES,
    NAME_CHARS_MAX,
    PARAMETERS_MAX,
    VALIDATORS_MAX,
    Limits,
)
from ledger.validators import QuorumRule, Validator, ValidatorSet

VERSION = 1
EPOCH_VERSION = 1
EPOCH_OF_TWO_KEYS_VERSION = 2
"""Of an epoch record whose validators have another key for checkpoints than for statements."""
ROLES = ("submitter", "auditor", "administrator")
POLICIES = ("members", "open")
"""Who may submit: members with the role submitter, or (test networks only) anyone."""

_name = encoding.text(NAME_CHARS_MAX, low=1)
_KEYS = {
    EPOCH_VERSION: (encoding.public_key,),
    EPOCH_OF_TWO_KEYS_VERSION: (
        encoding.fixed(ML_DSA_65_KEY_BYTES),
        encoding.fixed(ML_DSA_44_KEY_BYTES),
    ),
}
"""By version of the epoch record: the key of statements, and that of checkpoints where it is
another one.  Their sizes differ, so no record has two forms."""


def _epoch_shape(version: int) -> encoding.Shape:
    return encoding.row(
        encoding.exactly(version),
        encoding.uint(),
        _name,
        encoding.uint(),
        encoding.array(encoding.row(_name, encoding.uint()), PARAMETERS_MAX),
        encoding.uint(2, low=1),
        encoding.array(
            encoding.row(
                _name, *_KEYS[version], encoding.digest, encoding.blob(CERTIFICATE_BYTES_MAX)
            ),
            VALIDATORS_MAX,
            low=1,
        ),
        encoding.uint(low=1),
        encoding.digest,
    )


epoch_shape = encoding.versions({version: _epoch_shape(version) for version in _KEYS})
shape = encoding.row(
    encoding.exactly(VERSION),
    _name,
    epoch_shape,
    encoding.array(encoding.uint(low=1), 32),
    encoding.array(encoding.row(_name, encoding.uint()), 64),
    encoding.array(encoding.row(_name, encoding.public_key, encoding.array(_name, 8)), MEMBERS_MAX),
    encoding.uint(MEMBERS_MAX),
    _name,
    _name,
    encoding.boolean(),
)


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """Who validates from which height on, and by which protocol."""

    number: int
    protocol: str
    protocol_version: int
    parameters: tuple[tuple[str, int], ...]
    """The protocol's parameters by name, ascending."""
    validators: ValidatorSet
    first_height: int
    previous_block: bytes
    """Hash of the block before the first of this epoch; zeros in epoch 0."""
    id: bytes = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", hashlib.sha256(encode(self.row())).digest())

    @property
    def version(self) -> int:
        """Of the format: 2 where each validator has a key for checkpoints alone."""
        own = [member.own_checkpoint_key is not None for member in self.validators.members]
        assert all(own) or not any(own), "all validators have two keys, or none has"
        return EPOCH_OF_TWO_KEYS_VERSION if any(own) else EPOCH_VERSION

    def row(self) -> tuple[object, ...]:
        return (
            self.version,
            self.number,
            self.protocol,
            self.protocol_version,
            self.parameters,
            int(self.validators.rule),
            tuple(
                (v.name, *_keys_of(v), v.transport_key, v.transport_certificate)
                for v in self.validators.members
            ),
            self.first_height,
            self.previous_block,
        )


def _keys_of(validator: Validator) -> tuple[bytes, ...]:
    if validator.own_checkpoint_key is None:
        return (validator.statement_key,)
    return (validator.statement_key, validator.own_checkpoint_key)


def _validator_of(row: Any) -> Validator:
    name, statement_key, *checkpoint_key, transport_key, certificate = row
    return Validator(name, statement_key, transport_key, certificate, *checkpoint_key)


def epoch_from_row(row: Any) -> EpochRecord:
    """The epoch record of a decoded row.  Raises Fault where its parts contradict each other."""
    _, number, protocol, version, parameters, rule, members, first_height, previous = row
    names = [name for name, _ in parameters]
    if names != sorted(set(names)):
        raise Fault("genesis.parameters", "parameter names are not strictly ascending")
    validators = ValidatorSet(tuple(map(_validator_of, members)), QuorumRule(rule))
    return EpochRecord(number, protocol, version, parameters, validators, first_height, previous)


@dataclass(frozen=True, slots=True)
class Member:
    """Someone who may use the ledger."""

    name: str
    public_key: bytes
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Genesis:
    """The agreed beginning of one network."""

    name: str
    epoch: EpochRecord
    limits: Limits
    applications: tuple[tuple[str, int], ...]
    """(name, version) of every application that executes, ascending."""
    members: tuple[Member, ...]
    approvals: int
    """Governance rule: how many administrators approve a change; 0 where none can be made."""
    policy: str
    """Who may submit: one of POLICIES."""
    scheme: str
    """Name of the suite of signature schemes."""
    test_network: bool
    network: bytes = field(init=False, compare=False)
    """Network id: SHA-256 of the canonical form."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "network", hashlib.sha256(self.canonical()).digest())

    @property
    def is_open(self) -> bool:
        """Whether anyone may submit, and what nobody signed is taken: test networks only."""
        return self.policy == "open"

    @property
    def suite(self) -> Suite:
        """What is signed by which scheme.  Raises Fault("key.unknown-scheme")."""
        return suite_named(self.scheme)

    @property
    def origin(self) -> str:
        """Origin of the network's checkpoints, and key name of its validators' notes."""
        return f"{self.name}/{self.network.hex()}"

    def canonical(self) -> bytes:
        return encode(
            (
                VERSION,
                self.name,
                self.epoch.row(),
                self.limits.rows(),
                self.applications,
                tuple((m.name, m.public_key, m.roles) for m in self.members),
                self.approvals,
                self.policy,
                self.scheme,
                self.test_network,
            )
        )


def parse_genesis(raw: bytes) -> Genesis:
    """The genesis of this canonical form, checked.  Raises Fault with what is wrong."""
    fields = encoding.decode(raw, shape, size_max=GENESIS_BYTES_MAX, what="genesis")
    _, name, epoch, limits, applications, members, approvals, policy, scheme, test = fields
    if len(limits) != len(Limits.names()):
        raise DecodeFault("genesis.limits", "another number of limits than this version knows")
    genesis = Genesis(
        name,
        epoch_from_row(epoch),
        Limits(*limits),
        applications,
        tuple(Member(*member) for member in members),
        approvals,
        policy,
        scheme,
        test,
    )
    check_genesis(genesis)
    return genesis


def check_genesis(genesis: Genesis) -> None:
    """Raise Fault unless keys are safe and distinct and every choice is a known one."""
    suite = genesis.suite
    validators = genesis.epoch.validators.members
    keys: list[bytes] = []
    for validator in validators:
        suite.statements.check_public_key(validator.statement_key)
        suite.checkpoints.check_public_key(validator.checkpoint_key)
        keys += _keys_of(validator)
    for member in genesis.members:
        suite.members.check_public_key(member.public_key)
        keys.append(member.public_key)
    is_distinct = len({v.name for v in validators}) == len(validators)
    is_distinct &= len({m.name for m in genesis.members}) == len(genesis.members)
    if len(set(keys)) != len(keys) or not is_distinct:
        raise Fault("genesis.duplicate", "two validators or members share a key or a name")
    if genesis.epoch.number != 0 or genesis.epoch.first_height != 1:
        raise Fault("genesis.epoch", "the first epoch has number 0 and begins at height 1")
    if any(role not in ROLES for member in genesis.members for role in member.roles):
        raise Fault("genesis.role", f"roles are {', '.join(ROLES)}")
    if genesis.policy not in POLICIES:
        raise Fault("genesis.policy", f"policies are {', '.join(POLICIES)}")
    if genesis.is_open and not genesis.test_network:
        raise Fault("genesis.policy", "an open ledger is for test networks only")
    try:
        note.check_name(genesis.origin)
    except Fault as fault:
        raise Fault("genesis.name", fault.detail) from None
    applications = [name for name, _ in genesis.applications]
    if applications != sorted(set(applications)):
        raise Fault("genesis.applications", "application names are not strictly ascending")
    # The name is a part of the keys of the application's state, up to a zero byte.
    if not all(name.isascii() and name.isprintable() for name in applications):
        raise Fault("genesis.applications", "an application's name is printable ASCII")
    ids = [note.key_id_of(genesis.origin, v.checkpoint_key) for v in validators]
    if len(set(ids)) != len(ids):
        raise Fault("genesis.key-id", "two validators share a note key id; make new keys")


_KEY_NAMES = {
    EPOCH_VERSION: ("consensus_key",),
    EPOCH_OF_TWO_KEYS_VERSION: ("statement_key", "checkpoint_key"),
}
"""In the JSON file, by version of the epoch record."""


def to_json(genesis: Genesis) -> str:
    """The genesis as a JSON file for people: hexadecimal keys, limits by name."""
    epoch = genesis.epoch
    document = {
        "version": VERSION,
        "name": genesis.name,
        "network": genesis.network.hex(),
        "epoch": {
            **({} if epoch.version == EPOCH_VERSION else {"version": epoch.version}),
            "protocol": epoch.protocol,
            "protocol_version": epoch.protocol_version,
            "parameters": dict(epoch.parameters),
            "quorum_rule": epoch.validators.rule.name.lower(),
            "validators": [
                {
                    "name": v.name,
                    **{
                        name: key.hex()
                        for name, key in zip(_KEY_NAMES[epoch.version], _keys_of(v), strict=True)
                    },
                    "transport_key": v.transport_key.hex(),
                    "transport_certificate": v.transport_certificate.hex(),
                }
                for v in epoch.validators.members
            ],
        },
        "limits": dict(zip(Limits.names(), genesis.limits.rows(), strict=True)),
        "applications": dict(genesis.applications),
        "members": [
            {"name": m.name, "public_key": m.public_key.hex(), "roles": list(m.roles)}
            for m in genesis.members
        ],
        "approvals": genesis.approvals,
        "policy": genesis.policy,
        "signature_scheme": genesis.scheme,
        "test_network": genesis.test_network,
    }
    return json.dumps(document, indent=2) + "\n"


def from_json(text: str | bytes) -> Genesis:
    """The genesis of a JSON file.  Raises Fault; the file's network id must match its contents."""
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            known = f"format {document['version']!r}; this program knows only {VERSION}"
            raise DecodeFault("genesis.version", known)
        epoch = document["epoch"]
        # Files of the first version do not say so.
        version = epoch.get("version", EPOCH_VERSION)
        if version not in _KEYS:
            known = f"an epoch record of format {version!r}; this program knows only 1 and 2"
            raise DecodeFault("genesis.version", known)
        row = (
            document["version"],
            document["name"],
            (
                version,
                0,
                epoch["protocol"],
                epoch["protocol_version"],
                tuple(sorted(epoch["parameters"].items())),
                int(QuorumRule[epoch["quorum_rule"].upper()]),
                tuple(
                    (
                        v["name"],
                        *(bytes.fromhex(v[name]) for name in _KEY_NAMES[version]),
                        bytes.fromhex(v["transport_key"]),
                        bytes.fromhex(v["transport_certificate"]),
                    )
                    for v in epoch["validators"]
                ),
                1,
                bytes(32),
            ),
            tuple(document["limits"][name] for name in Limits.names()),
            tuple(sorted(document["applications"].items())),
            tuple(
                (m["name"], bytes.fromhex(m["public_key"]), tuple(m["roles"]))
                for m in document["members"]
            ),
            document["approvals"],
            document["policy"],
            document["signature_scheme"],
            document["test_network"],
        )
        raw = encode(row)
        named = bytes.fromhex(document["network"])
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise Fault("genesis.malformed", f"{type(error).__name__}: {error}") from error
    genesis = parse_genesis(raw)
    if genesis.network != named:
        raise Fault("genesis.network", "the contents do not match the network id in the file")
    return genesis
