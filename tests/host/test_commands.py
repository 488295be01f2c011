"""Every command, end to end on a real cluster: exit codes, words for people, JSON for programs."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import msgpack
import psutil
import pytest

from host.commands import identity, main, provenance
from host.home import read_genesis
from ledger.errors import Fault
from ledger.light import LightClient
from tests.host.program import LIMIT_S, Process, call, run, running_cluster

PRIVATE = stat.S_IRUSR | stat.S_IWUSR
GROUPS = ("keys", "provenance", "identity", "document", "content")
ALL_COMMANDS = [
    *main.COMMANDS,
    "keys new",
    "keys show",
    *(f"identity {name}" for name in identity.command.commands),
    *(f"provenance {name}" for name in provenance.COMMANDS),
]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a network whose four nodes run."""
    folder = tmp_path_factory.mktemp("commands") / "net"
    call("init", folder, "--name", "example.test").check()
    with running_cluster(folder):
        yield folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "measurements.csv"
    path.write_bytes(b"time,value\n1,2\n")
    return path


@pytest.fixture(scope="module")
def recorded(network: Path, data: Path) -> str:
    """The id of a transaction that records the data."""
    done = call("submit", "--network", network, "--record", data, "--json").check()
    assert done.document["status"] == "applied"
    return done.document["id"]


@pytest.fixture(scope="module")
def receipt(network: Path, recorded: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("receipt") / "a.receipt"
    call("receipt", "--network", network, recorded, "-o", path).check()
    return path


# --- without a network ---


@pytest.mark.parametrize("name", ALL_COMMANDS)
def test_every_command_has_help_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main.run([*name.split(), "--help"])

    said = capsys.readouterr().out
    assert code == 0
    # What stands in a group and at the top is one command, and shows its short name.
    entry = provenance.COMMANDS.get(name.removeprefix("provenance "))
    shown = entry[1] if isinstance(entry, tuple) else name
    assert f"Example: python node.py {shown} " in said or name in GROUPS
    # A DID resolution result is JSON in any case.
    assert "--json" in said or name in (*GROUPS, "identity resolve")


def test_the_list_of_commands_is_the_folder_of_commands() -> None:
    folder = Path(main.__file__).parent
    shared = {"__init__", "lazy", "leaders", "main", "options", "sim_plugins"}
    stems = {path.stem for path in folder.glob("*.py")} - shared
    of_provenance = {stem for stem in stems if stem.startswith("provenance_")}
    of_identity = {"identity_acts", "identity_show"}

    assert stems - of_provenance - of_identity == set(main.COMMANDS)
    assert of_provenance == {
        f"provenance_{name}"
        for name, entry in provenance.COMMANDS.items()
        if isinstance(entry, str)
    }


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["init"], ["status", "--nonsense"], ["sim", "--nodes", "none"]]
)
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments) == 2
    assert "Error" in capsys.readouterr().err


def test_init_writes_a_network_and_says_what(tmp_path: Path) -> None:
    folder = tmp_path / "net"

    told = call("init", folder, "--validators", 3, "--protocol", "solo", "--json").check().document

    genesis = read_genesis(folder / "genesis.json")
    assert told["network"] == genesis.network.hex()
    assert told["homes"] == [str(folder / f"node{index}") for index in range(3)]
    assert genesis.epoch.protocol == told["protocol"] == "solo"
    assert b"127.0.0.1" not in (folder / "genesis.json").read_bytes(), "a genesis has no addresses"
    keys = [folder / "member.key", *folder.glob("node*/*.key")]
    assert len(keys) == 7
    assert all(stat.S_IMODE(key.stat().st_mode) == PRIVATE for key in keys)
    names = {"genesis.json", "config.toml", "peers.toml", "consensus.key", "transport.key"}
    assert all(names <= set(os.listdir(home)) for home in told["homes"])


def test_init_leaves_a_folder_alone_that_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")

    done = call("init", tmp_path)

    assert done.code == 2
    assert "not empty" in done.error_line()
    assert os.listdir(tmp_path) == ["mine"]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--protocol", "nonsense"], "there is no protocol nonsense"),
        (["--parameter", "nonsense=1"], "has no parameter nonsense"),
        (["--parameter", "nonsense"], "write NAME=INTEGER"),
        (["--host", "127.0.0.1:65535"], "no port 65536"),
        (["--host", "127.0.0.1", "--host", "127.0.0.1"], "4 times"),
        (["--open"], "test network"),
        (
            ["--protocol", "pbft", "--parameter", "window=0"],
            "the parameter window of pbft is 0: give 1 or more",
        ),
        (
            ["--protocol", "pbft", "--scheme", "ml-dsa-44", "--validators", "35"],
            "pbft has room for 34 validators in its messages (ml-dsa-44): take fewer,",
        ),
    ],
)
def test_init_refuses_a_wrong_plan_in_one_line(
    option: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["init", str(tmp_path / "net"), *option]) == 2

    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said
    assert not (tmp_path / "net").exists()


