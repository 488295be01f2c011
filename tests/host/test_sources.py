"""Attestations and lineage events become statements; what proves nothing is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from host.importers.guess import Choices, guess, read_source
from host.importers.prov_document import to_provn
from ledger.constraints import check_statements
from ledger.errors import UserError
from ledger.keys import Signer, scheme_named
from tests.host.program import ROOT, call
from tests.host.sources import SLSA, envelope, event, statements_in

GUIDE = (ROOT / "docs" / "provenance.md").read_text(encoding="utf-8")


@pytest.fixture
def author() -> Signer:
    return scheme_named("ed25519").signer(b"attestation author".ljust(32, b"\0"))


def test_a_signed_attestation_tells_what_was_built_from_what(
    tmp_path: Path, author: Signer
) -> None:
    path = tmp_path / "build.intoto.jsonl"
    path.write_text(envelope(SLSA, lambda message: [author.sign(message)]) + "\n")
    key = author.public_key.hex()

    source = read_source(path, Choices(signers=[key]))

    assert source.kind == "in-toto"
    text = to_provn(statements_in(source)).replace("\\", "")
    assert f"used(build:run/1, sha256:{'ef' * 32}, -)" in text
    assert f"used(build:run/1, artifact:gitCommit/{'cd' * 20}, -)" in text
    assert f"wasGeneratedBy(sha256:{'ab' * 32}, build:run/1, 2026-01-01T00:01:00+00:00)" in text
    assert f"wasDerivedFrom(sha256:{'ab' * 32}, sha256:{'ef' * 32}, build:run/1, -, -)" in text
    assert "wasAssociatedWith(build:run/1, builder:https://example.org/builder, -)" in text
    assert f"agent(key:ed25519/{key})" in text
    assert check_statements(statements_in(source)) == []


def test_a_key_of_cosign_counts_as_well(tmp_path: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = tmp_path / "cosign.pub"
    pem.write_bytes(private.public_key().public_bytes(serialization.Encoding.PEM, form))
    path = tmp_path / "a.json"
    path.write_text(envelope(SLSA, lambda m: [private.sign(m, ec.ECDSA(hashes.SHA256()))]))

    source = read_source(path, Choices(signers=[str(pem)]))

    assert source.total > 5


@pytest.mark.parametrize("version", ["v0.2", "link", "other"])
def test_older_and_other_predicates_are_understood(
    tmp_path: Path, author: Signer, version: str
) -> None:
    predicates = {
        "v0.2": ("https://slsa.dev/provenance/v0.2",
                 {"builder": {"id": "b"}, "materials": [{"uri": "u", "digest": {"sha1": "1"}}],
                  "metadata": {"buildInvocationId": "i"}}),
        "link": ("https://in-toto.io/attestation/link/v0.3",
                 {"name": "step", "command": ["make", "all"],
                  "materials": [{"name": "m", "digest": {"sha256": "12"}}]}),
        "other": ("https://spdx.dev/Document", {"spdxVersion": "SPDX-2.3"}),
    }  # fmt: skip
    kind, predicate = predicates[version]
    statement = {**SLSA, "predicateType": kind, "predicate": predicate}
    path = tmp_path / "a.json"
    path.write_text(envelope(statement, lambda message: [author.sign(message)]))

    (part,) = read_source(path, Choices(signers=[author.public_key.hex()])).parts
    text = b" ".join(operation.body for operation in part)

    assert (b"used" in text) == (version != "other")
    assert b"attestation:" in text


def flipped(signature: bytes) -> bytes:
    return bytes([signature[0] ^ 1]) + signature[1:]


@pytest.mark.parametrize(
    ("sign", "reason"),
    [
        (lambda key, message: [], "nobody has signed"),
        (lambda key, message: [flipped(key.sign(message))], "none by a --signer"),
        (lambda key, message: [key.sign(message + b"x")], "none by a --signer"),
        (lambda key, message: [b"short"], "none by a --signer"),
    ],
)
def test_an_attestation_that_nobody_named_has_signed_is_refused(
    tmp_path: Path, author: Signer, sign: Any, reason: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text(envelope(SLSA, lambda message: sign(author, message)))

    with pytest.raises(UserError, match=reason):
        read_source(path, Choices(signers=[author.public_key.hex()]))


def test_one_bad_attestation_keeps_its_whole_file_out(tmp_path: Path, author: Signer) -> None:
    good = envelope(SLSA, lambda message: [author.sign(message)])
    bad = envelope({**SLSA, "subject": []}, lambda message: [author.sign(b"")])
    path = tmp_path / "a.jsonl"
    path.write_text(good + "\n" + bad + "\n")

    with pytest.raises(UserError, match="attestation 2: refused"):
        read_source(path, Choices(signers=[author.public_key.hex()]))


def test_the_payload_type_is_signed(tmp_path: Path, author: Signer) -> None:
    document = json.loads(envelope(SLSA, lambda m: [author.sign(m)], kind="text/plain"))
    path = tmp_path / "a.json"
    path.write_text(json.dumps({**document, "payloadType": "application/vnd.in-toto+json"}))

    with pytest.raises(UserError, match="none by a --signer"):
        read_source(path, Choices(signers=[author.public_key.hex()]))


@pytest.mark.parametrize(
    ("content", "signers", "reason"),
    [
        (json.dumps(SLSA), ["11" * 32], "nobody has signed"),
        ('{"payload": "AA==", "payloadType": "x"}', ["11" * 32], "nobody has signed"),
        ('{"payload": "*", "payloadType": "x"}', ["11" * 32], "no DSSE envelope"),
        ('{"payload": "AA==", "payloadType": "x"}', [], "say whose attestations count"),
        ('{"payload": "AA==", "payloadType": "x"}', ["nothing"], "public key is 64"),
    ],
)
def test_what_proves_nothing_is_a_users_mistake(
    tmp_path: Path, content: str, signers: list[str], reason: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)

    with pytest.raises(UserError, match=reason):
        read_source(path, Choices(signers=signers))


# --- OpenLineage ---


def test_lineage_events_tell_runs_data_sets_and_versions(tmp_path: Path) -> None:
    raw = {"namespace": "pg", "name": "raw"}
    clean = {"namespace": "pg", "name": "clean",
             "facets": {"version": {"datasetVersion": "7"}}}  # fmt: skip
    parent = {"runId": "r2", "facets": {"parent": {"run": {"runId": "r1"}}}}
    events = [
        event("START", "r1", 0, inputs=[raw]),
        event("COMPLETE", "r1", 5, inputs=[raw], outputs=[clean]),
        event("START", "r2", 6, run=parent),
        {"eventTime": "2026-01-01T00:00:00Z", "job": {"namespace": "etl", "name": "alone"}},
        {"eventTime": "2026-01-01T00:00:00Z", "dataset": raw},
    ]
    path = tmp_path / "events.ndjson"
    path.write_text("\n".join(map(json.dumps, events)) + "\n")

    source = read_source(path, Choices())

    assert (source.kind, source.left_out) == ("openlineage", 1)
    text = to_provn(statements_in(source))
    assert "activity(openlineage:run/r1, 2026-01-01T00:00:00+00:00, -" in text
    assert "activity(openlineage:run/r1, -, 2026-01-01T00:05:00+00:00" in text
    assert "used(openlineage:run/r1, openlineage:dataset/pg/raw, -)" in text
    assert "wasGeneratedBy(openlineage:dataset/pg/clean@7, openlineage:run/r1, -)" in text
    assert "specializationOf(openlineage:dataset/pg/clean@7, openlineage:dataset/pg/clean)" in text
    assert "wasStartedBy(openlineage:run/r2, -, openlineage:run/r1, -)" in text
    assert check_statements(statements_in(source)) == []
    # An event log grows: what was there stays in the same parts.
    with path.open("a") as file:
        file.write(json.dumps(event("COMPLETE", "r2", 9)) + "\n")
    *before, _ = read_source(path, Choices()).parts
    assert before == source.parts


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"eventTime": "x", "run": {"runId": "r"}, "eventType": "START"}', "event 1.*dateTime"),
        ('{"eventTime": "x", "run": {"runId": "r"}, "eventType": "GO"}', "no such type of event"),
        ('{"eventTime": "x"}\nnonsense', "line 2: this is no JSON object"),
        ('{"eventTime": "x"}', "holds no OpenLineage event"),
    ],
)
def test_events_that_make_no_sense_are_a_users_mistake(
    tmp_path: Path, content: str, reason: str
) -> None:
    path = tmp_path / "events.json"
    path.write_text(content)

    with pytest.raises(UserError, match=reason):
        read_source(path, Choices(form="openlineage"))


def test_the_form_is_guessed_from_the_source(tmp_path: Path) -> None:
    contents = {
        "a.json": ('{"entity": {}}', "prov"),
        "b.json": ('{"payloadType": "x"}', "in-toto"),
        "c.jsonl": ('{"eventTime": "x"}\n{}', "openlineage"),
        "d.json": ('[{"eventTime": "x"}]', "openlineage"),
        "e.provn": ("document endDocument", "prov"),
    }
    for name, (content, form) in contents.items():
        (tmp_path / name).write_text(content)
        assert guess(tmp_path / name) == form
    assert guess(tmp_path) == "directory"
    (tmp_path / ".git").mkdir()
    assert guess(tmp_path) == "git"


def test_a_document_is_checked_and_the_rule_that_it_breaks_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wrong.provn"
    path.write_text(
        "document\nprefix ex <urn:wrong:>\nactivity(ex:a)\nused(ex:b, ex:a, -)\nendDocument"
    )

    done = call("provenance", "check", path)
    told = call("provenance", "check", path, "--json")

    assert (done.code, told.code) == (1, 1)
    shown = re.findall(r"```text\n(.*?)```", GUIDE, re.DOTALL)
    assert done.out == shown[0]
    (violation,) = told.document["violations"]
    assert violation["statements"] == ["activity(ex:a, -, -)", "used(ex:b, ex:a, -)"]
    assert call("provenance", "check").code == 2


# --- what others write may be anything ---

ANYTHING = [None, -1, "", "\ud800", "x" * 3_000, [None], {"": ""}]
START = event(
    "START",
    "r",
    1,
    inputs=[{"namespace": "a", "name": "b", "facets": {"version": {"datasetVersion": "1"}}}],
    outputs=[{"namespace": "a", "name": "c"}],
)


def replaced(whole: Any) -> Iterator[Any]:
    """The document with each part of it replaced by each of anything."""
    yield from ANYTHING
    parts = whole.items() if isinstance(whole, dict) else enumerate(whole)
    for key, part in list(parts) if isinstance(whole, (dict, list)) else []:
        for other in replaced(part) if isinstance(part, (dict, list)) else ANYTHING:
            changed = whole.copy()
            changed[key] = other
            yield changed


@pytest.mark.parametrize("form", ["statement", "envelope", "event"])
def test_documents_of_any_shape_are_statements_or_a_users_mistake(
    tmp_path: Path, author: Signer, form: str
) -> None:
    path = tmp_path / "any.json"
    signers = [author.public_key.hex()]
    sealed = json.loads(envelope(SLSA, lambda message: [author.sign(message)]))
    whole = {"statement": SLSA, "envelope": sealed, "event": START}[form]
    ended = {"statements": 0, "mistake": 0}

    for changed in replaced(whole):
        if form == "statement":
            path.write_text(envelope(changed, lambda message: [author.sign(message)]))
        else:
            path.write_text(json.dumps(changed))
        choices = Choices("openlineage") if form == "event" else Choices("in-toto", signers)
        try:
            assert statements_in(read_source(path, choices))
            ended["statements"] += 1
        except UserError:
            ended["mistake"] += 1

    assert min(ended.values()) > 0 or form == "envelope"
