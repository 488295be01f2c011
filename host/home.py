"""A node's home: the files that `init` writes and `run` reads.

HOME/genesis.json        what everyone agrees on, the same in every home
HOME/config.toml         engine, listen address, API address: this node's own business
HOME/peers.toml          where the other validators listen, or the neighbours
HOME/consensus.key       seed of the consensus key, hexadecimal, mode 0600
HOME/checkpoint.key      seed of the key of checkpoints, where that is another one, likewise
HOME/transport.key       seed of the transport key, hexadecimal, mode 0600
HOME/db...               the database (storage/home.py)
HOME/contents/           a content store, where the node has one (storage/content.py)
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger import genesis as genesis_format
from ledger.errors import Fault, UserError
from ledger.genesis import Genesis
from ledger.keys import SEED_BYTES, ConsensusSigner, Scheme, Signer, one_key

CONFIG_VERSION = 1
GENESIS_FILE = "genesis.json"
CONFIG_FILE = "config.toml"
PEERS_FILE = "peers.toml"
CONTENTS = "contents"
CONSENSUS_KEY_FILE = "consensus.key"
CHECKPOINT_KEY_FILE = "checkpoint.key"
TRANSPORT_KEY_FILE = "transport.key"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where something listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What one node decides for itself."""

    name: str
    """The validator's name in the genesis."""
    engine: str
    listen: Endpoint
    """For the other validators."""
    api: Endpoint
    """For clients."""


@dataclass(frozen=True, slots=True)
class Home:
    """Everything that `run` needs to know before it opens the database."""

    path: Path
    genesis: Genesis
    config: NodeConfig
    me: int
    """Validator index."""
    peers: dict[int, tuple[Endpoint, ...]]
    """Where the validators listen that this node has links to, by index: all others, or some."""
    relays: bool
    """Whether the network passes messages on, since not every two nodes have a link."""
    signer: ConsensusSigner
    """The consensus keys."""
    transport_seed: bytes


def write_private(path: Path, seed: bytes) -> None:
    """Write a seed to a new file that only its owner may read.  Raises UserError if it exists."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UserError(f"{path} exists already; choose another name or remove it") from None
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    _write_out(descriptor, seed.hex() + "\n")


def write_durable(path: Path, text: str) -> None:
    """Write a text to a new file that survives a power cut, once its folder is synced, too."""
    _write_out(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), text)


def _write_out(descriptor: int, text: str) -> None:
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read_private(path: Path) -> bytes:
    """The seed in a key file.  Raises UserError."""
    try:
        seed = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise UserError(f"cannot read the key file {path}: {error.strerror}") from None
    except ValueError:
        raise UserError(f"{path} is not a key file: it must hold 64 hexadecimal digits") from None
    if len(seed) != SEED_BYTES:
        raise UserError(f"{path} is not a key file: it must hold 64 hexadecimal digits")
    return seed


def read_genesis(path: Path) -> Genesis:
    """The genesis in a file.  Raises UserError."""
    try:
        return genesis_format.from_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read the genesis {path}: {error.strerror}") from None
    except Fault as fault:
        raise UserError(f"{path} is not a valid genesis: {fault}") from None


@dataclass(frozen=True, slots=True)
class PeersFile:
    """What peers.toml says."""

    addresses: dict[str, tuple[Endpoint, ...]]
    """Where others listen, by validator name."""
    relays: bool = False
    """Whether these are all that this node has links to."""


def read_peers(path: Path) -> PeersFile:
    """Whom a node has links to.  Raises UserError."""
    table = _read_toml(path)
    _check_version(table, path)
    peers = {}
    for name, addresses in table.get("peers", {}).items():
        if not isinstance(addresses, list) or not addresses:
            raise UserError(f'{path}: peer "{name}" needs a list of addresses like ["host:port"]')
        peers[name] = tuple(parse_endpoint(address, path) for address in addresses)
    relays = table.get("relays", False)
    if not isinstance(relays, bool):
        raise UserError(f"{path}: relays must be true or false")
    return PeersFile(peers, relays)


def read_config(home: Path) -> NodeConfig:
    """A home's own configuration.  Raises UserError."""
    path = home / CONFIG_FILE
    table = _read_toml(path)
    _check_version(table, path)
    for key in ("name", "engine", "listen", "api"):
        if not isinstance(table.get(key), str):
            raise UserError(f'{path}: "{key}" is missing or not text')
    return NodeConfig(
        table["name"],
        table["engine"],
        parse_endpoint(table["listen"], path),
        parse_endpoint(table["api"], path),
    )


