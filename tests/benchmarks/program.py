"""`python -m benchmarks ...` as its users meet it."""

from __future__ import annotations

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from benchmarks.__main__ import benchmarks
from host.commands import main
from tests.host.program import Done


def call(*words: object) -> Done:
    """Run it to its end within this process, which is quicker."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = main.run([str(word) for word in words], command=benchmarks, name="benchmarks")
    return Done(code, out.getvalue(), err.getvalue())
