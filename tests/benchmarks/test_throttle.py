"""What control groups are told, of both versions."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.harness import throttle
from benchmarks.harness.throttle import CONTROLLERS, Throttle, remove_groups
from ledger.errors import UnreachableError

BLKIO, IO = CONTROLLERS


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a machine's control groups, which has none yet."""
    found = [replace(one, base=tmp_path / one.base.name) for one in CONTROLLERS]
    for one in found:
        one.base.mkdir()
    monkeypatch.setattr(throttle, "CONTROLLERS", found)
    monkeypatch.setattr(throttle, "device_below", lambda _folder: "8:16")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "file", "slow", "free"),
    [
        ("blkio/blkio.throttle.write_iops_device", BLKIO.file, "8:16 50", "8:16 0"),
        ("cgroup/cgroup.subtree_control", IO.file, "8:16 wiops=50", "8:16 wiops=max"),
    ],
)
def test_a_slow_disk_is_so_many_writes_a_second(
    machine: Path, given: str, file: str, slow: str, free: str
) -> None:
    (machine / given).write_text("cpu io memory", encoding="ascii")
    groups = machine / given.partition("/")[0]

    one = Throttle(Path("work/net"), 2)
    one.limit(1, 20.0)
    assert (groups / "work.net-1" / file).read_text() == slow
    one.limit(1, 0)
    assert (groups / "work.net-1" / file).read_text() == free

    (groups / "other.net-0").mkdir()
    # A group with something in it is one whose last thread has not ended.
    assert not remove_groups(Path("/tmp/work"))
    (groups / "work.net-1" / file).unlink()
    assert remove_groups(Path("/tmp/work"))
    assert [path.name for path in groups.iterdir() if path.is_dir()] == ["other.net-0"]


def test_a_command_begins_within_its_group(machine: Path) -> None:
    (machine / "blkio" / BLKIO.file).touch()
    one = Throttle(Path("work/net"), 1)

    done = subprocess.run(
        [*one.prefix(0), "sh", "-c", 'echo "$$ $0 $1"', "a b", "c"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    pid = (machine / "blkio" / "work.net-0" / "cgroup.procs").read_text().strip()
    assert done.stdout == f"{pid} a b c\n"


@pytest.mark.usefixtures("machine")
def test_a_machine_without_them_says_so() -> None:
    with pytest.raises(UnreachableError, match="no controller"):
        Throttle(Path("work/net"), 1)
