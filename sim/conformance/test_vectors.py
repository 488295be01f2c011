"""Wire vectors: the bytes of messages are a promise to every other node and to every stored log."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.conformance.recording import messages
from sim.conformance.subject import Subject
from sim.conformance.vectors import compare_vectors, write_vectors


def test_messages_keep_their_bytes(subject: Subject, pytestconfig: pytest.Config) -> None:
    """[WIRE-1] What is recorded decodes to the same statement and encodes to the same bytes.

    `--vectors FILE` compares with a kept file, `--write-vectors FILE` records one; with neither the
    plugin is compared with what it says in this run.
    """
    kept, new = (pytestconfig.getoption(name) for name in ("--vectors", "--write-vectors"))
    text = write_vectors(subject.protocol, messages(subject))
    if new:
        Path(new).write_text(text, encoding="utf-8")
    if kept:
        text = Path(kept).read_text(encoding="utf-8")

    assert not compare_vectors(subject.protocol, text)
