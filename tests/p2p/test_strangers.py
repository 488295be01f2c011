"""What strangers and broken members may do to a node: lose their own connection, and no more.

Members 1 and 2 run and are linked.  Each test attacks 1 and then checks that the link between the
two never broke and still carries messages.
"""

from __future__ import annotations

import errno
import os
import resource
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from p2p.certificate import Identity, make_identity
from p2p.frames import Channel
from p2p.hello import encode_hello
from p2p.tls import make_contexts

pytestmark = pytest.mark.trio
STRANGER = make_identity(b"s" * 32)


def client_context(*files: Path) -> ssl.SSLContext:
    """A TLS client that believes any server, and shows the certificates and key in the files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if files:
        context.load_cert_chain(*files)
    return context


class Attacked:
    """Member 1 with a link to member 2, and member 0 in the hands of the test."""

    def __init__(self, mesh) -> None:
        self.mesh = mesh

    async def start(self) -> None:
        self.witness = await self.mesh.start(2, size=3)
        self.node = await self.mesh.start(1, size=3)
        await self.node.until_connected(2)
        await self.witness.until_connected(1)

    async def check_unharmed(self) -> None:
        assert self.node.links == [("up", 2)]
        assert self.witness.links == [("up", 1)]
        self.witness.peers.send(1, Channel.PROTOCOL, b"still here")
        await self.node.until(lambda: b"still here" in self.node.payloads(2, Channel.PROTOCOL))


@pytest.fixture
async def attacked(mesh) -> Attacked:
    pair = Attacked(mesh)
    await pair.start()
    return pair


async def read_to_end(stream: trio.abc.ReceiveStream) -> bytes:
    """What comes until the other side closes; a reset is a close, too."""
    data = bytearray()
    with trio.fail_after(20):
        try:
            while piece := await stream.receive_some():
                data += piece
        except trio.BrokenResourceError:
            pass
    return bytes(data)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: node\r\n\r\n", "tls.http-request"),
        (b"hello, is this a ledger?\n", "tls.not-tls"),
        (b"\xff\xff\xff\xff\x01\x00\x00\x00", "tls.not-tls"),
        (b"\x16\x03\x01\x00\x10" + b"\xff" * 16, "tls.not-tls"),
        (b"\x00" * 64, "tls.not-tls"),
    ],
    ids=["http", "plain text", "a bare frame of 4 GiB", "no client hello", "zeros"],
)
async def test_other_languages_are_hung_up_on(attacked, sent: bytes, reason: str) -> None:
    stream = await attacked.mesh.connect(1)
    await stream.send_all(sent)

    await attacked.node.until_refused(reason)
    await read_to_end(stream)
    await attacked.check_unharmed()


@pytest.mark.parametrize("sent", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01"])
async def test_a_truncated_handshake_is_hung_up_on(attacked, sent: bytes) -> None:
    stream = await attacked.mesh.connect(1)
    await stream.send_all(sent)
    await stream.send_eof()

    await attacked.node.until_refused("tls.closed")
    assert await read_to_end(stream) == b""
    await attacked.check_unharmed()


async def test_every_truncation_of_a_real_client_hello_is_hung_up_on(attacked) -> None:
    outgoing = ssl.MemoryBIO()
    contexts = make_contexts(STRANGER, [STRANGER.certificate])
    client = contexts.client.wrap_bio(ssl.MemoryBIO(), outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()

    for size in range(0, len(hello), 37):
        stream = await attacked.mesh.connect(1)
        await stream.send_all(hello[:size])
        await stream.send_eof()
        assert await read_to_end(stream) == b""

    await attacked.check_unharmed()


async def test_tls_1_2_is_refused(attacked) -> None:
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    with pytest.raises(trio.BrokenResourceError):
        await attacked.mesh.shake_hands(context, 1)

    await attacked.node.until_refused("tls.old-version")
    await attacked.check_unharmed()


async def test_a_client_without_certificate_learns_at_its_first_read(attacked) -> None:
    rogue = await attacked.mesh.shake_hands(client_context(), 1)

    await rogue.until_closed()
    await attacked.node.until_refused("tls.no-certificate")
    assert attacked.node.peers.refusals() == {"tls.no-certificate": 1}
    await attacked.check_unharmed()


async def test_an_unknown_certificate_is_refused(attacked, member) -> None:
    contexts = make_contexts(STRANGER, [member(1).certificate])
    rogue = await attacked.mesh.shake_hands(contexts.client, 1)

    await rogue.until_closed()
    await attacked.node.until_refused("tls.unknown-certificate")
    assert attacked.node.peers.refusals() == {"tls.unknown-certificate": 1}
    await attacked.check_unharmed()


def issue(issuer: Identity, *, tmp_path: Path) -> ssl.SSLContext:
    """A client whose certificate the issuer's key has signed, and which shows the issuer's too."""
    issuing_key = load_pem_private_key(issuer.private_key_pem, None)
    assert isinstance(issuing_key, Ed25519PrivateKey)
    key = Ed25519PrivateKey.generate()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "friend of a member")]))
        .issuer_name(x509.load_der_x509_certificate(issuer.certificate).subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .sign(issuing_key, None)
    )
    chain, key_file = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(certificate.public_bytes(Encoding.PEM) + issuer.certificate_pem)
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return client_context(chain, key_file)


@pytest.mark.parametrize("issuer", ["a member", "a stranger"])
async def test_nobody_can_vouch_for_a_stranger(attacked, member, tmp_path, issuer: str) -> None:
    signer = member(0) if issuer == "a member" else STRANGER
    rogue = await attacked.mesh.shake_hands(issue(signer, tmp_path=tmp_path), 1)

    await rogue.until_closed()
    await attacked.node.until_refused("tls.unknown-certificate")
    assert attacked.node.peers.refusals() == {"tls.unknown-certificate": 1}
    await attacked.check_unharmed()


async def test_a_chain_of_a_thousand_certificates_is_not_read(attacked, tmp_path) -> None:
    chain, key_file = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(STRANGER.certificate_pem * 1000)
    key_file.write_bytes(STRANGER.private_key_pem)

    # Whether the reset comes before or after the last of it is sent is up to the kernel.
    with suppress(trio.BrokenResourceError):
        await attacked.mesh.shake_hands(client_context(chain, key_file), 1)

    await attacked.node.until_refused("tls.failed")
    await attacked.check_unharmed()


async def test_a_second_certificate_for_a_members_key_is_not_the_pinned_one(
    attacked, member, tmp_path
) -> None:
    key_pem = member(0).private_key_pem
    key = load_pem_private_key(key_pem, None)
    assert isinstance(key, Ed25519PrivateKey)
    name = x509.load_der_x509_certificate(member(0).certificate).subject
    other = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, None)
    )
    chain, key_file = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(other.public_bytes(Encoding.PEM))
    key_file.write_bytes(key_pem)
    rogue = await attacked.mesh.shake_hands(client_context(chain, key_file), 1)

    await rogue.until_closed()
    await attacked.node.until_refused("tls.unknown-certificate")
    assert attacked.node.peers.refusals() == {"tls.unknown-certificate": 1}
    await attacked.check_unharmed()


async def test_a_node_that_calls_itself_is_refused(attacked, member) -> None:
    contexts = make_contexts(member(1), [member(1).certificate])
    rogue = await attacked.mesh.shake_hands(contexts.client, 1)

    await rogue.until_closed()
    await attacked.node.until_refused("tls.unknown-certificate")
    assert attacked.node.peers.refusals() == {"tls.unknown-certificate": 1}
    await attacked.check_unharmed()


async def test_a_member_that_should_be_called_may_not_call(attacked, member) -> None:
    contexts = make_contexts(member(2), [member(1).certificate])
    rogue = await attacked.mesh.shake_hands(contexts.client, 1)

    await rogue.until_closed()
    await attacked.node.until_refused("link.wrong-direction")
    assert attacked.node.peers.refusals() == {"link.wrong-direction": 1}
    await attacked.check_unharmed()


Attack = Callable[..., Awaitable[None]]


async def say_another_network(rogue, hello) -> None:
    other = replace(hello, network_id=b"\x99" * 32)
    await rogue.send(Channel.LINK, b"\0" + encode_hello(other))


async def say_another_version(rogue, hello) -> None:
    other = replace(hello, link_version_min=2, link_version_max=3)
    await rogue.send(Channel.LINK, b"\0" + encode_hello(other))


async def say_nonsense(rogue, hello) -> None:
    await rogue.send(Channel.LINK, b"\0" + b"\x90")


async def skip_the_hello(rogue, hello) -> None:
    await rogue.send(Channel.PROTOCOL, b"vote")


async def ping_before_the_hello(rogue, hello) -> None:
    await rogue.send(Channel.LINK, b"\x01" + bytes(8))


async def claim_4_gib(rogue, hello) -> None:
    await rogue.stream.send_all(b"\xff\xff\xff\xff\x01" + b"x" * 100)


async def use_an_unknown_channel(rogue, hello) -> None:
    await rogue.stream.send_all(b"\0\0\0\0\x7f")


async def hang_up(rogue, hello) -> None:
    await rogue.stream.aclose()


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        (say_another_network, "hello.other-network"),
        (say_another_version, "hello.version"),
        (say_nonsense, "hello.malformed"),
        (skip_the_hello, "hello.malformed"),
        (ping_before_the_hello, "hello.malformed"),
        (claim_4_gib, "frame.too-long"),
        (use_an_unknown_channel, "frame.unknown-channel"),
        (hang_up, "link.closed"),
    ],
)
async def test_a_member_that_begins_wrongly_never_gets_a_link(
    attacked, member, greeting, attack: Attack, reason: str
) -> None:
    contexts = make_contexts(member(0), [member(1).certificate])
    rogue = await attacked.mesh.shake_hands(contexts.client, 1)
    await attack(rogue, greeting(0))

    await attacked.node.until_refused(reason)
    await attacked.check_unharmed()


async def play_no_role(mesh) -> trio.abc.ReceiveStream:
    return await mesh.connect(1)


async def begin_tls(mesh) -> trio.abc.ReceiveStream:
    stream = await mesh.connect(1)
    await stream.send_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
    return stream


@pytest.mark.parametrize("start", [play_no_role, begin_tls])
async def test_a_slow_handshake_ends_at_its_deadline(mesh, start: Attack) -> None:
    mesh.link_bounds(handshake_ms=300)
    attacked = Attacked(mesh)
    await attacked.start()
    stream = await start(mesh)

    await attacked.node.until_refused("link.handshake-slow")
    assert await read_to_end(stream) == b""
    await attacked.check_unharmed()


async def test_silence_after_the_handshake_ends_at_the_same_deadline(mesh, member) -> None:
    mesh.link_bounds(handshake_ms=300)
    attacked = Attacked(mesh)
    await attacked.start()
    contexts = make_contexts(member(0), [member(1).certificate])
    rogue = await mesh.shake_hands(contexts.client, 1)

    await attacked.node.until_refused("link.handshake-slow")
    await rogue.until_closed()
    await attacked.check_unharmed()


async def test_when_strangers_crowd_in_the_longest_waiting_goes_and_members_pass(mesh) -> None:
    mesh.bounds = replace(mesh.bounds, strangers_max=3, strangers_per_host_max=2)
    attacked = Attacked(mesh)
    await attacked.start()
    crowd = [await mesh.connect(1) for _ in range(2)]

    await mesh.impersonate(0, 1)
    await attacked.node.until_connected(0, 2)

    assert attacked.node.peers.refusals() == {"link.crowded": 1}
    assert await read_to_end(crowd[0]) == b""
    assert attacked.witness.links == [("up", 1)]


async def test_refusals_are_reported_once_an_interval_and_counted_always(mesh) -> None:
    mesh.bounds = replace(mesh.bounds, report_interval_ms=3_600_000)
    attacked = Attacked(mesh)
    await attacked.start()

    for _ in range(5):
        stream = await mesh.connect(1)
        await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
        await read_to_end(stream)
    stream = await attacked.mesh.connect(1)
    await stream.send_all(b"another language")
    await attacked.node.until_refused("tls.not-tls")

    assert attacked.node.peers.refusals() == {"tls.http-request": 5, "tls.not-tls": 1}
    assert [(reason, count) for reason, count, _ in attacked.node.reports] == [
        ("tls.http-request", 1),
        ("tls.not-tls", 1),
    ]
    await attacked.check_unharmed()


def take_every_descriptor() -> list[int]:
    """Lower the process's limit on open files and use it up."""
    taken = [os.open(os.devnull, os.O_RDONLY)]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 8, hard))
    while True:
        try:
            taken.append(os.dup(taken[0]))
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            return taken


async def test_without_file_descriptors_it_waits_and_then_accepts_again(attacked) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    client = trio.socket.socket()
    taken = take_every_descriptor()
    began = trio.current_time()
    try:
        await client.connect(("127.0.0.1", attacked.mesh.ports[1]))
        await attacked.node.until_refused("accept.exhausted", times=3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in taken:
            os.close(descriptor)

    assert trio.current_time() - began >= 2 * attacked.mesh.bounds.accept_pause_ms / 1000
    await client.send(b"GET / HTTP/1.1\r\n\r\n")
    await attacked.node.until_refused("tls.http-request")
    client.close()
    await attacked.check_unharmed()
