"""Exports that somebody broke, into a store: told by name, and never taken by half."""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from convstore import Store, open_store
from convstore.errors import ConvstoreError
from convstore.vocabulary.records import SessionDocument
from tests.unit.imports.tools.samples import ASKED, SAID, SAMPLES, Sample
from tests.unit.imports.tools.test_samples_of_tools import mutated

IDS = [f"{n}-{sample.name}" for n, sample in enumerate(SAMPLES)]
MOST_S = 60
"""Of the processor, for what takes a second or two."""
NAUGHTY = (
    "'; DROP TABLE turns; --",
    "<script>alert(1)</script>",
    "\u202eabc\u202c \u2066",
    "a\u0300\u0301" * 50,
    "👩‍👩‍👧‍👦\ufeff\uffff",
    "../../etc/passwd",
    "{{7*7}} %s %n ${x}",
    "NaN",
    "1e400",
    "__proto__",
    "\x1b[31m\r\n\t\x7f",
    "𐀀" * 300,
)


def replaced(value: Any, words: dict[str, Any]) -> Any:
    """The value with other values for some texts."""
    if isinstance(value, list):
        return [replaced(item, words) for item in value]
    if isinstance(value, dict):
        return {key: replaced(item, words) for key, item in value.items()}
    return words.get(value, value) if isinstance(value, str) else value


def changed(sample: Sample, change: Any) -> Sample:
    return Sample(
        sample.name,
        0,
        tuple(change(record) for record in sample.records),
        None if sample.document is None else change(sample.document),
        None
        if sample.tables is None
        else {
            table: [{k: change(v) for k, v in row.items()} for row in rows]
            for table, rows in sample.tables.items()
        },
    )


def repeated(value: Any, count: int) -> Any:
    """The value with the items of each list so many times, ids and all."""
    if isinstance(value, list):
        return [repeated(item, count) for item in value] * count
    if isinstance(value, dict):
        return {key: repeated(item, count) for key, item in value.items()}
    return value


def in_circles(value: Any, follows: str | None = None) -> Any:
    """The value with every message following itself, or `follows`."""
    if isinstance(value, list):
        return [in_circles(item, follows) for item in value]
    if not isinstance(value, dict):
        return value
    names = [value.get(name) for name in ("id", "uuid", "messageId", "message_id")]
    own = next((name for name in names if isinstance(name, str)), "nobody")
    parents = ("parent", "parentId", "parentUuid", "parentMessageId", "parent_id")
    above = own if follows is None else follows
    return {
        key: above
        if key in parents or "parent" in key.lower()
        else in_circles(item, follows)
        for key, item in value.items()
    }


def broken(sample: Sample) -> Iterator[Sample]:
    chance = random.Random(f"{sample.name} once more")
    for _ in range(4):
        yield changed(sample, lambda value: mutated(value, chance))
    yield changed(sample, in_circles)
    yield changed(sample, lambda value: in_circles(value, "who-is-not-there"))
    yield changed(sample, lambda value: repeated(value, 3))
    for naughty in (NAUGHTY[0], "NaN", "\n".join(NAUGHTY)):
        words = {ASKED: naughty, SAID: naughty[::-1]}
        yield changed(sample, lambda value, w=words: replaced(value, w))
    large = {ASKED: "x" * 300_000, SAID: "y\n" * 150_000}
    yield changed(sample, lambda value: replaced(value, large))


def written(sample: Sample, folder: Path) -> Iterator[Path]:
    """The files of a sample that is broken in many ways, one after the other."""
    for one in broken(copy.deepcopy(sample)):
        try:
            yield one.written(folder)
        except (UnicodeEncodeError, IndexError):
            continue  # no such file can be
    path = sample.written(folder)
    whole = path.read_bytes()
    for part in (2, 5, 7):
        path.write_bytes(whole[: len(whole) * part // 8])
        yield path


async def everything(store: Store) -> list[SessionDocument]:
    return [document async for document in store.documents()]


@pytest.mark.mostly_slow("*-chatgpt", "*-claude*", "*-lang*", "*-codex")
@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
async def test_what_is_broken_is_told_and_taken_whole_or_not_at_all(
    sample: Sample, tmp_path: Path
) -> None:
    began = time.process_time()
    async with open_store("sqlite://") as store:
        for path in written(sample, tmp_path):
            try:
                await store.import_(sample.name, path)
            except ConvstoreError:
                continue
            before = await everything(store)
            again = await store.import_(sample.name, path)
            assert (again.sessions, again.turns) == (0, 0)
            assert await everything(store) == before
            for document in before:
                json.loads(await store.render(document.session.id, "json"))
    assert time.process_time() - began < MOST_S
