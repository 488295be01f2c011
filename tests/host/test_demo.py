"""The demo as a user sees it: without a terminal, at a terminal, and interrupted."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from pathlib import Path

import psutil
import pytest

from host.demo.material import gather, program_records, subject_of
from host.demo.screen import Screen
from host.home import read_genesis
from ledger.light import LightClient
from tests.host.program import LIMIT_S, NODE, ROOT, Process, call, run, without_plyvel

FACTS = [
    "network",
    "started",
    "agreed",
    "recorded",
    "proved",
    "refused",
    "survived",
    "caught up",
    "one chain",
]
DEMO_LIMIT_S = 120


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.test"]
    subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository of three commits."""
    folder = tmp_path / "history"
    folder.mkdir()
    git(folder, "init", "--quiet")
    for number in range(3):
        (folder / "notes.txt").write_text(f"line {number}\n")
        git(folder, "add", "notes.txt")
        git(folder, "commit", "--quiet", "--message", f"Write line {number}")
    return folder


def test_the_demo_in_plain_lines(repository: Path, tmp_path: Path) -> None:
    """The default protocol, no terminal, and the network kept where it was asked for."""
    folder = tmp_path / "kept"

    done = run("demo", "--dir", folder, cwd=repository).check()

    assert done.err == ""
    assert "\x1b" not in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines() if str(folder) not in line)
    summary = done.out.partition("\nsummary\n")[2]
    assert re.findall(r"^  ok      (\w+(?: \w+)?) ", summary, re.MULTILINE) == FACTS
    assert "the git history of history, 3 commits" in " ".join(summary.split())
    assert "killed validator3 with SIGKILL" in done.out
    assert "timeout_propose_ms" in done.out
    assert re.search(r"^validator3 .* killed$", done.out, re.MULTILINE)
    assert "9 of 9 facts hold" in summary
    light = LightClient(read_genesis(folder / "genesis.json"))
    light.check_receipt((folder / "demo.receipt").read_bytes())
    for index in range(4):
        assert call("audit", folder / f"node{index}").check().out.startswith("valid")


def test_the_demo_for_programs_where_plyvel_is_absent(repository: Path, tmp_path: Path) -> None:
    """SQLite, a narrow and dumb terminal, and nothing left behind."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    env = without_plyvel(tmp_path / "path") | {"TMPDIR": str(temporary), "COLUMNS": "40"}

    told = run("demo", "--protocol", "solo", "--json", cwd=repository, env=env).check().document

    assert told["holds"]
    assert told["storage"] == "sqlite"
    facts = {fact["name"]: fact for fact in told["facts"]}
    assert list(facts) == FACTS
    assert facts["recorded"]["applied"] == facts["recorded"]["transactions"] > 1
    assert facts["recorded"]["statements"] > facts["recorded"]["transactions"]
    assert facts["refused"]["reason"]
    assert facts["caught up"]["missed_blocks"] >= facts["survived"]["blocks"] > 0
    assert os.listdir(temporary) == []


def test_the_demo_at_a_terminal_shows_a_table_that_moves(repository: Path, tmp_path: Path) -> None:
    """And Ctrl-C, typed at it, ends everything."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    main, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color", "TMPDIR": str(temporary)}
    env.pop("NO_COLOR", None)
    env.pop("COLUMNS", None)
    command = [*NODE, "demo", "--protocol", "solo"]
    with subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, cwd=repository, env=env,
        start_new_session=True,
    ) as process:  # fmt: skip
        os.close(follower)
        seen = b""
        while b"recorded" not in seen:
            seen += os.read(main, 4096)
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        while piece := read_terminal(main):
            seen += piece
        code = process.wait(timeout=LIMIT_S)
    os.close(main)

    assert code == 130
    assert len(children) == 4
    assert not psutil.wait_procs(children, timeout=0)[1]
    assert b"\x1b[" in seen, "the table moves"
    assert b"\xe2\x94\x80" in seen
    assert seen.rstrip().endswith(b"interrupted")
    assert b"\x1b[?25h" in seen, "the cursor is back"
    assert os.listdir(temporary) == []


def read_terminal(descriptor: int) -> bytes:
    """What comes next; empty once nobody writes any more."""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_demo(number: int, tmp_path: Path) -> None:
    with Process("demo", "--protocol", "solo", env={"TMPDIR": str(tmp_path)}) as demo:
        demo.until_line(lambda line: "started" in line)
        children = demo.children()
        assert len(children) == 4

        code = demo.stop(number)

        _, alive = psutil.wait_procs(children, timeout=LIMIT_S)
        assert not alive
    if number == signal.SIGTERM:
        assert code == 130
        assert os.listdir(tmp_path) == []


def test_a_demo_that_stays_serves_until_it_is_told_to_stop(
    repository: Path, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    words = ("demo", "--protocol", "solo", "--stay")
    with Process(*words, cwd=repository, env={"TMPDIR": str(temporary)}) as demo:
        demo.until_line(lambda line: "facts hold" in line)
        (folder,) = temporary.iterdir()

        done = call("submit", "--network", folder, "--record", ROOT / "node.py", "--json").check()

        assert done.document["status"] == "applied"
        assert demo.stop(signal.SIGTERM) == 0
    assert (folder / "genesis.json").is_file(), "what stays is kept"


def test_a_demo_whose_folder_is_in_use_leaves_it_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")

    done = call("demo", "--dir", tmp_path)

    assert done.code == 2
    assert "not empty" in done.err
    assert os.listdir(tmp_path) == ["mine"]


# --- its parts ---


def test_without_a_repository_the_material_is_the_primer(tmp_path: Path) -> None:
    material = gather([tmp_path])

    assert material.title == "the example of the W3C PROV primer"
    assert sum(map(len, material.groups())) == len(material.operations) > 30
    assert len(material.groups()) > 1
    assert any(subject_of(operation) for operation in material.operations)


def test_the_material_keeps_its_order_and_fits_transactions(repository: Path) -> None:
    material = gather([repository])

    groups = material.groups()
    assert [operation for group in groups for operation in group] == material.operations
    assert any("notes.txt" in (subject_of(o) or "") for o in material.operations)
    assert material.title.endswith("3 commits")


def test_single_records_are_of_this_program() -> None:
    bodies = b"".join(operation.body for operation in program_records())

    assert b"host/demo/material.py" in bodies
    assert b"__pycache__" not in bodies


def test_a_node_that_dies_by_itself_is_named(tmp_path: Path) -> None:
    with Process("demo", "--protocol", "solo", "--dir", tmp_path / "net") as demo:
        demo.until_line(lambda line: "started" in line)
        demo.children()[0].kill()

        assert demo.process.wait(timeout=LIMIT_S) == 3
    assert len(demo.errors) == 1
    assert re.match(r"error: node\d stopped by itself", demo.errors[0])


def test_what_does_not_hold_is_said_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(quiet=False)
    screen.fact("one", "is true")
    screen.fact("two", "is not", holds=False)

    screen.summary([])

    said = capsys.readouterr().out
    assert "FAILED  two" in said
    assert "1 of 2 facts hold" in said
