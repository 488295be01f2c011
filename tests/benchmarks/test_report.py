"""Reports of runs that were written by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import benchmarks
from benchmarks.harness.record import run_record
from benchmarks.harness.results import Results
from benchmarks.harness.samples import Measurement, figures
from benchmarks.harness.suite import Experiment, Suite
from benchmarks.harness.verdict import Verdict
from benchmarks.report import plots, words
from benchmarks.report.page import SPACE, Cell, Report, Section, Table, render
from benchmarks.report.tables import by_rate, compared, grouped
from benchmarks.report.write import SHOWN, _at_the_top, _first, write_report
from ledger.errors import UserError
from tests.benchmarks.made import LABELS, measured, outage
from tests.sim.browser import CHROMIUM, Texts, document

SUITE = Suite("Is 1 < 2?", "What if <b>?", experiments=(Experiment("e"),))
SOUND = Verdict(True, 200, 200, 1, "all 4 logs are equal")


def written(folder: Path, *found: Measurement, verdict: Verdict = SOUND) -> Path:
    results = Results(folder, run_record(SUITE, "text", ["python", "x y"], None))
    for one in found:
        results.keep(one)
    results.judge("m", verdict)
    results.finish("now")
    return folder


def slower(one: Measurement, factor: float) -> Measurement:
    """The same load, confirmed later after each due time."""
    blocks: dict[int, tuple[float | None, ...]] = {
        height: tuple((height - 1) / 10 + 0.01 * factor * (node + 1) for node in range(4))
        for height in one.blocks
    }
    return replace(one, blocks=blocks)


def rows_of(markup: str, table: str) -> list[list[str]]:
    return [[cell.strip() for cell in row] for row in Texts(markup).rows[table]]


def of(protocol: str, rate: float = 10, **labels: Any) -> Measurement:
    name = f"m-{protocol}-{rate:g}-{len(labels)}"
    made = {**LABELS, "protocol": protocol, **labels}
    return measured(labels=made, rate_per_s=rate, name=name)


def test_what_a_user_wrote_is_text_and_no_markup() -> None:
    [finding] = words.load_findings(grouped([{"kind": "load", **figures(of("<i>"))}]))

    page = render(
        Report(
            "Is 1 < 2?", "What if <b>?", [finding], [], [("a", "<u>")], "python 'x y'",
            Table([("<s>", "")], [[Cell("<q>", "<q>")]]), verdict="sound", is_finished=True,
        )
    )  # fmt: skip

    assert "Is 1 &lt; 2?" in page
    assert "What if &lt;b&gt;?" in page
    assert "python &#39;x y&#39;" in page
    for tag in ("<b>", "<i>", "<u>", "<s>", "<q>"):
        assert tag not in page


def test_a_report_says_first_whether_the_ledgers_are_sound(tmp_path: Path) -> None:
    """And what gave no data, and that it was interrupted."""
    folder = tmp_path / "run"
    results = Results(folder, run_record(SUITE, "text", ["x"], None))
    results.keep(of("raft"))
    results.judge("m", Verdict(False, 9, 0, 1, "the logs differ at height 9"))
    results.fail("other", "nothing was confirmed")

    page = write_report([folder], tmp_path)[0].read_text()

    assert 'class="verdict bad">not sound<' in page
    assert "m is UNSOUND: the logs differ at height 9." in page
    assert "No data: other: nothing was confirmed." in page
    assert "interrupted" in page


def test_a_sound_run_without_data_in_one_place_is_not_called_sound(tmp_path: Path) -> None:
    folder = written(tmp_path / "run", of("raft"))
    good = write_report([folder], tmp_path)[0].read_text()
    (folder / "errors.jsonl").write_text('{"trial": "other", "reason": "nothing"}\n')

    bad = write_report([folder], tmp_path)[0].read_text()

    assert 'class="verdict good">sound<' in good
    assert 'class="verdict bad">incomplete<' in bad


def test_the_top_of_the_page_has_bad_news_first_and_says_what_it_leaves_out() -> None:
    found = [words.Finding(str(number)) for number in range(SHOWN + 3)]
    found.insert(SHOWN + 1, words.Finding("bad", is_bad=True))

    shown = _first(found)

    assert [one.text for one in shown[:3]] == ["bad", "0", "1"]
    assert len(shown) == SHOWN + 1
    assert shown[-1].text == "4 more below, each in its section."
    assert _first(found[:SHOWN]) == found[:SHOWN]


def test_a_finding_at_the_top_says_of_which_experiment_it_is() -> None:
    one, other = Section("signed"), Section("unsigned")
    found = words.Finding("tendermint kept up")

    assert _at_the_top(found, one, [one]) == found
    assert _at_the_top(found, other, [one, other]).text == "unsigned: tendermint kept up"
    spoken = words.Finding("The rate")
    assert _at_the_top(spoken, other, [one, other]).text == "unsigned: the rate"
    named = words.Finding("signed: as it says itself")
    assert _at_the_top(named, one, [one, other]) == named


def test_a_run_without_figures_has_no_report(tmp_path: Path) -> None:
    Results(tmp_path / "run", run_record(SUITE, "text", ["x"], None))

    with pytest.raises(UserError, match="nothing was measured"):
        write_report([tmp_path / "run"], tmp_path)
    with pytest.raises(UserError, match="holds no run"):
        write_report([tmp_path], tmp_path)


def test_faults_stand_in_one_matrix_with_a_timeline_each(tmp_path: Path) -> None:
    crash = outage()
    names = [("tendermint", "crash"), ("raft", "crash"), ("raft", "cut")]
    found = [
        replace(
            crash,
            name=f"m-{number}",
            labels={**crash.labels, "protocol": protocol, "scenario": scenario},
        )
        for number, (protocol, scenario) in enumerate(names)
    ]

    page = write_report([written(tmp_path / "run", *found)], tmp_path)[0].read_text()

    rows = rows_of(page, "overview-1-1")
    assert rows[0] == ["scenario", "tendermint", "raft"]
    assert [row[0] for row in rows[1:]] == ["crash", "cut"]
    assert rows[1][1] == rows[1][2] == rows[2][2]
    assert rows[1][1].replace(SPACE, " ") == "2.1 s, lost 2.0 s"
    assert rows[2][1] == "–"
    assert {path.name for path in (tmp_path / "plots").glob("*.svg")} == {
        "time-e-crash.svg",
        "time-e-cut.svg",
    }


def test_a_fault_that_was_not_recovered_from_is_told_with_what_it_costs_in_the_end() -> None:
    row = {**LABELS, "kind": "load", "scenario": "crash", "longest_gap_s": 0.1, "lost_s": 0.8}
    never = {**row, "sustained_s": None, "settled_p99": 1.97}

    [alone] = words.fault_findings(grouped([never]))
    [repeated] = words.fault_findings(grouped([never, {**row, "sustained_s": 2.0}]))

    assert alone.is_bad
    assert alone.text.endswith(
        "did not get back to what they were, and from five seconds on its p99 was 2.0 times that "
        "before."
    )
    assert "did not get back to what they were in 1 of 2 runs" in repeated.text


def test_rates_stand_in_their_order_though_a_search_tried_them_in_another() -> None:
    tried = [("raft", 500.0), ("raft", 250.0), ("pbft", 500.0), ("pbft", 1000.0)]
    rows = [
        {**LABELS, "kind": "load", "protocol": name, "rate_per_s": rate} for name, rate in tried
    ]

    found = by_rate(grouped(rows))

    assert [(one.labels["protocol"], one.labels["rate_per_s"]) for one in found] == [
        ("raft", 250.0), ("raft", 500.0), ("pbft", 500.0), ("pbft", 1000.0),
    ]  # fmt: skip


def test_no_table_of_a_page_of_usual_width_is_cut(tmp_path: Path) -> None:
    if CHROMIUM is None:
        return
    one = outage()
    labels = {**one.labels, "protocol": "tendermint+reputation", "scenario": "leader dies"}
    other = replace(one, name="n", labels={**labels, "protocol": "raft"})
    found = [replace(one, labels=labels), other]
    path = write_report([written(tmp_path / "run", *found)], tmp_path)[0]
    look = (
        "const cut = [...document.querySelectorAll('.scroll')]"
        ".filter((one) => one.scrollWidth > one.clientWidth).length;"
        "document.querySelector('h1').textContent = `${cut} cut`; "
        "document.querySelector('h1').id = 'cut';"
    )

    path.write_text(path.read_text().replace("</body>", f"<script>{look}</script></body>"))

    assert Texts(document(path, "", width=1200)).texts["cut"] == "0 cut"


def test_one_legend_stands_below_the_curves_and_slow_networks_hide_no_others() -> None:
    def row(protocol: str, rate: float, late: float) -> dict[str, Any]:
        figures = {"latency_p50_ms": late, "latency_p99_ms": 2 * late, "confirmed_per_s": rate}
        return {**LABELS, "kind": "load", "protocol": protocol, "rate_per_s": rate, **figures}

    near = [row("raft", rate, 40.0) for rate in (100.0, 200.0)]
    far = [row("streamlet", rate, 2_000.0) for rate in (100.0, 200.0)]

    plain = plots.load_curves("near", grouped(near))
    wide = plots.load_curves("wide", grouped([*near, *far]))

    assert plain is not None
    assert wide is not None
    assert wide.svg.count(">streamlet<") == 1
    assert ">1,000<" in wide.svg
    assert plain.svg.count(">raft<") == 1
    assert ">1,000<" not in plain.svg


def test_one_load_again_and_again_is_drawn_by_its_windows() -> None:
    rows = [
        {**LABELS, "kind": "load", "rate_per_s": 400.0, "window": window, "confirmed_per_s": 390.0,
         "latency_p50_ms": 50.0, "latency_p99_ms": 100.0 + window}
        for window in range(3)
    ]  # fmt: skip

    plot = plots.load_curves("again", grouped(rows))

    assert plot is not None
    assert plot.svg.count("window, 400 offered/s in each") == 2
    assert "offered (transactions/s)" not in plot.svg
    assert "windows of one load" in plot.caption


def test_a_sweep_is_a_curve_and_a_protocol_has_one_colour(tmp_path: Path) -> None:
    found = [of(protocol, rate) for protocol in ("tendermint", "raft") for rate in (5.0, 10.0)]

    page = write_report([written(tmp_path / "run", *found)], tmp_path)[0].read_text()

    svg = (tmp_path / "plots" / "load-e.svg").read_text()
    assert plots.COLOURS["tendermint"] in svg
    assert plots.COLOURS["raft"] in svg
    assert "offered (transactions/s)" in svg
    assert "latency at all nodes (ms)" in svg
    assert "currentColor" in page
    assert "currentColor" not in svg
    assert plots.colour("cometbft default") == plots.colour("cometbft")
    assert plots.colour("cometbft tuned") != plots.colour("cometbft")
    shades = {plots.colour(f"jolteon{policy}") for policy in ("", "+sticky", "+reputation", "+own")}
    assert len(shades) == 4
    assert plots.colour("jolteon") == plots.COLOURS["jolteon"]


def test_repetitions_become_a_median_with_its_interval() -> None:
    rows = [{**LABELS, "kind": "load", "latency_p50_ms": value} for value in (10, 12, 40)]

    [group] = grouped(rows)

    assert group.middle("latency_p50_ms") == 12
    interval = group.interval("latency_p50_ms")
    assert interval is not None
    assert (interval.low, interval.high, interval.count) == (10, 40, 3)
    assert grouped([*rows, {**rows[0], "latency_p50_ms": None}])[0].middle("latency_p50_ms") is None


def test_over_ten_per_cent_worse_is_a_regression_and_better_is_none(tmp_path: Path) -> None:
    before = written(tmp_path / "before", of("raft"))
    worse = written(tmp_path / "worse", slower(of("raft"), 1.2))

    told = CliRunner().invoke(
        benchmarks, ["report", str(worse), "--baseline", str(before), "--json"]
    )
    back = CliRunner().invoke(benchmarks, ["report", str(before), "--baseline", str(worse)])

    assert json.loads(told.stdout)["regressions"] == 2
    page = (worse / "report.html").read_text()
    assert "Regression: p50 of e, raft, loopback, 256 B, 10/s went from 40.0 to 48.0 ms." in page
    assert "+20.0%" in page
    assert back.exit_code == 0
    assert "regression" not in back.stdout


def test_a_difference_within_the_noise_of_repetitions_is_said_to_be() -> None:
    def rows(*values: float) -> list[dict[str, Any]]:
        return [{**LABELS, "kind": "load", "latency_p50_ms": value} for value in values]

    [noisy] = compared(rows(10, 20, 30), rows(18, 24, 35))
    [clear] = compared(rows(10, 11, 12), rows(18, 24, 35))

    assert (noisy.is_regression, noisy.is_within_noise) == (True, True)
    assert (clear.is_regression, clear.is_within_noise) == (True, False)


def test_several_runs_stand_beside_each_other(tmp_path: Path) -> None:
    runs = [written(tmp_path / name, of("raft")) for name in ("first", "second")]

    page = write_report(runs, tmp_path / "both")[0].read_text()

    names = [row[0] for row in rows_of(page, "table-1-1")]
    assert names == ["run", "first", "second"]
    assert (tmp_path / "both" / "results.csv").is_file()


def test_a_table_is_sorted_by_the_column_that_is_clicked(tmp_path: Path) -> None:
    if CHROMIUM is None:
        return
    found = [of("raft", 10.0), of("raft", 5.0), of("raft", 100.0)]
    path = write_report([written(tmp_path / "run", *found)], tmp_path)[0]
    clicks = "document.querySelectorAll('#table-1-1 th button')[1].click();"
    page = path.read_text()

    path.write_text(page.replace("</body>", f"<script>{clicks * 2}</script></body>"))
    rows = rows_of(document(path, ""), "table-1-1")

    assert [row[1] for row in rows[1:]] == ["100", "10", "5"]
