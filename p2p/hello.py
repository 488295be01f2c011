"""The hello: the first frame in each direction of a link.

It says which network, epoch and link versions a node speaks, so that two nodes which cannot work
together part at once with a plain reason.  It proves nothing: identity is the certificate of the
TLS link under it.  A different epoch is no reason to part, for whoever is behind catches up here.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger import encoding
from ledger.errors import DecodeFault, PeerFault
from ledger.limits import INTEGER_MAX

HELLO_VERSION = 1
"""The format of the hello itself."""
LINK_VERSION_MIN = 1
"""The oldest meaning of channels and payloads that this code still speaks."""
LINK_VERSION_MAX = 1
"""The newest meaning of channels and payloads that this code speaks."""
NAME_CHARACTERS_MAX = 64
"""A node's name ends up in logs and tables."""
HELLO_BYTES_MAX = 512
"""Two hashes, five integers and a name of 64 four-byte characters fit with room to spare."""

_SHAPE = encoding.row(
    encoding.uint(),
    encoding.uint(),
    encoding.uint(),
    encoding.digest,
    encoding.uint(),
    encoding.digest,
    encoding.uint(),
    encoding.text(NAME_CHARACTERS_MAX),
)


@dataclass(frozen=True, slots=True)
class Hello:
    """What a node says about itself before anything else."""

    network_id: bytes
    """SHA-256 of the genesis, 32 bytes."""
    epoch: int
    """Number of the epoch that the node is in."""
    epoch_id: bytes
    """SHA-256 of that epoch's record, 32 bytes."""
    certified_height: int
    """The highest height for which the node durably holds a certificate."""
    node: str
    """The node's name, for people only; the certificate says who it is."""
    link_version_min: int = LINK_VERSION_MIN
    """The oldest link version that the node speaks."""
    link_version_max: int = LINK_VERSION_MAX
    """The newest link version that the node speaks."""
    version: int = HELLO_VERSION
    """Format of this message."""


def encode_hello(hello: Hello) -> bytes:
    """The canonical bytes of a hello."""
    return encoding.encode(
        (
            hello.version,
            hello.link_version_min,
            hello.link_version_max,
            hello.network_id,
            hello.epoch,
            hello.epoch_id,
            hello.certified_height,
            hello.node,
        )
    )


def decode_hello(data: bytes) -> Hello:
    """The hello that these bytes are the one encoding of.

    Raises PeerFault "hello.malformed", and "hello.version" for a format that we do not know.
    """
    try:
        fields = encoding.decode(data, _SHAPE, size_max=HELLO_BYTES_MAX, what="hello")
    except DecodeFault as fault:
        raise PeerFault("hello.malformed", str(fault)) from fault
    version, link_min, link_max, network_id, epoch, epoch_id, height, node = fields
    if version != HELLO_VERSION:
        raise PeerFault("hello.version", f"format {version}")
    if link_min > link_max:
        raise PeerFault("hello.malformed", "an empty range of link versions")
    if not node.isprintable():
        raise PeerFault("hello.malformed", "a name with control characters")
    return Hello(network_id, epoch, epoch_id, height, node, link_min, link_max, version)


def agree(ours: Hello, theirs: Hello) -> int:
    """The newest link version that both speak.

    Raises PeerFault "hello.other-network" or, without a common version, "hello.version".
    """
    if theirs.network_id != ours.network_id:
        raise PeerFault("hello.other-network", theirs.network_id.hex())
    newest = min(ours.link_version_max, theirs.link_version_max)
    if newest < max(ours.link_version_min, theirs.link_version_min):
        spoken = f"{theirs.link_version_min} to {theirs.link_version_max}"
        raise PeerFault("hello.version", f"they speak link versions {spoken}")
    assert 0 <= newest <= INTEGER_MAX
    return newest
