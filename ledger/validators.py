"""The validators of an epoch, and how many of them a decision takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from ledger.errors import Fault


class QuorumRule(IntEnum):
    """Which faults the quorum tolerates."""

    BYZANTINE = 1
    """n - floor((n-1)/3): any two quorums share an honest validator."""
    CRASH = 2
    """A majority: no validator may lie; receipts of such a network say so."""


@dataclass(frozen=True, slots=True)
class Validator:
    """A node that validates, by its keys; where it listens is not agreed on."""

    name: str
    statement_key: bytes
    """Signs statements, and checkpoints where there is no other key for them; nothing else."""
    transport_key: bytes
    """The key of its TLS certificate."""
    transport_certificate: bytes
    """Self-signed, DER."""
    own_checkpoint_key: bytes | None = None
    """Signs checkpoints, where statements are signed by a scheme that C2SP has no type for."""

    @property
    def checkpoint_key(self) -> bytes:
        """Signs checkpoints."""
        if self.own_checkpoint_key is None:
            return self.statement_key
        return self.own_checkpoint_key


def faults_tolerated(count: int, rule: QuorumRule) -> int:
    """The largest number of faulty validators of `count` that cannot break agreement."""
    return (count - 1) // 3 if rule is QuorumRule.BYZANTINE else (count - 1) // 2


def quorum_size(count: int, rule: QuorumRule) -> int:
    """How many of `count` validators make a certificate."""
    return count - faults_tolerated(count, rule)


@dataclass(frozen=True, slots=True)
class ValidatorSet:
    """The validators of one epoch in index order."""

    members: tuple[Validator, ...]
    rule: QuorumRule
    size: int = field(init=False)
    quorum: int = field(init=False)
    faults: int = field(init=False)
    """f: faulty validators tolerated."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", len(self.members))
        object.__setattr__(self, "quorum", quorum_size(len(self.members), self.rule))
        object.__setattr__(self, "faults", faults_tolerated(len(self.members), self.rule))

    def statement_key(self, index: int) -> bytes:
        """By which validator `index` signs statements.  Raises Fault for no validator."""
        return self.member(index).statement_key

    def checkpoint_key(self, index: int) -> bytes:
        """By which validator `index` signs checkpoints.  Raises Fault for no validator."""
        return self.member(index).checkpoint_key

    def member(self, index: int) -> Validator:
        """Validator `index`.  Raises Fault: Python would count back from the end."""
        if not 0 <= index < self.size:
            raise Fault("validator.unknown-index", str(index))
        return self.members[index]

    def others(self, me: int | None) -> Iterable[int]:
        """Every index but mine, ascending."""
        return (index for index in range(self.size) if index != me)