def read_home(path: Path) -> Home:
    """Read and check a whole home.  Raises UserError with one line that says what to do."""
    if not (path / CONFIG_FILE).is_file():
        raise UserError(f"{path} is no home of a node; `init DIR` makes one (DIR/node0, ...)")
    genesis = read_genesis(path / GENESIS_FILE)
    config = read_config(path)
    validators = genesis.epoch.validators
    names = [validator.name for validator in validators.members]
    if config.name not in names:
        raise UserError(f'{path / CONFIG_FILE}: the genesis has no validator "{config.name}"')
    me = names.index(config.name)
    listed = read_peers(path / PEERS_FILE)
    peers = _peers(path / PEERS_FILE, listed, names, me)
    signer = _consensus_signer(path, genesis, me)
    seed = read_private(path / TRANSPORT_KEY_FILE)
    return Home(path, genesis, config, me, peers, listed.relays, signer, seed)


def _peers(
    path: Path, listed: PeersFile, names: Sequence[str], me: int
) -> dict[int, tuple[Endpoint, ...]]:
    """Where the peers of validator `me` listen, by index.  Raises UserError."""
    unknown = sorted(set(listed.addresses) - set(names))
    if unknown:
        raise UserError(f'{path}: the genesis has no validator "{unknown[0]}"')
    others = [name for name in names if name != names[me]]
    missing = [name for name in others if name not in listed.addresses]
    if missing and not listed.relays:
        raise UserError(f'{path}: no address for validator "{missing[0]}"')
    if missing == others and others:
        raise UserError(f"{path}: no address of any neighbour")
    return {
        index: listed.addresses[name]
        for index, name in enumerate(names)
        if index != me and name in listed.addresses
    }


def _consensus_signer(path: Path, genesis: Genesis, me: int) -> ConsensusSigner:
    """The private keys of validator `me`.  Raises UserError."""
    suite, validator = genesis.suite, genesis.epoch.validators.member(me)

    def read(name: str, scheme: Scheme, public_key: bytes) -> Signer:
        signer = scheme.signer(read_private(path / name))
        if signer.public_key != public_key:
            raise UserError(f"{path / name} is not the key of validator {validator.name}")
        return signer

    statements = read(CONSENSUS_KEY_FILE, suite.statements, validator.statement_key)
    if not suite.has_two_keys:
        return one_key(statements)
    checkpoints = read(CHECKPOINT_KEY_FILE, suite.checkpoints, validator.checkpoint_key)
    return ConsensusSigner(statements, checkpoints)


def config_text(config: NodeConfig) -> str:
    """The contents of config.toml."""
    return (
        f"version = {CONFIG_VERSION}\n"
        f"name = {json.dumps(config.name)}\n"
        "# Database engine: leveldb or sqlite.  Changing it does not move the data.\n"
        f"engine = {json.dumps(config.engine)}\n"
        "# Where the other validators reach this node.\n"
        f"listen = {json.dumps(str(config.listen))}\n"
        "# Where clients reach this node.\n"
        f"api = {json.dumps(str(config.api))}\n"
    )


def peers_text(peers: PeersFile) -> str:
    """The contents of peers.toml."""
    lines = [f"version = {CONFIG_VERSION}"]
    if peers.relays:
        lines += [
            "# These are all that this node has links to.  All nodes of the network pass messages",
            "# on, and say so here; a link stands in the files of both its ends.",
            "relays = true",
        ]
    lines += ["", "[peers]"]
    for name, addresses in sorted(peers.addresses.items()):
        listed = ", ".join(json.dumps(str(address)) for address in addresses)
        lines.append(f"{json.dumps(name)} = [{listed}]")
    return "\n".join(lines) + "\n"


def parse_endpoint(text: object, where: object) -> Endpoint:
    """HOST:PORT, or [IPv6]:PORT.  Raises UserError naming where it stands."""
    host, colon, port = str(text).rpartition(":")
    if not (isinstance(text, str) and colon and host and port.isdigit() and int(port) <= 65_535):
        raise UserError(f"{where}: {text!r} is not an address like 127.0.0.1:7000")
    return Endpoint(host.strip("[]"), int(port))


def _check_version(table: dict[str, Any], path: Path) -> None:
    if table.get("version") != CONFIG_VERSION:
        raise UserError(
            f"{path} has format version {table.get('version')!r}; this program knows only "
            f"{CONFIG_VERSION}"
        )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from None
