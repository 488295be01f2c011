"""Records: that a file, or a few opaque bytes, existed by the time of a block, and who said so.

    body    (name, digest, content)

`digest` is the SHA-256 of a file that stays where it is, or empty; `content` is opaque and may
stand beside it.  The record's digest is `digest`, or the SHA-256 of `content` where that is empty.
State: the record's digest and the operation's place in the ledger, so that every record of one
digest is found in ledger order.  Nothing is ever overwritten, so nothing is read to write it.
"""

from __future__ import annotations

import hashlib
from typing import ClassVar

import msgpack

from ledger import layout
from ledger.applications.interface import PLACE_BYTES, Application, Origin, State, StateReader
from ledger.encoding import blob_size, encode, is_normal_text, normal_text, text_size
from ledger.errors import DecodeFault
from ledger.store import Reader
from ledger.transaction import Operation

NAME = "records"
VERSION = 1
FILE_NAME_CHARS_MAX = 512
"""Paths of real files are shorter; a longer one is a mistake or an attack on the log's readers."""
CONTENT_BYTES_MAX = 60_000
"""Leaves room for a name and the transaction around it within 65,535 bytes."""
DIGEST_BYTES = 32


def make_record(name: str, digest: bytes = b"", content: bytes = b"") -> Operation:
    """The operation that records a file by its SHA-256, or opaque content, or both.

    The name is brought into normal form C.  Raises DecodeFault where the parts break a limit.
    """
    try:
        body = encode((normal_text(name), digest, content))
    except UnicodeEncodeError as error:
        raise DecodeFault("record.name", "has no UTF-8 form") from error
    parse_record(body)
    return Operation(NAME, VERSION, body)


def parse_record(body: bytes) -> tuple[str, bytes, bytes]:
    """(name, digest, content) of a record's body.  Raises DecodeFault."""
    try:
        fields = msgpack.unpackb(
            body, raw=False, use_list=False, max_array_len=3, max_map_len=0, max_ext_len=0
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise DecodeFault("record.malformed", type(error).__name__) from error
    if type(fields) is not tuple or len(fields) != 3:
        raise DecodeFault("record.malformed", "not (name, digest, content)")
    name, digest, content = fields
    if type(name) is not str or type(digest) is not bytes or type(content) is not bytes:
        raise DecodeFault("record.malformed", "not (text, bytes, bytes)")
    if len(name) > FILE_NAME_CHARS_MAX:
        raise DecodeFault("record.name", f"{len(name)} characters, {FILE_NAME_CHARS_MAX} allowed")
    if not name.isascii() and not is_normal_text(name):
        raise DecodeFault("record.name", "not in normal form C")
    if digest and len(digest) != DIGEST_BYTES:
        raise DecodeFault("record.digest", "neither empty nor 32 bytes")
    if len(content) > CONTENT_BYTES_MAX:
        raise DecodeFault("record.content", f"{len(content)} bytes, {CONTENT_BYTES_MAX} allowed")
    if not digest and not content:
        raise DecodeFault("record.empty", "neither a digest nor content")
    # Of text and bytes, every other encoding is a longer one: there are no integers among them.
    if 1 + text_size(name) + blob_size(len(digest)) + blob_size(len(content)) != len(body):
        raise DecodeFault("record.not-canonical")
    return name, digest, content


def find(reader: Reader, digest: bytes) -> list[tuple[int, int, int]]:
    """(height, position, operation) of every record of this digest, oldest first."""
    assert len(digest) == DIGEST_BYTES
    state = StateReader(reader, layout.state_key(NAME, b""))
    keys = state.keys(digest, digest + b"\xff" * (PLACE_BYTES + 1))
    return [Origin.place_of(key[DIGEST_BYTES:]) for key in keys]


class Records(Application):
    """Writes one key per record and never reads; the same thing may be recorded again."""

    name: ClassVar[str] = NAME
    version: ClassVar[int] = VERSION

    def check(self, body: bytes) -> None:
        parse_record(body)

    def apply(self, state: State, origin: Origin, body: bytes) -> None:
        _, digest, content = parse_record(body)
        state.put((digest or hashlib.sha256(content).digest()) + origin.key(), b"")

    def describe(self, body: bytes) -> dict[str, object]:
        name, digest, content = parse_record(body)
        described: dict[str, object] = {
            "name": name,
            "sha256": (digest or hashlib.sha256(content).digest()).hex(),
            "content_bytes": len(content),
        }
        try:
            described["content_text"] = content.decode()
        except UnicodeDecodeError:
            described["content_hex"] = content.hex()
        return described
