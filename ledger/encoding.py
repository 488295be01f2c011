"""One encoding per value: canonical MessagePack, decoded strictly against a shape.

Anything signed or hashed is built of fixed-order arrays, integers from 0 to 2^63-1 in their
shortest form, byte strings, NFC text, booleans and nil.  No maps, floats or extension types.
`decode` bounds size, array width and number of arrays before it allocates, checks every type,
and accepts the input only if encoding the result gives the same bytes.
"""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import groupby
from typing import Any

import msgpack

from ledger.errors import DecodeFault
from ledger.limits import (
    INTEGER_MAX,
    PUBLIC_KEY_SIZES,
    SENDER_SIGNATURE_SIZES,
    SIGNATURE_SIZES,
    STATEMENT_SIGNATURE_SIZES,
)


def encode(value: Any) -> bytes:
    """The canonical bytes of a value built of tuples, integers, bytes, text, booleans and None."""
    packed: bytes = msgpack.Packer().pack(value)
    return packed


def encoder() -> Callable[[Any], bytes]:
    """`encode` for many values in a row, at a third of the price of each.

    It keeps a buffer, so it belongs to one call of one function: never share it between threads.
    """
    pack: Callable[[Any], bytes] = msgpack.Packer().pack
    return pack


def blob_size(length: int) -> int:
    """Bytes that the one encoding of a byte string of this length takes."""
    return length + (2 if length < 256 else 3 if length < 65_536 else 5)


def text_size(value: str) -> int:
    """Bytes that the one encoding of a text takes."""
    length = len(value) if value.isascii() else len(value.encode())
    return length + (1 if length < 32 else 2 if length < 256 else 3 if length < 65_536 else 5)


def is_normal_text(value: str) -> bool:
    """Whether text is in normal form C, judged alike by every version of Python.

    Interpreters know different versions of Unicode, and what one takes for unassigned another may
    re-order.  So only stretches of characters that Unicode 3.2 had are looked at, each alone: for
    these, every later version promises the same normal form.
    """
    return value.isascii() or normal_text(value) == value


def normal_text(value: str) -> str:
    """The text in normal form C, as `is_normal_text` judges it."""
    if value.isascii():
        return value
    return "".join(
        unicodedata.normalize("NFC", "".join(characters)) if is_old else "".join(characters)
        for is_old, characters in groupby(value, _is_old)
    )


def _is_old(character: str) -> bool:
    return unicodedata.ucd_3_2_0.category(character) != "Cn"


class Shape(ABC):
    """What a decoder expects.  `lists` and `width` bound the arrays before they are allocated."""

    lists: int = 0
    width: int = 0

    @abstractmethod
    def check(self, value: Any, where: str) -> None:
        """Raise DecodeFault, naming the place, unless value has this shape."""

    def check_all(self, values: tuple[Any, ...], where: str) -> None:
        """`check` of each."""
        for position, item in enumerate(values):
            self.check(item, f"{where}.{position}")


class _Uint(Shape):
    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def check(self, value: Any, where: str) -> None:
        if type(value) is not int:
            raise DecodeFault("encoding.type", f"{where} is not an integer")
        if not self._low <= value <= self._high:
            raise DecodeFault("encoding.range", f"{where} is out of range")


class _Blob(Shape):
    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def check(self, value: Any, where: str) -> None:
        if type(value) is not bytes:
            raise DecodeFault("encoding.type", f"{where} is not a byte string")
        if not self._low <= len(value) <= self._high:
            raise DecodeFault("encoding.length", f"{where} has {len(value)} bytes")

    def check_all(self, values: tuple[Any, ...], where: str) -> None:
        # All in a few passes of compiled code; one by one only where one has to be named.
        if set(map(type, values)) == {bytes}:
            lengths = list(map(len, values))
            if self._low <= min(lengths) and max(lengths) <= self._high:
                return
        super().check_all(values, where)


class _Sized(Shape):
    def __init__(self, sizes: frozenset[int]) -> None:
        self._sizes = sizes

    def check(self, value: Any, where: str) -> None:
        if type(value) is not bytes:
            raise DecodeFault("encoding.type", f"{where} is not a byte string")
        if len(value) not in self._sizes:
            raise DecodeFault("encoding.length", f"{where} has {len(value)} bytes")


class _Text(Shape):
    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def check(self, value: Any, where: str) -> None:
        if type(value) is not str:
            raise DecodeFault("encoding.type", f"{where} is not text")
        if not self._low <= len(value) <= self._high:
            raise DecodeFault("encoding.length", f"{where} has {len(value)} characters")
        if not is_normal_text(value):
            raise DecodeFault("encoding.text", f"{where} is not in normal form C")


class _Boolean(Shape):
    def check(self, value: Any, where: str) -> None:
        if type(value) is not bool:
            raise DecodeFault("encoding.type", f"{where} is not true or false")


