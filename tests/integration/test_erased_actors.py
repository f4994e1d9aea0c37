"""What an erased user did in other people's sessions stays, and names them no more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from convstore import Store, StoreConfig
from convstore.errors import ConflictError, LegalHoldError, SegmentCorruptError
from convstore.policy import CachePolicy
from convstore.types import ErasureReceipt, SessionDocument
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import (
    DAY_S,
    ERASED,
    Elsewhere,
    OpenAnother,
    Steps,
    damage,
    die_at,
    document,
    everything_under,
    policy,
    raw,
    segment_files,
    sound,
    states,
    timeless,
    unnamed,
)
from tests.integration.conversations import say

JAN = "jan@example.org"


@pytest.fixture(name="elsewhere")
def elsewhere_fixture(
    database_url: str, archive_dir: Path, clock: ManualClock
) -> Iterator[Elsewhere]:
    """Another process's store on the same database and archive."""
    other = Elsewhere(StoreConfig(url=database_url, archive_dir=archive_dir), clock)
    yield other
    other.close()


async def judged(
    store: Store, session_id: str, *, by: str = JAN, owner: str = "owner"
) -> SessionDocument:
    """A session of somebody else's, with two acts by one person and one by another."""
    await store.sessions.get_or_create(session_id, user_id=owner)
    await say(store, session_id, "Hoeveel?", "Drie.")
    for actor, label in ((by, "incorrect"), ("piet", "correct"), (by, "correct")):
        await store.interactions.record(
            session_id, action="feedback", turn_seq=2, feedback=label, actor_id=actor
        )
    return await document(store, session_id)


def nowhere(database_url: str, archive_dir: Path, name: str = JAN) -> None:
    """No row of any table, and no file of the archive, has a name in it."""
    # Virtual ones are files of words, which hold no ids, and are kept by other tables.
    tables = (
        "SELECT name FROM sqlite_master WHERE type = 'table'"
        " AND sql NOT LIKE 'CREATE VIRTUAL%'"
    )
    if not database_url.startswith("sqlite"):
        tables = (
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'public'"
        )
    for (table,) in raw(database_url, tables):
        assert name not in str(raw(database_url, f'SELECT * FROM "{table}"')), table
    assert name.encode() not in everything_under(archive_dir)


async def name_in(store: Store, session_id: str) -> str:
    """The one name that stands for the erased in a session."""
    acts = (await document(store, session_id)).interactions
    (name,) = {a.actor_id for a in acts if a.actor_id and ERASED.fullmatch(a.actor_id)}
    return name


