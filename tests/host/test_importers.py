"""Importers: git histories and PROV documents become statements, and documents come back whole."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections import Counter
from pathlib import Path

import prov
import pytest
from prov.model import PROV_REC_CLS, Literal, ProvDocument
from prov.tests import examples

from host.importers import git
from host.importers.prov_document import (
    from_statements,
    primer,
    read_document,
    statements_of,
    to_json,
    to_operations,
    to_provn,
)
from ledger.applications.provenance import KINDS, Statement, parse_statement
from ledger.errors import UserError
from ledger.lineage import Lineage
from ledger.transaction import Operation

SHARED = Path(__file__).parents[3] / "shared" / "data"
CORPUS = Path(examples.__file__).parent
NOBODY = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ann Éluard",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Bot",
    "GIT_COMMITTER_EMAIL": "bot@example.org",
}


def taken(document: ProvDocument) -> list[Statement]:
    """The document's statements after a passage through the ledger's bytes."""
    return [parse_statement(operation.body) for operation in to_operations(document)]


# PROV documents


@pytest.mark.parametrize(("name", "make"), examples.tests)
def test_the_examples_of_the_prov_package_come_back_equal(name: str, make: object) -> None:
    assert callable(make)
    document = make()

    statements = taken(document)

    assert from_statements(statements) == document
    assert statements_of(from_statements(statements)) == statements
    assert prov.read(to_json(statements), format="json") == document


@pytest.mark.parametrize("make", [examples.primer_example, examples.bundles2])
def test_statements_are_written_as_prov_n(make: object) -> None:
    assert callable(make)
    document = make()

    text = to_provn(taken(document))

    assert text.startswith("document")
    assert prov.read(text, format="provn") == document


def test_a_corpus_comes_back_equal_but_for_what_prov_dm_forbids() -> None:
    seen: Counter[str] = Counter()

    for path in sorted((CORPUS / "json").glob("*.json")):
        document = read_document(path)
        try:
            statements = taken(document)
        except UserError as error:
            seen["argument" if "provenance.argument" in str(error) else str(error)] += 1
            continue
        assert from_statements(statements) == document, path.name
        seen["equal"] += 1

    assert set(seen) == {"equal", "argument"}
    assert seen["equal"] > 20 * seen["argument"]


def test_real_documents_come_back_equal() -> None:
    paths = sorted(SHARED.glob("*.provn"))
    if not paths:
        pytest.skip(f"no real documents beside the repository in {SHARED.name}")

    for path in paths:
        document = read_document(path)
        assert from_statements(taken(document)) == document, path.name


def test_the_first_provenance_challenge_keeps_its_159_records() -> None:
    path = SHARED / "first-provenance-challenge.provn"
    if not path.exists():
        pytest.skip("the First Provenance Challenge is not beside the repository")

    kinds = Counter(statement.kind for statement in taken(read_document(path)))

    assert kinds == {
        "entity": 33,
        "activity": 15,
        "agent": 1,
        "used": 40,
        "wasGeneratedBy": 20,
        "wasDerivedFrom": 49,
        "wasAssociatedWith": 1,
    }


def test_the_kinds_and_arguments_are_those_of_the_prov_package() -> None:
    theirs = {
        prov.constants.PROV_N_MAP[kind]: tuple(name.localpart for name in made.FORMAL_ATTRIBUTES)
        for kind, made in PROV_REC_CLS.items()
    }

    assert {kind: rule.arguments for kind, rule in KINDS.items()} == theirs


def test_literals_keep_their_types() -> None:
    document = ProvDocument()
    document.add_namespace("ex", "http://example.org/")
    values = [1, 2**40, 2**70, -1, 1.5, float("inf"), True, "text", 'quo"te\n']
    typed = [Literal("1", prov.constants.XSD_LONG), Literal("chat", langtag="fr")]
    document.entity("ex:e", [("ex:value", value) for value in (*values, *typed)])

    (statement,) = taken(document)

    assert from_statements([statement]) == document
    assert {(value, datatype) for _, value, datatype in statement.attributes} == {
        ("1", "xsd:int"),
        (str(2**40), "xsd:long"),
        (str(2**70), "xsd:integer"),
        ("-1", "xsd:int"),
        ("1.5", "xsd:double"),
        ("INF", "xsd:double"),
        ("true", "xsd:boolean"),
        ("text", "xsd:string"),
        ('quo"te\n', "xsd:string"),
        ("1", "xsd:long"),
        ("chat", "@fr"),
    }


def test_clashing_prefixes_are_told_apart() -> None:
    document = ProvDocument()
    for name, uri in (("ex:one", "urn:1:"), ("ex:two", "urn:2:")):
        bundle = document.bundle(prov.identifier.QualifiedName(_space("b", "urn:b:"), name[3:]))
        bundle.add_namespace("ex", uri)
        bundle.entity(name)
        bundle.set_default_namespace(f"{uri}default:")
        bundle.entity("nameless")

    statements = taken(document)

    assert from_statements(statements) == document
    assert {statement.expand(statement.identifier) for statement in statements} == {
        "urn:1:one",
        "urn:2:two",
        "urn:1:default:nameless",
        "urn:2:default:nameless",
    }


def _space(prefix: str, uri: str) -> prov.identifier.Namespace:
    return prov.identifier.Namespace(prefix, uri)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.json", ""),
        ("list.json", "[]"),
        ("scalar.json", "1"),
        ("kind.json", '{"wasForgottenBy": {}}'),
        ("dropped.json", '{"used": {"_:u": {"prov:activity": "nowhere:a"}}}'),
        ("bytes.json", "\udcff"),
        ("broken.provn", "document entity("),
        ("broken.xml", "<a>"),
        ("unknown.txt", "document endDocument"),
    ],
)
def test_what_is_no_document_is_a_users_mistake(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode(errors="surrogateescape"))

    with pytest.raises(UserError, match=name):
        read_document(path)


def test_a_file_that_is_not_there_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        read_document(tmp_path / "absent.json")


def test_a_record_that_prov_dm_forbids_is_named() -> None:
    document = ProvDocument()
    document.add_namespace("ex", "http://example.org/")
    document.entity("ex:e", {"ex:value": "x" * 60_001})

    with pytest.raises(UserError, match="entity"):
        to_operations(document)


def test_the_primer_is_at_hand() -> None:
    statements = [parse_statement(operation.body) for operation in primer()]

    assert Counter(statement.kind for statement in statements)["entity"] == 10
    assert from_statements(statements) == examples.primer_example()


# Git histories


class Repository:
    """A git repository in a directory of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._time = 1_700_000_000
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        dates = {
            "GIT_AUTHOR_DATE": f"{self._time} +0200",
            "GIT_COMMITTER_DATE": f"{self._time + 60} +0000",
        }
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            env={**os.environ, **NOBODY, **dates},
            capture_output=True,
            check=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, subject: str, **files: str | None) -> str:
        """Write (or remove) files, commit everything, and give the commit's id."""
        self._time += 3_600
        for name, content in files.items():
            if content is None:
                (self.path / name).unlink()
            else:
                (self.path / name).write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    for name, value in NOBODY.items():
        monkeypatch.setenv(name, value)
    return Repository(tmp_path)


