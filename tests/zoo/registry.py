"""All mutants, and what became of every row of the table of known bugs."""

from __future__ import annotations

from tests.zoo.forgeries import EVIDENCE
from tests.zoo.hotstuff_rows import HOTSTUFF
from tests.zoo.leader_rows import LEADERS
from tests.zoo.mysticeti_rows import MYSTICETI
from tests.zoo.pbft_rows import PBFT
from tests.zoo.protocols import JOLTEON, TENDERMINT
from tests.zoo.raft_rows import RAFT
from tests.zoo.replica_mutants import REPLICAS
from tests.zoo.rows import NOT_HERE
from tests.zoo.storage_mutants import STORAGE
from tests.zoo.teaching_protocols import SIMPLEX, STREAMLET

MUTANTS = (
    *TENDERMINT, *JOLTEON, *HOTSTUFF, *PBFT, *SIMPLEX, *STREAMLET, *MYSTICETI, *RAFT, *LEADERS,
    *REPLICAS, *STORAGE, *EVIDENCE,
)  # fmt: skip
ROWS = tuple(
    [f"Z{number}" for number in (*range(1, 5), *range(6, 11), *range(12, 18), *range(19, 26), 27,
                                 28, 29)]
    + [f"L{number}" for number in range(1, 13)]
    + [f"S{number}" for number in range(1, 8)]
    + [f"E{number}" for number in range(1, 7)]
    + [f"T{number}" for number in range(1, 4)]
    + [f"N{number}m" for number in range(1, 7)]
    + [f"D{number}m" for number in range(1, 7)]
)  # fmt: skip
"""The rows of the table, by their ids."""


def row_of(mutant_id: str) -> str:
    """The row that a mutant belongs to: its id without protocol and variant."""
    return mutant_id.partition("-")[0].rstrip("abc")


def missing_rows() -> list[str]:
    """Rows that have neither a mutant nor a stated reason why not."""
    have = {row_of(mutant.id) for mutant in MUTANTS} | set(NOT_HERE)
    return [row for row in ROWS if row not in have]
