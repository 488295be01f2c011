"""The checksum finds every changed byte and every record under a wrong key."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import StorageError
from storage.checksum import seal, unseal
from storage.sqlite import FILE_NAME, SqliteEngine


@given(key=st.binary(max_size=40), value=st.binary(max_size=200))
def test_what_was_sealed_comes_back(key: bytes, value: bytes) -> None:
    assert unseal(key, seal(key, value)) == value


@given(key=st.binary(max_size=20), value=st.binary(max_size=60), data=st.data())
def test_any_one_changed_byte_is_found(key: bytes, value: bytes, data: st.DataObject) -> None:
    whole = bytearray(key + seal(key, value))
    position = data.draw(st.integers(0, len(whole) - 1))
    whole[position] ^= data.draw(st.integers(1, 255))

    with pytest.raises(StorageError, match="damaged"):
        unseal(bytes(whole[: len(key)]), bytes(whole[len(key) :]))


@given(key=st.binary(max_size=20), value=st.binary(max_size=60), cut=st.integers(1, 64))
def test_a_record_cut_short_is_found(key: bytes, value: bytes, cut: int) -> None:
    stored = seal(key, value)
    with pytest.raises(StorageError, match="damaged"):
        unseal(key, stored[: max(0, len(stored) - cut)])


def test_zeros_added_or_removed_are_found() -> None:
    for count in range(1, 40):
        with pytest.raises(StorageError, match="damaged"):
            unseal(b"key", seal(b"key", b"value") + bytes(count))
        with pytest.raises(StorageError, match="damaged"):
            unseal(b"key", seal(b"key", b"value" + bytes(count))[:-count])


def test_a_misplaced_write_is_found_in_a_real_database(tmp_path: Path) -> None:
    engine = SqliteEngine.create(tmp_path)
    engine.write([(b"a", b"value of a"), (b"b", b"value of b")], sync=True)
    engine.close()
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute("UPDATE record SET value = (SELECT value FROM record WHERE key = x'61')")
    connection.commit()
    connection.close()

    engine = SqliteEngine.open(tmp_path)
    assert engine.get(b"a") == b"value of a"
    with pytest.raises(StorageError, match="damaged"):
        engine.get(b"b")
    with pytest.raises(StorageError, match="damaged"):
        list(engine.scan(b"", b"z"))
    engine.close()
