"""Databases of other programs are read and left exactly as they are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from convstore.errors import CorruptionError
from convstore.imports.detection import choose_format
from convstore.imports.reading import Imported, read_sessions
from convstore.imports.registry import load_format
from tests.unit.imports.tools.samples import SAMPLES

LLM = load_format("llm")
(SAMPLE,) = [sample for sample in SAMPLES if sample.name == "llm"]


def turns(path: Path) -> int:
    found = read_sessions(LLM, path)
    return sum(len(i.session.turns) for i in found if isinstance(i, Imported))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_is_read_without_leaving_anything_beside_it(tmp_path: Path) -> None:
    path = SAMPLE.written(tmp_path)
    path.chmod(0o400)
    before = files(tmp_path)

    assert turns(path) == 2

    assert files(tmp_path) == before


def test_what_only_the_log_has_is_read_and_the_log_stays(tmp_path: Path) -> None:
    path = SAMPLE.written(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute(
            "INSERT INTO responses VALUES ('z', 'c', 'En?', 'Boven.', 'm', NULL)"
        )
        before = files(tmp_path)

        assert turns(path) == 4

        assert files(tmp_path) == before


def test_nothing_that_a_file_says_is_carried_out(tmp_path: Path) -> None:
    path = SAMPLE.written(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("ALTER TABLE responses RENAME TO hidden")
        writer.execute("CREATE VIEW responses AS SELECT * FROM hidden")

    assert turns(path) == 0, "a view is no table"


@pytest.mark.parametrize("at", [20, 200, 5_000])
def test_a_damaged_file_is_told(tmp_path: Path, at: int) -> None:
    path = SAMPLE.written(tmp_path)
    data = bytearray(path.read_bytes())
    data[at : at + 3_000] = b"\xff" * len(data[at : at + 3_000])
    path.write_bytes(data)

    try:
        found = turns(path)
    except CorruptionError:
        return
    assert found in (0, 2)


def test_a_table_with_any_name_is_found_by_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute('CREATE TABLE "my ""own" (id, session_id, message_data)')
        message = '{"role": "user", "content": "Hoi"}'
        writer.execute('INSERT INTO "my ""own" VALUES (1, ?, ?)', ("s'1", message))

    choice = choose_format("auto", path)
    (item,) = read_sessions(choice.format, path)

    assert choice.format.name == "openai-agents"
    assert isinstance(item, Imported)
    assert item.session.session_id == "s'1"
