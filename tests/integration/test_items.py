"""The noun `items`: small documents in a namespace, outside sessions and in one."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from convstore import (
    ConflictError,
    InvalidInputError,
    ItemInput,
    ItemNotFoundError,
    Limits,
    ManualClock,
    SessionErasedError,
    SessionNotFoundError,
    Store,
    VersionConflictError,
)
from tests.integration.archives import archived, document, fill
from tests.integration.conversations import every_page

OpenAnother = Callable[..., Awaitable[Store]]


async def test_an_item_is_put_and_read(store: Store, clock: ManualClock) -> None:
    put = await store.items.put("app:shop", "theme", {"z": 1, "a": None}, user_id="u")

    got = await store.items.get("app:shop", "theme")
    assert put == got
    assert list(got.value) == ["z", "a"]
    assert (got.version, got.user_id, got.session_id) == (1, "u", None)
    assert got.created_at == got.updated_at == clock.now()
    assert (got.expires_at, got.ttl_s) == (None, None)
    assert await store.items.find("app:shop", "other") is None
    with pytest.raises(ItemNotFoundError) as caught:
        await store.items.get("app", "theme")
    assert (caught.value.namespace, caught.value.key) == ("app", "theme")


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "text", [], [1, {}], {}])
async def test_any_json_is_a_value(store: Store, value: Any) -> None:
    await store.items.put("n", "k", value)

    assert (await store.items.get("n", "k")).value == value


async def test_a_put_takes_the_place_of_what_is_there(
    store: Store, clock: ManualClock
) -> None:
    first = await store.items.put("n", "k", {"a": 1}, user_id="u", ttl_s=60)
    clock.advance(10)

    second = await store.items.put("n", "k", {"b": 2})

    assert (second.version, second.value, second.user_id) == (2, {"b": 2}, "u")
    assert second.created_at == first.created_at
    assert second.updated_at == first.updated_at + timedelta(seconds=10)
    assert (second.expires_at, second.ttl_s) == (None, None)


async def test_of_any_number_of_makers_one_makes_it(
    store: Store, open_another: OpenAnother
) -> None:
    other = await open_another()

    async def make(number: int) -> int | None:
        face = (store, other)[number % 2]
        try:
            await face.items.put("n", "k", number, expected_version=0)
        except VersionConflictError:
            return None
        return number

    made = await asyncio.gather(*(make(number) for number in range(20)))

    winners = [number for number in made if number is not None]
    assert len(winners) == 1
    assert (await store.items.get("n", "k")).value == winners[0]


async def test_patches_of_many_callers_all_count(
    store: Store, open_another: OpenAnother
) -> None:
    other = await open_another()

    await asyncio.gather(
        *(
            (store, other)[n % 2].items.patch("n", f"k{n % 3}", {f"p{n}": n})
            for n in range(30)
        )
    )

    page = await store.items.list("n")
    assert [item.version for item in page.items] == [10, 10, 10]
    assert [item.value for item in page.items] == [
        {f"p{n}": n for n in range(30) if n % 3 == key} for key in range(3)
    ]


async def test_a_patch_that_changes_nothing_leaves_the_version(store: Store) -> None:
    first = await store.items.patch("n", "k", {"a": {"b": 1}, "c": None})

    again = await store.items.patch("n", "k", {"a": {"b": 1}, "c": None})

    assert first.value == {"a": {"b": 1}}
    assert again == first


async def test_a_stale_write_is_refused_with_both_versions(store: Store) -> None:
    await store.items.put("n", "k", 1)
    await store.items.put("n", "k", 2)

    for stale in (
        store.items.put("n", "k", 3, expected_version=1),
        store.items.patch("n", "k", {"a": 1}, expected_version=0),
        store.items.delete("n", "k", expected_version=1),
    ):
        with pytest.raises(VersionConflictError) as caught:
            await stale
        assert caught.value.actual == 2
    with pytest.raises(VersionConflictError) as caught:
        await store.items.put("n", "absent", 1, expected_version=4)
    assert (caught.value.expected, caught.value.actual) == (4, 0)
    assert (await store.items.get("n", "k")).value == 2


async def test_a_deleted_item_is_gone_and_can_be_made_anew(store: Store) -> None:
    await store.items.put("n", "k", 1)

    assert await store.items.delete("n", "k", expected_version=1)
    assert not await store.items.delete("n", "k")
    assert await store.items.find("n", "k") is None
    assert (await store.items.put("n", "k", 2, expected_version=0)).version == 1


async def test_another_owner_is_refused(store: Store) -> None:
    await store.items.put("n", "k", 1)
    claimed = await store.items.patch("n", "k", {"a": 1}, user_id="u")

    with pytest.raises(ConflictError):
        await store.items.put("n", "k", 2, user_id="other")

    assert (claimed.user_id, claimed.version) == ("u", 2)
    assert await store.items.get("n", "k") == claimed


async def test_an_item_expires_at_once_for_everybody(
    store: Store, clock: ManualClock
) -> None:
    at = clock.now() + timedelta(seconds=60)
    await store.items.put("n", "k", 1, expires_at=at, user_id="u")
    await store.items.put("n", "stays", 1)
    clock.advance(59)
    assert (await store.items.get("n", "k")).expires_at == at

    clock.advance(1)

    assert await store.items.find("n", "k") is None
    assert [item.key for item in (await store.items.list("n")).items] == ["stays"]
    assert await store.items.touch("n", "k") is None
    assert not await store.items.delete("n", "k")
    anew = await store.items.put("n", "k", 2, expected_version=0, user_id="other")
    assert (anew.version, anew.created_at, anew.user_id) == (1, at, "other")


async def test_each_use_lets_an_item_live_on(store: Store, clock: ManualClock) -> None:
    first = await store.items.put("n", "k", {}, ttl_s=60)
    clock.advance(50)
    touched = await store.items.touch("n", "k")
    clock.advance(50)
    patched = await store.items.patch("n", "k", {"a": 1})
    clock.advance(50)
    same = await store.items.patch("n", "k", {"a": 1})

    assert first.expires_at == first.created_at + timedelta(seconds=60)
    assert touched is not None
    assert (touched.version, touched.updated_at) == (1, first.updated_at)
    assert touched.expires_at == first.created_at + timedelta(seconds=110)
    assert (patched.version, same.version) == (2, 2)
    assert same.expires_at == first.created_at + timedelta(seconds=210)
    forever = await store.items.patch("n", "k", {}, expires_at=None)
    assert (forever.expires_at, forever.version) == (None, 3)


async def test_upkeep_removes_what_has_expired(
    store: Store, clock: ManualClock
) -> None:
    await store.sessions.get_or_create("s")
    for number in range(5):
        await store.items.put("n", f"k{number}", number, ttl_s=10)
        await store.items.put("n", f"k{number}", number, ttl_s=10, session_id="s")
    await store.items.put("n", "stays", 1)
    before = await store.sessions.get("s")
    clock.advance(10)

    done = await store.maintain()
    again = await store.maintain()

    assert done["items_expired"] == 10
    assert "items_expired" not in again
    assert (await store.sessions.get("s")).version == before.version + 1
    assert (await document(store, "s")).items == ()


async def test_a_tenant_removes_its_own_items_that_have_expired_and_counts_them(
    store: Store, clock: ManualClock
) -> None:
    other = store.for_tenant("other")
    await store.sessions.get_or_create("s")
    for number in range(4):
        await store.items.put("n", f"k{number}", number, ttl_s=10)
    await store.items.put("n", "k", 1, ttl_s=10, session_id="s")
    await store.items.put("n", "stays", 1)
    await other.items.put("n", "k", 1, ttl_s=10)
    clock.advance(9)
    assert await store.items.remove_expired() == 0
    await store.items.touch("n", "k0")
    clock.advance(1)

    await store.items.put("n", "k1", "anew")

    assert await store.items.remove_expired() == 2
    assert await store.items.remove_expired() == 0

    left = [(item.key, item.value) for item in (await store.items.list("n")).items]
    assert left == [("k0", 0), ("k1", "anew"), ("stays", 1)]
    with pytest.raises(InvalidInputError):
        await store.conversation("s").items.remove_expired()
    assert (await store.maintain())["items_expired"] == 2


async def test_an_item_that_is_put_while_expired_ones_go_is_there(
    store: Store, clock: ManualClock
) -> None:
    for number in range(20):
        await store.items.put("n", f"k{number:02}", "old", ttl_s=10)
    clock.advance(10)

    put = [store.items.put("n", f"k{number:02}", "new") for number in range(10)]
    counts = await asyncio.gather(
        store.items.remove_expired(), *put, store.items.remove_expired()
    )

    assert counts[0] + counts[-1] in range(10, 21)
    left = (await store.items.list("n")).items
    assert [item.value for item in left] == ["new"] * 10


async def test_upkeep_leaves_what_has_expired_in_a_held_session(
    store: Store, clock: ManualClock
) -> None:
    for session_id in ("held", "free"):
        await store.sessions.get_or_create(session_id)
        await store.items.put("n", "k", 1, ttl_s=10, session_id=session_id)
    await store.holds.place("held", reason="case 7")
    clock.advance(10)

    assert (await store.maintain())["items_expired"] == 1
    assert await store.items.find("n", "k", session_id="held") is None
    await store.holds.release("held")
    assert (await store.maintain())["items_expired"] == 1


async def test_items_are_listed_by_pages_of_a_namespace_or_of_a_prefix(
    store: Store,
) -> None:
    names = ["a.", "a.b.", "a.b.c.", "ab.", "b.", "é.", "\U0001f5c4."]
    await asyncio.gather(
        *(store.items.put(name, key, [name, key]) for name in names for key in "zyx")
    )

    async def listed(**given: Any) -> list[tuple[str, str]]:
        found = await every_page(store.items.list, limit=2, **given)
        return [(item.namespace, item.key) for item in found]

    everything = [(name, key) for name in names for key in "xyz"]
    assert await listed() == everything
    assert await listed(namespace="a.") == everything[:3]
    assert await listed(prefix="a.") == everything[:9]
    assert await listed(prefix="a.b.", key_prefix="y") == [
        ("a.b.", "y"),
        ("a.b.c.", "y"),
    ]
    assert await listed(prefix="\U0001f5c4") == everything[-3:]
    assert await listed(prefix="c") == []
    pages = await every_page(store.items.namespaces, limit=2)
    assert pages == names
    found = await store.items.namespaces(prefix="a.")
    assert (found.items, found.next_cursor) == (("a.", "a.b.", "a.b.c."), None)


async def test_a_namespace_whose_items_have_expired_is_none(
    store: Store, clock: ManualClock
) -> None:
    await store.items.put("a", "k", 1, ttl_s=5)
    await store.items.put("b", "k", 1)
    clock.advance(5)

    assert (await store.items.namespaces()).items == ("b",)


async def test_several_items_are_found_with_one_call(store: Store) -> None:
    for name in ("a", "b", "c"):
        await store.items.put(name, "k", name)

    found = await store.items.find_many([("a", "k"), ("c", "k"), ("d", "k")])

    assert {name: item.value for name, item in found.items()} == {
        ("a", "k"): "a",
        ("c", "k"): "c",
    }
    assert await store.items.find_many([]) == {}


BAD: list[tuple[str, dict[str, Any]]] = [
    ("namespace", {"namespace": ""}),
    ("namespace", {"namespace": "a\0b"}),
    ("key", {"key": "k" * 256}),
    ("key", {"key": 3}),
    ("value", {"value": float("inf")}),
    ("value", {"value": "x" * 300}),
    ("value", {"value": object()}),
    ("user_id", {"user_id": ""}),
    ("expires_at", {"expires_at": "tomorrow"}),
    ("ttl_s", {"ttl_s": 0}),
    ("ttl_s", {"ttl_s": float("nan")}),
    ("ttl_s", {"ttl_s": 1e300}),
    ("ttl_s", {"ttl_s": True}),
    ("expected_version", {"expected_version": -1}),
    ("user_id", {"user_id": "u", "session_id": "s"}),
]


@pytest.mark.parametrize(("field", "given"), BAD)
async def test_what_cannot_be_stored_is_refused_by_name(
    open_another: OpenAnother, field: str, given: dict[str, Any]
) -> None:
    store = await open_another(limits=Limits(max_item_bytes=200))
    await store.sessions.get_or_create("s")
    arguments = {"namespace": "n", "key": "k", "value": {}, **given}

    with pytest.raises(InvalidInputError) as caught:
        await store.items.put(**arguments)

    assert caught.value.field == field
    assert (await store.items.list()).items == ()


async def test_a_patch_may_not_make_more_than_fits(open_another: OpenAnother) -> None:
    store = await open_another(limits=Limits(max_item_bytes=100))
    before = await store.items.put("n", "k", {"a": "x" * 60})

    with pytest.raises(InvalidInputError) as caught:
        await store.items.patch("n", "k", {"b": "x" * 60})

    assert caught.value.field == "patch"
    assert await store.items.get("n", "k") == before


async def test_a_tenant_has_its_own_items(store: Store) -> None:
    acme = store.for_tenant("acme")
    await store.items.put("n", "k", "ours", user_id="u")
    await acme.items.put("n", "k", "theirs", user_id="u")

    assert (await store.items.get("n", "k")).value == "ours"
    assert [item.value for item in (await acme.items.list()).items] == ["theirs"]
    await acme.erase(user_id="u")
    assert await acme.items.find("n", "k") is None
    assert (await store.items.list(user_id="u")).items[0].value == "ours"


async def test_an_erased_user_has_no_items_left(
    store: Store, clock: ManualClock
) -> None:
    await store.sessions.get_or_create("s", user_id="u")
    await store.items.put("step", "1", {"said": "secret"}, session_id="s")
    for number in range(3):
        await store.items.put("user", f"{number}", {"said": "secret"}, user_id="u")
    await store.items.put("user", "other", {}, user_id="v")

    receipt = await store.erase(user_id="u")

    assert receipt.rows_deleted["items"] == receipt.found["items"] == 3
    assert receipt.rows_deleted["session_items"] == 1
    assert [item.key for item in (await store.items.list()).items] == ["other"]
    with pytest.raises(SessionErasedError):
        await store.items.find("step", "1", session_id="s")
    clock.advance(1)
    await store.items.put("user", "back", {}, user_id="u")
    await store.replay_erasures()
    assert (await store.items.get("user", "back")).user_id == "u"


async def test_a_user_who_has_items_alone_is_erased(store: Store) -> None:
    await store.items.put("user", "k", {}, user_id="u")

    receipt = await store.erase(user_id="u")

    assert (receipt.session_ids, receipt.rows_deleted["items"]) == ((), 1)
    assert await store.items.find("user", "k") is None


async def test_items_in_a_transaction_go_with_it(store: Store) -> None:
    await store.items.put("n", "k", {"a": 1})

    async def give_up() -> None:
        async with store.transaction() as tx:
            await tx.items.patch("n", "k", {"b": 2})
            await tx.items.put("n", "new", 1)
            assert len((await tx.items.list("n")).items) == 2
            raise LookupError

    with pytest.raises(LookupError):
        await give_up()
    async with store.transaction() as tx:
        await tx.items.put("n", "other", 1)
        with pytest.raises(VersionConflictError):
            await tx.items.put("n", "k", 2, expected_version=0)

    values = {item.key: item.value for item in (await store.items.list()).items}
    assert values == {"k": {"a": 1}, "other": 1}


async def test_an_item_that_is_held_elsewhere_keeps_no_other_waiting(
    store: Store, open_another: OpenAnother
) -> None:
    if store.config.url.startswith("sqlite"):
        pytest.skip("a transaction holds the whole of SQLite")
    await store.items.put("n", "there", 0)
    await store.sessions.get_or_create("s")
    other = await open_another()

    async with other.transaction() as tx:
        await tx.items.patch("n", "there", {"a": 1})
        await tx.items.put("n", "new", {"a": 1})
        held = [
            asyncio.create_task(store.items.patch("n", key, {"b": 2}))
            for key in ("there", "new")
        ]
        step = asyncio.create_task(
            store.sessions.apply("s", items=[ItemInput("n", "new", patch={"c": 3})])
        )
        await store.items.put("n", "other", 1)
        await store.sessions.get_or_create("t")
        assert not any(task.done() for task in (*held, step))
    await asyncio.gather(*held, step)

    assert (await store.items.get("n", "there")).value == {"a": 1, "b": 2}
    assert (await store.items.get("n", "new")).value == {"a": 1, "b": 2, "c": 3}


# Of a session


async def test_an_item_of_a_session_is_apart_from_those_outside(store: Store) -> None:
    await store.sessions.get_or_create("s")
    await store.sessions.get_or_create("t")
    await store.items.put("n", "k", "outside")

    put = await store.items.put("n", "k", "inside", session_id="s")

    assert put == await store.items.get("n", "k", session_id="s")
    assert (put.session_id, put.value, put.user_id) == ("s", "inside", None)
    assert (await store.items.get("n", "k")).value == "outside"
    assert await store.items.find("n", "k", session_id="t") is None
    assert (await store.items.list(session_id="s")).items == (put,)
    assert (await store.items.namespaces(session_id="s")).items == ("n",)
    with pytest.raises(SessionNotFoundError):
        await store.items.put("n", "k", 1, session_id="absent")


async def test_changes_of_a_session_s_items_raise_its_version(store: Store) -> None:
    session, _ = await store.sessions.get_or_create("s")

    await store.items.put("n", "k", {"a": 1}, session_id="s", ttl_s=60)
    await store.items.patch("n", "k", {"b": 1}, session_id="s")
    await store.items.patch("n", "j", {"b": 1}, session_id="s")
    await store.items.patch("n", "j", {"b": 1}, session_id="s")
    await store.items.delete("n", "j", session_id="s")
    await store.items.delete("n", "j", session_id="s")

    assert (await store.sessions.get("s")).version == session.version + 4
    (item,) = (await document(store, "s")).items
    assert (item.version, item.value) == (2, {"a": 1, "b": 1})


async def test_items_travel_with_their_session(store: Store) -> None:
    await archived(store, "s")
    stub = await store.sessions.get("s")
    there = (await store.items.list(session_id="s")).items

    assert (await document(store, "s")).items == there
    assert [(item.namespace, item.key) for item in there] == [("a", "z"), ("step", "1")]
    assert stub.state == "archived" == (await store.sessions.get("s")).state
    again = await store.items.patch("step", "1", {"done": True}, session_id="s")
    assert (await store.sessions.get("s")).state == "active"
    assert again.version == there[1].version + 1
    assert again.value == {**there[1].value, "done": True}
    assert await store.items.get("a", "z", session_id="s") == there[0]


async def test_a_fork_takes_items_and_states_along(store: Store) -> None:
    await fill(store, "s")
    source = await document(store, "s")

    await store.sessions.fork("s", "t", at_seq=1)
    await store.items.patch("step", "1", {"more": 1}, session_id="t")

    fork = await document(store, "t")
    assert fork.adapter_state == source.adapter_state
    assert fork.items[0] == replace(source.items[0], session_id="t")
    assert fork.items[1].version == source.items[1].version + 1
    assert await document(store, "s") == source


async def test_another_user_finds_no_item_of_the_session(store: Store) -> None:
    await store.sessions.get_or_create("s", user_id="u")
    mine = store.conversation("s", user_id="u").items
    theirs = store.conversation("s", user_id="v").items
    await mine.put("n", "k", 1)

    assert (await mine.get("n", "k")).session_id == "s"
    for call in (theirs.find("n", "k"), theirs.put("n", "k", 2), theirs.list()):
        with pytest.raises(SessionNotFoundError):
            await call
    with pytest.raises(InvalidInputError):
        await mine.find("n", "k", session_id="t")
