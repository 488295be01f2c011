"""Finding a protocol for the command line: an installed plugin, or a class in a file at hand."""

from __future__ import annotations

import os
import sys

from consensus.interface import Consensus
from consensus.registry import protocol_named


def find_protocol(name: str) -> type[Consensus]:
    """The plugin of an entry-point name or of module:Class, also below the current directory.

    Raises UserError where there is none.
    """
    if ":" in name and os.getcwd() not in sys.path:
        # At the end: nothing here may hide a module that is installed.
        sys.path.append(os.getcwd())
    return protocol_named(name)
