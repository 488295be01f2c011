"""TLS settings of a link, and what a failed handshake means.  No sockets here.

Mutual TLS 1.3 and nothing older.  The trust anchors are exactly the pinned certificates: leaves,
hence the partial-chain flag, and no authority among them, hence no way to vouch for a stranger.
No tickets, no resumption, no names.  That a handshake succeeds only means that the other side is
*some* member; `transport` compares the certificate itself to learn which.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

from p2p.certificate import Identity

_PIPE_BYTES = 4096
"""POSIX promises that a pipe takes this much at once; certificate and key have under 1 KiB."""

_REASONS = {
    "CERTIFICATE_VERIFY_FAILED": "tls.unknown-certificate",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "tls.no-certificate",
    "HTTP_REQUEST": "tls.http-request",
    "HTTPS_PROXY_REQUEST": "tls.http-request",
    "UNSUPPORTED_PROTOCOL": "tls.old-version",
    "WRONG_VERSION_NUMBER": "tls.not-tls",
    "WRONG_SSL_VERSION": "tls.not-tls",
    "UNKNOWN_PROTOCOL": "tls.not-tls",
    "PACKET_LENGTH_TOO_LONG": "tls.not-tls",
    "RECORD_LAYER_FAILURE": "tls.not-tls",
    "BAD_RECORD_TYPE": "tls.not-tls",
    "UNEXPECTED_MESSAGE": "tls.not-tls",
}


@dataclass(frozen=True, slots=True)
class Contexts:
    """Both ends of this node's links, for one set of pinned certificates."""

    server: ssl.SSLContext
    """For links that others dial."""
    client: ssl.SSLContext
    """For links that this node dials."""


def make_contexts(identity: Identity, pinned: Iterable[bytes]) -> Contexts:
    """TLS settings that show `identity` and trust exactly the pinned DER certificates."""
    anchors = b"".join(pinned)
    server = _make_context(ssl.PROTOCOL_TLS_SERVER, identity, anchors)
    server.num_tickets = 0
    return Contexts(server, _make_context(ssl.PROTOCOL_TLS_CLIENT, identity, anchors))


def _make_context(protocol: int, identity: Identity, anchors: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags = ssl.VERIFY_X509_PARTIAL_CHAIN
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if anchors:  # a network of one has no peers to trust, and OpenSSL refuses an empty list
        context.load_verify_locations(cadata=anchors)
    _load_identity(context, identity)
    return context


def _load_identity(context: ssl.SSLContext, identity: Identity) -> None:
    """Give a context its certificate and key; the standard library takes them from files only.

    The files are pipes, so that the key touches no disk.
    """
    readers = []
    try:
        for content in (identity.certificate_pem, identity.private_key_pem):
            assert len(content) <= _PIPE_BYTES
            reader, writer = os.pipe()
            readers.append(reader)
            os.write(writer, content)
            os.close(writer)
        context.load_cert_chain(*(f"/dev/fd/{reader}" for reader in readers))
    finally:
        for reader in readers:
            os.close(reader)


def refusal_reason(error: BaseException | None) -> str:
    """A stable reason code for the error that ended a handshake.

    The codes are few and fixed, whatever a stranger sends, so they can name counters.
    """
    match error:
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return "tls.closed"
        case ssl.SSLError(reason=str(reason)) if "ALERT" in reason:
            return "tls.refused-by-peer"
        case ssl.SSLError(reason=str(reason)):
            return _REASONS.get(reason, "tls.failed")
        case OSError():
            return "tls.closed"
    return "tls.failed"