def told(repository: Repository, **options: int) -> dict[str, list[str]]:
    """The history in short: the statements of each commit by its label's subject."""
    return {
        label.partition(" ")[2]: [short(operation) for operation in operations]
        for label, operations in git.history(repository.path, **options)
    }


def short(operation: Operation) -> str:
    statement = parse_statement(operation.body)
    names = [value for name, value in statement.arguments if name not in ("time", "activity")]
    return " ".join([statement.kind, *filter(None, [statement.identifier]), *names])


def test_the_versions_of_a_file_are_a_history_and_no_other_file_is_in_it(
    repository: Repository,
) -> None:
    commits = [repository.commit(f"c{n}", a=f"text {n}", b=f"other {n}") for n in range(4)]
    operations = [each for _, several in git.history(repository.path) for each in several]
    lineage = Lineage([parse_statement(each.body) for each in operations])

    versions = lineage.history(f"git:file/{commits[2]}/a")

    assert [each.name for each in versions] == [f"git:file/{commit}/a" for commit in commits]


def test_a_history_tells_who_made_which_version_from_what(repository: Repository) -> None:
    first = repository.commit("first: begin", a="one", b="two")
    second = repository.commit("second", a="one more", b=None)

    assert told(repository) == {
        "first: begin": [
            f"activity git:commit/{first} 2023-11-14T23:13:20+00:00 2023-11-14T23:14:20+00:00",
            "agent person:ann@example.org",
            "wasAssociatedWith person:ann@example.org",
            f"entity git:file/{first}/a",
            f"wasGeneratedBy git:file/{first}/a",
            f"entity git:file/{first}/b",
            f"wasGeneratedBy git:file/{first}/b",
        ],
        "second": [
            f"activity git:commit/{second} 2023-11-15T00:13:20+00:00 2023-11-15T00:14:20+00:00",
            "agent person:ann@example.org",
            "wasAssociatedWith person:ann@example.org",
            f"wasInformedBy git:commit/{second} git:commit/{first}",
            f"entity git:file/{second}/a",
            f"wasGeneratedBy git:file/{second}/a",
            f"used git:file/{first}/a",
            f"wasDerivedFrom git:file/{second}/a git:file/{first}/a",
            f"wasInvalidatedBy git:file/{first}/b",
        ],
    }


