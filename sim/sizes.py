"""How many bytes a message takes on the wire, by the rules of the encoding and without encoding it.

What a formula of `sim.costs` adds up: signatures of 64 bytes, digests of 32, and the least that the
canonical encoding puts around them.  Numbers of views, sequences and validators take one byte each,
which is so below 128; whoever counts higher says so.
"""

from __future__ import annotations

from ledger.encoding import blob_size, text_size

SIGNATURE = 64
DIGEST = 32
NUMBER = 1
"""An integer below 128."""
NIL = 1
"""A field that is absent."""
TIME = 9
"""Milliseconds since 1970."""
DIGEST_FIELD = blob_size(DIGEST)


def array(count: int) -> int:
    """The header of an array of so many items."""
    return 1 if count < 16 else 3


def blob(length: int) -> int:
    """A byte string of this length."""
    return blob_size(length)


def row(*fields: int) -> int:
    """An array of fields of so many bytes."""
    return array(len(fields)) + sum(fields)


def slot(parts: int, number: int = NUMBER) -> int:
    """A slot of so many numbers, each of so many bytes."""
    return array(parts) + parts * number


def value(*, slot: int, parent: int = DIGEST, payloads: int = 1, extra: int = 0) -> int:
    """A value whose slot takes so many bytes, with so many batches named in it."""
    named = array(payloads) + payloads * DIGEST_FIELD
    head = array(8) + NUMBER + DIGEST_FIELD + blob_size(parent) + slot + NUMBER + TIME
    return blob_size(head + named + blob_size(extra))


def certificate(phase: str, quorum: int, *, slot: int, said: int = DIGEST) -> int:
    """A quorum's signatures over one value of so many bytes."""
    entry = row(NUMBER, blob_size(SIGNATURE))
    head = array(4) + text_size(phase) + slot + blob_size(said)
    return head + array(quorum) + quorum * entry


def timeout_certificate(phase: str, quorum: int, *, slot: int, said: int) -> int:
    """A quorum's signatures, each over a value of its own of so many bytes."""
    entry = row(NUMBER, blob_size(said), blob_size(SIGNATURE))
    return array(3) + text_size(phase) + slot + array(quorum) + quorum * entry


def signed(*fields: int) -> int:
    """A packet with a signed message of these fields.

    Around them are version, kind of packet, epoch, sender and kind of message.
    """
    return array(7) + 5 * NUMBER + blob_size(row(*fields)) + blob_size(SIGNATURE)


def bare(certificate: int) -> int:
    """A packet with a certificate alone; the place of the other kind of certificate is empty."""
    return row(NUMBER, NUMBER, NUMBER, certificate, NIL)
