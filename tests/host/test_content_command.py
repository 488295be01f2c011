"""`content` and `init --store`, as the guide has them, on a network that runs."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

from host.commands import main
from tests.host.program import ROOT, call, running_cluster

GUIDE = (ROOT / "docs" / "contents.md").read_text(encoding="utf-8")
CONTENT = b"3\n1\n2\n"
DIGEST = sha256(CONTENT).hexdigest()


def test_the_commands_of_the_guide_work_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for one validator instead of four."""
    [block] = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    init, cluster, put, get = [line.partition(" #")[0].split()[2:] for line in block.splitlines()]
    monkeypatch.chdir(tmp_path)
    Path("raw.csv").write_bytes(CONTENT)
    init[init.index("4")] = "1"
    assert cluster == ["cluster", "mynet"]
    call(*init, "--protocol", "solo").check()
    with running_cluster(tmp_path / "mynet"):
        assert call(*put).check().out == f"{DIGEST}  6 bytes, kept by 1 nodes\n"
        assert "as its SHA-256 says" in call(*[DIGEST if w == "SHA256" else w for w in get]).out
        assert Path("again.csv").read_bytes() == CONTENT
        told = call("content", "put", "raw.csv", "--network", "mynet", "--json").check().document
        assert told == {"sha256": DIGEST, "bytes": 6, "stores": 1}
        (tmp_path / "mynet" / "node0" / "contents" / DIGEST[:2] / DIGEST).write_bytes(b"damaged")
        damaged = call("content", "get", DIGEST, "-o", "b.csv", "--network", "mynet")
        assert (damaged.code, Path("b.csv").exists()) == (1, False)
        assert "damaged" in damaged.err
        call("keys", "new", "-o", "stranger.key").check()
        stranger = call("content", "get", DIGEST, "-o", "b.csv", "--network", "mynet",
                        "--key", "stranger.key")  # fmt: skip
        assert stranger.code == 1
        assert "no member" in stranger.err


def test_a_user_s_mistakes_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    call("init", "net", "--validators", 1, "--protocol", "solo").check()
    Path("a.csv").write_bytes(CONTENT)
    for words, code in (
        (["content", "get", "short", "-o", "a", "--network", "net"], 2),
        (["content", "get", DIGEST, "--network", "net"], 2),
        (["content", "put", "nowhere", "--network", "net"], 2),
        (["content", "put", "a.csv", "--network", "net"], 3),
    ):
        assert main.run(words) == code
        assert capsys.readouterr().err.count("\n") == 1
