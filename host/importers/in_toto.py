"""in-toto attestations, such as SLSA provenance, in signed DSSE envelopes.

    attestation     entity attestation:<SHA-256 of the payload>, typed by its predicate,
                    wasAttributedTo each signer's key
    artifact        entity sha256:<hex>, or artifact:<algorithm>/<hex> without a SHA-256
    SLSA, link      activity build:<id>, wasAssociatedWith the builder; used the materials;
                    the subjects wasGeneratedBy it and wasDerivedFrom each material
    other           wasInfluencedBy from the attestation to each subject

Sources: in-toto Attestation Framework v1 (Statement, ResourceDescriptor), SLSA provenance v1 and
v0.2, in-toto link v0.3.  An envelope that no given key signed is refused, and with it the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from host.importers.dsse import Envelope, open_envelope, read_signer
from host.importers.json_lines import read_objects
from host.importers.source import Source
from ledger.applications.provenance import STRING, Statement, make_statement
from ledger.errors import Fault, UserError

NAMESPACES = {
    "sha256": "urn:x-sha256:",
    "artifact": "urn:x-artifact:",
    "attestation": "urn:x-attestation:",
    "build": "urn:x-build:",
    "builder": "urn:x-builder:",
    "key": "urn:x-key:",
    "intoto": "urn:x-in-toto:",
}
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENTS = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
SLSA_V1 = "https://slsa.dev/provenance/v1"
SLSA_V02 = "https://slsa.dev/provenance/v0.2"
LINKS = ("https://in-toto.io/attestation/link/v0.3", "https://in-toto.io/Link/v1")
NAME_CHARS_MAX = 1_000
"""Of a part of a name; a longer one is named by its SHA-256."""


def source(path: Path, signers: Sequence[str]) -> Source:
    """Every envelope of a file, each checked before anything is imported.  Raises UserError."""
    if not signers:
        raise UserError("say whose attestations count: --signer PUBLIC_KEY")
    keys = [read_signer(text) for text in signers]
    parts = []
    for number, document in enumerate(read_objects(path), 1):
        where = f"{path}, attestation {number}"
        if "_type" in document:
            raise UserError(f"{where}: a bare statement, which nobody has signed, proves nothing")
        envelope = open_envelope(document, keys, where=where)
        try:
            parts.append([made.operation() for made in _statements(envelope, where)])
        except Fault as fault:
            raise UserError(f"{where}: {fault}") from None
    if not parts:
        raise UserError(f"{path} holds no attestation")
    title = f"{len(parts)} attestations of {path.name}"
    return Source("in-toto", title, parts, sum(len(part) for part in parts))


@dataclass(frozen=True, slots=True)
class _Artifact:
    name: str
    """Qualified name of its entity."""
    label: str


@dataclass(frozen=True, slots=True)
class _Step:
    """What SLSA and in-toto links have in common: something ran."""

    id: str
    builder: str
    kind: str
    """Build type or command."""
    materials: list[_Artifact]
    started: str = ""
    finished: str = ""


def _statements(envelope: Envelope, where: str) -> Iterator[Statement]:
    if envelope.payload_type != PAYLOAD_TYPE:
        raise UserError(f"{where}: payload of type {envelope.payload_type}, not {PAYLOAD_TYPE}")
    try:
        document = json.loads(envelope.payload)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("_type") not in STATEMENTS:
        raise UserError(f"{where}: the payload is no in-toto statement")
    predicate_type = _text(document.get("predicateType"))
    subjects = _artifacts(document.get("subject"))
    if not predicate_type or not subjects:
        raise UserError(f"{where}: the statement has no predicate type, or no subject with digest")
    digest = hashlib.sha256(envelope.payload).hexdigest()
    attestation = f"attestation:{digest}"
    yield _make(
        "entity",
        attestation,
        attributes={"intoto:predicateType": predicate_type, "intoto:sha256": digest},
    )
    for signer in envelope.signers:
        name = f"key:{signer.name.replace(':', '/')}"
        yield _make("agent", name)
        yield _make("wasAttributedTo", arguments={"entity": attestation, "agent": name})
    for subject in subjects:
        yield _entity(subject)
    step = _step(predicate_type, document.get("predicate"), digest)
    if step is None:
        for subject in subjects:
            arguments = {"influencee": attestation, "influencer": subject.name}
            yield _make("wasInfluencedBy", arguments=arguments)
        return
    yield from _run(step, subjects, attestation)


def _run(step: _Step, subjects: list[_Artifact], attestation: str) -> Iterator[Statement]:
    times = {"startTime": step.started, "endTime": step.finished}
    yield _make("activity", step.id, arguments=times, attributes={"intoto:kind": step.kind})
    yield _make("wasInfluencedBy", arguments={"influencee": attestation, "influencer": step.id})
    if step.builder:
        name = f"builder:{_local(step.builder)}"
        yield _make("agent", name, attributes={"prov:label": step.builder})
        yield _make("wasAssociatedWith", arguments={"activity": step.id, "agent": name})
    for material in step.materials:
        yield _entity(material)
        yield _make("used", arguments={"activity": step.id, "entity": material.name})
    for subject in subjects:
        made = {"entity": subject.name, "activity": step.id, "time": step.finished}
        yield _make("wasGeneratedBy", arguments=made)
        for material in step.materials:
            if material.name != subject.name:
                derived = {"generatedEntity": subject.name, "usedEntity": material.name}
                yield _make("wasDerivedFrom", arguments={**derived, "activity": step.id})


def _step(predicate_type: str, predicate: Any, digest: str) -> _Step | None:
    """What ran, by the predicate; None for a predicate that is not about a run."""
    if predicate_type == SLSA_V1:
        definition, details = _at(predicate, "buildDefinition"), _at(predicate, "runDetails")
        metadata = _at(details, "metadata")
        return _Step(
            _run_name(_at(metadata, "invocationId"), digest),
            _text(_at(_at(details, "builder"), "id")),
            _text(_at(definition, "buildType")),
            _artifacts(_at(definition, "resolvedDependencies")),
            _text(_at(metadata, "startedOn")),
            _text(_at(metadata, "finishedOn")),
        )
    if predicate_type == SLSA_V02:
        metadata = _at(predicate, "metadata")
        return _Step(
            _run_name(_at(metadata, "buildInvocationId"), digest),
            _text(_at(_at(predicate, "builder"), "id")),
            _text(_at(predicate, "buildType")),
            _artifacts(_at(predicate, "materials")),
            _text(_at(metadata, "buildStartedOn")),
            _text(_at(metadata, "buildFinishedOn")),
        )
    if predicate_type in LINKS:
        command = _at(predicate, "command")
        words = [_text(word) for word in command] if isinstance(command, list) else []
        kind = " ".join(words) or _text(_at(predicate, "name"))
        return _Step(f"build:{digest}", "", kind, _artifacts(_at(predicate, "materials")))
    return None


def _run_name(invocation: Any, digest: str) -> str:
    """By the builder's own id, so that two attestations of one build meet; else by the payload."""
    return f"build:{_local(_text(invocation)) or digest}"


