"""One archive folder is one database's: what a second one is told, and cannot do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from convstore import ArchiveAwayError, ConfigError, CorruptionError, Store
from tests.integration.archives import (
    DAY_S,
    OpenAnother,
    archived,
    documents,
    fill,
    ids,
    segment_files,
    sound,
    states,
)
from tests.integration.conversations import say

NewDatabase = Callable[[str], str]
Foreign = Callable[[], Awaitable[Store]]


@pytest.fixture
async def second(open_another: OpenAnother, new_database: NewDatabase) -> Store:
    """A store on a database of its own, told to use the first one's archive folder."""
    return await open_another(url=new_database("sqlite"))


async def test_a_second_database_destroys_nothing_in_the_folder(
    store: Store, second: Store, database_url: str, archive_dir: Path
) -> None:
    """Its live sessions have the same ids, at later versions: the first one's only
    copies look superseded from there."""
    before = await documents(store)
    await archived(store, *ids("s", 3))
    before = await documents(store)
    for session_id in ids("s", 3):
        await fill(second, session_id)
        await say(second, session_id, "later", "later")
    await second.sessions.get_or_create("mine", user_id="u-9")

    for call in (
        second.archive.recover(alone=True),
        second.run_retention(older_than_s=0),
        second.sessions.delete("mine"),
        second.archive.verify(),
    ):
        with pytest.raises(ConfigError, match="belongs to another database"):
            await call

    assert await documents(store) == before
    assert await states(second) == dict.fromkeys([*ids("s", 3), "mine"], "active")
    sound(database_url, archive_dir)


async def test_an_erasure_is_not_noted_in_the_folder_of_another_database(
    store: Store, second: Store, archive_dir: Path
) -> None:
    await archived(store, "s-1")
    await fill(second, "s-1")

    with pytest.raises(ConfigError, match="belongs to another database"):
        await second.erase(session_id="s-1")

    assert list(archive_dir.glob("erasures/*")) == []  # noqa: ASYNC240
    await store.replay_erasures()
    assert await states(store) == {"s-1": "archived"}


async def test_the_doctor_is_told_of_a_folder_of_another_database(
    store: Store, second: Store
) -> None:
    await archived(store, "s-1")

    found = await second.archive.agreement()

    assert (found.standing, found.ok) == ("foreign", False)
    assert (await store.archive.agreement()).ok


async def test_a_database_without_a_folder_takes_one_over_by_a_rebuild(
    store: Store, second: Store
) -> None:
    await archived(store, "s-1")
    before = await documents(store)
    await fill(second, "s-2")

    await second.archive.rebuild()
    report = await second.run_retention(older_than_s=0)

    assert (report.archived, report.problems) == (1, ())
    assert (await documents(second))["s-1"] == before["s-1"]


async def test_a_database_with_a_folder_takes_over_no_other(
    store: Store, second: Store, open_another: OpenAnother, tmp_path: Path
) -> None:
    await archived(store, "s-1")
    own = await open_another(
        url=second.config.database_url, archive_dir=tmp_path / "own"
    )
    await archived(own, "s-2")

    for call in (second.archive.rebuild, second.replay_erasures):
        with pytest.raises(ArchiveAwayError, match="mark of another database"):
            await call()
    with pytest.raises(ConfigError, match="belongs to another database"):
        await second.archive.adopt()

    assert await states(second) == {"s-2": "archived"}


async def test_a_folder_that_was_moved_stays_this_databases(
    store: Store, open_another: OpenAnother, archive_dir: Path, tmp_path: Path
) -> None:
    await archived(store, "s-1")
    before = await documents(store)
    archive_dir.rename(tmp_path / "elsewhere")  # noqa: ASYNC240
    moved = await open_another(archive_dir=tmp_path / "elsewhere")

    await fill(moved, "s-2")
    report = await moved.run_retention(older_than_s=0)

    assert (report.archived, report.problems) == (1, ())
    assert (await documents(moved))["s-1"] == before["s-1"]


async def test_many_workers_that_begin_at_once_mark_the_folder_once(
    open_another: OpenAnother,
) -> None:
    stores = [await open_another() for _ in range(4)]
    for number, worker in enumerate(stores):
        await fill(worker, f"s-{number}")

    await asyncio.gather(*(s.sessions.delete(f"s-{n}") for n, s in enumerate(stores)))

    assert "foreign" not in [(await s.archive.agreement()).standing for s in stores]


async def test_of_two_databases_that_begin_at_once_one_has_the_folder(
    store: Store, second: Store, archive_dir: Path
) -> None:
    for one in (store, second):
        await fill(one, "s-1")

    done = await asyncio.gather(
        *(one.run_retention(older_than_s=0) for one in (store, second)),
        return_exceptions=True,
    )

    refused = [r for r in done if isinstance(r, ConfigError)]
    assert len(refused) == 1
    assert len(segment_files(archive_dir)) == 1


@pytest.mark.parametrize("mark", ["", "{}", '{"format":"convstore.archive"}', "\0"])
async def test_a_mark_that_cannot_be_read_is_told_and_left(
    store: Store, archive_dir: Path, mark: str
) -> None:
    await archived(store, "s-1")
    (archive_dir / "archive.json").write_text(mark)

    with pytest.raises(CorruptionError, match=r"archive\.json|JSON"):
        await store.run_retention(older_than_s=DAY_S)

    assert (archive_dir / "archive.json").read_text() == mark
