"""The databases that tools keep on PostgreSQL, imported by URL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from convstore import Store
from convstore.errors import InvalidInputError
from convstore.imports.detection import choose_format
from convstore.imports.reading import Imported, read_sessions
from convstore.imports.registry import load_format
from tests.unit.imports.tools.samples import SAMPLES, Sample

psycopg = pytest.importorskip("psycopg")
TABLED = [sample for sample in SAMPLES if sample.tables is not None]
IDS = [f"{n}-{sample.name}" for n, sample in enumerate(TABLED)]


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    databases = request.getfixturevalue("postgres_databases")
    url = str(databases.create_empty())
    yield url
    databases.drop(url)


def fill(url: str, tables: dict[str, list[dict[str, Any]]]) -> None:
    """The tables as a tool would make them: numbers, JSON, bytes and text."""
    with psycopg.connect(url.replace("+asyncpg", "")) as connection:
        for table, rows in tables.items():
            kinds = {name: _kind([row.get(name) for row in rows]) for name in rows[0]}
            told = ", ".join(f'"{name}" {kind}' for name, kind in kinds.items())
            connection.execute(f'CREATE TABLE "{table}" ({told})')
            marks = ", ".join(["%s"] * len(kinds))
            for row in rows:
                values = [_stored(row.get(name)) for name in kinds]
                connection.execute(f'INSERT INTO "{table}" VALUES ({marks})', values)


def _kind(values: list[Any]) -> str:
    kinds = {type(value) for value in values} - {type(None)}
    if kinds & {dict, list}:
        return "jsonb"
    if kinds == {bytes}:
        return "bytea"
    if kinds == {int}:
        return "bigint"
    return "double precision" if kinds and kinds <= {int, float} else "text"


def _stored(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value


def sessions(name: str, source: Any) -> list[Any]:
    found = read_sessions(load_format(name), source)
    return [item.session for item in found if isinstance(item, Imported)]


@pytest.mark.parametrize("sample", TABLED, ids=IDS)
def test_a_server_gives_what_the_file_gives(
    sample: Sample, tmp_path: Path, server: str
) -> None:
    assert sample.tables is not None
    fill(server, sample.tables)
    url = server.replace("+asyncpg", "")

    assert choose_format("auto", url).format.name == sample.name
    found = sessions(sample.name, url)

    file = sessions(sample.name, sample.written(tmp_path))
    assert [s.session_id for s in found] == [s.session_id for s in file]
    assert [[(t.role, t.content, t.external_id) for t in s.turns] for s in found] == [
        [(t.role, t.content, t.external_id) for t in s.turns] for s in file
    ]


async def test_a_server_is_imported_twice_and_left_as_it_is(
    store: Store, server: str
) -> None:
    sample = next(sample for sample in TABLED if sample.name == "chainlit")
    assert sample.tables is not None
    fill(server, sample.tables)
    url = server.replace("+asyncpg", "")

    first = await store.import_("auto", url)
    again = await store.import_("auto", url)

    assert (first.sessions, first.rejected_total) == (1, 0)
    assert (again.sessions, again.turns, again.already_present) == (0, 0, 1)


def test_langgraph_keeps_values_apart_on_a_server(server: str) -> None:
    messages = [
        {"type": "human", "id": "m-1", "content": "Q"},
        {"type": "ai", "id": "m-2", "content": "A"},
    ]
    place = {"thread_id": "t", "checkpoint_ns": ""}
    checkpoint = {
        "id": "1",
        "ts": "2026-03-01T09:00:00Z",
        "channel_values": {"count": 1},
        "channel_versions": {"messages": "7", "count": "1"},
    }
    blob = {"channel": "messages", "version": "7", "type": "json"}
    fill(
        server,
        {
            "checkpoints": [
                place
                | {"checkpoint_id": "1", "type": None, "metadata": {"step": 1}}
                | {"checkpoint": checkpoint}
            ],
            "checkpoint_blobs": [
                place | blob | {"blob": json.dumps(messages).encode()}
            ],
        },
    )
    url = server.replace("+asyncpg", "")

    assert choose_format("auto", url).format.name == "langgraph"
    (session,) = sessions("langgraph", url)

    assert [(t.role, t.content) for t in session.turns] == [
        ("user", "Q"),
        ("assistant", "A"),
    ]


def test_a_server_that_is_not_there_is_told_without_its_password() -> None:
    url = "postgresql://ann:secret@127.0.0.1:1/none?connect_timeout=2"

    with pytest.raises(InvalidInputError) as refused:
        choose_format("auto", url)

    assert "secret" not in str(refused.value)
