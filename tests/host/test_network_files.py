"""What `init` writes is on the disk when it returns, and is a home that can be read."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consensus.registry import protocol_named
from host.home import Home, read_config, read_home
from host.network import PORTS_VARIABLE, Plan, create_network, homes_of
from host.serve import setup_of
from ledger.errors import UserError
from tests.ledger.builders import seed_of

VECTOR = Path(__file__).parents[1] / "vectors" / "genesis_1.json"
"""A genesis as the program wrote it when there were epoch records of version 1 alone."""


def network_of(folder: Path, scheme: str) -> Path:
    """A new network of two validators."""
    create_network(folder, Plan("t", 2, protocol_named("solo"), "sqlite", (), scheme=scheme))
    return folder


def test_every_file_and_folder_of_a_new_network_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: dict[int, int] = {}
    fsync = os.fsync

    def look(descriptor: int) -> None:
        fsync(descriptor)
        found = os.fstat(descriptor)
        synced[found.st_ino] = found.st_size

    monkeypatch.setattr(os, "fsync", look)
    folder = tmp_path / "net"
    create_network(folder, Plan("t", 2, protocol_named("solo"), "sqlite", ()))

    written = [*folder.glob("*"), *(folder / "node0").glob("*")]
    ours = [path for path in written if path.suffix in (".json", ".toml", ".key") or path.is_dir()]
    assert len(ours) == 10
    for path in ours:
        if path.name == "database":
            continue  # the engine's own
        assert path.stat().st_ino in synced, path
        if path.is_file():
            assert synced[path.stat().st_ino] == path.stat().st_size


def test_ports_are_drawn_from_the_range_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The ports of this worker, whose first one the fixture of all tests listens on.
    first = int(os.environ[PORTS_VARIABLE].partition("-")[0])
    monkeypatch.setenv(PORTS_VARIABLE, f"{first}-{first + 3}")
    homes = homes_of(network_of(tmp_path / "net", "ed25519"))
    configs = [read_config(home) for home in homes]
    ports = [end.port for config in configs for end in (config.listen, config.api)]
    assert sorted(ports) == list(range(first, first + 4))

    monkeypatch.setenv(PORTS_VARIABLE, f"{first - 1}-{first - 1}")
    with pytest.raises(UserError, match=f"no free port found on 127.0.0.1 from {first - 1}"):
        network_of(tmp_path / "other", "ed25519")


@pytest.mark.parametrize("text", ["", "20000", "20000-", "0-1", "3-2", "1-65536", "a-b"])
def test_a_range_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(PORTS_VARIABLE, text)
    with pytest.raises(UserError, match="LEDGER_PORTS is .*give two ports, such as 20000-20999"):
        network_of(tmp_path / "net", "ed25519")


def test_a_home_of_the_first_version_is_read(tmp_path: Path) -> None:
    shutil.copy(VECTOR, tmp_path / "genesis.json")
    (tmp_path / "config.toml").write_text(
        'version = 1\nname = "node1"\nengine = "sqlite"\n'
        'listen = "127.0.0.1:7000"\napi = "127.0.0.1:7001"\n'
    )
    (tmp_path / "peers.toml").write_text('version = 1\n[peers]\n"node0" = ["127.0.0.1:7002"]\n')
    (tmp_path / "consensus.key").write_text(seed_of("node1 consensus").hex() + "\n")
    (tmp_path / "transport.key").write_text(seed_of("node1 transport").hex() + "\n")

    home = read_home(tmp_path)

    assert (home.me, home.genesis.epoch.version) == (1, 1)
    assert home.signer.statements is home.signer.checkpoints
    validator = home.genesis.epoch.validators.member(1)
    assert home.signer.statements.public_key == validator.statement_key == validator.checkpoint_key


def test_a_home_has_a_key_of_checkpoints_where_the_suite_has_two(tmp_path: Path) -> None:
    for scheme in ("ed25519", "ml-dsa-44"):
        assert not (network_of(tmp_path / scheme, scheme) / "node0" / "checkpoint.key").exists()
    node = network_of(tmp_path / "two", "ml-dsa-65") / "node1"

    home = read_home(node)

    assert (node / "checkpoint.key").stat().st_mode & 0o777 == 0o600
    assert (node / "checkpoint.key").read_text() != (node / "consensus.key").read_text()
    assert _public_keys(home) == (1_952, 1_312)


def _public_keys(home: Home) -> tuple[int, int]:
    """How long the keys of statements and checkpoints are, which are those of the genesis."""
    validator, keys = home.genesis.epoch.validators.member(home.me), home.signer
    assert keys.statements.public_key == validator.statement_key
    assert keys.checkpoints.public_key == validator.checkpoint_key
    return len(validator.statement_key), len(validator.checkpoint_key)


@pytest.mark.parametrize("name", ["consensus.key", "checkpoint.key"])
def test_a_missing_key_or_that_of_another_is_named(tmp_path: Path, name: str) -> None:
    network = network_of(tmp_path / "net", "ml-dsa-65")
    shutil.copy(network / "node0" / name, network / "node1" / name)
    with pytest.raises(UserError, match=f"{name} is not the key of validator validator1"):
        read_home(network / "node1")

    (network / "node1" / name).unlink()
    with pytest.raises(UserError, match=f"cannot read the key file .*{name}"):
        read_home(network / "node1")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"parameters": (("window", 0),)}, "the parameter window of pbft is 0: give 1 or more"),
        ({"parameters": (("nonsense", 1),)}, "pbft has no parameter nonsense"),
        ({"protocol_version": 9}, "the network runs pbft version 9; installed is version 1"),
        ({"protocol": "mysticeti"}, "runs mysticeti version 1; installed is version 2"),
    ],
)
def test_a_node_refuses_an_epoch_that_it_cannot_run(
    wrong: dict[str, Any], words: str, tmp_path: Path
) -> None:
    create_network(tmp_path / "net", Plan("t", 2, protocol_named("pbft"), "sqlite", ()))
    home = read_home(tmp_path / "net" / "node0")
    assert setup_of(home).protocol is protocol_named("pbft")

    epoch = replace(home.genesis.epoch, **wrong)

    with pytest.raises(UserError, match=words):
        setup_of(replace(home, genesis=replace(home.genesis, epoch=epoch)))
