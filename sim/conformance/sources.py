"""What a plugin's code may not reach for: clocks, randomness, files, sockets, threads."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from consensus.interface import Consensus

FORBIDDEN = frozenset((
    "anyio", "api", "asyncio", "benchmarks", "datetime", "host", "httpx", "io", "logging",
    "multiprocessing", "os", "p2p", "pathlib", "plyvel", "queue", "random", "requests", "secrets",
    "select", "shutil", "signal", "sim", "socket", "sqlite3", "ssl", "storage", "subprocess",
    "sys", "tempfile", "threading", "time", "trio", "urllib", "uuid",
))  # fmt: skip
CALLS = frozenset({"eval", "exec", "hash", "id", "input", "open", "print", "__import__"})
"""Builtins that reach outside, or whose answer differs from run to run."""


def sources(protocol: type[Consensus]) -> dict[str, Path]:
    """Module name -> file: the plugin's, and those it imports of its own top-level package."""
    found: dict[str, Path] = {}
    waiting = [protocol.__module__]
    while waiting:
        name = waiting.pop()
        path = _path_of(name)
        if name in found or path is None:
            continue
        found[name] = path
        top = name.partition(".")[0]
        waiting += [each for each in imported(path, name) if each.partition(".")[0] == top]
    return dict(sorted(found.items()))


def _path_of(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # A name imported from a module, not a module.
        return None
    return Path(spec.origin) if spec is not None and spec.origin else None


def imported(path: Path, module: str) -> Iterator[str]:
    """The modules, and perhaps names in them, that a file imports."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for item in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(item, ast.Import):
            yield from (alias.name for alias in item.names)
        elif isinstance(item, ast.ImportFrom):
            base = item.module or ""
            if item.level:
                parents = package.split(".")[: len(package.split(".")) - item.level + 1]
                base = ".".join([*parents, base] if base else parents)
            yield base
            yield from (f"{base}.{alias.name}" for alias in item.names)


def wrong_reaches(protocol: type[Consensus]) -> list[str]:
    """Every import and call that a plugin must not make, as "file imports name"."""
    wrong = []
    for module, path in sources(protocol).items():
        tops = {name.partition(".")[0] for name in imported(path, module)}
        wrong += [f"{path.name} imports {name}" for name in sorted(tops & FORBIDDEN)]
        for item in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            function = item.func if isinstance(item, ast.Call) else None
            if isinstance(function, ast.Name) and function.id in CALLS:
                wrong.append(f"{path.name}:{function.lineno} calls {function.id}()")
    return wrong
