"""A network's folder: what `init` writes, and how other commands find their way in it.

DIR/genesis.json    what everyone agrees on
DIR/member.key      a member with the role submitter; of several, the others are member1.key ...
DIR/node0 ...       one home a node
"""

from __future__ import annotations

import errno
import os
import secrets
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from consensus.interface import Consensus
from consensus.recovery import first_writes
from consensus.registry import check_parameters
from host.home import (
    CHECKPOINT_KEY_FILE,
    CONFIG_FILE,
    CONSENSUS_KEY_FILE,
    GENESIS_FILE,
    PEERS_FILE,
    TRANSPORT_KEY_FILE,
    Endpoint,
    NodeConfig,
    PeersFile,
    config_text,
    peers_text,
    read_config,
    write_durable,
    write_private,
)
from host.topology import read_topology
from ledger import genesis as genesis_format
from ledger.applications import ALL, DEFAULT, identity_body, payments
from ledger.errors import Fault, UserError
from ledger.genesis import EpochRecord, Genesis, Member, check_genesis
from ledger.keys import REAL_SCHEMES, SEED_BYTES, suite_named
from ledger.limits import Limits
from ledger.validators import QuorumRule, Validator, ValidatorSet
from p2p.certificate import make_identity, public_key_of
from storage import home as storage_home
from storage.tripwire import sync_directory

MEMBER_KEY_FILE = "member.key"
TOPOLOGY_SEED = 1
"""What a random topology is drawn from: it is the same for every network of a size."""
PORT_MAX = 65_535
PORTS_FROM, PORTS_TO = 20_000, 32_000
"""Below the ephemeral range of Linux (32768), so that no outgoing connection takes one."""
PORTS_VARIABLE = "LEDGER_PORTS"
"""Environment variable, `FROM-TO`: the ports to draw from instead.  Programs that make networks
beside each other need ranges of their own: a port is drawn when a network is made and taken when
its node starts."""

PORTS_TRIED = 1_000
PROBE_S = 1.0
"""How long a listener that accepts nobody is waited for, whose queue is full."""


class Seeds(NamedTuple):
    """Of a validator's private keys."""

    consensus: bytes
    checkpoint: bytes
    """Of no use where statements and checkpoints are signed with one key."""
    transport: bytes

    @classmethod
    def new(cls) -> Seeds:
        return cls(*(secrets.token_bytes(SEED_BYTES) for _ in range(3)))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a new network is to look like."""

    name: str
    validators: int
    protocol: type[Consensus]
    engine: str
    hosts: tuple[str, ...]
    """HOST or HOST:PORT, one for all nodes or one a node."""
    parameters: tuple[tuple[str, int], ...] = ()
    test_network: bool = False
    policy: str = "members"
    limits: Limits = field(default_factory=Limits)
    scheme: str = REAL_SCHEMES[0]
    """Signature suite of validators and members."""
    applications: tuple[str, ...] = ()
    """Applications beside the default ones; with payments or identity the members administer."""
    topology: str = "full"
    """Who has a link to whom: full, ring, random-K, pairs such as "0-1 1-2", or a file of them."""
    members: int = 1
    approvals: int = 0
    """How many administrators must approve a change of members; 0: none can be made."""


def create_network(
    folder: Path, plan: Plan, *, progress: Callable[[], object] = lambda: None
) -> Genesis:
    """Write a whole network; progress is called after each home.

    Raises UserError where the folder is in use or the plan is wrong.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty; choose a new directory")
    protocol = plan.protocol
    check_parameters(protocol, dict(plan.parameters), plan.validators, suite_named(plan.scheme))
    parameters = {**protocol.PARAMETERS, **dict(plan.parameters)}
    seeds = [Seeds.new() for _ in range(plan.validators)]
    member_seeds = [secrets.token_bytes(SEED_BYTES) for _ in range(plan.members)]
    genesis = _make_genesis(plan, parameters, seeds, member_seeds)
    topology = read_topology(plan.topology, plan.validators, TOPOLOGY_SEED)
    endpoints = _endpoints(plan)
    folder.mkdir(parents=True, exist_ok=True)
    text = genesis_format.to_json(genesis)
    write_durable(folder / GENESIS_FILE, text)
    for member, seed in zip(genesis.members, member_seeds, strict=True):
        write_private(folder / f"{member.name}.key", seed)
    names = [validator.name for validator in genesis.epoch.validators.members]
    for index, name in enumerate(names):
        home = folder / f"node{index}"
        home.mkdir()
        listen, api = endpoints[index]
        write_durable(home / GENESIS_FILE, text)
        config = NodeConfig(name, plan.engine, listen, api)
        write_durable(home / CONFIG_FILE, config_text(config))
        addresses: dict[str, tuple[Endpoint, ...]] = {
            names[other]: (endpoints[other][0],) for other in topology.neighbours[index]
        }
        peers = PeersFile(addresses, relays=not topology.is_full)
        write_durable(home / PEERS_FILE, peers_text(peers))
        write_private(home / CONSENSUS_KEY_FILE, seeds[index].consensus)
        if genesis.suite.has_two_keys:
            write_private(home / CHECKPOINT_KEY_FILE, seeds[index].checkpoint)
        write_private(home / TRANSPORT_KEY_FILE, seeds[index].transport)
        with storage_home.create(home, plan.engine, network=genesis.network) as store:
            store.write(first_writes(genesis), sync=True)
        sync_directory(home)
        progress()
    sync_directory(folder)
    return genesis