def test_keys_are_made_once_and_shown(tmp_path: Path) -> None:
    made = call("keys", "new", "-o", tmp_path / "a.key", "--json").check().document
    shown = call("keys", "show", tmp_path / "a.key").check().out.strip()
    again = call("keys", "new", "-o", tmp_path / "a.key")

    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == PRIVATE
    assert made == {"scheme": "ed25519", "public_key": shown, "account": shown}
    assert again.code == 2
    assert "exists already" in again.error_line()


def test_a_network_that_is_down_is_exit_code_3(tmp_path: Path) -> None:
    call("init", tmp_path / "net", "--protocol", "solo", "--validators", 1).check()

    done = call("status", "--network", tmp_path / "net")

    assert done.code == 3
    assert "no node answers" in done.error_line()


# --- with one ---


def test_status_names_every_node(network: Path) -> None:
    plain = call("status", "--network", network).check().out.splitlines()
    nodes = call("status", "--network", network, "--json").check().document["nodes"]

    assert plain[0].split()[:2] == ["node", "height"]
    assert [line.split()[0] for line in plain[1:]] == [f"validator{index}" for index in range(4)]
    assert all(node["reachable"] and len(node["peers"]) == 3 for node in nodes)


def test_what_was_submitted_is_found_by_id_and_by_digest(
    network: Path, data: Path, recorded: str
) -> None:
    digest = hashlib.sha256(data.read_bytes()).hexdigest()

    by_id = call("get", "--network", network, recorded, "--json").check().document
    by_digest = call("get", "--network", network, digest, "--json").check().document

    assert by_id["status"] == "confirmed"
    assert by_id["operations"][0]["sha256"] == digest
    assert [row["id"] for row in by_digest["records"]] == [recorded]
    assert data.name in call("get", "--network", network, recorded).check().out


def test_many_operations_come_as_json_or_msgpack(network: Path, tmp_path: Path) -> None:
    rows = [{"application": "records", "name": f"row {n}", "content": ""} for n in range(3)]
    for number, row in enumerate(rows):
        row["content"] = base64.b64encode(b"%d" % number).decode()
    packed = [{**row, "content": base64.b64decode(row["content"])} for row in rows]
    (tmp_path / "operations").write_bytes(msgpack.packb(packed))

    piped = run("submit", "--network", network, "-", "--json", stdin=json.dumps(rows).encode())
    filed = call("submit", "--network", network, "--operations", tmp_path / "operations")

    for made in (piped.check().document["id"], filed.check().out.strip()):
        found = call("get", "--network", network, made, "--json").check().document
        assert [row["name"] for row in found["operations"]] == ["row 0", "row 1", "row 2"]


def test_a_node_by_its_address_serves_as_well(network: Path, data: Path) -> None:
    node = call("status", "--network", network, "--json").check().document["nodes"][2]["api"]

    done = call(
        "submit", "--api", node, "--key", network / "member.key", "--record", data, "--json"
    )

    assert done.check().document["status"] == "applied"


def test_a_stranger_is_refused_at_the_door(network: Path, data: Path, tmp_path: Path) -> None:
    call("keys", "new", "-o", tmp_path / "stranger.key").check()

    done = call(
        "submit", "--network", network, "--key", tmp_path / "stranger.key", "--record", data
    )

    assert done.code == 1
    assert "transaction.unknown-sender" in done.error_line()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xc1", "neither JSON nor msgpack"),
        (b"[]", "not empty"),
        (b"[" * 10_000, "neither JSON nor msgpack"),
        (b'[{"application": "records", "digest": "00"}]', "operation 0"),
        (b'[{"application": "records", "version": 1}]', "operation 0"),
        (b'[{"application": 7}]', "operation 0 is malformed"),
    ],
)
def test_malformed_operations_are_one_line(
    network: Path, content: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "operations").write_bytes(content)

    code = main.run(
        ["submit", "--network", str(network), "--operations", str(tmp_path / "operations")]
    )

    said = capsys.readouterr().err.strip()
    assert code == 2
    assert words in said
    assert "\n" not in said


def test_what_the_ledger_lacks_is_exit_code_1(network: Path, tmp_path: Path) -> None:
    for done in (
        call("get", "--network", network, "ab" * 32),
        call("get", "--network", network, "urn:nothing"),
        call("receipt", "--network", network, "ab" * 32, "-o", tmp_path / "no"),
    ):
        assert done.code == 1
        assert done.error_line().startswith("error: ")
    assert not (tmp_path / "no").exists()


