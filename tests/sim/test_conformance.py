"""The conformance suite: green for what the project ships, red for what is broken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from consensus.registry import protocol_named
from ledger.errors import UserError
from sim.conformance import mutants
from sim.conformance.catalogue import all_checks
from sim.conformance.checks import broken
from sim.conformance.recording import messages
from sim.conformance.recovery_checks import crash_checks
from sim.conformance.sources import wrong_reaches
from sim.conformance.subject import Subject
from sim.conformance.vectors import compare_vectors, write_vectors
from tests.sim.broken_solo import Forgetful, Salted, SignsNothing, Unbound
from tests.sim.protocols import CLASSES, NAMES, plugin

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "sim" / "vectors"
LIMIT_S = 900


def run_suite(folder: Path, *arguments: str) -> tuple[int, str]:
    """(exit code, output) of the suite, from a folder that knows nothing of the project."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "-p", "sim.conformance.plugin", "--pyargs", "sim.conformance", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


# --- as a command ---------------------------------------------------------------------------------


def test_the_command_is_green_for_solo_from_any_folder(tmp_path: Path) -> None:
    kept = str(VECTORS / "solo.txt")
    new = tmp_path / "new.txt"

    code, said = run_suite(
        tmp_path, "--protocol", "solo", "--vectors", kept, "--write-vectors", str(new),
        "-k", "wire or idle or names or own_copy or observer or bytes or quiet",
    )  # fmt: skip

    assert code == 0, said
    assert new.read_text().startswith("solo 1\n")


def test_the_command_is_red_for_a_restart_that_forgets(tmp_path: Path) -> None:
    name = "tests.sim.broken_solo:Forgetful"

    code, said = run_suite(tmp_path, "--protocol", name, "-k", "any_write", "--tb=short")

    assert code == 1, said
    assert "[RECOVER-1]" in said
    assert "a second value for sequence" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "say which plugin: --protocol NAME"),
        (("--protocol", "nonsense"), "there is no protocol nonsense"),
        (("--protocol", "nonsense:Nonsense"), "nonsense:Nonsense"),
        (("--protocol", "solo", "--depth", "0"), "invalid depth value: '0'"),
    ],
)
def test_wrong_usage_is_one_plain_line(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    code, said = run_suite(tmp_path, *arguments)

    assert code == 4
    assert words in said
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_whole_suite_is_green(tmp_path: Path, name: str) -> None:
    code, said = run_suite(tmp_path, "--protocol", name, "--vectors", str(VECTORS / f"{name}.txt"))

    assert code == 0, said
    assert "not noticed" not in said


# --- its parts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted((*CLASSES, "raft")))
def test_a_changed_wire_format_is_an_explicit_approval(name: str) -> None:
    text = (VECTORS / f"{name}.txt").read_text()

    assert compare_vectors(protocol_named(name), text) == []


def test_every_way_to_change_a_format_is_noticed() -> None:
    solo = plugin("solo")
    text = (VECTORS / "solo.txt").read_text()
    head, first, *_ = text.splitlines()

    assert "is solo 1" in compare_vectors(solo, text.replace("solo 1", "solo 2"))[0]
    assert "has no vector" in compare_vectors(solo, head)[0]
    assert "not a vector" in compare_vectors(solo, f"{text}nonsense\n")[0]
    assert "is refused" in compare_vectors(solo, text.replace(first, first + "00"))[0]
    assert "no message has kind 9" in compare_vectors(solo, text.replace("\n1 ", "\n9 "))[-1]
    assert compare_vectors(SignsNothing, text), "the statement is another one"
    assert write_vectors(solo, messages(Subject(solo))).startswith(head)


def test_what_is_not_signed_is_noticed() -> None:
    from sim.conformance.test_contract import test_a_statement_binds_what_is_said as check

    check(Subject(plugin("solo")))

    class Speaks(SignsNothing):
        """Says the message that binds nothing."""

        def broadcast(self, what: object) -> None:
            super().broadcast(Unbound(what.value))  # type: ignore[attr-defined]

    with pytest.raises(AssertionError, match="nothing signed tells"):
        check(Subject(Speaks))


def test_what_depends_on_salted_hashes_is_noticed() -> None:
    assert wrong_reaches(Salted) == ["broken_solo.py:37 calls hash()"]
    assert wrong_reaches(plugin("jolteon")) == []


def test_a_plugin_is_named_by_entry_point_or_class() -> None:
    assert protocol_named("solo") is plugin("solo")
    assert protocol_named("tests.sim.broken_solo:Forgetful") is Forgetful
    with pytest.raises(UserError, match="Consensus class"):
        protocol_named("ledger.errors:UserError")


# --- sensitivity ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["no-sent", "never-silent", "no-catch-up", "speaks-anew"])
def test_a_broken_twin_of_solo_is_found(name: str) -> None:
    subject = Subject(plugin("solo"))
    mutant = next(mutant for mutant in mutants.MUTANTS if mutant.name == name)
    differences = mutants.Differences()
    twin = mutant.make(subject.protocol, differences)

    assert any(check.play(twin) for check in all_checks(subject))
    assert differences.count


@pytest.mark.parametrize("name", ["no-record", "newest-first", "small-quorum", "no-timers"])
def test_a_twin_that_breaks_nothing_never_differs(name: str) -> None:
    subject = Subject(plugin("solo"))
    mutant = next(mutant for mutant in mutants.MUTANTS if mutant.name == name)
    differences = mutants.Differences()
    twin = mutant.make(subject.protocol, differences)

    found = broken(crash_checks(subject)[:60], twin)

    assert (found, differences.count) == ("", 0)