class _Optional(Shape):
    def __init__(self, inner: Shape) -> None:
        self._inner = inner
        self.lists, self.width = inner.lists, inner.width

    def check(self, value: Any, where: str) -> None:
        if value is not None:
            self._inner.check(value, where)


class _Row(Shape):
    def __init__(self, parts: tuple[Shape, ...]) -> None:
        self._parts = parts
        self.lists = 1 + sum(part.lists for part in parts)
        self.width = max([len(parts), *(part.width for part in parts)])

    def check(self, value: Any, where: str) -> None:
        if type(value) is not tuple or len(value) != len(self._parts):
            raise DecodeFault("encoding.type", f"{where} is not an array of {len(self._parts)}")
        for position, (part, item) in enumerate(zip(self._parts, value, strict=True)):
            part.check(item, f"{where}.{position}")


class _Versions(Shape):
    def __init__(self, known: dict[int, Shape]) -> None:
        self._known = known
        self.lists = max(shape.lists for shape in known.values())
        self.width = max(shape.width for shape in known.values())

    def check(self, value: Any, where: str) -> None:
        number = value[0] if type(value) is tuple and value else None
        shape = self._known.get(number) if type(number) is int else None
        if shape is None:
            known = " and ".join(map(str, self._known))
            raise DecodeFault("encoding.version", f"{where}: only version {known} is known")
        shape.check(value, where)


class _Array(Shape):
    def __init__(self, item: Shape, low: int, high: int) -> None:
        self._item, self._low, self._high = item, low, high
        self.lists = 1 + high * item.lists
        self.width = max(high, item.width)

    def check(self, value: Any, where: str) -> None:
        if type(value) is not tuple:
            raise DecodeFault("encoding.type", f"{where} is not an array")
        if not self._low <= len(value) <= self._high:
            raise DecodeFault("encoding.length", f"{where} has {len(value)} items")
        self._item.check_all(value, where)


def uint(high: int = INTEGER_MAX, *, low: int = 0) -> Shape:
    """An integer from low to high."""
    return _Uint(low, high)


def exactly(number: int) -> Shape:
    """One known integer, such as a format's version."""
    return _Uint(number, number)


def blob(high: int, *, low: int = 0) -> Shape:
    """A byte string of low to high bytes."""
    return _Blob(low, high)


def sized(sizes: frozenset[int]) -> Shape:
    """A byte string of one of these sizes."""
    return _Sized(sizes)


def fixed(size: int) -> Shape:
    """A byte string of exactly size bytes."""
    return _Blob(size, size)


def text(high: int, *, low: int = 0) -> Shape:
    """NFC text of low to high characters."""
    return _Text(low, high)


def versions(known: dict[int, Shape]) -> Shape:
    """A row in one of several versions; its first part says which."""
    return _Versions(known)


def boolean() -> Shape:
    return _Boolean()


def optional(inner: Shape) -> Shape:
    """Nil, or the inner shape."""
    return _Optional(inner)


def row(*parts: Shape) -> Shape:
    """An array of exactly these parts in this order."""
    return _Row(parts)


def array(item: Shape, high: int, *, low: int = 0) -> Shape:
    """An array of low to high items of one shape."""
    return _Array(item, low, high)


digest = fixed(32)
"""A SHA-256 hash value, a network id or an epoch id."""
public_key = sized(PUBLIC_KEY_SIZES)
signature = sized(SIGNATURE_SIZES)
"""Of anything but a statement."""
statement_signature = sized(STATEMENT_SIGNATURE_SIZES)
sender_signature = sized(SENDER_SIGNATURE_SIZES)
slot = array(uint(), 4, low=1)
"""A slot of a protocol: a short tuple of integers, compared in order."""


def decode(data: bytes, shape: Shape, *, size_max: int, what: str = "value") -> Any:
    """The one value that these bytes encode: tuples, integers, bytes, text, booleans, None.

    Raises DecodeFault for anything else, and for a second encoding of an allowed value.
    """
    if len(data) > size_max:
        raise DecodeFault("encoding.size", f"{what} has {len(data)} bytes, {size_max} allowed")
    left = shape.lists

    def count(items: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise DecodeFault("encoding.count", f"{what} has too many arrays")
        return items

    try:
        value = msgpack.unpackb(
            data,
            raw=False,
            use_list=False,
            list_hook=count,
            max_array_len=shape.width,
            max_map_len=0,
            max_ext_len=0,
        )
    except DecodeFault:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        # Truncated, trailing, over-long or over-nested input, invalid text: all is ValueError.
        raise DecodeFault("encoding.malformed", f"{what}: {type(error).__name__}") from error
    shape.check(value, what)
    if encode(value) != data:
        raise DecodeFault("encoding.not-canonical", what)
    return value
