"""What `init` writes is on the disk when it returns."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from consensus.registry import protocol_named
from host.network import Plan, create_network


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
