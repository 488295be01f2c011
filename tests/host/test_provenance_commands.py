"""`provenance import`, `export`, `run` and `check` against a running network.

It has one node, which is quicker; that several are asked, and none believed, `tests/api` shows.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import prov
import pytest
import trio
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from prov.model import ProvDocument
from prov.tests.examples import primer_example

from api.client import LedgerClient
from host.commands.options import microseconds
from host.home import read_genesis, read_private
from host.importers.guess import Choices, read_source
from host.importers.prov_document import read_document, statements_of
from host.ledger_statements import Said, all_statements
from host.network import api_urls
from ledger.errors import UserError
from ledger.keys import Signer, scheme_named
from tests.host.program import LIMIT_S, ROOT, Process, call, run, running_cluster
from tests.host.sources import SLSA, envelope, event

SHARED = Path(__file__).parents[3] / "shared" / "data"
GUIDE = (ROOT / "docs" / "provenance.md").read_text(encoding="utf-8")
NOBODY = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.org",
}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("provenance") / "net"
    call("init", folder, "--validators", 1, "--protocol", "solo").check()
    with running_cluster(folder):
        yield folder


def imported(network: Path, source: Path, *options: object) -> dict[str, Any]:
    done = call("provenance", "import", "--network", network, source, *options, "--json").check()
    return dict(done.document)


def exported(network: Path, folder: Path, *things: str, form: str = "json") -> ProvDocument:
    path = folder / f"export.{form}"
    call("provenance", "export", "--network", network, "-o", path, *things).check()
    document = prov.read(path, format=form)
    assert isinstance(document, ProvDocument)
    return document


def signer_of(network: Path) -> Signer:
    return scheme_named("ed25519").signer(read_private(network / "member.key"))


def client_of(network: Path) -> LedgerClient:
    genesis = read_genesis(network / "genesis.json")
    signer = signer_of(network)
    return LedgerClient(api_urls(network), genesis, signer=signer, clock=microseconds)


def uris_on_ledger(network: Path) -> list[str]:
    """Of every element, as often as it is there."""
    found = [said.statement for said in on_ledger(network) if said.statement.identifier]
    return [statement.expand(statement.identifier) for statement in found]


def on_ledger(network: Path) -> list[Said]:
    """Every statement, as often as it is there."""

    async def read() -> list[Said]:
        async with client_of(network) as client:
            return [said async for page in all_statements(client) for said in page]

    return trio.run(read)


# --- PROV documents ---


@pytest.mark.parametrize("form", ["provn", "json", "xml"])
def test_a_document_comes_back_equal_and_importing_it_again_changes_nothing(
    network: Path, tmp_path: Path, form: str
) -> None:
    document: ProvDocument = primer_example()  # type: ignore[no-untyped-call]
    path = tmp_path / f"primer.{form}"
    document.serialize(path, format=form)

    first = imported(network, path)
    height = on_ledger(network)[-1].height
    again = imported(network, path)

    # The three forms are one document: after the first of them nothing is new.
    assert first["said"] in (0, len(document.get_records()))
    assert (again["said"], again["transactions"]) == (0, [])
    assert again["known"] == len(document.get_records())
    assert on_ledger(network)[-1].height == height
    names = {str(record.identifier) for record in document.get_records() if record.identifier}
    back = exported(network, tmp_path, *sorted(names), form=form)
    assert set(document.get_records()) <= set(back.get_records())


def test_the_first_provenance_challenge_goes_in_and_comes_out(
    network: Path, tmp_path: Path
) -> None:
    path = SHARED / "first-provenance-challenge.provn"
    if not path.exists():
        pytest.skip("the First Provenance Challenge is not beside the repository")

    assert imported(network, path)["said"] == 159
    found = exported(network, tmp_path, "pc1:e28")

    assert {str(record.get_type()) for record in found.get_records()} == {
        "prov:Entity",
        "prov:Generation",
        "prov:Derivation",
    }
    done = call("provenance", "export", "--network", network, "pc1:nothing")
    assert done.code == 1
    assert "nothing about pc1:nothing" in done.error_line()


def test_a_document_that_has_grown_adds_what_is_new(network: Path, tmp_path: Path) -> None:
    lines = [f"entity(ex:e{number})" for number in range(300)]
    frame = "document\nprefix ex <urn:grown:>\n{}\nendDocument"
    path = tmp_path / "grown.provn"

    path.write_text(frame.format("\n".join(lines)))
    first = imported(network, path)
    path.write_text(frame.format("\n".join([*lines, "entity(ex:new)"])))
    again = imported(network, path)

    assert first["said"] == 300
    assert again["said"] + again["known"] == 301
    assert 1 <= again["said"] < 300, "what comes before the last cut is known"
    assert len(exported(network, tmp_path, *(f"urn:grown:e{n}" for n in range(300))).records) == 300


# --- out of reach, and interrupted ---


def test_a_network_out_of_reach_is_exit_code_3(tmp_path: Path) -> None:
    call("init", tmp_path / "net").check()
    path = tmp_path / "a.provn"
    path.write_text("document\nprefix ex <urn:a:>\nentity(ex:a)\nendDocument")

    for command in (["import", path], ["export"], ["run", "--", "true"], ["check"]):
        name, *rest = command
        done = call("provenance", name, "--network", tmp_path / "net", *rest)
        assert done.code == 3
        done.error_line()


@pytest.mark.parametrize("words", [("provenance", "import"), ("submit", "--record")], ids=" ".join)
def test_an_interruption_is_one_line_and_exit_code_130(
    network: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """While it waits for a node that takes the connection and says nothing."""
    path = tmp_path / "a.provn"
    path.write_text("document\nprefix ex <urn:a:>\nentity(ex:a)\nendDocument")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(LIMIT_S)
        options = ("--api", f"http://127.0.0.1:{silent.getsockname()[1]}")
        keys = ("--genesis", network / "genesis.json", "--key", network / "member.key")
        with Process(*words, path, *options, *keys) as process:
            connection, _ = silent.accept()
            with connection:
                assert process.stop(signal.SIGINT) == 130

    (line,) = process.errors
    assert line.startswith("interrupted")


# --- git and folders ---


def test_a_git_history_is_imported_commit_by_commit(network: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()

    def git(*arguments: str) -> None:
        done = subprocess.run(
            ["git", "-C", str(repository), *arguments],
            env={**os.environ, **NOBODY},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    git("init", "--quiet")
    for number in range(3):
        (repository / "file").write_text(f"{number}\n")
        git("add", "file")
        git("commit", "--quiet", "-m", f"commit {number}")
    first = imported(network, repository)
    again = imported(network, repository)
    (repository / "file").write_text("new\n")
    git("commit", "--quiet", "-a", "-m", "new")
    later = imported(network, repository)

    assert (first["source"], len(first["transactions"]), first["known"]) == ("git", 3, 0)
    assert (again["said"], again["known"]) == (0, first["said"])
    assert (len(later["transactions"]), later["known"]) == (1, first["said"])
    assert call("provenance", "check", "--network", network).code == 0


def test_a_folder_is_imported_by_content(network: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.csv").write_text("1,2\n")
    (folder / "sub" / "b.txt").write_text("hello\n")
    (folder / "sub" / "same.txt").write_text("hello\n")
    (folder / "link").symlink_to("a.csv")
    digest = hashlib.sha256(b"hello\n").hexdigest()

    report = imported(network, folder)

    assert report["source"] == "directory"
    assert imported(network, folder)["said"] == 0
    entity = exported(network, tmp_path, f"sha256:{digest}").get_record(
        prov.identifier.Namespace("sha256", "urn:x-sha256:")[digest]
    )
    values = {str(value) for record in entity for _, value in record.attributes}
    assert {"sub/b.txt", "sub/same.txt", digest, "text/plain"} <= values
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no file"):
        read_source(tmp_path / "empty", Choices())


# --- a command that runs ---


def test_a_run_records_what_it_read_and_made_and_ends_as_its_command(
    network: Path, tmp_path: Path
) -> None:
    raw, clean = tmp_path / "raw.csv", tmp_path / "clean.csv"
    raw.write_text("b\na\n")
    script = f"import sys; open({str(clean)!r}, 'w').write(open({str(raw)!r}).read().upper())"
    words = [sys.executable, "-c", script + "; print('said'); sys.exit(7)"]

    done = run("provenance", "run", "--network", network, "--input", raw, "--output", clean,
               "--output", tmp_path / "never", "--json", "--", *words)  # fmt: skip

    assert (done.code, done.out) == (7, "said\n")
    warning, line = done.err.strip().splitlines()
    assert "never was not made" in warning
    told = json.loads(line)
    assert told["exit_status"] == 7
    made = f"sha256:{hashlib.sha256(clean.read_bytes()).hexdigest()}"
    assert told["outputs"] == {clean.as_posix(): made}
    found = exported(network, tmp_path, told["run"])
    kinds = sorted(str(record.get_type()) for record in found.get_records())
    assert kinds == ["prov:Activity", "prov:Association", "prov:Generation", "prov:Usage"]
    member = signer_of(network).public_key.hex()
    assert member in found.get_provn()


@pytest.mark.parametrize(
    ("words", "code"),
    [(["sh", "-c", "kill -TERM $$"], 143), (["no-such-command-anywhere"], 127), (["true"], 0)],
)
def test_the_exit_code_is_what_a_shell_would_give(
    network: Path, words: list[str], code: int
) -> None:
    assert call("provenance", "run", "--network", network, "--", *words).code == code


def test_a_run_whose_input_is_missing_does_not_start(network: Path, tmp_path: Path) -> None:
    trace = tmp_path / "ran"

    done = call("provenance", "run", "--network", network, "--input", tmp_path / "gone", "--",
                "touch", trace)  # fmt: skip

    assert done.code == 2
    assert "gone" in done.error_line()
    assert not trace.exists()


# --- validity ---


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere.provn"], "there is no"),
        ([".", "--from", "in-toto"], "say whose attestations count"),
        ([".", "--from", "prov"], "name a PROV document by its form"),
        (["x.provn", "--signer", "11" * 32], "--signer is for attestations"),
        (["x.provn", "--commits", "3"], "--commits is for a git repository"),
        (["x.provn", "--from", "directory"], "is no directory"),
        (["x.provn", "--from", "git"], "no git history"),
    ],
)
def test_a_wrong_source_is_exit_code_2(
    network: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.provn").write_text("document endDocument")

    done = call("provenance", "import", "--network", network, *arguments)

    assert done.code == 2
    assert reason in done.error_line()


def test_an_import_that_is_checked_sends_nothing_that_is_invalid(
    network: Path, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.provn"
    frame = "document\nprefix ex <urn:checked:>\nbundle ex:b\n{}\nendBundle\nendDocument"
    path.write_text(frame.format("entity(ex:a)\nactivity(ex:a)"))

    done = call("provenance", "import", "--network", network, "--check", path)

    assert done.code == 1
    assert "constraint 55 (entity-activity-disjoint) in bundle urn:checked:b" in done.out
    assert "activity(ex:a, -, -)" in done.out
    assert not [uri for uri in uris_on_ledger(network) if uri.startswith("urn:checked:")]
    path.write_text(frame.format("entity(ex:a)"))
    assert imported(network, path, "--check")["said"] == 1


def test_a_ledger_is_checked_as_one_document(network: Path, tmp_path: Path) -> None:
    for name, line in (("one", "entity(c:x)"), ("two", "activity(c:x)")):
        path = tmp_path / f"{name}.provn"
        path.write_text(f"document\nprefix c <urn:contradiction:>\n{line}\nendDocument")
        assert call("provenance", "check", path).code == 0
        imported(network, path)

    done = call("provenance", "check", "--network", network, "--json")

    assert done.code == 1
    assert [each["constraint"] for each in done.document["violations"]] == [55]


def test_the_commands_of_the_guide_work_as_they_stand(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their order, in a folder that has what they name."""
    (block,) = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mynet").symlink_to(network)
    frame = "document\nprefix ex <urn:guide:>\n{}\nendDocument"
    (tmp_path / "workflow.provn").write_text(frame.format("entity(ex:report)"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("1\n")
    (tmp_path / "raw.csv").write_text("b\na\n")
    (tmp_path / "events.ndjson").write_text(json.dumps(event("START", "guide", 0)))
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "builder.pem").write_bytes(pem)
    (tmp_path / "build.intoto.jsonl").write_text(
        envelope(SLSA, lambda message: [private.sign(message, ec.ECDSA(hashes.SHA256()))])
    )
    for words in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *words], env={**os.environ, **NOBODY}, check=True)

    ended = [call(*words[2:]).code for words in commands]

    assert len(ended) == 11
    # What other tests have put on this ledger contradicts itself.
    assert ended[:-1] == [0] * 10
    assert sorted((tmp_path / "clean.csv").read_text().split()) == ["a", "b"]
    entities = json.loads((tmp_path / "everything.json").read_text())["entity"]
    # Others have used the prefix for other names.
    assert "report" in {name.partition(":")[2] for name in entities}


