"""The entry point of the command line: `python node.py COMMAND`.  See `python node.py --help`."""

from __future__ import annotations

import sys

if sys.flags.optimize:
    sys.exit("run without -O: the assertions are part of the safety argument")

from host.commands.main import main

if __name__ == "__main__":
    main()
