"""The page as a reader meets it, in real Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.protocols.jolteon import Jolteon
from sim.page import page
from sim.plugins import draw_scenario, run
from sim.record_plugins import PluginRecorder
from tests.pictures import lock_page
from tests.sim.browser import CHROMIUM, Texts, document

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def lock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "lock.html"
    path.write_text(lock_page(), encoding="utf-8")
    return path


def state(texts: Texts) -> dict[str, list[str]]:
    """The panel: validator -> cells."""
    return {row[0].split()[0]: row[1:] for row in texts.rows["state"][1:]}


def test_the_page_begins_at_the_violation(lock: Path) -> None:
    markup = document(lock, "")
    texts = Texts(markup)

    assert "agreement is violated: validator 2 decided value #3" in texts.texts["now"]
    assert texts.texts["verdict"].startswith("agreement is violated")
    assert {name: cells[1] for name, cells in state(texts).items()} == {
        "v0": "0: #1", "v1": "", "v2": "0: #3", "v3": "", "v3'": "",
    }  # fmt: skip
    assert 'class="decision v0"' in markup
    assert 'class="decision v2"' in markup
    assert 'class="cursor"' in markup


def test_a_step_tells_its_event_and_the_state_before_it(lock: Path) -> None:
    texts = Texts(document(lock, "step=13&open=listing"))

    listed = texts.rows["events"]
    number, time, validator, kind, words = (cell.strip() for cell in listed[13])
    assert (number, kind) == ("13", "locked")
    assert f"Event 13 of {len(listed) - 1}, {time}: {words}." == texts.texts["now"]
    before = {name: cells[4] for name, cells in state(texts).items()}
    assert before[validator] == "round 0, #1"
    assert sum(bool(lock) for lock in before.values()) == 1


def test_the_other_run_is_one_choice_away(lock: Path) -> None:
    texts = Texts(document(lock, "run=2&theme=dark"))

    assert texts.texts["verdict"].startswith("No property is violated")
    assert {cells[1] for cells in state(texts).values()} == {"0: #1"}


def test_sixteen_validators_are_drawn_in_bulk_when_seen_from_afar(tmp_path: Path) -> None:
    recorder = PluginRecorder()
    run(draw_scenario(Jolteon, 4, nodes=16), recorder)
    path = tmp_path / "many.html"
    path.write_text(page(recorder.recording()), encoding="utf-8")

    far, near = document(path, "zoom=all"), document(path, "step=30", width=700)

    bars, arrows = '<rect class="bar k', '<path class="shaft"'
    drawn_far, drawn_near = (each.split('id="map"')[0] for each in (far, near))
    assert bars in drawn_far
    assert arrows not in drawn_far
    assert arrows in drawn_near
    assert bars not in drawn_near
    assert len(state(Texts(near))) == 16
