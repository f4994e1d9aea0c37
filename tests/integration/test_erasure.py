"""A person's data is destroyed everywhere, with a receipt, and does not come back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from convstore import Store, StoreConfig
from convstore.db.schema import REVISION
from convstore.errors import (
    CorruptionError,
    DatabaseBusyError,
    LegalHoldError,
    SchemaMismatchError,
    SegmentCorruptError,
    SessionErasedError,
    SessionNotFoundError,
)
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import (
    DAY_S,
    Elsewhere,
    OpenAnother,
    Steps,
    archived,
    die_at,
    document,
    everything_under,
    exchange,
    fill,
    leave_out_of_manifest,
    policy,
    raw,
    segment_files,
    sound,
    states,
    unnamed,
)
from tests.integration.conversations import say

EVERYTHING = policy(exports=("messages",), readable_json=True)


async def test_a_users_data_is_gone_from_rows_segments_shards_and_copies(
    open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    store = await open_another(retention=EVERYTHING)
    await fill(store, "secret-1")
    await fill(store, "other", user_id="u-2")
    await store.run_retention(older_than_s=0)
    await fill(store, "secret-2")
    other = await document(store, "other")
    assert b"in secret-1?" in everything_under(archive_dir)

    receipt = await store.erase(user_id="u-1")

    assert receipt.session_ids == ("secret-1", "secret-2")
    assert receipt.rows_deleted["turns"] == 3
    assert len(receipt.segments_rewritten) == 1
    assert receipt.shards_rewritten >= 1
    assert receipt.done_at is not None
    data = everything_under(archive_dir)
    assert b"in secret-" not in data
    assert b"in other?" in data
    for table in ("turns", "interactions", "graph_states", "tool_sets", "legal_holds"):
        rows = raw(database_url, f"SELECT session_id FROM {table}")
        assert rows == [] or table == "legal_holds"
    # Where the user judged, in a session that is somebody else's, they have no name.
    assert unnamed(await document(store, "other"), "u-1") == unnamed(other, "u-1")
    assert (await store.archive.verify(deep=True)).ok
    sound(database_url, archive_dir)


async def test_the_receipt_is_kept_and_names_nobody(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    await fill(store, "s-1", user_id="jan@example.org")

    await store.erase(user_id="jan@example.org")

    kept = str(raw(database_url, "SELECT * FROM erasures"))
    assert "jan@" not in kept
    assert "Enschede" not in kept
    assert b"jan@" not in everything_under(archive_dir)
    assert "jan@" not in str(raw(database_url, "SELECT * FROM sessions"))


async def test_an_erased_id_is_refused_for_ever(store: Store) -> None:
    await fill(store, "s-1")

    await store.erase(session_id="s-1")

    for call in (
        store.sessions.get_or_create("s-1"),
        store.sessions.get("s-1"),
        store.turns.append("s-1", role="user", content="x"),
        store.interactions.record("s-1", action="copy"),
        store.graph_states.put("s-1", {}),
        store.restore("s-1"),
        store.holds.place("s-1", reason="case"),
    ):
        with pytest.raises(SessionErasedError):
            await call


async def test_erasing_twice_and_erasing_nobody_give_receipts_about_nothing(
    store: Store,
) -> None:
    await fill(store, "s-1")
    await store.erase(session_id="s-1")

    again = await store.erase(session_id="s-1")
    nobody = await store.erase(user_id="nobody")

    assert sum(again.rows_deleted.values()) == 0
    assert (nobody.session_ids, nobody.segments_rewritten) == ((), ())
    with pytest.raises(SessionNotFoundError):
        await store.erase(session_id="never")


async def test_the_receipt_counts_what_was_found_live_and_archived_alike(
    store: Store,
) -> None:
    await fill(store, "s-1")
    await store.run_retention(older_than_s=0)
    await fill(store, "s-2")

    receipt = await store.erase(user_id="u-1")

    assert receipt.found == {
        "sessions": 2,
        "turns": 6,
        "interactions": 6,
        "graph_states": 6,
    }
    assert receipt.rows_deleted["turns"] == 3
    assert not receipt.is_empty


async def test_a_receipt_about_nobody_says_that_nothing_was_found(
    store: Store,
) -> None:
    await fill(store, "s-1")
    await store.erase(session_id="s-1")

    for receipt in (
        await store.erase(user_id="ghost"),
        await store.erase(session_id="s-1"),
    ):
        assert receipt.is_empty
        assert set(receipt.found.values()) == {0}


async def test_the_receipt_names_where_the_server_may_keep_deleted_bytes(
    store: Store, database_url: str
) -> None:
    await fill(store, "s-1")

    receipt = await store.erase(session_id="s-1")

    expected = {
        "sqlite": (),
        "postgresql": ("table_pages", "index_pages", "write_ahead_log"),
    }
    assert receipt.residue == expected[database_url.partition(":")[0]]


async def test_a_hold_on_one_session_stops_the_erasure_of_all(
    store: Store, archive_dir: Path
) -> None:
    for session_id in ("s-1", "s-2"):
        await fill(store, session_id)
    await store.holds.place("s-2", reason="case")

    with pytest.raises(LegalHoldError) as refused:
        await store.erase(user_id="u-1")

    assert refused.value.session_ids == ("s-2",)
    assert await states(store) == {"s-1": "active", "s-2": "active"}
    assert list(archive_dir.glob("erasures/*")) == []  # noqa: ASYNC240


async def test_a_hold_placed_while_an_erasure_begins_wins(
    open_another: OpenAnother, archive_dir: Path, database_url: str
) -> None:
    store = await open_another()
    await fill(store, "s-1")
    eraser = store._parts.eraser
    carry_out = eraser.carry_out

    async def with_hold(erasure: object, user_id: str | None) -> object:
        await store.holds.place("s-1", reason="case")
        return await carry_out(erasure, user_id=user_id)  # type: ignore[arg-type]

    eraser.carry_out = with_hold  # type: ignore[method-assign,assignment]
    with pytest.raises(LegalHoldError):
        await store.erase(session_id="s-1")
    eraser.carry_out = carry_out  # type: ignore[method-assign]
    waiting = await store.archive.recover()
    await store.holds.release("s-1")

    report = await store.archive.recover()

    assert (waiting.erasures_finished, report.erasures_finished) == (0, 1)
    assert await states(store) == {"s-1": "erased"}


async def test_two_erasures_of_one_segment_at_once_leave_neither_copy(
    open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    store, another = await open_another(), await open_another()
    names = [f"secret-{i}" for i in range(4)]
    await archived(store, *names, "s-9")
    kept = await document(store, "s-9")

    receipts = await asyncio.gather(
        *((store, another)[i % 2].erase(session_id=s) for i, s in enumerate(names))
    )

    assert b"in secret-" not in everything_under(archive_dir)
    assert all(receipt.done_at for receipt in receipts)
    assert await document(store, "s-9") == kept
    await store.archive.recover(alone=True)
    sound(database_url, archive_dir)


@pytest.mark.parametrize(
    "step", ["erase.rewrite.published", "publish.link", "erase.rewrite.swapped"]
)
async def test_recovery_by_another_worker_leaves_a_rewrite_alone(
    open_another: OpenAnother, database_url: str, archive_dir: Path, step: str
) -> None:
    """A copy that the ledger did not know of was once taken for an orphan."""
    from concurrent.futures import ThreadPoolExecutor

    from convstore import StoreConfig, open_store
    from convstore.vocabulary.clock import SystemClock

    hook = Steps()
    store = await open_another(on_step=hook)
    await archived(store, "secret-1", "s-2")
    kept = await document(store, "s-2")

    async def recover() -> None:
        config = StoreConfig(url=database_url, archive_dir=archive_dir)
        async with open_store(config, clock=store._scope.clock) as other:
            await other.archive.recover()

    def at_once() -> None:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: asyncio.run(recover())).result()

    assert SystemClock is not None
    hook.at(step, at_once)

    await store.erase(session_id="secret-1")

    assert step in hook.reached
    assert await document(store, "s-2") == kept
    assert b"in secret-1?" not in everything_under(archive_dir)
    sound(database_url, archive_dir)


async def test_a_missing_segment_does_not_stop_an_erasure(
    store: Store, archive_dir: Path
) -> None:
    await archived(store, "secret-1", "s-2")
    (path,) = segment_files(archive_dir)
    data = path.read_bytes()
    path.unlink()

    receipt = await store.erase(session_id="secret-1")

    assert receipt.segments_rewritten == ()
    assert [name in path.name for name in receipt.segments_missing] == [True]
    # Should the file come back, from a backup or a mount, the copy goes.
    path.write_bytes(data)
    path.chmod(0o600)
    await store.archive.recover()
    assert b"in secret-1?" not in everything_under(archive_dir)
    assert (await document(store, "s-2")).session.id == "s-2"


@pytest.mark.parametrize("was", ["active", "archived"])
async def test_erasures_are_repeated_on_a_backup_of_the_database(
    open_another: OpenAnother,
    database_url: str,
    archive_dir: Path,
    tmp_path: Path,
    was: str,
) -> None:
    if not database_url.startswith("sqlite"):
        pytest.skip("the backup is a copy of the database's file")
    store = await open_another()
    for session_id in ("secret-1", "s-2"):
        await fill(store, session_id)
    if was == "archived":
        await store.run_retention(older_than_s=0)
    kept = await document(store, "s-2")
    backup = tmp_path / "backup.db"
    raw(database_url, f"VACUUM INTO '{backup}'")
    first = await store.erase(user_id="u-1", session_id=None) if was == "" else None
    first = await store.erase(session_id="secret-1")
    await store.close()
    backup.chmod(0o600)
    old = await open_another(url=f"sqlite:///{backup}")
    assert (await states(old))["secret-1"] == was
    # A person says that this is the database to go on with.
    await old.archive.adopt()

    (receipt,) = await old.replay_erasures()

    assert receipt.erasure_id == first.erasure_id
    assert (await states(old))["secret-1"] == "erased"
    with pytest.raises(SessionErasedError):
        await old.turns.append("secret-1", role="user", content="late")
    assert b"in secret-1?" not in everything_under(archive_dir)
    # The file that the backup names is gone; its successor is in the folder.
    await old.archive.rebuild()
    assert await document(old, "s-2") == kept


async def test_a_hold_on_one_keeps_no_other_erasure_from_being_repeated(
    store: Store, database_url: str
) -> None:
    for name in ("a", "b", "c"):
        await fill(store, f"s-{name}", user_id=f"u-{name}")
        await store.erase(user_id=f"u-{name}")
    # As a backup of before has them.
    for name in ("a", "c"):
        raw(
            database_url,
            f"UPDATE sessions SET state = 'active' WHERE session_id = 's-{name}'",
        )
    await store.holds.place("s-a", reason="zaak")

    with pytest.raises(LegalHoldError):
        await store.replay_erasures()

    assert await states(store) == {"s-a": "active", "s-b": "erased", "s-c": "erased"}


async def test_repeating_an_erasure_spares_what_the_user_began_after_it(
    store: Store, clock: ManualClock
) -> None:
    await fill(store, "s-1")
    await store.erase(user_id="u-1")
    clock.advance(60)
    await fill(store, "s-2")

    await store.replay_erasures()

    assert await states(store) == {"s-1": "erased", "s-2": "active"}


@pytest.mark.parametrize("step", ["publish.link", "publish.dirsync", "seal.begin"])
async def test_a_copy_that_a_dead_worker_published_is_gone_with_the_receipt(
    open_another: OpenAnother, archive_dir: Path, step: str
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await fill(store, "secret-1")
    await die_at(hook, step, store.run_retention(older_than_s=0))
    assert b"in secret-1?" in everything_under(archive_dir)

    receipt = await store.erase(session_id="secret-1")

    assert receipt.done_at is not None
    assert b"in secret-1?" not in everything_under(archive_dir)


async def test_a_segment_whose_removal_was_cut_short_is_gone_with_the_receipt(
    open_another: OpenAnother, archive_dir: Path, clock: ManualClock
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await archived(store, "secret-1")
    await store.restore("secret-1")
    clock.advance(2 * DAY_S)
    await die_at(hook, "gc.mark", store.archive.recover())
    assert b"in secret-1?" in everything_under(archive_dir)

    await store.erase(session_id="secret-1")

    assert b"in secret-1?" not in everything_under(archive_dir)


async def test_what_a_dead_worker_left_staged_is_gone_with_the_receipt(
    store: Store, archive_dir: Path
) -> None:
    await fill(store, "secret-1")
    staged = archive_dir / "tmp" / "messages.jsonl.0123456789abcdef"
    staged.parent.mkdir(mode=0o700, parents=True)
    staged.write_bytes(b"in secret-1?")
    os.utime(staged, (0, 0))

    await store.erase(session_id="secret-1")

    assert not staged.exists()


@pytest.mark.mostly_slow("sqlite")
async def test_a_deletion_that_archives_beside_an_erasure_leaves_no_copy(
    open_another: OpenAnother,
    archive_dir: Path,
    database_url: str,
    clock: ManualClock,
) -> None:
    """It reads the session before it is erased, and seals it when all is done."""
    erasing, read = Event(), Event()

    def before_commit(step: str) -> None:
        if step == "erase.before_commit":
            erasing.set()
            read.wait(2.0)  # in vain where the deletion waits for the erasure

    config = StoreConfig(url=database_url, archive_dir=archive_dir)
    elsewhere = Elsewhere(config, clock, before_commit)
    hook = Steps()
    store = await open_another(on_step=hook)
    await archived(store, "s-2")
    await fill(store, "secret-1")

    def when_read() -> None:
        read.set()
        elsewhere.ask(lambda s: s.sessions.find("s-2"), 20.0)  # when that is done

    hook.at("read.end", when_read)
    elsewhere.ask(lambda s: s.erase(session_id="secret-1"), 0)
    await asyncio.to_thread(erasing.wait)

    with pytest.raises(SessionErasedError):
        await store.sessions.delete("secret-1")

    receipt, *_ = await elsewhere.answers()
    elsewhere.close()
    assert receipt.done_at is not None
    assert b"in secret-1?" not in everything_under(archive_dir)


@pytest.mark.parametrize("times", [1, 9])
async def test_an_erasure_under_another_ones_rewrite_lets_no_copy_stay(
    open_another: OpenAnother,
    archive_dir: Path,
    database_url: str,
    clock: ManualClock,
    times: int,
) -> None:
    """The file that is missing then is the new one, which was destroyed half done."""
    hook = Steps()
    store = await open_another(on_step=hook, retention=EVERYTHING)
    await archived(store, "secret-1", "s-2")
    others = [f"other-{number}" for number in range(times)]
    for name in others:
        await fill(store, name)
    elsewhere = Elsewhere(StoreConfig(url=database_url, archive_dir=archive_dir), clock)

    def erase_another() -> None:
        name = others.pop()
        elsewhere.ask(lambda s: s.erase(session_id=name), 10.0)
        if others:
            hook.at("publish.dirsync", erase_another)

    hook.at("publish.dirsync", erase_another)
    try:
        receipt = await store.erase(session_id="secret-1")
    except DatabaseBusyError:
        receipt = None  # it stays begun, for the next recovery
        assert times > 5
    await elsewhere.answers()
    elsewhere.close()

    if receipt is None:
        assert (await store.archive.recover()).erasures_finished == 1
    else:
        assert receipt.segments_missing == ()
    assert b"in secret-1?" not in everything_under(archive_dir)
    assert (await document(store, "s-2")).session.id == "s-2"


async def test_an_erasure_under_an_archiving_run_lets_the_run_go_on(
    open_another: OpenAnother, archive_dir: Path, database_url: str, clock: ManualClock
) -> None:
    """What the run has written by then is destroyed under its feet."""
    hook = Steps()
    store = await open_another(on_step=hook, retention=EVERYTHING)
    await fill(store, "secret-1")
    await fill(store, "s-2")
    elsewhere = Elsewhere(StoreConfig(url=database_url, archive_dir=archive_dir), clock)
    hook.at(
        "publish.dirsync",
        lambda: elsewhere.ask(lambda s: s.erase(session_id="secret-1"), 10.0),
    )

    report = await store.run_retention(older_than_s=0)
    await elsewhere.answers()
    elsewhere.close()

    assert (report.archived, report.purged) == (0, 0)
    assert b"in secret-1?" not in everything_under(archive_dir)
    assert (await store.run_retention(older_than_s=0)).purged == 1
    sound(database_url, archive_dir)


async def test_a_session_that_a_manifest_leaves_out_outlives_its_neighbour(
    store: Store, archive_dir: Path, database_url: str
) -> None:
    await archived(store, "secret-1", "s-2", "s-3")
    kept = await document(store, "s-3")
    leave_out_of_manifest(store, archive_dir, "s-3")

    await store.erase(session_id="secret-1")

    assert await document(store, "s-3") == kept
    assert b"in secret-1?" not in everything_under(archive_dir)
    sound(database_url, archive_dir)


async def test_an_exchanged_segment_is_left_for_a_person_to_look_at(
    store: Store, archive_dir: Path, tmp_path: Path
) -> None:
    await archived(store, "secret-1", "s-2", "s-3")
    exchange(store, archive_dir, tmp_path, without="s-3")

    with pytest.raises(SegmentCorruptError) as error:
        await store.erase(session_id="secret-1")

    assert error.value.session_ids == ("s-3",)
    assert len(segment_files(archive_dir)) == 1


async def test_an_archive_that_came_back_and_went_again_is_not_due(
    store: Store, clock: ManualClock
) -> None:
    await archived(store, "s-1")
    due = {("default", "s-1"): (await store.sessions.get("s-1")).version}
    await store.restore("s-1")
    clock.advance(60)
    await store.run_retention(older_than_s=0)

    destroyed, held = await store._parts.eraser.expire_archives(due)

    assert (destroyed, held) == (0, 0)
    assert len((await document(store, "s-1")).turns) == 3


async def test_repeating_an_erasure_keeps_its_first_receipt(
    store: Store, database_url: str
) -> None:
    await fill(store, "s-1")
    await store.erase(session_id="s-1")
    before = raw(database_url, "SELECT receipt, done_at FROM erasures")

    await store.replay_erasures()

    assert raw(database_url, "SELECT receipt, done_at FROM erasures") == before


async def test_a_session_erased_while_it_was_superseded_leaves_no_old_copy(
    store: Store, clock: ManualClock, archive_dir: Path, database_url: str
) -> None:
    await archived(store, "secret-1", "s-2")
    await store.restore("secret-1")
    clock.advance(10)
    await store.run_retention(older_than_s=0)
    await store.restore("secret-1")
    assert len(segment_files(archive_dir)) == 2

    receipt = await store.erase(session_id="secret-1")

    assert len(receipt.segments_rewritten) == 2
    assert b"in secret-1?" not in everything_under(archive_dir)
    sound(database_url, archive_dir)


async def test_nothing_of_another_tenant_is_erased(store: Store) -> None:
    other = store.for_tenant("acme")
    for tenant in (store, other):
        await fill(tenant, "s-1")
    await store.run_retention(older_than_s=0)

    await store.erase(user_id="u-1")

    assert await states(other) == {"s-1": "archived"}
    assert len((await document(other, "s-1")).turns) == 3


async def test_the_database_file_says_nothing_of_what_was_erased(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    if not database_url.startswith("sqlite"):
        pytest.skip("the server's files belong to the server")
    path = Path(database_url.removeprefix("sqlite:///"))
    await say(store, "s-1", "geheim-" * 50)

    await store.erase(session_id="s-1")

    await store.close()
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in path.parent.glob(f"{path.name}*"):
        shutil.copy(name, copy)
    assert all(b"geheim-" not in p.read_bytes() for p in copy.iterdir())


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_an_import_into_a_new_database_does_not_bring_back_what_was_erased(
    store: Store,
    open_another: OpenAnother,
    new_database: Callable[[str], str],
    tmp_path: Path,
    kind: str,
) -> None:
    """Only the archive folder still knows of the erasure."""
    for session_id in ("secret-1", "s-2"):
        await fill(store, session_id)
    await store.export("convstore", to=tmp_path / "kept")
    (source,) = (tmp_path / "kept").rglob("*.jsonl")
    await store.erase(session_id="secret-1")
    fresh = await open_another(url=new_database(kind))

    report = await fresh.import_("convstore", source)

    assert report.rejected == {"session_erased": 1}
    assert await states(fresh) == {"secret-1": "erased", "s-2": "active"}


@pytest.mark.parametrize(
    "change",
    [
        {"session_ids": [5]},
        {"session_ids": ["x" * 256]},
        {"session_ids": "secret"},
        {"tenant_id": None},
        {"requested_at": "now"},
        {"requested_at": 2**64},
        {"erasure_id": "../../escaped"},
        {"subject": "everybody"},
        {"salt": "x" * 65},
        {"format_version": 2},
        "[]",
        "nonsense",
    ],
)
async def test_a_note_of_an_erasure_that_is_not_ours_is_refused(
    store: Store, archive_dir: Path, change: dict[str, object] | str
) -> None:
    await fill(store, "s-1")
    await fill(store, "s-2")
    await store.erase(session_id="s-1")
    (note,) = archive_dir.glob("erasures/*.json")  # noqa: ASYNC240
    if isinstance(change, str):
        note.write_text(change)
    else:
        note.write_text(json.dumps(json.loads(note.read_text()) | change))

    for call in (store.replay_erasures(), store.archive.rebuild()):
        with pytest.raises(CorruptionError):
            await call

    assert await states(store) == {"s-1": "erased", "s-2": "active"}


@pytest.mark.mostly_slow("sqlite")
async def test_no_receipt_is_given_while_a_reader_keeps_the_log_of_writes(
    open_another: OpenAnother, sqlite_url: str
) -> None:
    store = await open_another(url=sqlite_url)
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM sessions").fetchall()
    await fill(store, "secret-1")

    with pytest.raises(DatabaseBusyError, match="next recovery"):
        await store.erase(session_id="secret-1")
    assert raw(sqlite_url, "SELECT state FROM erasures") == [("begun",)]
    reader.close()
    report = await store.archive.recover()

    assert report.erasures_finished == 1
    await store.close()  # to read its file beside it would drop its locks
    for file in (path, path.with_name(f"{path.name}-wal")):
        assert not file.exists() or b"in secret-1?" not in file.read_bytes()


async def test_what_an_older_release_left_of_an_erased_session_goes_when_it_is_finished(
    store: Store, database_url: str
) -> None:
    """It began the erasure, destroyed the rows that it knows, and could not go on."""
    await fill(store, "s-1")
    erased = (await store.erase(session_id="s-1")).erasure_id
    for statement in (
        "INSERT INTO session_title_words VALUES ('default', 's-1', 'archieven')",
        "INSERT INTO session_labels VALUES ('default', 's-1', 'wrong', 1)",
        f"UPDATE erasures SET state = 'begun' WHERE erasure_id = '{erased}'",
    ):
        raw(database_url, statement)

    report = await store.archive.recover()

    assert report.erasures_finished == 1
    for table in ("session_title_words", "session_labels"):
        assert raw(database_url, f"SELECT * FROM {table}") == []


async def test_an_erasure_is_left_to_a_newer_release_that_has_changed_the_database(
    store: Store, database_url: str
) -> None:
    """Also that of a user who has no session: there may be more than this one knows."""
    await store.items.put("n", "k", 1, user_id="u-1")
    raw(database_url, "UPDATE convstore_version SET version_num = 'convstore_9999'")

    for user_id in ("u-1", "u-2"):
        with pytest.raises(SchemaMismatchError):
            await store.erase(user_id=user_id)

    assert (await store.items.get("n", "k")).value == 1
    current = f"UPDATE convstore_version SET version_num = '{REVISION}'"
    raw(database_url, current)
    assert (await store.archive.recover()).erasures_finished == 2
    assert await store.items.find("n", "k") is None
