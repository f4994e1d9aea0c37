"""An archived session comes back equal, once, and only to its tenant."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from convstore import Store
from convstore.archive.restorer import Restorer
from convstore.db.batch import run_batch
from convstore.db.codec.inputs import TurnInput, encode_turn
from convstore.db.ledger import ChangeLedger
from convstore.db.lifecycle import RestoreSession
from convstore.db.turns import AppendTurns
from convstore.errors import (
    SegmentCorruptError,
    SessionNotFoundError,
)
from convstore.vocabulary.clock import ManualClock
from convstore.vocabulary.limits import Limits
from tests.integration.archives import (
    OpenAnother,
    Steps,
    archived,
    damage,
    document,
    fill,
    segment_files,
    sound,
    timeless,
)
from tests.integration.conversations import contents, everything


async def test_a_restored_session_equals_the_archived_one_field_for_field(
    store: Store, clock: ManualClock, database_url: str, archive_dir: Path
) -> None:
    await fill(store, "s-1")
    live, said = await document(store, "s-1"), await everything(store, "s-1")
    clock.advance(5)
    await store.run_retention(older_than_s=0)
    in_archive = await document(store, "s-1")
    read = await store.archive.read("s-1")
    clock.advance(5)

    session = await store.restore("s-1")

    back = await document(store, "s-1")
    assert in_archive == read == live
    assert timeless(back) == timeless(live)
    assert (await everything(store, "s-1"))[1:] == said[1:]
    assert back.session == session
    # What a restore changes: two versions more, and the user was here.
    assert session.version == live.session.version + 2
    assert session.last_activity_at == clock.now()
    sound(database_url, archive_dir)


async def test_an_append_in_the_batch_of_a_restore_finds_the_turns_that_came_back(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    """Its external id is looked up for the whole batch, before they are there."""
    await store.sessions.get_or_create("s-1")
    said = TurnInput(role="user", content="Hallo?", external_id="m-1")
    await store.turns.append("s-1", role="user", content="Hallo?", external_id="m-1")
    await store.run_retention(older_than_s=0)
    context, key = store._parts.archive.context, ("default", "s-1")
    found = await Restorer(context).copy(store._scope.runner, key)
    assert found is not None
    row, _, _ = encode_turn(Limits(), said, context.now())

    outcomes = await context.write(
        lambda c: run_batch(
            c,
            [
                RestoreSession(key, found.content, found.segment_id, context.now()),
                AppendTurns(key, [row], {}, 10, context.now()),
            ],
        )
    )

    (turn,) = outcomes[1].value.turns
    assert turn.seq == 1
    assert await contents(store, "s-1") == ["Hallo?"]
    sound(database_url, archive_dir)


async def test_many_cycles_change_nothing(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    await fill(store, "s-1")
    live = await document(store, "s-1")

    for _ in range(4):
        assert (await store.run_retention(older_than_s=0)).purged == 1
        await store.restore("s-1")

    assert timeless(await document(store, "s-1")) == timeless(live)
    sound(database_url, archive_dir)


async def test_the_ledger_comes_back(store: Store) -> None:
    await fill(store, "s-1")
    await store.ledger.pin("s-1", model="m-large", tier="gold")
    await store.ledger.add_cost("s-1", micros=42)
    live = await document(store, "s-1")
    await store.run_retention(older_than_s=0)

    await store.restore("s-1")

    assert live.ledger is not None
    assert (await document(store, "s-1")).ledger == live.ledger


async def test_a_change_of_the_ledger_in_the_batch_of_a_restore_finds_the_entry(
    store: Store,
) -> None:
    """The entries of a batch are read together, before this one is back."""
    await store.sessions.get_or_create("s-1")
    await store.ledger.pin("s-1", model="m-large")
    await store.run_retention(older_than_s=0)
    context, key = store._parts.archive.context, ("default", "s-1")
    found = await Restorer(context).copy(store._scope.runner, key)
    assert found is not None

    _, changed = await context.write(
        lambda c: run_batch(
            c,
            [
                RestoreSession(key, found.content, found.segment_id, context.now()),
                ChangeLedger(
                    key,
                    lambda entry: entry and replace(entry, strikes=entry.strikes + 1),
                    context.now(),
                ),
            ],
        )
    )

    assert changed.error is None
    assert (changed.value.model, changed.value.strikes) == ("m-large", 1)
    assert await store.ledger.get("s-1") == changed.value


async def test_restoring_a_live_session_gives_it_as_it_is(store: Store) -> None:
    await archived(store, "s-1")

    first = await store.restore("s-1")
    second = await store.restore("s-1")

    assert first == second


async def test_fifty_restores_at_once_give_one(
    store: Store, open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    another = await open_another()
    await archived(store, "s-1")

    restored = await asyncio.gather(
        *((store, another)[i % 2].restore("s-1") for i in range(50))
    )

    assert len({session.version for session in restored}) == 1
    sound(database_url, archive_dir)


async def test_restores_that_wait_together_share_their_commits(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    names = [f"s-{number}" for number in range(12)]
    await archived(store, *names)
    live = [await document(store, name) for name in names]
    before = store.commit_stats()

    restored = await asyncio.gather(*(store.restore(name) for name in names * 2))

    made = store.commit_stats().commits - before.commits
    assert [session.id for session in restored] == names * 2
    assert made < len(names)
    for name, was in zip(names, live, strict=True):
        assert timeless(await document(store, name)) == timeless(was)
    sound(database_url, archive_dir)


async def test_writes_that_wait_with_a_restore_find_all_that_came_back(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    """All of them are in one transaction, where the rows are gathered at first."""
    names = [f"s-{number}" for number in range(6)]
    said = {"role": "user", "content": "Hallo?", "external_id": "m-9"}
    for name in names:
        await fill(store, name)
        await store.turns.append(name, **said)
    await store.run_retention(older_than_s=0)

    async def return_and_go_on(name: str) -> tuple[int, int, int]:
        _, turn, act, graph = await asyncio.gather(
            store.restore(name),
            store.turns.append(name, **said),
            store.interactions.record(name, action="copy", turn_seq=3),
            store.graph_states.put(name, [2], namespace="plan", expected_version=1),
        )
        return turn.seq, act.seq, graph.version

    told = await asyncio.gather(*(return_and_go_on(name) for name in names))

    assert set(told) == {(4, 4, 2)}
    sound(database_url, archive_dir)


async def test_a_session_is_restored_by_whoever_writes_to_it(store: Store) -> None:
    await archived(store, "s-1", "s-2", "s-3", "s-4", "s-5")

    _, created = await store.sessions.get_or_create("s-1")
    turn = await store.turns.append("s-2", role="user", content="back")
    act = await store.interactions.record("s-3", action="copy")
    graph = await store.graph_states.put("s-4", {"n": 1})
    async with store.transaction() as tx:
        inside = await tx.turns.append("s-5", role="user", content="back")

    assert not created
    assert (turn.seq, act.seq, graph.version, inside.seq) == (4, 4, 3, 4)
    for number in range(1, 6):
        assert (await store.sessions.get(f"s-{number}")).state == "active"


async def test_a_transaction_that_fails_leaves_the_session_archived(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    await archived(store, "s-1")
    live = await document(store, "s-1")

    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with store.transaction() as tx:
            await tx.turns.append("s-1", role="user", content="back")
            raise ZeroDivisionError

    assert (await store.sessions.get("s-1")).state == "archived"
    assert await document(store, "s-1") == live
    sound(database_url, archive_dir)


async def test_reads_restore_only_where_the_settings_say_so(
    store: Store, open_another: OpenAnother
) -> None:
    reading = await open_another(restore_on_read=True)
    await archived(store, "s-1")
    through = await contents(store, "s-1")
    assert (await store.sessions.get("s-1")).state == "archived"

    said = await contents(reading, "s-1")

    assert said == through
    assert (await store.sessions.get("s-1")).state == "active"


async def test_another_tenant_neither_reads_nor_restores_it(store: Store) -> None:
    other = store.for_tenant("acme")
    await archived(store, "s-1")

    for call in (other.restore, other.archive.read):
        with pytest.raises(SessionNotFoundError):
            await call("s-1")
    _, created = await other.sessions.get_or_create("s-1")

    assert created
    assert (await store.sessions.get("s-1")).state == "archived"
    (document,) = [d async for d in other.documents()]
    assert document.turns == ()


async def test_another_user_does_not_restore_it(store: Store) -> None:
    await archived(store, "s-1")

    with pytest.raises(SessionNotFoundError):
        await store.conversation("s-1", user_id="u-2").append(role="user", content="x")

    assert (await store.sessions.get("s-1")).state == "archived"


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove", "empty"])
async def test_a_damaged_file_is_an_error_and_never_an_empty_session(
    store: Store, archive_dir: Path, harm: str
) -> None:
    await archived(store, "s-1")
    (path,) = segment_files(archive_dir)
    if harm == "flip":
        damage(path)
    elif harm == "remove":
        path.unlink()
    else:
        path.write_bytes(b"" if harm == "empty" else path.read_bytes()[:-9])

    for call in (
        store.restore("s-1"),
        store.archive.read("s-1"),
        store.sessions.get_or_create("s-1"),
        store.turns.append("s-1", role="user", content="x"),
    ):
        with pytest.raises(SegmentCorruptError):
            await call

    assert (await store.sessions.get("s-1")).state == "archived"
    assert (await store.stats()).quarantined_segments == 1


async def test_the_good_sessions_of_a_damaged_segment_still_come_back(
    store: Store, archive_dir: Path
) -> None:
    await archived(store, "s-1", "s-2", "s-3")
    (path,) = segment_files(archive_dir)
    damage(path, at=0.5)

    told = await asyncio.gather(
        *(store.restore(name) for name in ("s-1", "s-2", "s-3")),
        return_exceptions=True,
    )

    assert [getattr(session, "state", None) for session in told] == [
        "active",
        None,
        "active",
    ]
    assert isinstance(told[1], SegmentCorruptError)
    assert told[1].session_ids == ("s-2",)


async def test_a_purge_between_reading_the_file_and_the_rows_does_no_harm(
    open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    hook = Steps()
    store, another = await open_another(on_step=hook), await open_another()
    await archived(another, "s-1")
    live = await document(store, "s-1")
    tasks: list[asyncio.Task[object]] = []
    loop = asyncio.get_running_loop()

    async def come_and_go() -> None:
        await another.restore("s-1")
        await another.run_retention(older_than_s=0)

    hook.at("restore.read_entry", lambda: tasks.append(loop.create_task(come_and_go())))

    session = await store.restore("s-1")

    await asyncio.gather(*tasks)
    assert session.state == "active"
    assert timeless(await document(store, "s-1")) == timeless(live)
    sound(database_url, archive_dir)


async def test_without_the_guard_of_restore_two_restores_collide(
    store: Store, open_another: OpenAnother, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test is tested: with the guard taken out, something turns red."""
    apply = RestoreSession.apply

    def unguarded(self: RestoreSession, unit: object) -> object:
        head = unit.find(self.key)  # type: ignore[attr-defined]
        head.row.update(state="archived", segment_id=self.segment_id)
        return apply(self, unit)  # type: ignore[arg-type]

    await archived(store, "s-1")
    found = await store._parts.archive.restorer.copy(
        store._scope.runner, ("default", "s-1")
    )
    assert found is not None
    await store.restore("s-1")
    again = RestoreSession(("default", "s-1"), found.content, found.segment_id, 0)
    guarded = await store._scope.write(again)
    monkeypatch.setattr(RestoreSession, "apply", unguarded)

    assert guarded.state == "active"
    with pytest.raises(Exception, match=r"(?i)unique|duplicate|integrity|constraint"):
        await store._scope.write(again)
