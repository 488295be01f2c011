"""Who leads, as an option of the commands that name a protocol; they need no network."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from consensus.registry import leaders_names

F = TypeVar("F", bound=Callable[..., Any])


def leaders_option(function: F) -> F:
    """Adds --leaders, which becomes a part of the protocol's name: jolteon+sticky."""

    @click.option(
        "--leaders",
        metavar="NAME",
        help=f"Who leads, if not whom the protocol says: {', '.join(leaders_names())}.",
    )
    @wraps(function)
    def wrapped(*args: Any, protocol: str, leaders: str | None, **kwargs: Any) -> Any:
        name = protocol if leaders is None else f"{protocol}+{leaders}"
        return function(*args, protocol=name, **kwargs)

    return wrapped  # type: ignore[return-value]
