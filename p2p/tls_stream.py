"""TLS over a TCP connection for a link: as little work for a small message as Python allows.

The engine is the standard library's `ssl` in memory; what is here only moves its bytes.
`trio.SSLStream` does the same for every kind of stream and user, with several task switches and
locks a message.  A link has one reader and one writer and its messages are votes, each of which
costs half as much here (docs/decisions/0010-tls-stream.md).
"""

from __future__ import annotations

import os
import ssl

import trio

_READ_BYTES = 65_536
_LONG_BYTES = 16_384
"""Who sends more than this at once lets others go first."""


class TlsStream:
    """One end of a TLS connection.  One task may read while another writes.

    Everything here raises OSError, of which `ssl.SSLError` is one, where the connection broke, and
    trio.ClosedResourceError where it was closed meanwhile.
    """

    def __init__(self, tcp: trio.SocketStream, context: ssl.SSLContext, *, is_server: bool) -> None:
        self._tcp = tcp
        self._socket = tcp.socket
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._engine = context.wrap_bio(self._incoming, self._outgoing, server_side=is_server)

    @property
    def peer_certificate(self) -> bytes:
        """What the other side showed, DER; empty where it showed none."""
        return self._engine.getpeercert(binary_form=True) or b""

    async def shake_hands(self) -> None:
        """Do the handshake.  Raises OSError where it fails."""
        while True:
            try:
                self._engine.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLCertVerificationError:
                # The alert that tells an honest peer why; whoever speaks no TLS gets no answer.
                await self._flush()
                raise
            else:
                await self._flush()
                return

    async def receive_some(self) -> bytes:
        """What has come, one byte at least; empty once the other side has said goodbye."""
        has_waited = False
        while True:
            parts: list[bytes] = []
            try:
                while part := self._engine.read(_READ_BYTES):
                    parts.append(part)
            except ssl.SSLWantReadError:
                if parts:
                    break
                has_waited = await self._fill()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                # With a goodbye or without one: what came before is whole either way, since frames
                # say how long they are.
                break
            else:
                break
        if not has_waited:
            # A peer that never stops talking must not keep all others waiting.
            await trio.lowlevel.checkpoint()
        return b"".join(parts)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send these bytes; returns when the system has taken them."""
        self._engine.write(data)
        await self._flush()
        if len(data) > _LONG_BYTES:
            await trio.lowlevel.checkpoint()

    async def _fill(self) -> bool:
        """Give the engine the next bytes from the network; whether they had to be waited for."""
        has_waited = False
        while True:
            try:
                data = os.read(self._socket.fileno(), _READ_BYTES)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._socket)
                has_waited = True
                continue
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()
            return has_waited

    async def _flush(self) -> None:
        """Send what the engine has made."""
        data = self._outgoing.read()
        while data:
            try:
                sent = os.write(self._socket.fileno(), data)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket)
                continue
            data = data[sent:]

    async def aclose(self) -> None:
        """Close the connection without a goodbye, which nobody would wait for."""
        await trio.aclose_forcefully(self._tcp)