def test_a_receipt_is_verified_elsewhere_without_any_node(
    network: Path, receipt: Path, recorded: str, data: Path, tmp_path: Path
) -> None:
    for source in (receipt, network / "genesis.json", data):
        (tmp_path / source.name).write_bytes(source.read_bytes())

    done = run(
        "verify", receipt.name, "--genesis", "genesis.json", "--data", data.name, "--json",
        cwd=tmp_path,
    )  # fmt: skip

    told = done.check().document
    assert told["valid"]
    assert told["transaction"] == recorded
    assert told["signed_by"] == "3 of 4 validators"


def test_a_receipt_does_not_speak_for_other_data(
    network: Path, receipt: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").write_bytes(b"something else")

    done = call(
        "verify", receipt, "--genesis", network / "genesis.json", "--data", tmp_path / "other"
    )

    assert done.code == 1
    assert "receipt.data" in done.error_line()


def test_every_one_byte_change_of_a_receipt_is_refused(network: Path, receipt: Path) -> None:
    light = LightClient(read_genesis(network / "genesis.json"))
    raw = receipt.read_bytes()
    light.check_receipt(raw)

    for place in range(len(raw)):
        for change in (1, 0x20, 0x80):
            changed = bytearray(raw)
            changed[place] ^= change
            with pytest.raises(Fault):
                light.check_receipt(bytes(changed))


def test_verify_says_in_one_line_what_is_wrong(
    network: Path, receipt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = bytearray(receipt.read_bytes())
    changed[len(changed) // 2] ^= 1
    (tmp_path / "changed").write_bytes(changed)
    (tmp_path / "huge").write_bytes(bytes(2**21))
    genesis = str(network / "genesis.json")
    cases = [
        ([str(tmp_path / "changed"), "--genesis", genesis], 1, "refused: "),
        ([str(tmp_path / "huge"), "--genesis", genesis], 2, "too large"),
        ([str(tmp_path / "none"), "--genesis", genesis], 2, "No such file"),
        ([str(receipt), "--genesis", str(receipt)], 2, "not a valid genesis"),
    ]
    for arguments, code, words in cases:
        assert main.run(["verify", *arguments]) == code
        said = capsys.readouterr().err.strip()
        assert words in said
        assert "\n" not in said


def test_a_home_in_use_is_neither_audited_nor_run(network: Path) -> None:
    audit = call("audit", network / "node0")
    second = run("run", network / "node0")

    assert audit.code == 2
    assert "in use" in audit.error_line()
    assert second.code == 3
    assert "in use" in second.error_line()


# --- from the beginning to the end ---


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_stopped_cluster_leaves_whole_homes_and_no_process(
    number: int, code: int, tmp_path: Path, data: Path
) -> None:
    folder = tmp_path / "net"
    call("init", folder, "--protocol", "solo", "--validators", 2).check()
    with running_cluster(folder) as cluster:
        call("submit", "--network", folder, "--record", data).check()
        cluster.until_line(lambda line: all(n["certified"] for n in json.loads(line)["nodes"]))
        children = cluster.children()

        children[0].kill()
        cluster.until_line(lambda line: any("ended" in node for node in json.loads(line)["nodes"]))

        assert cluster.stop(number) == code
        assert len(children) == 2
        assert not any(map(psutil.Process.is_running, children))

    audits = [call("audit", folder / f"node{index}", "--json").check() for index in range(2)]
    found = [(audit.document["height"], audit.document["root"]) for audit in audits]
    assert found[0] == found[1]
    assert found[0][0] == 1


def test_nodes_end_when_their_cluster_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    call("init", folder, "--protocol", "solo", "--validators", 2).check()
    with running_cluster(folder) as cluster:
        children = cluster.children()

        cluster.stop(signal.SIGKILL)

        _, alive = psutil.wait_procs(children, timeout=LIMIT_S)
        assert not alive


def test_run_serves_one_node_and_stops_cleanly(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "net"
    call("init", folder, "--protocol", "solo", "--validators", 1).check()
    with Process("run", folder / "node0", "--json") as node:
        node.until_line(lambda line: json.loads(line)["fact"] == "ready")
        call("submit", "--network", folder, "--record", data).check()

        assert node.stop() == 0
        assert json.loads(node.until_line(lambda line: "stopped" in line))["fact"] == "stopped"

    shown = call("audit", folder / "node0").check().out
    assert shown.startswith("valid\n")
    assert "transactions  1\n" in shown