async def test_what_an_erased_user_did_in_rows_has_another_name(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    before = await judged(store, "s-1")
    await judged(store, "s-2")
    standing = await store.interactions.effective("s-1")

    receipt = await store.erase(user_id=JAN)

    nowhere(database_url, archive_dir)
    name = await name_in(store, "s-1")
    assert name == await name_in(store, "s-2")
    after = await document(store, "s-1")
    assert unnamed(after, JAN) == unnamed(before, JAN)
    assert after.session.version > before.session.version
    assert [a.feedback for a in await store.interactions.effective("s-1")] == [
        a.feedback for a in standing
    ]
    assert receipt.renamed == {"interactions": 4}
    assert receipt.done_at is not None
    assert not receipt.is_empty
    sound(database_url, archive_dir)


async def test_a_renamed_actor_goes_on_as_one_actor(store: Store) -> None:
    await judged(store, "s-1")
    await store.erase(user_id=JAN)
    name = await name_in(store, "s-1")

    await store.interactions.record(
        "s-1", action="feedback", turn_seq=2, feedback="fine", actor_id=name
    )

    stands = {a.actor_id: a.feedback for a in await store.interactions.effective("s-1")}
    assert stands == {name: "fine", "piet": "correct"}
    found = await store.sessions.get("s-1")
    assert found.feedback_counts == {"fine": 1, "correct": 1}


@pytest.mark.parametrize("where", ["rows", "archive"])
async def test_an_act_that_is_repeated_is_the_renamed_one(
    store: Store, where: str
) -> None:
    await say(store, "s-1", "Hoeveel?", "Drie.")
    act = {"action": "feedback", "turn_seq": 2, "external_id": "f-1", "actor_id": JAN}
    first = await store.interactions.record("s-1", **act, feedback="up")
    if where == "archive":
        await store.run_retention(older_than_s=0)
    await store.erase(user_id=JAN)

    again = await store.interactions.record("s-1", **act, feedback="up")

    assert again.seq == first.seq
    assert ERASED.fullmatch(again.actor_id or "")
    with pytest.raises(ConflictError):
        await store.interactions.record("s-1", **act, feedback="down")
    with pytest.raises(ConflictError):
        await store.interactions.record(
            "s-1", **{**act, "actor_id": None}, feedback="up"
        )


async def test_copies_in_the_archive_are_written_anew(
    open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    store = await open_another(
        retention=policy(exports=("messages",), readable_json=True)
    )
    before = await judged(store, "s-1")
    other = await judged(store, "s-2", by="els")
    await store.run_retention(older_than_s=0)
    assert JAN.encode() in everything_under(archive_dir)

    receipt = await store.erase(user_id=JAN)

    nowhere(database_url, archive_dir)
    assert receipt.renamed == {"archived_sessions": 1}
    assert len(receipt.segments_rewritten) == 1
    assert await states(store) == {"s-1": "archived", "s-2": "archived"}
    assert await name_in(store, "s-1")
    assert unnamed(await document(store, "s-1"), JAN) == unnamed(before, JAN)
    assert timeless(await document(store, "s-2")) == timeless(other)
    assert (await store.archive.verify(deep=True)).ok
    sound(database_url, archive_dir)
    await store.restore("s-1")
    assert unnamed(await document(store, "s-1"), JAN) == unnamed(before, JAN)


async def test_a_user_is_found_in_their_own_and_in_other_sessions_at_once(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    await judged(store, "theirs", owner=JAN)
    await judged(store, "archived")
    await store.run_retention(older_than_s=0)
    await judged(store, "live")

    receipt = await store.erase(user_id=JAN)

    assert receipt.session_ids == ("theirs",)
    assert receipt.renamed == {"interactions": 2, "archived_sessions": 1}
    # One rewrite for both, the session that goes and the one that is changed.
    assert len(receipt.segments_rewritten) == 1
    nowhere(database_url, archive_dir)
    assert await name_in(store, "live") == await name_in(store, "archived")


async def test_a_deleted_session_stays_in_the_bin(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    before = await judged(store, "s-1")
    await store.sessions.delete("s-1")

    await store.erase(user_id=JAN)

    nowhere(database_url, archive_dir)
    assert await states(store) == {"s-1": "deleted"}
    await store.restore("s-1")
    assert await name_in(store, "s-1")
    assert unnamed(await document(store, "s-1"), JAN) == unnamed(before, JAN)


async def test_superseded_copies_are_found_too(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    await judged(store, "s-1")
    await store.run_retention(older_than_s=0)
    await say(store, "s-1", "Nog een?")
    await store.run_retention(older_than_s=0)
    await say(store, "s-1", "En nog een?")
    assert len(segment_files(archive_dir)) == 2

    receipt = await store.erase(user_id=JAN)

    nowhere(database_url, archive_dir)
    assert receipt.renamed == {"interactions": 2, "archived_sessions": 1}
    sound(database_url, archive_dir)


async def test_holds_that_are_over_name_nobody_who_is_erased(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    for session_id in ("s-1", "s-2"):
        await say(store, session_id, "Hoeveel?")
        await store.holds.place(session_id, reason="zaak", actor_id=JAN)
        await store.holds.release(session_id, actor_id=JAN)
        await store.run_retention(older_than_s=0)
    await store.restore("s-2")

    receipt = await store.erase(user_id=JAN)

    nowhere(database_url, archive_dir)
    assert receipt.renamed == {"legal_holds": 2, "archived_sessions": 2}
    (hold,) = (await store.holds.list("s-1")).items
    assert hold.placed_by == hold.released_by
    assert ERASED.fullmatch(hold.placed_by or "")


@pytest.mark.parametrize("where", ["rows", "archive", "hold"])
async def test_a_hold_on_a_session_with_an_act_stops_the_erasure(
    store: Store, where: str
) -> None:
    before = await judged(store, "s-1", by="els" if where == "hold" else JAN)
    await judged(store, "theirs", owner=JAN)
    if where == "archive":
        await store.run_retention(older_than_s=0)
    placed_by = JAN if where == "hold" else "jurist"
    await store.holds.place("s-1", reason="zaak", actor_id=placed_by)

    with pytest.raises(LegalHoldError) as raised:
        await store.erase(user_id=JAN)

    assert raised.value.session_ids == ("s-1",)
    assert "erased" not in (await states(store)).values()
    assert (await document(store, "s-1")).interactions == before.interactions


@pytest.mark.parametrize("step", ["erase.begin", "erase.rows"])
async def test_a_hold_placed_while_an_erasure_is_under_way_is_respected(
    open_another: OpenAnother,
    step: str,
    elsewhere: Elsewhere,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await judged(store, "s-1")
    await judged(store, "theirs", owner=JAN)
    hold = lambda: elsewhere.ask(lambda s: s.holds.place("s-1", reason="zaak"))  # noqa: E731
    hook.at(step, hold)

    with pytest.raises(LegalHoldError):
        await store.erase(user_id=JAN)
    await elsewhere.answers()

    acts = (await document(store, "s-1")).interactions
    assert [act.actor_id for act in acts] == [JAN, "piet", JAN]


async def test_copies_of_which_nobody_noted_whom_they_name_are_read_once(
    open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await judged(store, "s-1")
    await say(store, "silent", "Niemand oordeelde.")
    await store.run_retention(older_than_s=0)
    # As a release of before leaves it.
    raw(database_url, "UPDATE archive_entries SET actors_noted = NULL")
    raw(database_url, "DELETE FROM archived_actors")

    await store.erase(user_id=JAN)

    nowhere(database_url, archive_dir)
    assert "erase.actors_noted" in hook.reached
    hook.reached.clear()
    await store.erase(user_id="piet")
    nowhere(database_url, archive_dir, "piet")
    assert "erase.actors_noted" not in hook.reached


@pytest.mark.parametrize("what", ["hold", "superseded", "deleted", "renewed"])
async def test_every_copy_that_may_name_somebody_is_read(
    store: Store, database_url: str, archive_dir: Path, what: str
) -> None:
    if what == "hold":
        await say(store, "s-1", "Hoeveel?")
        await store.holds.place("s-1", reason="zaak", actor_id=JAN)
        await store.holds.release("s-1")
    else:
        await judged(store, "s-1")
    await store.run_retention(older_than_s=0)
    if what == "superseded":
        await say(store, "s-1", "Nog een?")
    elif what in ("deleted", "renewed"):
        await store.sessions.delete("s-1")
    if what == "renewed":  # it counts nothing of what its older copy says
        await store.sessions.get_or_create("s-1", renew=True)
    raw(database_url, "UPDATE archive_entries SET actors_noted = NULL")
    raw(database_url, "DELETE FROM archived_actors")

    await store.erase(user_id=JAN)

    nowhere(database_url, archive_dir)


async def test_a_rebuilt_database_finds_whom_its_archive_names(
    open_another: OpenAnother, tmp_path: Path, archive_dir: Path
) -> None:
    store = await open_another()
    await judged(store, "s-1")
    await store.run_retention(older_than_s=0)
    await store.close()
    url = f"sqlite:///{tmp_path / 'anew.db'}"
    anew = await open_another(url=url)
    await anew.archive.rebuild()

    await anew.erase(user_id=JAN)

    nowhere(url, archive_dir)
    assert await name_in(anew, "s-1")


async def test_who_comes_back_is_named_by_what_they_do_from_then_on(
    store: Store, clock: ManualClock
) -> None:
    await judged(store, "s-1")
    await store.erase(user_id=JAN)
    first = await name_in(store, "s-1")
    clock.advance(1)
    await store.interactions.record("s-1", action="copy", actor_id=JAN)
    await store.run_retention(older_than_s=0)
    clock.advance(1)

    await store.replay_erasures()
    assert (await document(store, "s-1")).interactions[-1].actor_id == JAN
    receipt = await store.erase(user_id=JAN)

    acts = (await document(store, "s-1")).interactions
    assert acts[0].actor_id == first
    assert acts[-1].actor_id != first
    assert ERASED.fullmatch(acts[-1].actor_id or "")
    assert receipt.renamed == {"archived_sessions": 1}


async def test_erasures_are_repeated_on_what_a_backup_brings_back(
    open_another: OpenAnother, database_url: str, archive_dir: Path, tmp_path: Path
) -> None:
    if not database_url.startswith("sqlite"):
        pytest.skip("the backup is a copy of the database's file")
    store = await open_another()
    await judged(store, "s-1")
    await judged(store, "s-2")
    await store.run_retention(older_than_s=0)
    await store.restore("s-2")
    backup = tmp_path / "backup.db"
    raw(database_url, f"VACUUM INTO '{backup}'")
    await store.erase(user_id=JAN)
    await store.close()
    backup.chmod(0o600)
    old = await open_another(url=f"sqlite:///{backup}")
    assert (await document(old, "s-2")).interactions[0].actor_id == JAN
    await old.archive.adopt()
    await old.archive.rebuild()

    await old.replay_erasures()

    nowhere(f"sqlite:///{backup}", archive_dir)
    assert await name_in(old, "s-2") == await name_in(old, "s-1")


async def test_an_act_of_another_tenant_keeps_its_actor(store: Store) -> None:
    await judged(store, "s-1")
    other = store.for_tenant("other")
    before = await judged(other, "s-1")
    await store.run_retention(older_than_s=0)

    await store.erase(user_id=JAN)

    assert (await document(other, "s-1")).interactions == before.interactions


@pytest.mark.parametrize(
    "step", ["erase.renamed", "erase.rewrite.published", "erase.rewrite.done"]
)
async def test_a_restore_beside_it_brings_no_name_back(
    open_another: OpenAnother,
    database_url: str,
    archive_dir: Path,
    step: str,
    elsewhere: Elsewhere,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    before = await judged(store, "s-1")
    await store.run_retention(older_than_s=0)
    await judged(store, "live")
    hook.at(step, lambda: elsewhere.ask(lambda s: s.restore("s-1")))

    receipt = await store.erase(user_id=JAN)
    (restored,) = await elsewhere.answers()

    assert not isinstance(restored, BaseException), restored
    assert receipt.done_at is not None
    nowhere(database_url, archive_dir)
    assert await name_in(store, "s-1")
    assert unnamed(await document(store, "s-1"), JAN) == unnamed(before, JAN)
    sound(database_url, archive_dir, settled=False)


@pytest.mark.parametrize(
    ("step", "patience_s"),
    # In the transaction of a purge, the erasure has to wait for it.
    [("read.end", 60), ("seal.begin", 60), ("purge.begin", 0.25)],
)
async def test_an_archiving_run_beside_it_keeps_no_name(
    open_another: OpenAnother,
    database_url: str,
    archive_dir: Path,
    step: str,
    patience_s: float,
    elsewhere: Elsewhere,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await judged(store, "s-1")
    erase = lambda: elsewhere.ask(lambda s: s.erase(user_id=JAN), patience_s)  # noqa: E731
    hook.at(step, erase)

    await store.run_retention(older_than_s=0)
    (receipt,) = await elsewhere.answers()

    assert isinstance(receipt, ErasureReceipt), receipt
    assert receipt.done_at is not None
    await store.archive.recover(alone=True)
    nowhere(database_url, archive_dir)
    assert await name_in(store, "s-1")
    sound(database_url, archive_dir)


@pytest.mark.parametrize(
    "step",
    [
        "erase.begin",
        "erase.rename",
        "erase.renamed",
        "erase.cancelled",
        "erase.tombstone_file",
        "erase.rewrite.published",
        "erase.rewrite.swapped",
        "erase.rewrite.done",
    ],
)
async def test_whoever_dies_on_the_way_is_gone_on_for(
    open_another: OpenAnother, database_url: str, archive_dir: Path, step: str
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await judged(store, "s-1")
    await store.run_retention(older_than_s=0)
    await judged(store, "live")
    await die_at(hook, step, store.erase(user_id=JAN))
    if step == "erase.begin":  # nothing was begun
        return

    await store.archive.recover(alone=True)

    nowhere(database_url, archive_dir)
    (receipt,) = (await store.erasures.list()).items
    assert receipt.done_at is not None
    assert receipt.renamed["interactions"] == 2
    assert await name_in(store, "live") == await name_in(store, "s-1")
    sound(database_url, archive_dir)


@pytest.mark.parametrize("noted", [True, False])
async def test_without_the_archive_rows_are_renamed_and_the_receipt_stays_open(
    store: Store, database_url: str, archive_dir: Path, tmp_path: Path, noted: bool
) -> None:
    await judged(store, "s-1")
    await store.run_retention(older_than_s=0)
    if not noted:
        raw(database_url, "UPDATE archive_entries SET actors_noted = NULL")
        raw(database_url, "DELETE FROM archived_actors")
    await judged(store, "live")
    archive_dir.rename(tmp_path / "away")  # noqa: ASYNC240

    receipt = await store.erase(user_id=JAN)

    assert receipt.done_at is None
    assert receipt.waits_for == "archive_away"
    assert receipt.renamed == {"interactions": 2}
    assert len(receipt.segments_waiting) == int(noted)
    assert await name_in(store, "live")
    (tmp_path / "away").rename(archive_dir)
    await store.archive.recover(alone=True)
    nowhere(database_url, archive_dir)


async def test_a_damaged_copy_that_names_the_user_keeps_the_erasure_open(
    store: Store, archive_dir: Path, database_url: str
) -> None:
    await judged(store, "s-1")
    await store.run_retention(older_than_s=0)
    await judged(store, "s-2")
    await store.run_retention(older_than_s=0)
    first, _ = segment_files(archive_dir)
    damage(first, at=0.3)

    with pytest.raises(SegmentCorruptError) as raised:
        await store.erase(user_id=JAN)

    assert raised.value.session_ids == ("s-1",)
    (receipt,) = (await store.erasures.list()).items
    assert receipt.done_at is None
    assert await name_in(store, "s-2")  # the others are done


@pytest.mark.parametrize("noted", [True, False])
async def test_a_copy_beside_a_damaged_one_is_renamed(
    store: Store, archive_dir: Path, database_url: str, noted: bool
) -> None:
    await judged(store, "a", by="els")
    await judged(store, "b")
    await store.run_retention(older_than_s=0)
    (file,) = segment_files(archive_dir)
    damage(file, at=0.2)
    report = await store.archive.verify(deep=True)
    assert "b" not in {fault.session_id for fault in report.faults}
    if not noted:
        raw(database_url, "UPDATE archive_entries SET actors_noted = NULL")
        raw(database_url, "DELETE FROM archived_actors")

    receipt = await store.erase(user_id=JAN)

    assert receipt.renamed == {"archived_sessions": 1}
    assert len(receipt.segments_damaged) == 1
    assert await name_in(store, "b")


async def test_a_damaged_copy_of_before_is_told_and_stops_nobody(
    store: Store, archive_dir: Path, database_url: str
) -> None:
    await judged(store, "s-1", by="els")
    await store.run_retention(older_than_s=0)
    raw(database_url, "UPDATE archive_entries SET actors_noted = NULL")
    raw(database_url, "DELETE FROM archived_actors")
    (file,) = segment_files(archive_dir)
    damage(file, at=0.3)
    await judged(store, "live")

    receipt = await store.erase(user_id=JAN)

    assert receipt.done_at is not None
    assert receipt.segments_unread == (
        file.name.partition(".")[0].removeprefix("segment-"),
    )


async def test_joined_segments_remember_whom_they_name(
    open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    for number in range(3):
        await judged(store, f"s-{number}")
        await store.run_retention(older_than_s=0)
    assert (await store.archive.compact()).joined == 3

    await store.erase(user_id=JAN)

    assert "erase.actors_noted" not in hook.reached
    nowhere(database_url, archive_dir)
    sound(database_url, archive_dir)


async def test_what_a_session_without_copies_named_is_forgotten(
    store: Store, database_url: str
) -> None:
    await judged(store, "s-1")
    await store.run_retention(older_than_s=0)
    assert raw(database_url, "SELECT actor_id FROM archived_actors") != []

    await store.sessions.delete("s-1", archive=False)

    assert raw(database_url, "SELECT actor_id FROM archived_actors") == []


async def test_what_a_rater_holds_in_a_queue_goes_with_them(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    await say(store, "s-1", "Hoeveel?", "Drie.")
    await store.queues.put("taal")
    await say(store, "s-2", "Hoeveel?", "Vier.")
    given = await store.queues.next("taal", rater=JAN)
    assert given.item is not None
    await store.queues.release("taal", given.item.session.id, rater=JAN, skip=True)
    assert (await store.queues.next("taal", rater=JAN)).item is not None

    await store.erase(user_id=JAN)

    nowhere(database_url, archive_dir)
    # Nor what a name could be guessed by: the lease, what was skipped, the place.
    assert [i.key for i in (await store.items.list()).items] == ["taal"]


async def test_a_reader_of_changes_sees_that_an_archived_session_changed(
    store: Store, clock: ManualClock
) -> None:
    await judged(store, "s-1")
    await store.run_retention(older_than_s=0)
    clock.advance(DAY_S)
    since = clock.now()

    await store.erase(user_id=JAN)

    found = [d.session.id async for d in store.documents(updated_since=since)]
    assert found == ["s-1"]


SESSIONS, ACTS = 250, 1_200


async def test_many_acts_are_renamed_in_bounded_steps(
    open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    for number in range(SESSIONS):
        await store.sessions.get_or_create(f"s-{number:03}")
    acts = [{"action": "copy", "actor_id": JAN}] * ACTS
    await store.interactions.record_many(acts, session_id="s-007")
    await store.interactions.record_many(
        [acts[0] | {"session_id": f"s-{n:03}"} for n in range(SESSIONS)]
    )

    receipt = await store.erase(user_id=JAN)

    assert receipt.renamed == {"interactions": SESSIONS + ACTS}
    # At most 500 acts, and 100 sessions, a step.
    assert hook.reached.count("erase.renamed") == 5
    # What others write is given up once, however many steps there are.
    assert hook.reached.count("erase.cancelled") == 1
    nowhere(database_url, archive_dir)


@pytest.mark.parametrize("step", ["erase.tombstone_file", "erase.rewrite.published"])
async def test_a_hold_placed_on_an_archived_session_meanwhile_is_respected(
    open_another: OpenAnother,
    database_url: str,
    archive_dir: Path,
    step: str,
    elsewhere: Elsewhere,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    before = await judged(store, "s-1")
    await judged(store, "s-2")
    await judged(store, "theirs", owner=JAN)
    await store.run_retention(older_than_s=0)
    hold = lambda: elsewhere.ask(lambda s: s.holds.place("s-1", reason="zaak"), 60)  # noqa: E731
    hook.at(step, hold)

    with pytest.raises(LegalHoldError) as raised:
        await store.erase(user_id=JAN)
    await elsewhere.answers()

    assert raised.value.session_ids == ("s-1",)
    assert (await document(store, "s-1")).interactions == before.interactions
    # Those beside it in the segment are done.
    assert await name_in(store, "s-2")
    assert b'"theirs"' not in everything_under(archive_dir).replace(b'["theirs"]', b"")
    sound(database_url, archive_dir)
    await store.holds.release("s-1")
    await store.archive.recover(alone=True)
    nowhere(database_url, archive_dir)


async def test_a_missing_segment_is_told_once(store: Store, archive_dir: Path) -> None:
    for session_id in ("s-1", "s-2"):
        await judged(store, session_id)
        await store.run_retention(older_than_s=0)
    segment_files(archive_dir)[0].unlink()

    receipt = await store.erase(user_id=JAN)

    assert len(receipt.segments_missing) == 1
    assert receipt.renamed == {"archived_sessions": 1}


@pytest.mark.parametrize("step", ["erase.rewrite.swapped", "erase.rewrite.done"])
async def test_whoever_goes_on_counts_the_copies_of_before_too(
    open_another: OpenAnother, step: str
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    for number in range(3):
        await judged(store, f"s-{number}")
        await store.run_retention(older_than_s=0)
    await die_at(hook, step, store.erase(user_id=JAN))

    await store.archive.recover(alone=True)

    (receipt,) = (await store.erasures.list()).items
    assert receipt.renamed == {"archived_sessions": 3}


@pytest.mark.parametrize("step", ["erase.actors_noted", "erase.rewrite.published"])
async def test_of_a_session_that_is_erased_beside_it_nobody_is_noted_again(
    open_another: OpenAnother,
    database_url: str,
    archive_dir: Path,
    step: str,
    elsewhere: Elsewhere,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    for session_id in ("s-1", "s-2"):
        await judged(store, session_id)
    await store.run_retention(older_than_s=0)
    if step == "erase.actors_noted":
        raw(database_url, "UPDATE archive_entries SET actors_noted = NULL")
        raw(database_url, "DELETE FROM archived_actors")
    erase = lambda: elsewhere.ask(lambda s: s.erase(session_id="s-1"), 60)  # noqa: E731
    hook.at(step, erase)

    await store.erase(user_id=JAN)
    (receipt,) = await elsewhere.answers()

    assert isinstance(receipt, ErasureReceipt), receipt
    noted = raw(database_url, "SELECT session_id, actor_id FROM archived_actors")
    assert {session_id for session_id, _ in noted} == {"s-2"}
    nowhere(database_url, archive_dir)
    sound(database_url, archive_dir)


async def test_what_is_dated_ahead_was_done_before_the_erasure(
    open_another: OpenAnother,
    clock: ManualClock,
    database_url: str,
    archive_dir: Path,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    ahead = clock.now() + timedelta(hours=1)
    await store.sessions.get_or_create("s-1", user_id="owner")
    await store.interactions.record(
        "s-1", action="copy", actor_id=JAN, created_at=ahead
    )
    await die_at(hook, "erase.begin", store.erase(user_id=JAN))
    await die_at(hook, "erase.rename", store.erase(user_id=JAN))

    await store.archive.recover(alone=True)

    nowhere(database_url, archive_dir)


async def test_segments_that_nobody_looked_through_are_told_while_the_archive_is_away(
    store: Store, database_url: str, archive_dir: Path, tmp_path: Path
) -> None:
    await judged(store, "s-1")
    await store.run_retention(older_than_s=0)
    raw(database_url, "UPDATE archive_entries SET actors_noted = NULL")
    raw(database_url, "DELETE FROM archived_actors")
    archive_dir.rename(tmp_path / "away")  # noqa: ASYNC240

    receipt = await store.erase(user_id=JAN)

    assert receipt.waits_for == "archive_away"
    assert len(receipt.segments_unread) == 1
    (tmp_path / "away").rename(archive_dir)
    await store.archive.recover(alone=True)
    nowhere(database_url, archive_dir)
    (receipt,) = (await store.erasures.list()).items
    assert receipt.segments_unread == ()
    assert receipt.renamed == {"archived_sessions": 1}


async def test_segments_that_are_joined_while_they_are_looked_through_are_found(
    open_another: OpenAnother,
    database_url: str,
    archive_dir: Path,
    elsewhere: Elsewhere,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    for number in range(3):
        await judged(store, f"s-{number}")
        await store.run_retention(older_than_s=0)

    def join() -> None:
        hook.at("erase.actors_noted", compact)
        raw(database_url, "UPDATE archive_entries SET actors_noted = NULL")
        raw(database_url, "DELETE FROM archived_actors")

    compact = lambda: elsewhere.ask(lambda s: s.archive.compact(), 60)  # noqa: E731
    # What was looked through before it was begun is of a ledger made anew.
    hook.at("erase.tombstone_file", join)

    await store.erase(user_id=JAN)
    (report,) = await elsewhere.answers()

    assert report.joined >= 2
    nowhere(database_url, archive_dir)


async def test_whoever_goes_on_gives_up_what_was_being_written(
    open_another: OpenAnother,
    clock: ManualClock,
    database_url: str,
    archive_dir: Path,
) -> None:
    hook, of_other = Steps(), Steps()
    store = await open_another(on_step=hook)
    await judged(store, "s-1")
    config = StoreConfig(url=database_url, archive_dir=archive_dir)
    elsewhere = Elsewhere(config, clock, of_other)

    async def die_and_go_on(other: Store) -> None:
        await die_at(of_other, "erase.renamed", other.erase(user_id=JAN))
        await other.archive.recover()

    try:
        # The run has read the rows, and has not sealed the segment that it writes.
        hook.at("read.end", lambda: elsewhere.ask(die_and_go_on, 60))

        await store.run_retention(older_than_s=0)
        (died,) = await elsewhere.answers()
    finally:
        elsewhere.close()

    assert not isinstance(died, BaseException), died
    (receipt,) = (await store.erasures.list()).items
    assert receipt.done_at is not None
    await store.archive.recover(alone=True)
    nowhere(database_url, archive_dir)


async def test_what_somebody_does_after_their_erasure_keeps_their_name(
    store: Store, clock: ManualClock, database_url: str
) -> None:
    for session_id in ("live", "archived"):
        await judged(store, session_id)
    await store.erase(user_id=JAN)
    clock.advance(1)
    for session_id in ("live", "archived"):
        await store.interactions.record(session_id, action="copy", actor_id=JAN)
        await store.holds.place(session_id, reason="zaak", actor_id=JAN)
        await store.holds.release(session_id, actor_id=JAN)
    await store.run_retention(older_than_s=0)
    await store.restore("live")
    clock.advance(1)

    (receipt,) = await store.replay_erasures()

    assert (receipt.done_at is not None, receipt.renamed) == (True, {})
    assert await states(store) == {"live": "active", "archived": "archived"}
    for session_id in ("live", "archived"):
        found = await document(store, session_id)
        named = [act.actor_id for act in found.interactions]
        assert named == [named[0], "piet", named[0], JAN]
        (hold,) = found.holds
        assert (hold.placed_by, hold.released_by) == (JAN, JAN)
    noted = raw(database_url, "SELECT session_id, actor_id FROM archived_actors")
    assert ("archived", JAN) in noted


async def test_nothing_of_another_tenant_is_looked_at_or_changed(
    store: Store, database_url: str
) -> None:
    other = store.for_tenant("other")
    for session_id in ("archived", "theirs alone"):
        await judged(other, session_id)
    await judged(store, "archived")
    await store.run_retention(older_than_s=0)
    await judged(other, "only theirs")
    # Under hold here for somebody else, and there with what JAN did.
    await judged(store, "held", by="els")
    await judged(other, "held")
    for tenant in (store, other):
        await tenant.holds.place("held", reason="zaak", actor_id="jurist")
    before = [d async for d in other.documents()]

    receipt = await store.erase(user_id=JAN)

    assert receipt.renamed == {"archived_sessions": 1}
    assert len(receipt.segments_rewritten) == 1
    assert [d async for d in other.documents()] == before
    noted = raw(
        database_url,
        "SELECT session_id FROM archived_actors"
        f" WHERE tenant_id = 'other' AND actor_id = '{JAN}'",
    )
    assert sorted(noted) == [("archived",), ("theirs alone",)]


async def test_a_warm_session_is_the_one_after_the_erasure(
    open_another: OpenAnother,
) -> None:
    store = await open_another(cache=CachePolicy("memory", staleness_s=3_600))
    await judged(store, "archived")
    await store.run_retention(older_than_s=0)
    await judged(store, "live")
    before = {s: await store.sessions.get(s) for s in ("live", "archived")}

    await store.erase(user_id=JAN)

    for session_id, session in before.items():
        assert (await store.sessions.get(session_id)).version > session.version


async def test_a_segment_that_comes_back_is_looked_through(
    store: Store, database_url: str, archive_dir: Path, tmp_path: Path
) -> None:
    await judged(store, "s-1")
    await store.run_retention(older_than_s=0)
    (file,) = segment_files(archive_dir)
    file.rename(tmp_path / "lost")
    receipt = await store.erase(user_id=JAN)
    assert len(receipt.segments_missing) == 1
    (tmp_path / "lost").rename(file)

    await store.replay_erasures()

    nowhere(database_url, archive_dir)
    assert await name_in(store, "s-1")
