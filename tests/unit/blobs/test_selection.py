"""Which store a place names."""

from __future__ import annotations

from pathlib import Path

import pytest

from convstore import ConfigError
from convstore.blobs import selection
from convstore.blobs.local import LocalBlobs
from convstore.blobs.memory import MemoryBlobs
from convstore.blobs.selection import blob_store


def test_a_path_is_a_folder(tmp_path: Path) -> None:
    store = blob_store(str(tmp_path / "archive"))

    assert isinstance(store, LocalBlobs)
    assert store.root == tmp_path / "archive"


def test_a_scheme_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match="ARCHIVE_DIR: there is no store for 'ftp'"):
        blob_store("ftp://somewhere/archive")


def test_a_store_is_added_by_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    made = MemoryBlobs()
    monkeypatch.setitem(selection.STORES, "toy", lambda _, __: made)

    assert blob_store("toy://archive") is made
