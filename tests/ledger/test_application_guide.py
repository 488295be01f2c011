"""docs/application-guide.md: every piece runs, in order, and does what its step says."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ledger import applications, layout
from ledger.applications.interface import Application
from ledger.block import TransactionLeaf, parse_leaf
from ledger.errors import Fault, UserError
from ledger.light import LightClient
from ledger.proving import prove_state
from ledger.transaction import Operation
from tests.host.program import ROOT
from tests.ledger.builders import make_genesis, make_signed, signer_of
from tests.ledger.proven import Store

GUIDE = (ROOT / "docs" / "application-guide.md").read_text(encoding="utf-8")
PIECES = re.findall(r"```python( check)?\n(.*?)```", GUIDE, re.DOTALL)


class Trial(Store):
    """A ledger that runs one application more, of which every block is certified."""

    def send(self, sender: str, *operations: Operation) -> str:
        """The reason why a transaction of a block of its own failed; empty where it applied."""
        height = self.head.height + 1
        done = self.block(
            make_signed(self.genesis, sender, height, expiry=height + 5, operations=operations)
        )
        self.certify()
        leaf = parse_leaf(done.leaves[1])
        assert isinstance(leaf, TransactionLeaf)
        return leaf.reason

    def state(self, key: bytes) -> bytes | None:
        return self.store.get(layout.state_key("names", key))

    def proved(self, application: str, key: bytes) -> bytes | None:
        raw = prove_state(self.store, self.genesis, application, key)
        return LightClient(self.genesis).check_state(raw).value


def _new_ledger(application: Application) -> Trial:
    genesis = make_genesis()
    named = tuple(sorted((*genesis.applications, (application.name, application.version))))
    return Trial(replace(genesis, applications=named), [application])


def _refused(parse: Callable[[], object]) -> str:
    with pytest.raises(Fault) as caught:
        parse()
    return caught.value.reason


def _names() -> dict[str, Any]:
    return {
        "__name__": "guide",
        "new_ledger": _new_ledger,
        "refused": _refused,
        "key": lambda name: signer_of(name).public_key,
    }


def _run(pieces: list[tuple[str, str]]) -> None:
    names = _names()
    for _, piece in pieces:
        exec(compile(piece, "guide", "exec"), names)


def test_every_piece_of_the_guide_runs_in_order() -> None:
    _run(PIECES)

    assert sum(bool(check) for check, _ in PIECES) == 4


def test_a_guide_whose_rule_is_missing_fails_at_its_check() -> None:
    broken = [(check, piece.replace("held != origin.sender", "False")) for check, piece in PIECES]
    assert broken != PIECES

    with pytest.raises(AssertionError) as caught:
        _run(broken)
    assert str(caught.traceback[-1].path).endswith("guide")


class _Entry:
    name = "odd"

    def load(self) -> object:
        return dict


def test_an_entry_point_that_is_no_application_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applications, "entry_points", lambda group: [_Entry()])

    with pytest.raises(UserError, match="odd is not an Application"):
        applications._installed()
