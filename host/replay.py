"""Finding the scenario that a person names."""

from __future__ import annotations

from pathlib import Path

from host.plugins import find_protocol
from ledger.errors import UserError
from sim.scenario_file import ScenarioFile, read_scenario


def scenario_of(argument: str) -> ScenarioFile:
    """The scenario that the argument is, or that is in the file with this name.

    Raises UserError where there is none.
    """
    if "\n" in argument:
        return read_scenario(argument, find=find_protocol)
    try:
        text = Path(argument).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {argument}: {error.strerror}") from None
    except (UnicodeDecodeError, ValueError):
        raise UserError(f"{argument} holds no scenario") from None
    try:
        return read_scenario(text, find=find_protocol)
    except UserError as error:
        raise UserError(f"{argument}: {error}") from None
