"""The content store: bounded, believed of nobody, whole after a crash."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from ledger.errors import Fault, StorageError
from storage.content import OVERHEAD_BYTES, UNFINISHED, ContentStore

ONE, TWO = b"first content", b"second content"


def digest(content: bytes) -> bytes:
    return sha256(content).digest()


def file_of(folder: Path, content: bytes) -> Path:
    name = sha256(content).hexdigest()
    return folder / name[:2] / name


def test_what_is_kept_is_there_again_after_a_restart(tmp_path: Path) -> None:
    made = ContentStore.create(tmp_path / "contents", 100_000)
    made.put(digest(ONE), ONE)
    made.put(digest(ONE), ONE)
    held = made.held

    again = ContentStore.open(tmp_path / "contents")

    assert again is not None
    assert (again.get(digest(ONE)), again.get(digest(TWO))) == (ONE, None)
    assert again.held == held == len(ONE) + OVERHEAD_BYTES


def test_every_changed_byte_is_found_when_it_is_read(tmp_path: Path) -> None:
    store = ContentStore.create(tmp_path / "contents", 100_000)
    store.put(digest(ONE), ONE)
    file = file_of(tmp_path / "contents", ONE)
    for place in range(len(ONE)):
        changed = bytearray(ONE)
        changed[place] ^= 1
        file.write_bytes(changed)
        with pytest.raises(StorageError, match="damaged"):
            store.get(digest(ONE))
    file.write_bytes(ONE[:-1])
    with pytest.raises(StorageError, match="damaged"):
        store.get(digest(ONE))

    store.put(digest(ONE), ONE)

    assert store.get(digest(ONE)) == ONE


def test_a_content_under_another_name_is_refused(tmp_path: Path) -> None:
    store = ContentStore.create(tmp_path / "contents", 100_000)

    with pytest.raises(Fault, match=r"content\.digest"):
        store.put(digest(ONE), TWO)
    assert store.held == 0


def test_no_more_is_kept_than_may_be(tmp_path: Path) -> None:
    store = ContentStore.create(tmp_path / "contents", 2 * OVERHEAD_BYTES + len(ONE) + len(TWO))
    store.put(digest(ONE), ONE)
    store.put(digest(TWO), TWO)

    with pytest.raises(Fault, match=r"content\.full"):
        store.put(digest(b""), b"")
    store.put(digest(ONE), ONE)
    again = ContentStore.open(tmp_path / "contents")
    assert again is not None
    with pytest.raises(Fault, match=r"content\.full"):
        again.put(digest(b""), b"")


def test_what_a_crash_left_unfinished_is_gone_at_the_next_start(tmp_path: Path) -> None:
    store = ContentStore.create(tmp_path / "contents", 100_000)
    store.put(digest(ONE), ONE)
    file = file_of(tmp_path / "contents", ONE)
    part = file.with_name(file.name + UNFINISHED)
    part.write_bytes(b"half")

    again = ContentStore.open(tmp_path / "contents")

    assert again is not None
    assert not part.exists()
    assert again.held == len(ONE) + OVERHEAD_BYTES


def test_a_folder_that_is_no_store_is_told_from_a_broken_one(tmp_path: Path) -> None:
    assert ContentStore.open(tmp_path) is None
    (tmp_path / "limit").write_text("much\n")
    with pytest.raises(StorageError, match="no number of bytes"):
        ContentStore.open(tmp_path)
    with pytest.raises(StorageError, match="cannot make"):
        ContentStore.create(tmp_path, 1)
