"""The plugin guide as a file: its pieces put together, up to any step."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path

from consensus.interface import Consensus

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "plugin-guide.md"
SAMPLE = ROOT / "tests" / "sample_plugin" / "sample_protocol.py"
Pieces = dict[str, ast.stmt]
"""Definitions by name, the later one of two in the place of the earlier."""


def blocks(step: int) -> list[str]:
    """The Python of the first steps."""
    parts = re.split(r"^## ", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    chosen = [part for part in parts if re.match(rf"Step [1-{step}]\.", part)]
    assert len(chosen) == step
    return [code for part in chosen for code in re.findall(r"```python\n(.*?)```", part, re.DOTALL)]


def name_of(statement: ast.stmt) -> str:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return statement.name
    if isinstance(statement, ast.AnnAssign | ast.Assign):
        target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
        return ast.unparse(target)
    return ast.unparse(statement)


def pieces(sources: list[str]) -> tuple[Pieces, Pieces]:
    """(what stands at the top level but the class, what stands in the class)."""
    top: Pieces = {}
    members: Pieces = {}
    for statement in [each for source in sources for each in ast.parse(source).body]:
        if isinstance(statement, ast.ClassDef) and statement.name == "Sample":
            members.update((name_of(member), member) for member in statement.body)
        else:
            top[name_of(statement)] = statement
    return top, members


def module_after(step: int, folder: Path) -> type[Consensus]:
    """The plugin as it stands after a step of the guide."""
    top, members = pieces(blocks(step))
    text = "\n".join(ast.unparse(statement) for statement in top.values())
    body = "\n".join(ast.unparse(member) for member in members.values())
    name = f"guide_step_{step}"
    path = folder / f"{name}.py"
    indented = "\n".join(f"    {line}" for line in body.splitlines())
    path.write_text(f"{text}\n\nclass Sample(Consensus):\n{indented}\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    plugin: type[Consensus] = module.Sample
    return plugin
