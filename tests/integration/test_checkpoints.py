"""Checkpoints: stored once, whole with their session, and gone when they were ended."""

from __future__ import annotations

import asyncio
import random
import string
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from convstore import (
    Checkpoint,
    CheckpointInput,
    CheckpointNotFoundError,
    CheckpointsEndedError,
    CheckpointValue,
    CheckpointWrite,
    ConflictError,
    InvalidInputError,
    ManualClock,
    SessionDeletedError,
    SessionErasedError,
    SessionNotFoundError,
    Store,
    VersionConflictError,
    open_store,
)
from convstore.db import checkpoint_reads
from convstore.store.repositories import Repositories
from tests.integration.archives import DAY_S
from tests.integration.sent_statements import counting

BODY = CheckpointValue("msgpack", b"\x80\x00\xff")


def value(text: str) -> CheckpointValue:
    return CheckpointValue("text", text.encode())


def large(seed: str, size: int = 1_000) -> CheckpointValue:
    luck = random.Random(seed)
    return value("".join(luck.choices(string.ascii_letters, k=size)))


def elements(*texts: str) -> list[CheckpointValue]:
    return [value(text) for text in texts]


async def put(
    store: Repositories,
    number: int | str,
    *items: str,
    session: str = "s-1",
    **more: Any,
) -> None:
    parent = more.pop("parent", None)
    await store.checkpoints.put(
        session,
        f"c-{number:>04}",
        body=BODY,
        lists={"messages": elements(*items)},
        parent_id=None if parent is None else f"c-{parent:>04}",
        create=True,
        **more,
    )


async def said(
    store: Repositories, number: int | str, session: str = "s-1"
) -> list[str]:
    found = await store.checkpoints.get(session, f"c-{number:>04}")
    return [element.data.decode() for element in found.lists["messages"]]


async def rows_of(store: Store, table: str) -> int:
    from sqlalchemy import func, select

    from convstore.db import models

    counted = select(func.count()).select_from(models.metadata.tables[table])
    return int(
        await store._parts.backend.read(lambda c: c.execute(counted).scalar_one())
    )


async def test_a_checkpoint_comes_back_as_it_was_put(
    store: Store, clock: ManualClock
) -> None:
    await store.checkpoints.put(
        "s-1",
        "c-1",
        body=BODY,
        values={"small": value("x"), "large": large("l"), "empty": value("")},
        lists={"messages": elements("a", "b"), "none": []},
        namespace="child:1|grandchild:2",
        parent_id="c-0",
        run_id="r-1",
        metadata={"step": 1, "parents": {"": "c-0"}},
        create=True,
    )
    writes = [
        CheckpointWrite("t-2", 0, "x", value("1"), "~a"),
        CheckpointWrite("t-1", -1, "error", value("2"), "~b"),
        CheckpointWrite("t-1", 0, "x", large("w"), "~a"),
    ]
    await store.checkpoints.put_writes(
        "s-1", "c-1", writes, namespace="child:1|grandchild:2"
    )

    found = await store.checkpoints.get("s-1", "c-1", namespace="child:1|grandchild:2")

    assert found == Checkpoint(
        "s-1",
        "child:1|grandchild:2",
        "c-1",
        "c-0",
        "r-1",
        {"step": 1, "parents": {"": "c-0"}},
        BODY,
        {"small": value("x"), "large": large("l"), "empty": value("")},
        {"messages": tuple(elements("a", "b")), "none": ()},
        (writes[2], writes[0], writes[1]),
        clock.now(),
    )


async def test_the_latest_is_the_one_with_the_greatest_id(store: Store) -> None:
    for number in (2, 3, 1):
        await put(store, number, str(number))
    await put(store, 9, "elsewhere", namespace="child")

    latest = await store.checkpoints.get("s-1")

    assert latest.checkpoint_id == "c-0003"
    assert await store.checkpoints.find("s-1", "c-0009") is None
    with pytest.raises(CheckpointNotFoundError):
        await store.checkpoints.get("s-1", namespace="nowhere")
    with pytest.raises(SessionNotFoundError):
        await store.checkpoints.get("absent")