def _artifacts(rows: Any) -> list[_Artifact]:
    """The resources that have a digest, each once; a link's materials may be a map by path."""
    if isinstance(rows, dict):
        rows = [{"name": name, "digest": digest} for name, digest in rows.items()]
    found: dict[str, _Artifact] = {}
    for row in rows if isinstance(rows, list) else []:
        digests = _at(row, "digest")
        if not isinstance(digests, dict):
            continue
        pairs = sorted((_text(kind), _text(value)) for kind, value in digests.items())
        pairs = [(kind, value) for kind, value in pairs if kind and value]
        label = _text(_at(row, "name")) or _text(_at(row, "uri"))
        if (sha256 := dict(pairs).get("sha256")) is not None:
            name = f"sha256:{_local(sha256.lower())}"
        elif pairs:
            kind, value = pairs[0]
            name = f"artifact:{_local(kind)}/{_local(value)}"
        else:
            continue
        found.setdefault(name, _Artifact(name, label))
    return list(found.values())


def _entity(artifact: _Artifact) -> Statement:
    attributes = {"intoto:name": artifact.label} if artifact.label else {}
    if artifact.name.startswith("sha256:"):
        attributes["intoto:sha256"] = artifact.name.partition(":")[2]
    return _make("entity", artifact.name, attributes=attributes)


def _make(
    kind: str,
    name: str = "",
    *,
    arguments: dict[str, str] | None = None,
    attributes: dict[str, str] | None = None,
) -> Statement:
    rows = [(key, value, STRING) for key, value in (attributes or {}).items() if value]
    return make_statement(kind, name, namespaces=NAMESPACES, arguments=arguments, attributes=rows)


def _at(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _local(text: str) -> str:
    """Text as the local part of a name."""
    local = quote(text, safe="/:@+=", errors="replace")
    return local if len(local) <= NAME_CHARS_MAX else hashlib.sha256(local.encode()).hexdigest()
