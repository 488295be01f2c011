"""The suite's options, as a pytest plugin: known wherever the project is installed.

With `--pyargs` pytest reads its options before it finds the package, so a conftest comes too late;
the project's entry point in the group `pytest11` does not.  Where the project is not installed,
`-p sim.conformance.plugin` does the same.  Nothing heavy is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sim.conformance.subject import Subject

DEPTH = 1


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance", "conformance of a consensus plugin (sim.conformance)")
    group.addoption(
        "--protocol",
        metavar="NAME|MODULE:CLASS",
        help="An installed plugin (entry-point group ledger.consensus), or a class.",
    )
    group.addoption(
        "--depth",
        type=depth,
        default=DEPTH,
        metavar="N",
        help="Play N times as many scenarios (default: 1, about a minute).",
    )
    group.addoption(
        "--vectors", metavar="FILE", help="Compare with the wire vectors recorded in this file."
    )
    group.addoption(
        "--write-vectors", metavar="FILE", help="Record the wire vectors: this approves the format."
    )
    group.addoption(
        "--equivalent",
        action="append",
        default=[],
        metavar="MUTANT",
        help="State that this mutant is no bug for this plugin, since something else makes up.",
    )


def depth(text: str) -> int:
    depth = int(text)
    if depth < 1:
        raise ValueError(text)
    return depth


def pytest_collection(session: pytest.Session) -> None:
    """Refuse a missing or wrong name before anything runs."""
    config = session.config
    places = ("sim.conformance", "sim/conformance")
    if config.getoption("--protocol") or any(
        place in argument for argument in config.args for place in places
    ):
        subject_of(config)


def subject_of(config: pytest.Config) -> Subject:
    """What `--protocol`, `--depth` and `--equivalent` say."""
    from consensus.registry import protocol_named
    from ledger.errors import UserError
    from sim.conformance.subject import Subject

    name = config.getoption("--protocol")
    if not name:
        raise pytest.UsageError("say which plugin: --protocol NAME or --protocol MODULE:CLASS")
    try:
        protocol = protocol_named(name)
    except UserError as error:
        raise pytest.UsageError(str(error)) from None
    return Subject(protocol, config.getoption("--depth"), tuple(config.getoption("--equivalent")))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which broken twin was noticed by which group."""
    lines = [
        line
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, line in report.user_properties
        if name == "sensitivity"
    ]
    if lines:
        terminalreporter.section("broken twins")
        for line in lines:
            terminalreporter.line(str(line))
