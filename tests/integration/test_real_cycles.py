"""Real conversations through the whole life, from import to restore and export."""

from __future__ import annotations

import gzip
import hashlib
import json
from itertools import islice
from pathlib import Path

import pytest

from convstore import Store
from convstore.errors import InvalidInputError
from tests.integration.archives import documents, sound, states, timeless

SETS = {
    "crosswoz/dialogues.jsonl.gz": "messages",
    "glaive-toolcall/toolcall-en.jsonl.gz": "sharegpt",
    "glaive-toolcall/toolcall-zh.jsonl.gz": "sharegpt",
    "oasst1-en/messages.jsonl.gz": "oasst",
    "oasst1-zh/dialogues.jsonl.gz": "alpaca",
    "oasst1-zh/ranked.jsonl.gz": "alpaca",
    "oasst2-multilingual/trees.jsonl.gz": "oasst",
    "preference-demos/dpo-en.jsonl.gz": "preference",
    "preference-demos/dpo-zh.jsonl.gz": "preference",
    "preference-demos/kto-en.jsonl.gz": "kto",
    "tau-bench-airline/trajectories.jsonl.gz": "messages",
}
RECORDS = 150
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", SETS)
async def test_real_conversations_come_back_equal_and_export_the_same_bytes(
    store: Store,
    real_data: Path,
    tmp_path: Path,
    database_url: str,
    archive_dir: Path,
    name: str,
) -> None:
    await store.import_(SETS[name], head_of(real_data / name, tmp_path))
    live = await documents(store)
    await store.export("messages", to=tmp_path / "live")

    report = await store.run_retention(older_than_s=0)

    assert len(live) > 5
    assert (report.problems, report.purged) == ((), len(live))
    assert await documents(store) == live
    await store.export("messages", to=tmp_path / "archived")
    assert rows_of(tmp_path / "live") == rows_of(tmp_path / "archived")
    assert (await store.archive.verify(deep=True)).ok
    for session_id in live:
        await store.restore(session_id)
    back = await documents(store)
    assert set((await states(store)).values()) == {"active"}
    assert {s: timeless(d) for s, d in back.items()} == {
        s: timeless(d) for s, d in live.items()
    }
    await store.export("messages", to=tmp_path / "restored")
    assert rows_of(tmp_path / "restored") == rows_of(tmp_path / "live")
    sound(database_url, archive_dir)


async def test_the_naughtiest_strings_are_refused_or_come_back_equal(
    store: Store, real_data: Path
) -> None:
    path = real_data / "naughty-strings" / "strings.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        strings = [text for line in file for text in texts_of(json.loads(line))]
    said = []
    await store.sessions.get_or_create("s-1")
    for text in strings:
        try:
            await store.turns.append("s-1", role="user", content=text)
        except InvalidInputError:
            continue
        said.append(text)

    await store.run_retention(older_than_s=0)
    await store.restore("s-1")

    (back,) = (await documents(store)).values()
    assert len(said) > 300
    assert [turn.content for turn in back.turns] == said


def texts_of(record: object) -> list[str]:
    values = record.values() if isinstance(record, dict) else [record]
    return [value for value in values if isinstance(value, str)]


def head_of(path: Path, folder: Path) -> Path:
    """The first records of a data set: enough of them, and not all day."""
    head = folder / path.name.removesuffix(".gz")
    with gzip.open(path, "rb") as file:
        head.write_bytes(b"".join(islice(file, RECORDS)))
    return head


def rows_of(folder: Path) -> dict[str, str]:
    """The data files of an export by name, as checksums."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.jsonl"))
    }