def test_an_export_says_what_it_wrote(network: Path, tmp_path: Path) -> None:
    source, path = tmp_path / "a.provn", tmp_path / "all.dot"
    source.write_text("document\nprefix told <urn:told:>\nentity(told:thing)\nendDocument")
    imported(network, source)

    told = call("provenance", "export", "--network", network, "-o", path, "--json", "told:thing")
    text = call("provenance", "export", "--network", network, "told:thing").check().out

    assert told.check().document["format"] == "dot"
    assert path.read_text().startswith("digraph")
    (tmp_path / "a.provn").write_text(text)
    assert len(statements_of(read_document(tmp_path / "a.provn"))) == told.document["statements"]
    assert call("provenance", "export", "--network", network, "--json").code == 2
    for name in ("/nowhere/x.json", tmp_path / "x.svg"):
        done = call("provenance", "export", "--network", network, "-o", name)
        assert done.code == 2
        done.error_line()


def test_a_big_document_takes_many_transactions_and_pages(network: Path, tmp_path: Path) -> None:
    path = tmp_path / "many.provn"
    lines = "\n".join(f"entity(m:e{number})" for number in range(1_300))
    path.write_text(f"document\nprefix m <urn:many:>\n{lines}\nendDocument")

    report = imported(network, path)

    assert report["said"] == 1_300
    assert len(report["transactions"]) > 2
    names = {said.statement.identifier for said in on_ledger(network)}
    assert {f"m:e{number}" for number in range(1_300)} <= names
