"""One operation is shown and nothing of the others: the commands of docs/disclosure.md."""

from __future__ import annotations

import base64
import json
import re
import shlex
from pathlib import Path

import pytest

from host.salting import is_guessable, salted, salted_parts
from ledger.applications.records import make_record
from ledger.keys import scheme_named
from ledger.receipt import parse_receipt
from tests.host.program import ROOT, call, running_cluster

DOCUMENT = (ROOT / "docs" / "disclosure.md").read_text(encoding="utf-8")
(BLOCK,) = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
STEPS = [words[2:] for line in BLOCK.splitlines() if (words := shlex.split(line, comments=True))]
FILES = ("mynet", "offer.txt", "price.txt", "offer.receipt")


def test_the_commands_of_the_document_work(tmp_path: Path) -> None:
    submit, receipt, verify = STEPS
    network, offer, price = (tmp_path / name for name in FILES[:3])
    offer.write_text("we offer a bridge, to be built within the year")
    price.write_text("4711")
    known = {name: str(tmp_path / name) for name in FILES}
    known |= {"mynet/genesis.json": str(network / "genesis.json")}
    call("init", network, "--validators", "1", "--protocol", "solo").check()
    with running_cluster(network):
        done = call(*(known.get(word, word) for word in submit)).check()
        assert not done.err
        known["ID"] = done.out.strip()
        call(*(known.get(word, word) for word in receipt)).check()
        bare = [known.get(word, word) for word in submit if word != "--salted"]
        assert "1 of 2 operations could be guessed" in call(*bare).check().err
        alone = call("submit", "--network", network, "--record", price).check()
        assert not alone.err
        shown = call("get", "--network", network, known["ID"], "--json").check().document
        digests = [row["sha256"] for row in shown["operations"]]

        operations = tmp_path / "operations.json"
        rows = [{"application": "records", "name": n, "content": "QQ=="} for n in ("a", "b", "c")]
        operations.write_text(json.dumps(rows))
        many = ("submit", "--network", network, "--operations", operations)
        assert "3 of 3 operations could be guessed" in call(*many).check().err
        assert not call(*many, "--salted").check().err
        _a_salted_import_is_found_again(tmp_path)

    raw = Path(known["offer.receipt"]).read_bytes()
    extra = base64.b64decode(raw.split(b"\n")[1].removeprefix(b"extra "))
    assert bytes.fromhex(digests[0]) in extra
    for part in (bytes.fromhex(digests[1]), b"price.txt"):
        assert part not in extra
        assert part not in raw
    told = call(*(known.get(word, word) for word in verify)).check().out
    assert "operation    0 of 2, salted" in told
    shown_alone = parse_receipt(raw).operation
    assert shown_alone is not None
    assert [len(shown_alone.operation[0]), len(shown_alone.path)] == [16, 1]


def _a_salted_import_is_found_again(folder: Path) -> None:
    source = folder / "grades.provn"
    source.write_text(
        "document\nprefix x <urn:x:>\nentity(x:a)\nentity(x:secretgrade)\nendDocument\n"
    )
    again = ("provenance", "import", "--network", folder / "mynet", source, "--salted", "--json")
    first, second = (call(*again).check().document for _ in range(2))
    assert (first["said"], second["said"], second["known"]) == (2, 0, 2)
    (identity,) = first["transactions"]
    proof = folder / "statement.receipt"
    call("receipt", "--network", folder / "mynet", identity, "-o", proof).check()
    shown = parse_receipt(proof.read_bytes()).operation
    assert shown is not None
    assert len(shown.operation[0]) == 16
    assert b"secretgrade" not in b"".join([*shown.path, shown.operation[3]])


@pytest.mark.parametrize("scheme", ["ed25519", "ml-dsa-44"])
def test_salts_of_an_import_are_the_same_again_and_only_its_keys(scheme: str) -> None:
    """Signatures of ML-DSA are other ones each time."""
    parts = [[make_record("a", content=b"x"), make_record("b", content=b"x")], []]
    alice, bob = (scheme_named(scheme).signer(bytes([seed]) * 32) for seed in (1, 2))
    once, again = (list(salted_parts(parts, alice, bytes(32))) for _ in range(2))
    others = [*salted_parts(parts, bob, bytes(32)), *salted_parts(parts, alice, b"\x01" * 32)]

    assert once == again
    salts = {each.salt for part in (*once, *others) for each in part}
    assert len(salts) == 6
    assert all(len(salt) == 16 for salt in salts)
    assert [each.body for each in once[0]] == [each.body for each in parts[0]]


def test_salts_differ_and_one_that_is_there_stays() -> None:
    own = make_record("own", content=b"x")
    operations = salted([own, own, own])
    operations = [*operations, *salted(operations)]

    assert len({operation.salt for operation in operations}) == 3
    assert all(len(operation.salt) == 16 for operation in operations)
    assert operations[:3] == operations[3:]


def test_what_is_one_of_few_can_be_guessed() -> None:
    assert is_guessable(make_record("grade", content=b"A"))
    assert is_guessable(make_record("", content=b"0" * 1_000))
    assert not is_guessable(salted([make_record("grade", content=b"A")])[0])
    assert not is_guessable(make_record("", digest=bytes(range(100, 132))))
