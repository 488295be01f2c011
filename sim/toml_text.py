"""Dataclasses as TOML text and back, by their fields alone: a new field needs nothing here.

Written is what differs from a field's default, in the order of the fields; a tuple of dataclasses
becomes an array of tables, a tuple of (name, value) pairs a table.  The standard library reads
TOML and does not write it, so writing is by hand (https://toml.io/en/v1.0.0).
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ledger.errors import UserError


def parse_toml(text: str, what: str) -> dict[str, Any]:
    """The table of a TOML document.  Raises UserError with the place of what is wrong."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"this is not {what}: {error or 'it is nested too deeply'}") from None


# --- writing --------------------------------------------------------------------------------------


def write_fields(value: Any, *, leave_out: Iterable[str] = ()) -> str:
    """The lines of a dataclass, without the fields to leave out."""
    return "\n".join(_table_lines(_table(value, frozenset(leave_out)), "")) + "\n"


def _table(value: Any, leave_out: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The fields that differ from their defaults, as tables, lists and scalars."""
    hints = get_type_hints(type(value))
    table = {}
    for field in fields(value):
        one, default = getattr(value, field.name), _default(field)
        # TOML knows no None: it is what a key that may be None is where it is left out.
        is_left_out = one == default or (one is None and default is MISSING)
        if field.name not in leave_out and not is_left_out:
            table[field.name] = _plain(one, hints[field.name])
    return table


def _plain(value: Any, hint: Any) -> Any:
    if is_dataclass(value):
        return _table(value)
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, bytes):
        return value.hex()
    if not isinstance(value, tuple):
        return value
    if _is_pairs(hint) and value and len(dict(value)) == len(value):
        return {name: _plain(one, _variants(hint)[0]) for name, one in value}
    return [_plain(one, _element(hint, place)) for place, one in enumerate(value)]


def _table_lines(table: dict[str, Any], path: str) -> list[str]:
    """Scalars first, then the tables within: TOML knows no way back to a table it has left."""
    lines = [
        f"{_key(name)} = {_inline(value)}"
        for name, value in table.items()
        if not _is_block(value)
    ]  # fmt: skip
    for name, value in table.items():
        if _is_block(value):
            inner = f"{path}{_key(name)}"
            brackets = "[[{}]]" if isinstance(value, list) else "[{}]"
            for one in value if isinstance(value, list) else [value]:
                lines += ["", brackets.format(inner), *_table_lines(one, f"{inner}.")]
    return lines


def _is_block(value: Any) -> bool:
    is_tables = isinstance(value, list) and bool(value)
    return isinstance(value, dict) or (is_tables and all(isinstance(one, dict) for one in value))


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{_key(key)} = {_inline(one)}" for key, one in value.items())
        return f"{{ {pairs} }}"
    assert isinstance(value, int | float), value
    return repr(value)


def _key(name: str) -> str:
    is_bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if is_bare else _inline(name)


# --- reading --------------------------------------------------------------------------------------


def read_fields(kind: Any, table: dict[str, Any], *, path: str = "", **given: Any) -> Any:
    """A dataclass of this kind from a table; `given` are the fields that come from elsewhere.

    Raises UserError with the path of a key that is unknown, missing, or of the wrong type.
    """
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind) if field.init and field.name not in given}
    for key in table:
        if key not in known:
            raise UserError(f"{path}{key}: unknown key; known are {', '.join(known)}")
    values = dict(given)
    for name, field in known.items():
        if name in table:
            values[name] = _read(table[name], hints[name], f"{path}{name}")
        elif _default(field) is MISSING:
            if not _may_be_none(hints[name]):
                raise UserError(f"{path}{name}: this key is missing")
            values[name] = None
    return kind(**values)


def _read(value: Any, hint: Any, path: str) -> Any:
    variants = _variants(hint)
    if get_origin(hint) in (Union, UnionType):
        hint = next(one for one in variants if one is not NoneType)
    if get_origin(hint) is Literal:
        return _one_of(value, {str(one): one for one in get_args(hint)}, path)
    if get_origin(hint) is tuple:
        return _read_tuple(value, hint, path)
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise UserError(f"{path}: expected a table")
        return read_fields(hint, value, path=f"{path}.")
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _one_of(value, {one.name.lower(): one for one in hint}, path)
    return _read_scalar(value, hint, path)


def _read_tuple(value: Any, hint: Any, path: str) -> tuple[Any, ...]:
    if _is_pairs(hint) and isinstance(value, dict):
        return tuple(
            (name, _read(one, _variants(hint)[0], f"{path}.{name}")) for name, one in value.items()
        )
    if not isinstance(value, list):
        raise UserError(f"{path}: expected {'a table' if _is_pairs(hint) else 'an array'}")
    arguments = get_args(hint)
    if arguments[-1] is not Ellipsis and len(arguments) != len(value):
        raise UserError(f"{path}: expected {len(arguments)} elements, found {len(value)}")
    return tuple(
        _read(one, _element(hint, place), f"{path}[{place}]") for place, one in enumerate(value)
    )


def _read_scalar(value: Any, hint: Any, path: str) -> Any:
    if hint is bytes:
        try:
            return bytes.fromhex(value)
        except (TypeError, ValueError):
            raise UserError(f"{path}: expected bytes in hexadecimal") from None
    if hint is float and type(value) is int:
        return float(value)
    # A truth value is a number to Python, and not to us.
    if type(value) is not hint:
        names = {int: "a whole number", bool: "true or false", str: "a string", float: "a number"}
        raise UserError(f"{path}: expected {names.get(hint, 'something else')}")
    return value


def _one_of(value: Any, choices: dict[str, Any], path: str) -> Any:
    if not isinstance(value, str) or value not in choices:
        raise UserError(f"{path}: expected one of {', '.join(choices)}")
    return choices[value]


# --- types ----------------------------------------------------------------------------------------


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def _variants(hint: Any) -> tuple[Any, ...]:
    """What a union consists of; of a tuple of pairs, the type of what is named."""
    if _is_pairs(hint):
        return (get_args(get_args(hint)[0])[1],)
    return get_args(hint)


def _may_be_none(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint)


def _is_pairs(hint: Any) -> bool:
    """Whether this is tuple[tuple[str, X], ...]."""
    arguments = get_args(hint)
    return (
        get_origin(hint) is tuple
        and arguments[-1] is Ellipsis
        and get_origin(arguments[0]) is tuple
        and len(get_args(arguments[0])) == 2
        and get_args(arguments[0])[0] is str
    )


def _element(hint: Any, place: int) -> Any:
    arguments = get_args(hint)
    if get_origin(hint) is not tuple:
        return NoneType
    return arguments[0] if arguments[-1] is Ellipsis else arguments[place]
