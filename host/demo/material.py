"""What the demo records: real data, wherever it runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from host.importers import git
from ledger.applications import provenance
from ledger.applications.records import make_record
from ledger.errors import UserError
from ledger.transaction import Operation

OPERATIONS_MAX = 20_000
"""So that the demo stays within its two minutes, also in a repository of a million files."""
GROUP_BYTES_MAX = 40_000
"""Of operations in one transaction, which may have 65,535."""
GROUP_OPERATIONS_MAX = 100
GROUPS_MIN = 6
"""A little data is spread over this many transactions, so that there is something to watch."""
PROGRAM = Path(__file__).resolve().parents[2]
PACKAGES = ("ledger", "consensus", "p2p", "storage", "api", "sim", "host")


@dataclass(frozen=True, slots=True)
class Material:
    """Real data as operations."""

    title: str
    """Where it is from, for people."""
    operations: list[Operation]

    def groups(self) -> list[list[Operation]]:
        """The operations of each transaction, in order."""
        most = min(GROUP_OPERATIONS_MAX, -(-len(self.operations) // GROUPS_MIN))
        groups: list[list[Operation]] = []
        size = 0
        for operation in self.operations:
            size += len(operation.body)
            if not groups or len(groups[-1]) >= most or size > GROUP_BYTES_MAX:
                groups.append([])
                size = len(operation.body)
            groups[-1].append(operation)
        return groups


def gather(folders: Iterable[Path]) -> Material:
    """The git history of the first of these folders that has one, else the W3C PROV primer."""
    for folder in folders:
        try:
            commits = git.history(folder)
            found: list[Operation] = []
            count = 0
            for _, operations in commits:
                found += operations
                count += 1
                if len(found) >= OPERATIONS_MAX:
                    break
        except UserError:
            continue
        if found:
            label = f"the git history of {_short(folder)}, {count} commits"
            return Material(label, found[:OPERATIONS_MAX])
    from host.importers import prov_document

    return Material("the example of the W3C PROV primer", prov_document.primer())


def _short(folder: Path) -> str:
    """The folder's name: its path says too much about whoever runs this."""
    return folder.resolve().name or str(folder)


def subject_of(operation: Operation) -> str | None:
    """The name, for people, of the entity that a statement introduces, if it introduces one."""
    if operation.application != provenance.NAME:
        return None
    statement = provenance.parse_statement(operation.body)
    if statement.kind != "entity":
        return None
    for name, value, _ in statement.attributes:
        if name == "git:path":
            commit = statement.identifier.partition("/")[2][:7]
            return f"{value} of commit {commit}"
    return statement.identifier


def program_records() -> list[Operation]:
    """A record of each source file of this program: real data of a known number, one by one."""
    files = sorted(
        path
        for package in PACKAGES
        for path in (PROGRAM / package).rglob("*.py")
        if "__pycache__" not in path.parts
    )
    return [
        make_record(
            os.fspath(path.relative_to(PROGRAM)), hashlib.sha256(path.read_bytes()).digest()
        )
        for path in files
    ]
