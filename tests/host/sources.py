"""Attestations and events, as other programs write them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

from host.importers.dsse import signed_bytes
from host.importers.source import Source
from ledger.applications.provenance import Statement, parse_statement

SLSA = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "app", "digest": {"sha256": "ab" * 32}}],
    "predicateType": "https://slsa.dev/provenance/v1",
    "predicate": {
        "buildDefinition": {
            "buildType": "https://example.org/make",
            "resolvedDependencies": [
                {"uri": "git+https://example.org/src", "digest": {"gitCommit": "cd" * 20}},
                {"name": "lib", "digest": {"sha256": "EF" * 32}},
            ],
        },
        "runDetails": {
            "builder": {"id": "https://example.org/builder"},
            "metadata": {"invocationId": "run/1", "startedOn": "2026-01-01T00:00:00Z",
                         "finishedOn": "2026-01-01T00:01:00Z"},
        },
    },
}  # fmt: skip


def envelope(
    statement: object,
    sign: Callable[[bytes], list[bytes]],
    kind: str = "application/vnd.in-toto+json",
) -> str:
    payload = json.dumps(statement).encode()
    signatures = [
        {"keyid": "", "sig": base64.b64encode(signature).decode()}
        for signature in sign(signed_bytes(kind, payload))
    ]
    document = {"payloadType": kind, "payload": base64.b64encode(payload).decode()}
    return json.dumps({**document, "signatures": signatures})


def event(kind: str, identity: str, minute: int, **more: object) -> dict[str, object]:
    return {
        "eventType": kind,
        "eventTime": f"2026-01-01T00:{minute:02d}:00Z",
        "run": {"runId": identity},
        "job": {"namespace": "etl", "name": "clean"},
        "producer": "https://example.org/airflow",
        **more,
    }


def statements_in(source: Source) -> list[Statement]:
    return [parse_statement(operation.body) for part in source.parts for operation in part]
