"""Real conversations go in and come back equal, on both databases."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from convstore import Store
from convstore.imports.registry import load_format
from tests.real_files import EXPECTED
from tests.unit.imports.inverse.formats import to_record

FILES = {
    f"{file}.jsonl.gz": (name, sessions)
    for file, name, sessions, *_ in EXPECTED
    if name in ("messages", "oasst", "alpaca", "sharegpt")
    if file != "oasst2-multilingual/trees"
}


def _records(path: Path) -> Iterator[Any]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


@pytest.mark.mostly_slow("sqlite-*")
@pytest.mark.parametrize("name", FILES)
async def test_every_conversation_comes_back_as_it_went_in(
    store: Store, real_data: Path, name: str
) -> None:
    format_, expected = FILES[name]

    report = await store.import_(format_, real_data / name, strict=True)

    assert report.rejected_total == 0
    documents = [d async for d in store.documents()]
    assert len(documents) + report.already_present == expected
    _compare(format_, list(_records(real_data / name)), documents)


def _compare(format_: str, records: list[Any], documents: list[Any]) -> None:
    """The records, made again from what the store gives, are those that went in."""
    from convstore.imports.model import from_document

    made = [
        to_record(load_format(format_), from_document(document))
        for document in documents
    ]
    flat = [r for one in made for r in (one if isinstance(one, list) else [one])]
    wanted = {json.dumps(r, sort_keys=True, ensure_ascii=False) for r in records}
    found = {json.dumps(r, sort_keys=True, ensure_ascii=False) for r in flat}
    assert found == wanted


async def test_every_meeting_comes_back_as_it_went_in(
    store: Store, real_data: Path
) -> None:
    meetings = list(_records(real_data / "qmsum-meetings/meetings.jsonl.gz"))
    for meeting in meetings:
        await store.sessions.get_or_create(
            meeting["meeting_id"], metadata={"queries": meeting["general_query_list"]}
        )
        await store.turns.append_many(
            meeting["meeting_id"],
            [
                {"role": "user", "name": t["speaker"], "content": t["content"]}
                for t in meeting["meeting_transcripts"]
            ],
        )

    for meeting in meetings:
        session = await store.sessions.get(meeting["meeting_id"])
        turns = await store.turns.window(session.id, limit=2000)
        assert [{"speaker": t.name, "content": t.content} for t in turns] == meeting[
            "meeting_transcripts"
        ]
        assert session.metadata["queries"] == meeting["general_query_list"]
        # A page is a piece of the same.
        assert (await store.turns.window(session.id, limit=50)) == turns[-50:]


async def test_windows_of_real_tool_calls_never_part_them(
    store: Store, real_data: Path
) -> None:
    from convstore.messages import windows

    path = real_data / "tau-bench-airline/trajectories.jsonl.gz"
    await store.import_("messages", path)

    page = await store.sessions.list(limit=15)
    for session in page.items:
        for limit in (1, 2, 3, 6, 20):
            window = await store.turns.window(session.id, limit=limit)
            assert not windows.has_orphan_results(window)
