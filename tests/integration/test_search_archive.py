"""What is archived stays found; what is destroyed leaves no word behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from convstore import Store, StoreConfig, open_store
from convstore.archive.indexer import Indexer
from convstore.db import search_contents
from convstore.db.search_indexing import _Work
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import (
    DAY_S,
    Elsewhere,
    OpenAnother,
    Steps,
    damage,
    die_at,
    document,
    policy,
    raw,
    segment_files,
    sound,
)
from tests.integration.conversations import every_page, say
from tests.integration.test_search import mode, places

WORD = "kwartelkoning"


async def archived(store: Store, session_id: str, *texts: str) -> None:
    await say(store, session_id, *texts)
    report = await store.run_retention(older_than_s=0)
    assert report.purged


def words_left(url: str, archive: Path) -> list[str]:
    """Files of database and archive that hold the word."""
    found = []
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        found += [p for p in path.parent.glob(f"{path.name}*") if p.is_file()]
    else:
        ((folder, index),) = raw(
            url,
            "SELECT current_setting('data_directory'), "
            "pg_relation_filepath('ix_search_entries_words')",
        )
        found.append(Path(folder) / index)
        raw(url, "CHECKPOINT")
    found += [p for p in archive.rglob("*") if p.is_file()]
    # A page of an index holds a word in pieces where it shares its beginning with the
    # one before: no other begins as this one does.
    return [p.name for p in found if p.exists() and WORD.encode() in p.read_bytes()]


@pytest.fixture(params=["off", "deferred", "inline"])
async def store(request: pytest.FixtureRequest, open_another: OpenAnother) -> Store:
    return await open_another(search=mode(request.param))


async def test_what_many_words_begin_with_is_found_in_order_live_and_archived(
    open_another: OpenAnother, clock: ManualClock
) -> None:
    """Whether the newest entries were read for it, or the index was asked."""
    store = await open_another(search=mode("deferred"))
    said = {
        "s-0": [f"kwa{n} peer" if n % 2 else "zeldzaam" for n in range(12)],
        "s-1": [f"kwa{n}" if n % 3 else "appel" for n in range(12)],
        "s-2": [f"kwa{n}" if n % 10 == 0 else "appel" for n in range(120)],
    }
    for name in ("s-0", "s-1"):
        await say(store, name, *said[name])
        clock.advance(60)
    await store.run_retention(older_than_s=0)
    await store.restore("s-0")
    await say(store, "s-2", *said["s-2"])

    async def found(text: str, limit: int) -> list[tuple[str, int | None]]:
        hits = await every_page(store.search, text, limit=limit)
        return [(hit.session.id, hit.turn_seq) for hit in hits]

    for word, text in (("kwa", "kwa*"), ("zeldzaam", "zel*"), ("niets", "niets*")):
        wanted = [
            (name, seq)
            for name in sorted(said, reverse=True)
            for seq in range(len(said[name]), 0, -1)
            if said[name][seq - 1].startswith(word)
        ]
        assert await found(text, 5) == await found(text, 100) == wanted


async def test_an_archived_session_is_found_where_it_lies(store: Store) -> None:
    await archived(store, "s-1", f"een {WORD} in Enschede", "Drie.")

    (hit,) = (await store.search(WORD)).items

    assert (hit.session.state, hit.turn_seq, hit.role) == ("archived", 1, "user")
    assert [span.text for span in hit.snippet if span.is_hit] == [WORD]
    assert not (await store.search(WORD, include_archived=False)).items


async def test_what_was_archived_before_it_was_indexed_is_found(
    open_another: OpenAnother,
) -> None:
    off = await open_another(search=mode("off"))
    await archived(off, "s-1", f"een {WORD}")
    await off.close()
    store = await open_another(search=mode("deferred"))
    await archived(store, "s-2", f"nog een {WORD}")

    page = await store.search(WORD)

    assert page.complete
    assert {hit.session.id for hit in page.items} == {"s-1", "s-2"}
    assert (await store.search_index.check()).ok


async def test_a_restored_session_is_found_once(store: Store) -> None:
    await archived(store, "s-1", f"een {WORD}")
    await store.search(WORD)

    await store.restore("s-1")
    await store.turns.append("s-1", role="assistant", content=f"die {WORD}")

    assert places(await store.search(WORD)) == [
        ("s-1", "turn", 2),
        ("s-1", "turn", 1),
    ]


async def test_a_deleted_session_is_not_found_until_it_is_restored(
    store: Store,
) -> None:
    await say(store, "s-1", f"een {WORD}")
    await archived(store, "s-2", f"een {WORD}")
    await store.search(WORD)

    for session_id in ("s-1", "s-2"):
        await store.sessions.delete(session_id)
    assert not (await store.search(WORD)).items
    await store.restore("s-1")

    assert places(await store.search(WORD)) == [("s-1", "turn", 1)]


async def test_an_expired_archive_is_not_found(
    open_another: OpenAnother, clock: ManualClock
) -> None:
    store = await open_another(
        search=mode("inline"), retention=policy(keep_archive_for_s=DAY_S)
    )
    await archived(store, "s-1", f"een {WORD}")
    assert (await store.search(WORD)).items

    clock.advance(2 * DAY_S)
    await store.run_retention()

    assert not (await store.search(WORD)).items
    assert (await store.search_index.check()).ok


async def test_erasing_leaves_no_word_in_any_file(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    await store.sessions.get_or_create("s-0", user_id="u-1", title=f"de {WORD}")
    await archived(store, "s-0", f"een {WORD}")
    await store.sessions.get_or_create("s-1", user_id="u-1")
    await say(store, "s-1", f"een {WORD}", "peer")
    await store.interactions.record("s-1", action="note", content=f"mooi, die {WORD}")
    await say(store, "s-2", "een", "appel")
    found = len((await store.search(WORD)).items)
    assert found == 4
    assert (await store.search("appel")).items

    receipt = await store.erase(user_id="u-1")

    indexed = "absent" if store.config.search.mode == "off" else "cleared"
    assert receipt.index == indexed
    assert not (await store.search(WORD)).items
    assert (await store.search("appel")).items
    sound(database_url, archive_dir)
    if database_url.startswith("sqlite"):
        await store.close()
    assert words_left(database_url, archive_dir) == []


async def test_a_word_that_others_said_too_is_still_found(store: Store) -> None:
    await store.sessions.get_or_create("s-1", user_id="u-1")
    await archived(store, "s-1", f"een {WORD}")
    await say(store, "s-2", f"een {WORD}")
    await store.search(WORD)

    await store.erase(user_id="u-1")

    assert places(await store.search(WORD)) == [("s-2", "turn", 1)]


async def test_words_that_cannot_be_told_any_more_have_the_index_made_anew(
    open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    store = await open_another(search=mode("inline"))
    await archived(store, "s-1", f"een {WORD}")
    await say(store, "s-2", "appel")
    assert (await store.search(WORD)).items
    (path,) = segment_files(archive_dir)
    damage(path)

    receipt = await store.erase(session_id="s-1")

    sqlite = database_url.startswith("sqlite")
    assert receipt.index == ("pending" if sqlite else "cleared")
    assert places(await store.search("appel")) == [("s-2", "turn", 1)]
    await store.search_index.run()
    assert not (await store.search(WORD)).items
    assert (await store.search_index.check()).ok


async def test_a_rebuilt_archive_is_found(
    open_another: OpenAnother,
    new_database: Callable[[str], str],
    database_url: str,
) -> None:
    first = await open_another(search=mode("inline"))
    await archived(first, "s-1", f"een {WORD}")
    await first.close()
    kind = "sqlite" if database_url.startswith("sqlite") else "postgres"
    store = await open_another(search=mode("deferred"), url=new_database(kind))

    await store.archive.rebuild()

    assert places(await store.search(WORD)) == [("s-1", "turn", 1)]


async def test_an_imported_document_is_found_by_when_it_was_said(
    store: Store, tmp_path: Path, clock: ManualClock
) -> None:
    from convstore.vocabulary.documents import encode_document

    await say(store, "s-1", f"een {WORD}")
    found = await document(store, "s-1")
    file = tmp_path / "one.jsonl"
    file.write_bytes(encode_document(found) + b"\n")
    clock.advance(60)
    other = store.for_tenant("default")
    await say(other, "s-2", f"later een {WORD}")
    await store.sessions.delete("s-1", archive=False)
    line = file.read_text().replace('"s-1"', '"s-3"')
    file.write_text(line)

    await store.import_("convstore", file)

    assert places(await store.search(WORD)) == [("s-2", "turn", 1), ("s-3", "turn", 1)]


async def test_an_index_that_died_on_the_way_has_everything_once_after_the_next_run(
    open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    store = await open_another(search=mode("deferred"))
    await say(store, "s-1", *(f"appel {n}" for n in range(250)))
    async with store.transaction() as tx:
        await say(tx, "s-2", "appel")
    steps = Steps()
    dying = await open_another(search=mode("deferred"), on_step=steps)

    await die_at(steps, "index.before_commit", dying.search_index.run())
    assert (await store.search_index.check()).waiting == 2
    await die_at(steps, "index.after_commit", dying.search_index.run())
    await store.search_index.run()

    assert len(await every_page(store.search, "appel", limit=100)) == 251
    assert (await store.search_index.check()).ok
    sound(database_url, archive_dir)


@pytest.mark.mostly_slow("postgres")
async def test_what_goes_to_the_archive_while_it_is_indexed_is_found(
    open_another: OpenAnother,
    database_url: str,
    archive_dir: Path,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After the index looked at its row, and before it read what was said."""
    store = await open_another(search=mode("deferred"))
    await say(store, "s-1", "appel", "peer")
    await store.interactions.record(
        "s-1", action="feedback", feedback="incorrect", reason="appel", turn_seq=2
    )
    config = StoreConfig(
        url=database_url, archive_dir=archive_dir, search=mode("deferred")
    )
    elsewhere = Elsewhere(config, clock)
    read = search_contents.of_rows

    def late(*args: Any) -> Any:
        if len(elsewhere._bound) == 0:
            elsewhere.ask(lambda s: s.run_retention(older_than_s=0), 5)
        return read(*args)

    monkeypatch.setattr(search_contents, "of_rows", late)
    await store.search_index.run()
    (report,) = await elsewhere.answers()
    monkeypatch.undo()
    elsewhere.close()
    await store.search_index.run()

    assert report.purged == 1
    assert len((await store.search("appel")).items) == 2
    sound(database_url, archive_dir)