def test_a_version_carries_its_path_blob_and_sha_256(repository: Repository) -> None:
    content = "line\n" * 30_000
    repository.commit("large", **{"with space;é": content})

    ((_, operations),) = git.history(repository.path)

    activity, agent, _, entity, _ = [parse_statement(each.body) for each in operations]
    assert {name: value for name, value, _ in entity.attributes} == {
        "git:path": "with space;é",
        "git:blob": repository.git("rev-parse", "HEAD:with space;é"),
        "git:sha256": hashlib.sha256(content.encode()).hexdigest(),
    }
    assert entity.identifier.endswith("/with%20space%3B%C3%A9")
    assert entity.expand(entity.identifier).startswith("urn:x-git:file/")
    assert [value for _, value, _ in activity.attributes] == ["large"]
    assert [value for _, value, _ in agent.attributes] == ["Ann Éluard"]


def test_a_renamed_file_is_derived_from_the_old_one(repository: Repository) -> None:
    first = repository.commit("first", old="some content\n")
    repository.git("mv", "old", "new")
    second = repository.commit("second")

    assert (
        f"wasDerivedFrom git:file/{second}/new git:file/{first}/old" in told(repository)["second"]
    )


def test_a_merge_derives_what_differs_from_every_parent(repository: Repository) -> None:
    base = repository.commit("base", a="base\n", b="b\n")
    repository.git("checkout", "--quiet", "-b", "side")
    side = repository.commit("side", a="side\n")
    repository.git("checkout", "--quiet", "main")
    main = repository.commit("main", a="main\n")
    repository.git("merge", "--quiet", "--no-commit", "--strategy=ours", "side")
    merge = repository.commit("merge", a="both\n")

    story = told(repository)

    assert set(story) == {"base", "side", "main", "merge"}
    assert story["merge"][3:] == [
        f"wasInformedBy git:commit/{merge} git:commit/{main}",
        f"wasInformedBy git:commit/{merge} git:commit/{side}",
        f"entity git:file/{merge}/a",
        f"wasGeneratedBy git:file/{merge}/a",
        f"used git:file/{main}/a",
        f"wasDerivedFrom git:file/{merge}/a git:file/{main}/a",
        f"used git:file/{side}/a",
        f"wasDerivedFrom git:file/{merge}/a git:file/{side}/a",
    ]
    assert f"wasDerivedFrom git:file/{side}/a git:file/{base}/a" in story["side"]


def test_only_the_last_commits_are_read_oldest_first(repository: Repository) -> None:
    for number in range(5):
        repository.commit(f"c{number}", a=str(number))

    story = told(repository, commits_max=2)

    assert list(story) == ["c3", "c4"]
    # What c3 changed is older than what was read, so nothing is said about it.
    assert [line.split()[0] for line in story["c3"]] == [
        "activity",
        "agent",
        "wasAssociatedWith",
        "entity",
        "wasGeneratedBy",
    ]
    assert "wasDerivedFrom" in [line.split()[0] for line in story["c4"]]


def test_a_commit_without_changes_is_still_told(repository: Repository) -> None:
    repository.commit("empty")

    assert [line.split()[0] for line in told(repository)["empty"]] == [
        "activity",
        "agent",
        "wasAssociatedWith",
    ]


@pytest.mark.parametrize(
    ("authored", "committed", "times"),
    [
        (2_000, 1_000, ["1970-01-01T00:16:40+00:00"]),
        (2**40, 2**40, []),
        (0, 1_000, ["1970-01-01T00:00:00+00:00", "1970-01-01T00:16:40+00:00"]),
    ],
)
def test_dates_that_cannot_be_are_left_out(
    repository: Repository, authored: int, committed: int, times: list[str]
) -> None:
    repository.commit("odd dates")
    text = repository.git("cat-file", "commit", "HEAD").splitlines()
    text[1:3] = [f"author <> {authored} +9959", f"committer B <b> {committed} +0000"]
    (repository.path / "raw").write_text("\n".join(text) + "\n")
    odd = repository.git("hash-object", "-t", "commit", "-w", "--literally", "raw")
    repository.git("reset", "--quiet", "--soft", odd)

    activity, agent, *_ = told(repository)["odd dates"]

    assert activity.split()[2:] == times
    assert agent == "agent git:person/"


def test_the_history_is_lazy(repository: Repository) -> None:
    for number in range(3):
        repository.commit(f"c{number}", a=str(number))

    story = git.history(repository.path)
    label, _ = next(story)

    assert label.endswith(" c0")
    story.close()  # type: ignore[attr-defined]


def test_a_directory_without_a_history_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no git history"):
        git.history(tmp_path / "absent")
    Repository(tmp_path)
    with pytest.raises(UserError, match="no git history"):
        git.history(tmp_path)


def test_a_machine_without_git_is_told_so(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit("first", a="one")
    monkeypatch.setenv("PATH", str(repository.path))

    with pytest.raises(UserError, match="git does not run"):
        git.history(repository.path)