async def test_a_put_creates_the_session_only_where_it_is_asked_to(
    store: Store,
) -> None:
    with pytest.raises(SessionNotFoundError):
        await store.checkpoints.put("s-1", "c-1", body=BODY)
    with pytest.raises(SessionNotFoundError):
        await store.checkpoints.put_writes(
            "s-1", "c-1", [CheckpointWrite("t", 0, "x", value("1"))]
        )

    await store.checkpoints.put_writes(
        "s-1", "c-1", [CheckpointWrite("t", 0, "x", value("1"))], create=True
    )
    await store.checkpoints.put("s-1", "c-1", body=BODY)

    assert len((await store.checkpoints.get("s-1")).writes) == 1


async def test_a_write_raises_the_version_and_is_activity(
    store: Store, clock: ManualClock
) -> None:
    before, _ = await store.sessions.get_or_create("s-1")
    clock.advance(60)

    await put(store, 1, "a")

    after = await store.sessions.get("s-1")
    assert after.version == before.version + 1
    assert after.last_activity_at > before.last_activity_at


async def test_a_user_who_writes_first_owns_the_session(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    ann = store.conversation("s-1", user_id="ann")

    await ann.put_checkpoint("c-1", body=BODY)

    assert (await store.sessions.get("s-1")).user_id == "ann"
    assert await ann.checkpoint("c-1") is not None
    bob = store.conversation("s-1", user_id="bob")
    with pytest.raises(SessionNotFoundError):
        await bob.put_checkpoint("c-2", body=BODY)
    with pytest.raises(SessionNotFoundError):
        await bob.checkpoint("c-1")


async def test_a_tenant_sees_no_others(store: Store) -> None:
    await put(store, 1, "a")
    acme = store.for_tenant("acme")
    await put(acme, 2, "b")

    assert [c.checkpoint_id for c in (await acme.checkpoints.list()).items] == [
        "c-0002"
    ]
    assert await acme.checkpoints.find("s-1", "c-0001") is None


# What is stored once


async def test_a_value_that_did_not_change_is_stored_once(store: Store) -> None:
    for number in range(20):
        await store.checkpoints.put(
            "s-1",
            f"c-{number:02}",
            body=BODY,
            values={"same": large("same"), "own": large(str(number))},
            create=True,
        )

    assert await rows_of(store, "checkpoint_values") == 21
    found = await store.checkpoints.get("s-1", "c-07")
    assert found.values == {"same": large("same"), "own": large("7")}


async def test_a_list_that_grows_stores_what_is_new(store: Store) -> None:
    items: list[str] = []
    for number in range(50):
        items.append(f"m-{number}")
        await put(store, number, *items, parent=number - 1 if number else None)

    assert await rows_of(store, "checkpoint_logs") == 50
    assert await said(store, 17) == items[:18]
    assert await said(store, 49) == items


async def test_a_change_in_the_middle_shares_the_beginning(store: Store) -> None:
    await put(store, 1, "a", "b", "c", "d")
    await put(store, 2, "a", "b", "X", "d", parent=1)
    await put(store, 3, "a", "b", "X", "d", "e", parent=2)
    await put(store, 4, "a", "b", "X", parent=3)
    await put(store, 5, "Y", parent=4)
    await put(store, 6, parent=5)

    assert await rows_of(store, "checkpoint_logs") == 4 + 2 + 1 + 0 + 1
    assert await said(store, 1) == ["a", "b", "c", "d"]
    assert await said(store, 3) == ["a", "b", "X", "d", "e"]
    assert await said(store, 4) == ["a", "b", "X"]
    assert await said(store, 5) == ["Y"]
    assert await said(store, 6) == []


async def test_branches_of_one_log_do_not_write_over_each_other(store: Store) -> None:
    await put(store, 0, "a")

    await asyncio.gather(*(put(store, n, "a", f"b-{n}", parent=0) for n in range(1, 9)))

    for number in range(1, 9):
        assert await said(store, number) == ["a", f"b-{number}"]
    assert await rows_of(store, "checkpoint_logs") == 1 + 8


async def test_any_history_of_a_list_reads_back(store: Store) -> None:
    luck = random.Random(7)
    versions: list[list[str]] = []
    for number in range(120):
        parent = luck.randrange(number) if number else None
        items = list(versions[parent]) if parent is not None else []
        for _ in range(luck.randint(0, 3)):
            act, place = luck.random(), luck.randint(0, len(items))
            if act < 0.6:
                items.append(luck.choice("xyz"))
            elif act < 0.8:
                del items[place:]
            elif items:
                items[min(place, len(items) - 1)] = luck.choice("uvw")
        versions.append(items)
        await put(store, number, *items, parent=parent)
        if number % 40 == 39:
            kept = [("", f"c-{n:>04}") for n in range(number + 1)]
            await store.checkpoints.prune("s-1", keep=0, also=kept)

    for number, items in enumerate(versions):
        assert await said(store, number) == items


async def test_a_list_that_is_changed_often_is_written_whole_again(
    store: Store,
) -> None:
    items = [str(n) for n in range(100)]
    for number in range(100):
        items = [*items[: 99 - number // 2 - 1], f"x-{number}"]
        await put(store, number, *items, parent=number - 1 if number else None)

    assert await said(store, 99) == items


async def test_two_hundred_turns_of_a_kilobyte_are_under_two_megabytes(
    sqlite_url: str,
) -> None:
    from pathlib import Path

    from convstore import open_store

    path = Path(sqlite_url.removeprefix("sqlite:///"))
    async with open_store(sqlite_url) as store:
        items: list[CheckpointValue] = []
        for number in range(400):  # a step for what is asked, one for the answer
            items.append(large(str(number), 500))
            await store.checkpoints.put(
                "s-1",
                f"{number:036}",
                parent_id=f"{number - 1:036}" if number else None,
                body=CheckpointValue("msgpack", large(f"b{number}", 900).data),
                lists={"messages": items},
                metadata={"source": "loop", "step": number, "parents": {}},
                create=True,
            )
        await store.maintain()

    sizes = [p.stat().st_size for p in path.parent.glob(f"{path.name}*")]
    assert sum(sizes) < 2_000_000


# Writes


async def test_writes_that_are_there_are_left_alone_unless_replaced(
    store: Store,
) -> None:
    await put(store, 1, "a")
    first = CheckpointWrite("t", 0, "x", value("first"))
    second = CheckpointWrite("t", 0, "x", value("second"))
    await store.checkpoints.put_writes("s-1", "c-0001", [first])

    await store.checkpoints.put_writes("s-1", "c-0001", [second])
    left = (await store.checkpoints.get("s-1")).writes
    await store.checkpoints.put_writes("s-1", "c-0001", [second], replace=True)

    assert left == (first,)
    assert (await store.checkpoints.get("s-1")).writes == (second,)


async def test_a_checkpoint_that_is_put_again_is_replaced(store: Store) -> None:
    await put(store, 1, "a", metadata={"step": 1})
    await put(store, 1, "a", "b", metadata={"step": 2})

    found = await store.checkpoints.get("s-1")

    assert found.metadata == {"step": 2}
    assert await said(store, 1) == ["a", "b"]


# Lists of checkpoints


async def test_pages_go_over_all_sessions_newest_first(store: Store) -> None:
    for number in range(1, 13):
        await put(
            store, number, session=f"s-{number % 3}", namespace="n" * (number % 2)
        )
    seen: list[str] = []
    cursor = None
    while True:
        page = await store.checkpoints.list(limit=5, cursor=cursor)
        seen += [c.checkpoint_id for c in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    of_one = await store.checkpoints.list("s-0", namespace="", before="c-0012")

    assert seen == [f"c-{n:>04}" for n in range(12, 0, -1)]
    assert [c.checkpoint_id for c in of_one.items] == ["c-0006"]


async def test_a_filter_compares_values_of_metadata(store: Store) -> None:
    kinds: list[Any] = [1, 1.0, True, "1", None, [1], {"a": 1}]
    for number, kind in enumerate(kinds):
        await put(store, number, metadata={"kind": kind, "run": "r"})
    await put(store, 8, metadata={})

    for number, kind in enumerate(kinds[2:], 2):
        page = await store.checkpoints.list(metadata={"kind": kind, "run": "r"})
        assert [c.checkpoint_id for c in page.items] == [f"c-{number:>04}"]
        assert page.complete
    ones = await store.checkpoints.list("s-1", metadata={"kind": 1})
    assert len(ones.items) == 2
    assert not (await store.checkpoints.list(metadata={"kind": 2})).items


async def test_what_one_run_made_is_found(store: Store) -> None:
    await put(store, 1, run_id="r-1")
    await put(store, 2, run_id="r-2", session="s-2")
    await put(store, 3, run_id="r-1", session="s-2")

    page = await store.checkpoints.list(run_id="r-1")

    assert [c.checkpoint_id for c in page.items] == ["c-0003", "c-0001"]


# What goes


async def test_pruning_keeps_the_newest_of_each_graph_and_collects_the_rest(
    store: Store,
) -> None:
    for number in range(1, 9):
        await put(
            store,
            number,
            *(f"m-{n}" for n in range(number)),
            parent=number - 1,
            values={"v": large(str(number))},
        )
    await put(store, 20, "x", namespace="child")
    await store.checkpoints.put_writes(
        "s-1", "c-0002", [CheckpointWrite("t", 0, "x", value("1"))]
    )

    gone = await store.checkpoints.prune("s-1", keep=2, also=[("", "c-0003")])

    assert gone == 5
    left = (await store.checkpoints.list("s-1")).items
    assert [c.checkpoint_id for c in left] == ["c-0020", "c-0008", "c-0007", "c-0003"]
    assert await rows_of(store, "checkpoint_values") == 3
    assert await rows_of(store, "checkpoint_writes") == 0
    assert await said(store, 3) == ["m-0", "m-1", "m-2"]
    assert await store.checkpoints.delete("s-1", [("", "c-0008"), ("", "no")]) == 1
    assert await rows_of(store, "checkpoint_logs") == 7 + 1


async def test_what_was_ended_is_not_brought_back_by_a_late_write(
    store: Store,
) -> None:
    await put(store, 1, "a")
    await put(store, 2, "a", "b", parent=1)

    assert await store.checkpoints.end("s-1", through="c-0005") == 2

    with pytest.raises(CheckpointsEndedError):
        await put(store, 9, "a", parent=2)
    with pytest.raises(CheckpointsEndedError):
        await put(store, 3, "a")
    with pytest.raises(CheckpointsEndedError):
        await store.checkpoints.put_writes(
            "s-1", "c-0002", [CheckpointWrite("t", 0, "x", value("1"))]
        )
    assert await store.checkpoints.find("s-1") is None
    assert await rows_of(store, "checkpoint_logs") == 0
    await put(store, 6, "anew")
    assert await said(store, 6) == ["anew"]
    assert await store.checkpoints.end("s-1", through="c-0001") == 1
    with pytest.raises(CheckpointsEndedError):  # an end never moves back
        await put(store, 4, "a")


async def test_a_copy_has_all_and_goes_its_own_way(store: Store) -> None:
    await put(store, 1, "a", values={"v": large("v")}, metadata={"step": 1})
    await put(store, 2, "a", "b", parent=1)
    await store.checkpoints.put_writes(
        "s-1", "c-0002", [CheckpointWrite("t", 0, "x", value("1"))]
    )

    assert await store.checkpoints.copy("s-1", "s-2") == 2
    await put(store, 3, "a", "b", "c", parent=2, session="s-2")

    assert await said(store, 3, "s-2") == ["a", "b", "c"]
    assert await said(store, 2) == ["a", "b"]
    first, second = [
        await store.checkpoints.get(sid, "c-0002") for sid in ("s-1", "s-2")
    ]
    assert (first.lists, first.writes, first.body) == (
        second.lists,
        second.writes,
        second.body,
    )
    with pytest.raises(SessionNotFoundError):
        await store.checkpoints.copy("absent", "s-3")


# The life of the session


async def fill(store: Repositories) -> list[Checkpoint]:
    await put(store, 1, "a", "b", values={"v": large("v"), "w": value("w")})
    await put(store, 2, "a", "c", parent=1, run_id="r", metadata={"n": None})
    await store.checkpoints.put(
        "s-1", "c-9", body=value("text"), lists={"l": [BODY]}, namespace="child|é"
    )
    await store.checkpoints.put_writes(
        "s-1", "c-0002", [CheckpointWrite("t", -1, "x", BODY, "~p")]
    )
    return list((await store.checkpoints.list("s-1")).items)


async def test_an_archived_session_has_its_checkpoints_and_gets_them_back(
    store: Store, clock: ManualClock
) -> None:
    before = await fill(store)
    clock.advance(10 * DAY_S)
    report = await store.run_retention()
    assert report.purged == 1
    for table in ("checkpoints", "checkpoint_values", "checkpoint_logs"):
        assert await rows_of(store, table) == 0

    read_through = list((await store.checkpoints.list("s-1")).items)
    assert (await store.sessions.get("s-1")).state == "archived"
    await put(store, 3, "a", "c", "d", parent=2)

    assert read_through == before
    after = (await store.checkpoints.list("s-1")).items
    assert [c for c in after if c.checkpoint_id != "c-0003"] == before
    assert await said(store, 3) == ["a", "c", "d"]


async def test_an_end_survives_the_archive(store: Store, clock: ManualClock) -> None:
    await put(store, 1, "a")
    await store.checkpoints.end("s-1", through="c-0005")
    clock.advance(10 * DAY_S)
    assert (await store.run_retention()).purged == 1

    with pytest.raises(CheckpointsEndedError):
        await put(store, 2, "a", parent=1)


async def test_a_session_comes_back_from_the_folder_alone(
    store: Store,
    clock: ManualClock,
    open_another: Any,
    new_database: Callable[[str], str],
) -> None:
    before = await fill(store)
    clock.advance(10 * DAY_S)
    await store.run_retention()
    fresh = await open_another(url=new_database("sqlite"))

    await fresh.archive.rebuild()

    assert list((await fresh.checkpoints.list("s-1")).items) == before
    await fresh.restore("s-1")
    assert list((await fresh.checkpoints.list("s-1")).items) == before


@pytest.mark.parametrize("archived", [False, True], ids=["live", "archived"])
async def test_an_erasure_leaves_nothing_of_them(
    store: Store, clock: ManualClock, archived: bool
) -> None:
    await fill(store)
    if archived:
        clock.advance(10 * DAY_S)
        assert (await store.run_retention()).purged == 1

    await store.erase(session_id="s-1")

    for table in ("checkpoints", "checkpoint_values", "checkpoint_logs"):
        assert await rows_of(store, table) == 0
    assert await rows_of(store, "checkpoint_writes") == 0
    with pytest.raises(SessionErasedError):
        await put(store, 3, "a")


# What is refused


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("body", {"body": b"x"}),
        ("body.data", {"body": CheckpointValue("t", "text")}),  # type: ignore[arg-type]
        ("body.type", {"body": CheckpointValue("", b"x")}),
        ("values.data", {"values": {"v": CheckpointValue("t", bytes(2_000_001))}}),
        ("lists.data", {"lists": {"v": [CheckpointValue("t", bytes(2_000_001))]}}),
        ("lists", {"values": {"v": BODY}, "lists": {"v": [BODY]}}),
        ("channel", {"values": {"v\0": BODY}}),
        ("namespace", {"namespace": "é" * 600}),
        ("parent_id", {"parent_id": ""}),
        ("metadata", {"metadata": {"a": float("nan")}}),
    ],
)
async def test_what_cannot_be_stored_is_refused_by_its_field(
    open_another: Any, field: str, given: dict[str, Any]
) -> None:
    from convstore import Limits

    store = await open_another(limits=Limits(max_checkpoint_bytes=2_000_000))
    await store.sessions.get_or_create("s-1")

    with pytest.raises(InvalidInputError) as caught:
        await store.checkpoints.put("s-1", "c-1", **{"body": BODY, **given})

    assert caught.value.field.startswith(field)
    assert await store.checkpoints.find("s-1") is None


async def test_the_longest_names_fit_into_the_keys_or_are_refused(
    store: Store,
) -> None:
    luck = random.Random(1)
    name = "".join(luck.choices(string.ascii_letters, k=255))
    namespace = "".join(luck.choices(string.ascii_letters, k=1_024))
    wide = store.for_tenant(name)
    await wide.checkpoints.put(name, name, body=BODY, namespace=namespace, create=True)
    await wide.checkpoints.put_writes(
        name, name, [CheckpointWrite(name, 0, name, BODY)], namespace=namespace
    )
    wider = store.for_tenant("\u4e00" * 255)

    with pytest.raises(InvalidInputError):
        await wider.checkpoints.put(
            "\u4e00" * 255, name, body=BODY, namespace=namespace, create=True
        )

    assert (await wide.checkpoints.get(name, namespace=namespace)).body == BODY


async def test_turns_and_the_checkpoint_that_names_them_are_one_step(
    store: Store,
) -> None:
    given = CheckpointInput("c-2", BODY, {"seen": value("turn 2")}, parent_id="c-1")
    turn = {"role": "user", "content": "Two", "external_id": "two"}
    await store.sessions.get_or_create("s-1")
    await store.turns.append("s-1", role="user", content="One")
    step: dict[str, Any] = {"turns": [turn], "checkpoint": given}
    done = await store.sessions.apply("s-1", **step, expected_turn_count=1)

    assert ([turn.seq for turn in done.turns], done.session.version) == ([2], 3)
    found = await store.checkpoints.get("s-1")
    assert found.values == {"seen": value("turn 2")}
    assert (found.checkpoint_id, found.parent_id) == ("c-2", "c-1")


async def test_a_step_whose_turns_would_have_other_numbers_changes_nothing(
    store: Store,
) -> None:
    await store.sessions.get_or_create("s-1")
    await store.turns.append("s-1", role="user", content="One", external_id="one")
    before = await store.sessions.get("s-1")
    new, old = (
        {"role": "user", "content": t, "external_id": t.lower()} for t in ("Two", "One")
    )
    given = CheckpointInput("c-1", BODY)
    with pytest.raises(VersionConflictError):
        await store.sessions.apply(
            "s-1", turns=[new], checkpoint=given, expected_turn_count=0
        )
    with pytest.raises(ConflictError, match="external_id"):
        await store.sessions.apply(
            "s-1", turns=[old], checkpoint=given, expected_turn_count=1
        )
    await store.checkpoints.end("s-1", through="c-9")
    ended = await store.sessions.get("s-1")
    with pytest.raises(CheckpointsEndedError):
        await store.sessions.apply(
            "s-1", turns=[new], checkpoint=given, expected_turn_count=1
        )
    with pytest.raises(InvalidInputError, match="checkpoint"):
        await store.sessions.apply("s-1", turns=[new], checkpoint={"id": 1})  # type: ignore[arg-type]

    assert ended.turn_count == before.turn_count == 1
    assert await store.sessions.get("s-1") == ended
    assert await store.checkpoints.find("s-1") is None


async def test_the_latest_is_read_with_its_session_in_one_statement(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another is for the elements of its lists. Where there is none, it is asked what
    the session is."""
    await put(store, 1, "Hi")
    other = store.for_tenant("other")
    sent = counting(monkeypatch)

    for chosen in (None, "c-0001"):
        assert await store.checkpoints.find("s-1", chosen) is not None
    assert len(sent) == 4
    assert await store.checkpoints.find("s-1", "c-0002") is None
    with pytest.raises(SessionNotFoundError):
        await other.checkpoints.find("s-1")
    await store.sessions.delete("s-1")
    with pytest.raises(SessionDeletedError):
        await store.checkpoints.find("s-1")


@pytest.mark.parametrize(
    ("read", "between"),
    [
        ("find", "_values"),
        ("find", "_elements"),
        ("list", "_values"),
        ("list", "_writes"),
    ],
)
async def test_what_is_deleted_while_it_is_read_is_there_whole_or_not_at_all(
    store: Store,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    read: str,
    between: str,
) -> None:
    await put(store, 1, "Hi", values={"state": large("a")})
    write = CheckpointWrite("t-1", 0, "messages", value("Ho"))
    await store.checkpoints.put_writes("s-1", "c-0001", [write])
    before = await store.checkpoints.get("s-1")
    original, deleted = getattr(checkpoint_reads, between), []

    def after_a_deletion(*given: Any) -> Any:
        if not deleted:
            deleted.append(True)
            with ThreadPoolExecutor(1) as elsewhere:
                elsewhere.submit(asyncio.run, delete_all(database_url)).result()
        return original(*given)

    monkeypatch.setattr(checkpoint_reads, between, after_a_deletion)

    found = (
        [one for one in [await store.checkpoints.find("s-1")] if one is not None]
        if read == "find"
        else list((await store.checkpoints.list("s-1")).items)
    )

    assert found in ([], [before])
    assert deleted


async def delete_all(url: str) -> None:
    async with open_store(url) as other:
        assert await other.checkpoints.prune("s-1", keep=0) == 1