async def test_what_was_said_after_its_document_was_read_is_found_when_archived_again(
    open_another: OpenAnother,
    database_url: str,
    archive_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = await open_another(search=mode("deferred"))
    await archived(store, "s-1", "appel", "peer")
    read = Indexer._archived

    async def early(self: Indexer, keys: Any) -> Any:
        found = await read(self, keys)
        monkeypatch.undo()
        await store.restore("s-1")
        await archived(store, "s-1", "appel")
        return found

    monkeypatch.setattr(Indexer, "_archived", early)
    await store.search_index.run()
    await store.search_index.run()

    assert len((await store.search("appel")).items) == 2
    sound(database_url, archive_dir)


async def test_many_indexers_at_once_index_nothing_twice(
    open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    import asyncio

    stores = [await open_another(search=mode("deferred")) for _ in range(3)]
    for number in range(20):
        await say(stores[0], f"s-{number}", *(f"appel {n}" for n in range(10)))

    runs: list[Awaitable[object]] = [each.search_index.run() for each in stores]
    await asyncio.gather(*runs, *(each.search("appel") for each in stores))

    assert len(await every_page(stores[0].search, "appel", limit=100)) == 200
    sound(database_url, archive_dir)


async def test_a_title_of_what_was_said_is_none_of_its_own_while_it_is_archived(
    postgres_url: str, tmp_path: Path
) -> None:
    """Between two statements of the indexer; on SQLite it holds the write lock."""
    config = StoreConfig(
        url=postgres_url, archive_dir=str(tmp_path / "archive"), search=mode("deferred")
    )

    async def archive() -> None:
        async with open_store(config) as other:
            assert (await other.run_retention(older_than_s=0)).purged == 1

    async with open_store(config) as store:
        await say(store, "s-1", f"een {WORD} in Enschede", "Drie.")
        await store.search_index.run()
        key = ("default", "s-1")

        def index(connection: Any) -> list[Any]:
            batch = _Work(connection, [key], {})
            batch.find_out()
            with ThreadPoolExecutor() as elsewhere:
                elsewhere.submit(asyncio.run, archive()).result()
            batch.gather()
            assert batch.write() == 0
            return batch.archived

        assert await store._parts.backend.write(index) == [key]
        await store.search_index.run()
        hits = (await store.search(WORD)).items
        assert [hit.kind for hit in hits] == ["turn"]
