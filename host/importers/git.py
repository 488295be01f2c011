"""The history of a git repository as provenance: who made which version of which file, from what.

    commit                  activity git:commit/<id>, from author date to commit date
    author                  agent person:<e-mail address>
    version of a file       entity git:file/<commit id>/<path>, with git blob id and SHA-256
    change                  wasGeneratedBy; used, and wasDerivedFrom of type prov:Revision, the
                            version before
    deletion                wasInvalidatedBy
    parent commit           wasInformedBy

A merge names only the files that differ from every parent.  What is older than the commits read is
not named.  E-mail addresses are personal data, and a ledger does not forget: the history of a
repository that is not public should stay off a ledger that is.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from urllib.parse import quote

from host.importers.source import Source
from ledger.applications.provenance import QUALIFIED_NAME, STRING, Statement, make_statement
from ledger.errors import UserError
from ledger.transaction import Operation

COMMITS_MAX = 1_000
NAMESPACES = {"git": "urn:x-git:", "person": "mailto:"}
SUBJECT_CHARS_MAX = 500
PATH_CHARS_MAX = 1_500
"""Of a path in a name; a longer one is named by its SHA-256."""
SECONDS_MAX = 2**35
"""Dates beyond the year 3058 are mistakes."""
PIECE_BYTES = 1 << 16
SUBMODULE = b"160000"
_FIELDS = "%H%x00%P%x00%an%x00%ae%x00%at%x00%ct%x00%s"


@dataclass(frozen=True, slots=True)
class Change:
    """One file that a commit changed."""

    path: bytes
    blob: str
    """Object id of the new version; empty where the file was deleted."""
    is_file: bool
    """Whether the blob can be read here: not a submodule."""
    previous: tuple[tuple[bytes, str], ...]
    """(path, blob) before, for each parent that had the file."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit as `git log` tells it."""

    id: str
    parents: tuple[str, ...]
    author: str
    email: str
    authored: str
    """xsd:dateTime; empty where git holds no sensible date."""
    committed: str
    subject: str
    changes: list[Change] = field(default_factory=list)