def _make_genesis(
    plan: Plan,
    parameters: dict[str, int],
    seeds: Sequence[Seeds],
    member_seeds: Sequence[bytes],
) -> Genesis:
    suite = suite_named(plan.scheme)
    validators = []
    for index, seed in enumerate(seeds):
        certificate = make_identity(seed.transport).certificate
        keys = suite.consensus_signer(seed.consensus, seed.checkpoint)
        validators.append(
            Validator(
                f"validator{index}",
                keys.statements.public_key,
                public_key_of(certificate),
                certificate,
                keys.own_checkpoint_key,
            )
        )
    crash_only = plan.protocol.fault_model == "crash"
    epoch = EpochRecord(
        number=0,
        protocol=plan.protocol.name,
        protocol_version=plan.protocol.version,
        parameters=tuple(sorted(parameters.items())),
        validators=ValidatorSet(
            tuple(validators), QuorumRule.CRASH if crash_only else QuorumRule.BYZANTINE
        ),
        first_height=1,
        previous_block=bytes(32),
    )
    genesis = Genesis(
        name=plan.name,
        epoch=epoch,
        limits=plan.limits,
        applications=_applications(plan),
        members=_members(plan, member_seeds),
        approvals=plan.approvals,
        policy=plan.policy,
        scheme=suite.name,
        test_network=plan.test_network,
    )
    try:
        check_genesis(genesis)
    except Fault as fault:
        raise UserError(str(fault)) from None
    return genesis


def _members(plan: Plan, seeds: Sequence[bytes]) -> tuple[Member, ...]:
    """The members of the keys; raises UserError where their changes could never be approved."""
    governs = identity_body.NAME in plan.applications
    if plan.approvals and not governs:
        raise UserError("--approvals is about changes of members: add --application identity")
    if plan.approvals > len(seeds):
        raise UserError(f"{plan.approvals} approvals of {len(seeds)} members: raise --members")
    administers = governs or payments.NAME in plan.applications
    roles = ("submitter", "administrator") if administers else ("submitter",)
    scheme = suite_named(plan.scheme).members
    return tuple(
        Member(f"member{number or ''}", scheme.signer(seed).public_key, roles)
        for number, seed in enumerate(seeds)
    )


def _applications(plan: Plan) -> tuple[tuple[str, int], ...]:
    """(name, version) of the default applications and those asked for, by name."""
    known = {application.name: application for application in ALL}
    unknown = [name for name in plan.applications if name not in known]
    if unknown:
        raise UserError(f"there is no application {unknown[0]}; there are {', '.join(known)}")
    chosen = {each.name: each.version for each in DEFAULT}
    chosen |= {name: known[name].version for name in plan.applications}
    return tuple(sorted(chosen.items()))


def _endpoints(plan: Plan) -> list[tuple[Endpoint, Endpoint]]:
    """(listen, API) of every node."""
    hosts = plan.hosts or ("127.0.0.1",)
    if len(hosts) not in (1, plan.validators):
        raise UserError(f"give --host once, or {plan.validators} times: once a validator")
    if len(hosts) == 1:
        hosts = hosts * plan.validators
    taken: set[tuple[str, int]] = set()
    found = []
    for text in hosts:
        host, colon, port = text.rpartition(":")
        if colon and port.isdigit() and "]" not in port:
            first = int(port)
            host = host.strip("[]")
        else:
            host, first = text.strip("[]"), 0
        pair = []
        for offset in range(2):
            number = first + offset if first else _free_port(host, taken)
            while first and (host, number) in taken:
                number += 2
            if number > PORT_MAX:
                raise UserError(f"{text}: there is no port {number}")
            taken.add((host, number))
            pair.append(Endpoint(host, number))
        found.append((pair[0], pair[1]))
    return found


def _port_range() -> range:
    """Where ports are drawn from.  Raises UserError."""
    text = os.environ.get(PORTS_VARIABLE)
    if text is None:
        return range(PORTS_FROM, PORTS_TO)
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last) <= PORT_MAX):
        raise UserError(f"{PORTS_VARIABLE} is {text}: give two ports, such as 20000-20999")
    return range(int(first), int(last) + 1)


def _free_port(host: str, taken: set[tuple[str, int]]) -> int:
    """A port nobody listens on now, if the host is this machine; else just an unused one."""
    ports = _port_range()
    for port in secrets.SystemRandom().sample(ports, min(len(ports), PORTS_TRIED)):
        if (host, port) in taken:
            continue
        if not _is_loopback(host) or not _is_in_use(host, port):
            return port
    raise UserError(f"no free port found on {host} from {ports[0]} to {ports[-1]}")


def _is_in_use(host: str, port: int) -> bool:
    """Whether somebody listens, perhaps without a mind to accept."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(PROBE_S)
        return probe.connect_ex((host, port)) in (0, errno.EAGAIN)


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def homes_of(folder: Path) -> list[Path]:
    """The homes in a network's folder, in order.  Raises UserError."""
    homes = sorted(
        (path for path in folder.glob("node*") if path.is_dir() and path.name[4:].isdigit()),
        key=lambda path: int(path.name[4:]),
    )
    if not homes:
        raise UserError(f"{folder} holds no network; `python node.py init {folder}` makes one")
    return homes


def api_urls(folder: Path) -> list[str]:
    """Where the APIs of a network's nodes listen."""
    return [f"http://{read_config(home).api}" for home in homes_of(folder)]


def interpreter() -> list[str]:
    """How to start this program once more."""
    script = Path(__file__).resolve().parents[1] / "node.py"
    return [sys.executable, *(["-X", "dev"] if sys.flags.dev_mode else []), os.fspath(script)]
