"""`python -m benchmarks ...` as its users meet it."""

from __future__ import annotations

import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from benchmarks.__main__ import benchmarks
from host.commands import main
from tests.host.program import ROOT, Done

FAKE = ROOT / "tests" / "benchmarks" / "fake_comet.py"


def call(*words: object) -> Done:
    """Run it to its end within this process, which is quicker."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = main.run([str(word) for word in words], command=benchmarks, name="benchmarks")
    return Done(code, out.getvalue(), err.getvalue())


def made_program(folder: Path) -> Path:
    """A small program in place of CometBFT's (`fake_comet.py`)."""
    path = folder / "cometbft"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path
