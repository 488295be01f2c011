"""The published PROV corpora, in the forms that they come in: what is read, imported, written back.

The default suite takes every sixteenth document; `-m slow` takes all.  docs/provenance.md has the
same numbers, which `test_the_document_has_these_numbers` compares.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import prov
import pytest
from prov.tests import examples

from host.importers.prov_document import WRITERS, from_statements, read_document, to_operations
from ledger.applications.provenance import parse_statement
from ledger.errors import UserError

ROOT = Path(__file__).parents[2]
CORPUS = Path(examples.__file__).parent
CORPORA = {
    "PROV-JSON": ("json/*.json",),
    "PROV-N of ProvToolbox": ("provn/provtoolbox-corpus/*.provn",),
    "PROV-N, larger": ("provn/provtoolbox/*.provn",),
    "PROV-N of the Recommendations": ("provn/spec/*/*.provn",),
    "PROV-XML": ("xml/*.xml",),
    "PROV-CONSTRAINTS cases": ("unification/constraints/*.xml", "unification/constraints/*.provx"),
}
"""Name to the files, inside the `prov` package's tests."""
EXPECTED = {
    "PROV-JSON": (398, 398, 380, 380),
    "PROV-N of ProvToolbox": (388, 388, 370, 370),
    "PROV-N, larger": (9, 4, 4, 4),
    "PROV-N of the Recommendations": (127, 94, 94, 94),
    "PROV-XML": (44, 32, 32, 31),
    "PROV-CONSTRAINTS cases": (160, 157, 140, 140),
}
"""(documents, read by `prov`, imported, equal after the ledger and after each form of export)."""
SPLIT = {"example_33.xml"}
"""One membership of three members, which becomes three statements."""
SAMPLE = 16


def files(name: str) -> list[Path]:
    return sorted(path for pattern in CORPORA[name] for path in CORPUS.glob(pattern))


def passage(path: Path) -> str:
    """How far a document comes: unread, refused, imported, equal."""
    try:
        document = read_document(path)
    except UserError:
        return "unread"
    try:
        statements = [parse_statement(each.body) for each in to_operations(document)]
    except UserError as error:
        # Nothing but what PROV-DM itself demands: an argument that is missing.
        return "refused" if "provenance.argument" in str(error) else str(error)
    if from_statements(statements) != document:
        return "imported"
    for form in ("provn", "json", "xml"):
        assert prov.read(WRITERS[form](statements), format=form) == document, (path, form)
    return "equal"


@pytest.mark.parametrize("name", CORPORA)
def test_a_sample_of_each_corpus_comes_back_equal_or_is_refused(name: str) -> None:
    for path in files(name)[::SAMPLE]:
        end = passage(path)
        assert end in ("unread", "refused", "equal") or path.name in SPLIT


@pytest.mark.slow
@pytest.mark.parametrize("name", CORPORA)
def test_all_of_each_corpus(name: str) -> None:
    seen = Counter(passage(path) for path in files(name))

    documents = sum(seen.values())
    read = documents - seen["unread"]
    imported = read - seen["refused"]
    assert (documents, read, imported, seen["equal"]) == EXPECTED[name]


def test_the_document_has_these_numbers() -> None:
    text = (ROOT / "docs" / "provenance.md").read_text(encoding="utf-8")

    for name, numbers in EXPECTED.items():
        assert f"| {name} | {' | '.join(map(str, numbers))} |" in text
    assert {name: len(files(name)) for name in CORPORA} == {
        name: numbers[0] for name, numbers in EXPECTED.items()
    }
