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


DRIVE = """
<script>
const tell = (name, text) => {
  const told = document.body.appendChild(document.createElement("p"));
  told.id = `told-${name}`;
  told.textContent = text;
};
const drawn = new Promise((done) => window.requestAnimationFrame(done));
window.requestAnimationFrame = (draw) => setTimeout(draw, 1);  // Without a screen frames are few.
const frame = () => new Promise((done) => setTimeout(done, 20));
const now = () => document.getElementById("now").textContent;
const windowWidth = () => document.querySelector("#map .window").getAttribute("width");
const arrows = () => document.querySelectorAll("#diagram .shaft").length;
async function press(...keys) {
  const target = document.activeElement || document.body;
  for (const key of keys) {
    target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    await frame();
  }
}
(async () => {
  await drawn;  // While the page waits for its first frame, it asks for no other one.
  const diagram = document.getElementById("diagram");
  diagram.focus();
  await press("Home"); tell("home", now());
  await press("ArrowRight", "ArrowRight"); tell("two", now());
  await press("ArrowLeft"); tell("back", now());
  await press("End"); tell("end", now());
  await press("v"); tell("broken", now());
  tell("wide", windowWidth());
  await press("+", "+"); tell("narrow", windowWidth());
  await press("0", "Home");
  const dot = [...diagram.querySelectorAll("[data-saying-event] .body")][0];
  dot.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  await frame();
  tell("click", now());
  tell("tip", document.getElementById("tip").textContent);
  tell("before", arrows());
  document.querySelector('[data-key="kind:1"]').click();
  await frame();
  tell("after", arrows());
  await press("Home");
})();
</script>
"""
"""Drives the page by its keys and by pointing, and writes down what it says."""


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


def test_keys_step_zoom_and_hide_and_a_step_tells_what_a_message_says(tmp_path: Path) -> None:
    path = tmp_path / "keys.html"
    path.write_text(lock_page() + DRIVE, encoding="utf-8")

    markup = document(path, "")
    texts = Texts(markup)

    told = {name: text for name, text in texts.texts.items() if name.startswith("told-")}
    assert told["told-home"].startswith("Event 1 of 57")
    assert told["told-two"].startswith("Event 3 of 57")
    assert told["told-back"].startswith("Event 2 of 57")
    assert told["told-end"].startswith("Event 57 of 57")
    assert "agreement is violated" in told["told-broken"]
    assert told["told-click"].startswith("Event 6 of 57")
    assert "first proposed by v3 in slot 1/0, ordering 11111111" in told["told-tip"]
    assert float(told["told-wide"]) > 1.4 * float(told["told-narrow"])
    assert int(told["told-after"]) < int(told["told-before"])
    assert texts.texts["now"].startswith("Event 1 of ")


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
