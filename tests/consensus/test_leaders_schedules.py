"""Every rule of who leads is told from its lack by a schedule that does nothing to the protocol."""

from __future__ import annotations

import pytest

from tests.zoo.leader_rows import LEADERS
from tests.zoo.model import Mutant


@pytest.mark.parametrize(
    "mutant", [one for one in LEADERS if one.play is not None], ids=lambda mutant: mutant.id
)
def test_the_schedule_breaks_the_mutant_and_not_the_protocol(mutant: Mutant) -> None:
    assert mutant.play is not None
    assert mutant.plugin is not None
    assert mutant.base is not None

    assert mutant.play(mutant.plugin) == mutant.expected
    assert mutant.play(mutant.base) == ()
