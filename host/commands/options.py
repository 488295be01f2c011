"""What many commands share: finding a network, and saying things to people and programs."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
import httpx
import trio

from api.client import LedgerClient
from host.home import read_genesis, read_private
from host.network import MEMBER_KEY_FILE, api_urls
from ledger import genesis as genesis_format
from ledger.errors import Fault, UnreachableError, UserError
from ledger.genesis import Genesis
from ledger.keys import KeyPair
from ledger.light import VerifiedState
from ledger.limits import PUBLIC_KEY_SIZES

F = TypeVar("F", bound=Callable[..., Any])


def network_options(function: F) -> F:
    """Adds --network, --api and --genesis, and hands the command one `Target`."""

    @click.option(
        "--network",
        "folder",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="The folder that init wrote.",
    )
    @click.option(
        "--api",
        "urls",
        multiple=True,
        metavar="URL",
        help="A node's API; may be given more than once.",
    )
    @click.option(
        "--genesis",
        "genesis_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The genesis to check answers against; with --network, its own.",
    )
    @wraps(function)
    def wrapped(
        *args: Any,
        folder: Path | None,
        urls: tuple[str, ...],
        genesis_file: Path | None,
        **kwargs: Any,
    ) -> Any:
        return function(*args, target=Target(folder, urls, genesis_file), **kwargs)

    return wrapped  # type: ignore[return-value]


class Target:
    """The network that a command is about."""

    def __init__(self, folder: Path | None, urls: tuple[str, ...], genesis: Path | None) -> None:
        if folder is None and not urls:
            raise UserError("say which network: --network DIR, or --api URL")
        self.folder = folder
        self.urls = [url.rstrip("/") for url in urls] or api_urls(folder or Path())
        self._genesis_file = genesis or (folder / "genesis.json" if folder else None)

    def genesis(self) -> Genesis:
        """The genesis to check against: a file, or on trust what the first node says."""
        if self._genesis_file is not None:
            return read_genesis(self._genesis_file)
        for url in self.urls:
            try:
                return genesis_format.from_json(httpx.get(f"{url}/v1/genesis").content)
            except (httpx.HTTPError, httpx.InvalidURL):
                continue
            except Fault as fault:
                raise UnreachableError(f"{url} sends no valid genesis: {fault}") from None
        raise UnreachableError(f"no node answers at {', '.join(self.urls)}")

    def signer(self, key: Path | None) -> KeyPair:
        """The key that signs transactions."""
        if key is None:
            if self.folder is None:
                raise UserError("say with which key to sign: --key FILE")
            key = self.folder / MEMBER_KEY_FILE
        return self.genesis().suite.members.signer(read_private(key))

    def client(self, *, key: Path | None = None, sign: bool = False) -> LedgerClient:
        """A client of the network's nodes."""
        signer = self.signer(key) if sign else None
        return LedgerClient(self.urls, self.genesis(), signer=signer, clock=microseconds)

    def ask_state(self, application: str, key: bytes, output: Path | None = None) -> VerifiedState:
        """What an application's state holds under a key, checked; its proof goes to the output.

        Raises UserError where that cannot be written.
        """

        async def ask() -> tuple[bytes, VerifiedState]:
            async with self.client() as client:
                return await client.state(application, key)

        raw, verified = trio.run(ask)
        if output is not None:
            try:
                output.write_bytes(raw)
            except OSError as error:
                raise UserError(f"cannot write {output}: {error.strerror}") from None
        return verified


def microseconds() -> int:
    """The wall clock: nonces that grow, also across restarts."""
    return time.time_ns() // 1_000


def parse_public_key(text: str) -> bytes | None:
    """A public key of any signature scheme in hexadecimal, or None."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        return None
    return value if len(value) in PUBLIC_KEY_SIZES else None


def shown_briefly(text: str) -> str:
    """What a person gave, for an error of one line: a key may have thousands of digits."""
    return text if len(text) < 80 else f"{text[:16]}..."


def parse_id(text: str) -> bytes | None:
    """32 bytes in hexadecimal, or None."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        return None
    return value if len(value) == 32 else None
