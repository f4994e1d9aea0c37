"""What was said years ago is old in lists, and yet not stale the day it comes in."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from convstore import Store
from convstore.vocabulary.clock import ManualClock
from convstore.vocabulary.documents import encode_document
from tests.integration.archives import DAY_S, OpenAnother, document, fill, states
from tests.integration.conversations import say


def written(folder: Path, *records: Any) -> Path:
    (folder / "in.jsonl").write_text("\n".join(json.dumps(r) for r in records))
    return folder / "in.jsonl"


def talk(session_id: str, *times: str, **more: Any) -> dict[str, Any]:
    messages = [
        {"role": "user", "content": f"at {at}", **({"created_at": at} if at else {})}
        for at in times
    ]
    return {"session_id": session_id, "messages": messages, **more}


async def test_imported_chats_are_as_old_as_their_last_message(
    store: Store, tmp_path: Path
) -> None:
    await say(store, "today", "hoi")
    source = written(
        tmp_path,
        talk("of-2022", "2022-05-01T10:00:00Z"),
        talk("of-2023", "2023-05-01T10:00:00Z", "2023-05-02T11:30:00Z", ""),
        talk("begun-2021", "", created_at="2021-01-01T00:00:00Z"),
    )

    await store.import_("messages", source, strict=True)
    listed = (await store.sessions.list()).items

    assert [s.id for s in listed] == ["today", "of-2023", "of-2022", "begun-2021"]
    assert listed[1].last_activity_at == datetime(2023, 5, 2, 11, 30, tzinfo=UTC)
    assert listed[1].created_at == datetime(2023, 5, 1, 10, tzinfo=UTC)
    assert listed[1].imported_at is not None
    assert listed[0].imported_at is None


async def test_staleness_counts_from_the_import_when_that_is_later(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    await store.import_(
        "messages", written(tmp_path, talk("old", "2020-05-01T10:00:00Z"))
    )

    fresh = await store.run_retention()
    clock.advance(DAY_S)
    stale = await store.run_retention()

    assert (fresh.archived, stale.archived) == (0, 1)
    assert stale.reasons == {"idle": 1}


async def test_a_continued_import_moves_the_activity_to_what_was_added(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    first, second = "2023-05-01T10:00:00Z", "2023-06-01T10:00:00Z"
    await store.import_("messages", written(tmp_path, talk("s", first)))
    clock.advance(100)
    await store.import_("messages", written(tmp_path, talk("s", first, second)))
    grown = await store.sessions.get("s")
    clock.advance(100)
    await store.import_("messages", written(tmp_path, talk("s", first, second)))

    assert grown.last_activity_at == datetime(2023, 6, 1, 10, tzinfo=UTC)
    assert grown.imported_at == clock.now() - timedelta(seconds=100)
    assert await store.sessions.get("s") == grown


async def test_a_source_from_the_future_is_bounded_by_now(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    await store.import_(
        "messages", written(tmp_path, talk("s", "2920-05-01T10:00:00Z"))
    )

    assert (await store.sessions.get("s")).last_activity_at == clock.now()


async def test_when_it_was_imported_goes_through_archive_restore_and_rebuild(
    store: Store,
    open_another: OpenAnother,
    new_database: Callable[[str], str],
    archive_dir: Path,
    tmp_path: Path,
) -> None:
    await store.import_("messages", written(tmp_path, talk("s", "2020-05-01T10:00Z")))
    at = (await store.sessions.get("s")).imported_at
    await store.run_retention(older_than_s=0)
    stub = await store.sessions.get("s")
    copy = await document(store, "s")
    await store.restore("s")
    back = await store.sessions.get("s")
    await store.run_retention(older_than_s=0)
    await store.close()
    other = await open_another(url=new_database("sqlite"), archive_dir=archive_dir)
    await other.archive.rebuild()

    assert at is not None
    assert stub.imported_at == copy.session.imported_at == back.imported_at == at
    assert (await other.sessions.get("s")).imported_at == at


async def test_a_session_of_a_clock_that_ran_ahead_goes_when_all_go(
    store: Store, clock: ManualClock
) -> None:
    clock.advance(400 * DAY_S)
    await say(store, "ahead", "one")
    clock.advance(-400 * DAY_S)

    report = await store.run_retention(older_than_s=0)

    assert report.archived == 1
    assert await states(store) == {"ahead": "archived"}


async def test_imported_documents_bring_their_costs_into_the_totals_once(
    store: Store,
    open_another: OpenAnother,
    new_database: Callable[[str], str],
    tmp_path: Path,
) -> None:
    await fill(store, "s")
    await store.ledger.add_cost("s", micros=700)
    found = await document(store, "s")
    other = await open_another(
        url=new_database("sqlite"), archive_dir=tmp_path / "other"
    )
    source = written(tmp_path, json.loads(encode_document(found)))

    for _ in range(3):
        await other.import_("convstore", source)
    await store.import_("convstore", source)

    assert await other.ledger.cost(user_id="u-1") == 700
    assert await other.ledger.cost() == 700
    assert await store.ledger.cost() == 700


async def test_a_rebuild_brings_the_costs_of_the_sessions_into_the_totals_once(
    store: Store,
    open_another: OpenAnother,
    new_database: Callable[[str], str],
    archive_dir: Path,
) -> None:
    await fill(store, "s")
    await store.ledger.add_cost("s", micros=700)
    await store.run_retention(older_than_s=0)
    await store.close()
    other = await open_another(url=new_database("sqlite"), archive_dir=archive_dir)

    await other.archive.rebuild()
    await other.archive.rebuild()
    await other.restore("s")

    assert await other.ledger.cost(user_id="u-1") == 700
