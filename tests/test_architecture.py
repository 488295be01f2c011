"""The arrows between the packages, and what the pure ones may not touch.

ledger <- consensus, storage, p2p, api <- sim <- host <- node.py, benchmarks, tests
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "ledger": {"ledger"},
    "consensus": {"consensus", "ledger"},
    "storage": {"storage", "ledger"},
    "p2p": {"p2p", "ledger"},
    "api": {"api", "ledger"},
    "sim": {"sim", "ledger", "consensus", "storage", "p2p"},
    "host": {"host", "ledger", "consensus", "storage", "p2p", "api", "sim"},
    "benchmarks": {"benchmarks", "host", "ledger", "consensus", "storage", "p2p", "api", "sim"},
}
OUTSIDE_WORLD = {
    "trio",
    "socket",
    "ssl",
    "random",
    "secrets",
    "time",
    "datetime",
    "os",
    "subprocess",
    "threading",
    "logging",
    "plyvel",
    "sqlite3",
    "uuid",
}
PURE_FILES = ["p2p/frames.py", "p2p/gossip.py", "p2p/hello.py", "p2p/relay.py", "p2p/topology.py"]
STARTS_PROCESSES = "sim/conformance/processes.py"
"""Part of a test suite: it runs a plugin again under another PYTHONHASHSEED."""
TRIO_FILES = {"p2p/transport.py", "p2p/tls_stream.py", "p2p/peers.py", "p2p/overlay.py"}


def python_files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@cache
def imported_modules(path: Path) -> tuple[str, ...]:
    found: list[str] = []
    for item in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(item, ast.Import):
            found += (alias.name for alias in item.names)
        elif isinstance(item, ast.ImportFrom) and item.level == 0 and item.module:
            found.append(item.module)
    return tuple(found)


def imported_names(path: Path) -> Iterator[str]:
    """First parts only."""
    yield from (module.partition(".")[0] for module in imported_modules(path))


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_packages_import_only_what_is_below_them(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in python_files(package)
        for name in imported_names(path)
        if name in MAY_IMPORT and name not in MAY_IMPORT[package]
    ]

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", ["ledger", "consensus"])
def test_pure_packages_do_not_reach_for_the_outside_world(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in python_files(package)
        for name in imported_names(path)
        if name in OUTSIDE_WORLD
    ]

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", PURE_FILES)
def test_pure_files_of_p2p_do_not_reach_for_the_outside_world(name: str) -> None:
    assert not set(imported_names(ROOT / name)) & OUTSIDE_WORLD


def test_only_links_api_and_host_import_trio() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for package in ("ledger", "consensus", "storage", "p2p", "sim")
        for path in python_files(package)
        if "trio" in set(imported_names(path)) and str(path.relative_to(ROOT)) not in TRIO_FILES
    ]

    assert not wrong


def test_one_module_touches_the_signature_library() -> None:
    users = {
        str(path.relative_to(ROOT))
        for package in MAY_IMPORT
        for path in python_files(package)
        if "nacl" in set(imported_names(path))
    }

    assert users - {"benchmarks/ceilings.py"} == {"ledger/keys.py"}


def test_one_module_touches_leveldb() -> None:
    users = {
        str(path.relative_to(ROOT))
        for package in MAY_IMPORT
        for path in python_files(package)
        if "plyvel" in set(imported_names(path))
    }

    assert users == {"storage/leveldb.py"}


def test_the_simulator_draws_randomness_from_its_seed_alone() -> None:
    forbidden = OUTSIDE_WORLD - {"random"}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in python_files("sim")
        if str(path.relative_to(ROOT)) != STARTS_PROCESSES
        for name in imported_names(path)
        if name in forbidden
    ]

    assert not wrong, "\n".join(wrong)


def test_only_the_conformance_suite_imports_the_tools_of_tests() -> None:
    users = {
        str(path.relative_to(ROOT))
        for package in MAY_IMPORT
        for path in python_files(package)
        if set(imported_names(path)) & {"pytest", "hypothesis"}
    }

    assert {name for name in users if not name.startswith("sim/conformance/")} <= {
        "sim/strategies.py"
    }
