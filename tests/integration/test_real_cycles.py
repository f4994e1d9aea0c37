"""Real conversations through the whole life, from import to restore and export."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest

from convstore import Store
from convstore.errors import InvalidInputError
from tests.integration.archives import documents, sound, states, timeless
from tests.real_files import EXPECTED, mapping_of

FILES = {file: name for file, name, *_ in EXPECTED}
EXPORTS = ("messages", "prompt", "preference", "rlhf-json")
SAMPLE = 40
"""Records of each file: enough of them, and not all day."""

AT_ONCE = 50


@pytest.mark.mostly_slow("*-xsid/utterances")
@pytest.mark.parametrize("file", FILES)
async def test_real_conversations_come_back_equal_and_export_the_same_bytes(
    lived: Life, file: str
) -> None:
    await lived.through(FILES[file], head_of(lived.source(file), lived.folder, SAMPLE))


@pytest.mark.whole
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("file", "name", "sessions"), [row[:3] for row in EXPECTED])
async def test_every_real_conversation_comes_back_equal(
    lived: Life, file: str, name: str, sessions: int
) -> None:
    assert await lived.through(name, lived.source(file)) == sessions


@dataclass(frozen=True, slots=True)
class Life:
    """From import to archive, purge and restore, compared at each point."""

    store: Store
    data: Path
    folder: Path
    database_url: str
    archive_dir: Path

    def source(self, file: str) -> Path:
        return self.data / f"{file}.jsonl.gz"

    async def through(self, name: str, path: Path) -> int:
        """The life of every session of a file; how many there were, or were refused."""
        store, mapping = self.store, mapping_of(name)
        report = await store.import_("map" if mapping else name, path, mapping=mapping)
        live = await documents(store)
        assert live
        exported = await self._exported("live")

        done = await store.run_retention(older_than_s=0)

        assert (done.problems, done.purged) == ((), len(live))
        assert await documents(store) == live
        assert await self._exported("archived") == exported
        assert (await store.archive.verify(deep=True)).ok
        sound(self.database_url, self.archive_dir)
        await self._restore(live)
        back = await documents(store)
        assert set((await states(store)).values()) == {"active"}
        assert {s: timeless(d) for s, d in back.items()} == {
            s: timeless(d) for s, d in live.items()
        }
        assert await self._exported("restored") == exported
        sound(self.database_url, self.archive_dir)
        return len(live) + report.rejected_total + report.already_present

    async def _restore(self, session_ids: Iterable[str]) -> None:
        waiting = iter(session_ids)

        async def user() -> None:
            for session_id in waiting:
                await self.store.restore(session_id)

        await asyncio.gather(*(user() for _ in range(AT_ONCE)))

    async def _exported(self, when: str) -> dict[str, str]:
        """The data files of an export by name, as checksums."""
        folder = self.folder / when
        await self.store.export(EXPORTS, to=folder)
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*.jsonl"))
        }


@pytest.fixture
def lived(
    store: Store, real_data: Path, tmp_path: Path, database_url: str, archive_dir: Path
) -> Life:
    return Life(store, real_data, tmp_path, database_url, archive_dir)


@pytest.mark.slow
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
    assert len(said) > 0.8 * len(strings)
    assert [turn.content for turn in back.turns] == said


def texts_of(record: object) -> list[str]:
    values = record.values() if isinstance(record, dict) else [record]
    return [value for value in values if isinstance(value, str)]


def head_of(path: Path, folder: Path, records: int) -> Path:
    """The first records of a data set."""
    head = folder / path.name.removesuffix(".gz")
    with gzip.open(path, "rb") as file:
        head.write_bytes(b"".join(islice(file, records)))
    return head