def history(
    repository: Path, *, commits_max: int = COMMITS_MAX
) -> Iterator[tuple[str, list[Operation]]]:
    """(label, operations) of each of the last commits of HEAD, parents before children.

    Raises UserError at once where there is no git, no repository or no commit; the operations
    themselves are made one commit at a time.
    """
    _output(repository, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    return _history(repository, commits_max)


def source(repository: Path, *, commits_max: int | None = None) -> Source:
    """The whole history of HEAD, a part a commit, or its last commits.  Raises UserError.

    A commit's statements are the same in every import of the whole history, whatever is committed
    later; of the first of the last ones they are not, since what is older is not named.
    """
    _output(repository, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    counted = _output(repository, "rev-list", "--count", "HEAD")
    count = min(int(counted), commits_max or int(counted))
    if _output(repository, "rev-parse", "--is-shallow-repository") == "true":
        raise UserError(f"{repository} is a shallow clone; run git fetch --unshallow first")
    parts = (operations for _, operations in _history(repository, count))
    return Source("git", f"{count} commits of {repository.resolve().name}", parts, steps=count)


def _history(repository: Path, commits_max: int) -> Iterator[tuple[str, list[Operation]]]:
    with _Blobs(repository) as blobs:
        story = _Story(blobs)
        for commit in read_commits(repository, commits_max):
            yield f"{commit.id[:10]} {commit.subject}", story.tell(commit)


class _Story:
    """Turns commits into operations; remembers which versions it has named."""

    def __init__(self, blobs: _Blobs) -> None:
        self._blobs = blobs
        self._versions: dict[tuple[bytes, str], str] = {}
        """(path, blob) to the name of the latest version with that content."""
        self._commits: set[str] = set()

    def tell(self, commit: Commit) -> list[Operation]:
        statements = [*self._activity(commit)]
        for change in commit.changes:
            statements += self._change(commit, change)
        return [statement.operation() for statement in statements]

    def _activity(self, commit: Commit) -> Iterator[Statement]:
        name, agent = _commit_name(commit.id), _agent_name(commit)
        yield _statement(
            "activity",
            name,
            {"startTime": commit.authored, "endTime": commit.committed},
            {"prov:label": commit.subject[:SUBJECT_CHARS_MAX]},
        )
        # Said with every commit: whose is the first depends on what else is in the history.
        yield _statement("agent", agent, {}, {"prov:label": commit.author})
        yield _statement("wasAssociatedWith", "", {"activity": name, "agent": agent})
        for parent in commit.parents:
            if parent in self._commits:
                informant = _commit_name(parent)
                yield _statement("wasInformedBy", "", {"informed": name, "informant": informant})
        self._commits.add(commit.id)

    def _change(self, commit: Commit, change: Change) -> Iterator[Statement]:
        activity, time = _commit_name(commit.id), commit.committed
        found = [self._versions.get(version) for version in change.previous]
        known = list(dict.fromkeys(name for name in found if name is not None))
        if not change.blob:
            for name in known:
                made = {"entity": name, "activity": activity, "time": time}
                yield _statement("wasInvalidatedBy", "", made)
            return
        entity = _version_name(commit.id, change.path)
        attributes = {"git:path": change.path.decode(errors="replace"), "git:blob": change.blob}
        if change.is_file and (digest := self._blobs.digest(change.blob)):
            attributes["git:sha256"] = digest
        yield _statement("entity", entity, {}, attributes)
        made = {"entity": entity, "activity": activity, "time": time}
        yield _statement("wasGeneratedBy", "", made)
        for name in known:
            yield _statement("used", "", {"activity": activity, "entity": name})
            source = {"generatedEntity": entity, "usedEntity": name, "activity": activity}
            yield make_statement(
                "wasDerivedFrom", namespaces=NAMESPACES, arguments=source, attributes=[_REVISION]
            )
        self._versions[change.path, change.blob] = entity


_REVISION = ("prov:type", "prov:Revision", QUALIFIED_NAME)
"""So that `history` tells the versions of a file."""


def _statement(
    kind: str, name: str, arguments: dict[str, str], attributes: dict[str, str] | None = None
) -> Statement:
    rows = [(key, value, STRING) for key, value in (attributes or {}).items()]
    return make_statement(kind, name, namespaces=NAMESPACES, arguments=arguments, attributes=rows)


def _commit_name(commit: str) -> str:
    return f"git:commit/{commit}"


def _agent_name(commit: Commit) -> str:
    if commit.email:
        return f"person:{quote(commit.email[: PATH_CHARS_MAX // 12], safe='@+')}"
    return f"git:person/{quote(commit.author[: PATH_CHARS_MAX // 12])}"


def _version_name(commit: str, path: bytes) -> str:
    local = quote(path)
    if len(local) > PATH_CHARS_MAX:
        local = hashlib.sha256(path).hexdigest()
    return f"git:file/{commit}/{local}"


# Reading


def read_commits(repository: Path, commits_max: int) -> Iterator[Commit]:
    """The last commits of HEAD, parents before children."""
    command = _command(repository, "log", "-z", "--topo-order", "--reverse", "--raw", "-c", "-M")
    command += ["--root", "--no-abbrev", "--no-color", "--no-show-signature"]
    command += ["--encoding=UTF-8", f"--max-count={commits_max}", f"--format={_FIELDS}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        tokens = _tokens(process.stdout)
        commit = None
        for token in tokens:
            token = token.lstrip(b"\n")
            if token.startswith(b":"):
                assert commit is not None, "git names files after their commit"
                commit.changes.append(_parse_change(token, tokens))
            elif token:
                if commit is not None:
                    yield commit
                commit = _parse_commit(token, tokens)
        if commit is not None:
            yield commit
        if process.wait():
            raise UserError(f"git log failed in {repository}, after what has been imported")


def _tokens(stream: IO[bytes]) -> Iterator[bytes]:
    """What stands between zero bytes."""
    rest = b""
    while piece := stream.read(PIECE_BYTES):
        *whole, rest = (rest + piece).split(b"\0")
        yield from whole
    if rest:
        yield rest


def _parse_commit(identity: bytes, tokens: Iterator[bytes]) -> Commit:
    parents, author, email, authored, committed, subject = (
        next(tokens).decode(errors="replace") for _ in range(6)
    )
    start, end = _seconds(authored), _seconds(committed)
    # A clock that was set back between the two says nothing about when the work began.
    if start is not None and end is not None and start > end:
        start = None
    return Commit(
        identity.decode("ascii"),
        tuple(parents.split()),
        author,
        email,
        _date_time(start),
        _date_time(end),
        subject,
    )


def _parse_change(token: bytes, tokens: Iterator[bytes]) -> Change:
    """One entry of `git diff --raw`: colons for the parents, modes, object ids, status, paths."""
    parents = len(token) - len(token.lstrip(b":"))
    fields = token[parents:].split(b" ")
    modes, ids, status = fields[: parents + 1], fields[parents + 1 : -1], fields[-1]
    old_path = path = next(tokens)
    if parents == 1 and status[:1] in (b"R", b"C"):
        path = next(tokens)
    *old_ids, new_id = (identity.decode("ascii") for identity in ids)
    previous = tuple((old_path, identity) for identity in old_ids if identity.strip("0"))
    is_deleted = not new_id.strip("0")
    return Change(path, "" if is_deleted else new_id, modes[-1] != SUBMODULE, previous)


def _seconds(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) < SECONDS_MAX else None


def _date_time(seconds: int | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


class _Blobs:
    """Reads the contents of blobs through one `git cat-file` process."""

    def __init__(self, repository: Path) -> None:
        self._process = subprocess.Popen(
            _command(repository, "cat-file", "--batch"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> _Blobs:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.__exit__(None, None, None)

    def digest(self, blob: str) -> str:
        """SHA-256 of the content in hexadecimal; empty where the repository lacks the blob."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{blob}\n".encode())
        stdin.flush()
        answer = stdout.readline().split()
        if len(answer) != 3:
            return ""
        left = int(answer[2])
        hashed = hashlib.sha256()
        while left:
            piece = stdout.read(min(left, PIECE_BYTES))
            if not piece:
                raise UserError(f"git cat-file ended within blob {blob}")
            hashed.update(piece)
            left -= len(piece)
        stdout.read(1)
        return hashed.hexdigest()


def _command(repository: Path, *arguments: str) -> list[str]:
    return ["git", "-C", str(repository), *arguments]


def _output(repository: Path, *arguments: str) -> str:
    """What git says, without the end of the line.  Raises UserError."""
    try:
        done = subprocess.run(
            _command(repository, *arguments), capture_output=True, check=False, text=True
        )
    except OSError as error:
        raise UserError(f"git does not run here: {error.strerror}") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()
        why = said[0] if said else "it has no commit"
        raise UserError(f"{repository} has no git history to import: {why}")
    return done.stdout.strip()
