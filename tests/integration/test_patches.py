"""Merge patches of a session: metadata, what adapters keep, title and tags."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from convstore import (
    InvalidInputError,
    Limits,
    SessionDeletedError,
    SessionErasedError,
    SessionNotFoundError,
    Store,
    VersionConflictError,
)
from tests.integration.archives import archived, document
from tests.integration.sent_statements import counting

OpenAnother = Callable[..., Awaitable[Store]]


async def test_a_patch_merges_into_what_is_there(store: Store) -> None:
    await store.sessions.get_or_create("s", metadata={"a": 1, "b": {"x": 1}, "c": 3})

    session = await store.sessions.patch(
        "s", metadata={"b": {"y": [None]}, "c": None, "d": 4}, title="Mine"
    )

    assert list(session.metadata.items()) == [
        ("a", 1),
        ("b", {"x": 1, "y": [None]}),
        ("d", 4),
    ]
    assert session.title == "Mine"
    assert session == await store.sessions.get("s")
    assert (await store.sessions.list(metadata={"d": 4})).items == (session,)
    assert (await store.sessions.list(metadata={"c": 3})).items == ()


async def test_patches_of_many_callers_all_count(
    store: Store, open_another: OpenAnother
) -> None:
    other = await open_another()
    await store.sessions.get_or_create("s")

    async def patch(number: int) -> None:
        face = (store, other)[number % 2]
        name = f"k{number}"
        await face.sessions.patch(
            "s", metadata={name: number}, adapter_state={"adk": {name: {"n": number}}}
        )

    await asyncio.gather(*(patch(number) for number in range(20)))

    session = await store.sessions.get("s")
    assert session.metadata == {f"k{n}": n for n in range(20)}
    assert session.version == 21
    assert await store.sessions.adapter_state("s", "adk") == {
        f"k{n}": {"n": n} for n in range(20)
    }


async def test_a_patch_that_changes_nothing_leaves_the_version(store: Store) -> None:
    first, _ = await store.sessions.get_or_create("s", metadata={"a": 1}, tags=["t"])
    kept = await store.sessions.patch("s", adapter_state={"adk": {"n": 1}})

    same = await store.sessions.patch(
        "s",
        metadata={"a": 1, "b": None},
        adapter_state={"adk": {"n": 1}, "none": None},
        add_tags=["t"],
        remove_tags=["u"],
    )
    nothing = await store.sessions.patch("s")

    assert first.version + 1 == kept.version == same.version == nothing.version
    assert kept.last_activity_at == first.last_activity_at


async def test_a_patch_is_refused_at_another_version(store: Store) -> None:
    first, _ = await store.sessions.get_or_create("s")
    await store.sessions.patch("s", metadata={"a": 1}, expected_version=first.version)

    with pytest.raises(VersionConflictError) as caught:
        await store.sessions.patch(
            "s",
            metadata={"a": 2},
            adapter_state={"adk": {"a": 2}},
            expected_version=first.version,
        )

    assert (caught.value.expected, caught.value.actual) == (1, 2)
    assert (await store.sessions.get("s")).metadata == {"a": 1}
    assert await store.sessions.adapter_state("s", "adk") is None


async def test_states_of_two_adapters_are_apart_and_can_be_removed(
    store: Store,
) -> None:
    await store.sessions.get_or_create("s")
    await store.sessions.patch("s", adapter_state={"a": {"x": 1}, "b": {}})

    await store.sessions.patch("s", adapter_state={"a": None, "c": {"y": None}})

    assert await store.sessions.adapter_state("s", "a") is None
    assert await store.sessions.adapter_state("s", "b") == {}
    assert await store.sessions.adapter_state("s", "c") == {}
    assert (await document(store, "s")).adapter_state == {"b": {}, "c": {}}


async def test_what_an_adapter_keeps_is_read_in_one_statement(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.sessions.get_or_create("s", user_id="ann")
    await store.sessions.patch("s", adapter_state={"adk": {"n": 1}})
    chat = store.conversation("s", user_id="ann")
    sent = counting(monkeypatch)

    assert await chat.adapter_state("adk") == {"n": 1}
    assert await chat.adapter_state("other") is None
    assert sent == ["all", "all"]
    with pytest.raises(SessionNotFoundError):
        await store.conversation("s", user_id="bob").adapter_state("adk")
    with pytest.raises(SessionNotFoundError):
        await store.sessions.adapter_state("absent", "adk")
    await store.sessions.delete("s")
    with pytest.raises(SessionDeletedError):
        await store.sessions.adapter_state("s", "adk")


async def test_tags_are_added_and_removed_under_the_lock(store: Store) -> None:
    await store.sessions.get_or_create("s", tags=["a", "b"])

    await asyncio.gather(
        *(store.sessions.patch("s", add_tags=[f"t{n}"]) for n in range(5)),
        store.sessions.patch("s", remove_tags=["a"]),
    )

    tags = (await store.sessions.get("s")).tags
    assert tags[0] == "b"
    assert set(tags) == {"b", *(f"t{n}" for n in range(5))}
    assert [s.id for s in (await store.sessions.list(tag="t3")).items] == ["s"]


BAD: list[tuple[str, dict[str, Any]]] = [
    ("metadata", {"metadata": [1]}),
    ("metadata", {"metadata": {"a": "x" * 100}}),
    ("metadata", {"metadata": {"b": "x" * 50}}),
    ("metadata", {"metadata": {"a": float("nan")}}),
    ("metadata", {"metadata": {"a": [[[[1]]]]}}),
    ("adapter_state", {"adapter_state": [("a", {})]}),
    ("adapter_state", {"adapter_state": {"": {}}}),
    ("adapter_state.adk", {"adapter_state": {"adk": []}}),
    ("adapter_state.adk", {"adapter_state": {"adk": {"a": "x" * 300}}}),
    ("adapter_state.adk", {"adapter_state": {"adk": {"more": "x" * 150}}}),
    ("adapter_state.adk", {"adapter_state": {"adk": {"a": "\0"}}}),
    ("adapter_state", {"adapter_state": {f"n{n}": {} for n in range(64)}}),
    ("title", {"title": 3}),
    ("title", {"title": "x" * 5000}),
    ("tags", {"add_tags": "text"}),
    ("add_tags", {"add_tags": ["b", "c", "d"]}),
    ("expected_version", {"expected_version": "1"}),
]


@pytest.mark.parametrize(("field", "given"), BAD)
async def test_what_cannot_be_stored_is_refused_by_name(
    open_another: OpenAnother, field: str, given: dict[str, Any]
) -> None:
    limits = Limits(
        max_metadata_bytes=80, max_state_bytes=200, max_json_depth=4, max_tags=3
    )
    store = await open_another(limits=limits)
    await store.sessions.get_or_create("s", metadata={"a": "y" * 30}, tags=["a"])
    before = await store.sessions.patch("s", adapter_state={"adk": {"a": "y" * 50}})

    with pytest.raises(InvalidInputError) as caught:
        await store.sessions.patch("s", **given)

    assert caught.value.field.startswith(field)
    assert "xxx" not in str(caught.value)
    assert await store.sessions.get("s") == before
    assert (await document(store, "s")).adapter_state == {"adk": {"a": "y" * 50}}


async def test_states_travel_with_the_session(
    store: Store, open_another: OpenAnother
) -> None:
    await archived(store, "s")
    there = await document(store, "s")

    assert list(there.adapter_state) == ["frame", "z"]
    assert there.adapter_state["z"] == {"b": [1.0, None], "a": {}}
    assert await store.sessions.adapter_state("s", "frame") == {"n": 1}
    assert (await store.sessions.get("s")).state == "archived"
    again = await store.sessions.patch("s", adapter_state={"frame": {"m": 2}})
    assert again.state == "active"
    assert await store.sessions.adapter_state("s", "frame") == {"n": 1, "m": 2}


async def test_states_are_destroyed_with_the_session(store: Store) -> None:
    await store.sessions.get_or_create("s", user_id="u")
    await store.sessions.patch("s", adapter_state={"adk": {"said": "secret"}})

    receipt = await store.erase(user_id="u")

    assert receipt.rows_deleted["session_state"] == 1
    with pytest.raises(SessionErasedError):
        await store.sessions.adapter_state("s", "adk")


async def test_states_of_several_sessions_are_read_together(store: Store) -> None:
    await archived(store, "kept")
    for name in ("a", "b", "none", "gone"):
        await store.sessions.get_or_create(name, user_id="u")
    for name in ("a", "b", "gone"):
        await store.sessions.patch(name, adapter_state={"frame": {"of": name}})
    await store.sessions.delete("gone")
    await store.for_tenant("t").sessions.apply(
        "a", create=True, adapter_state={"frame": {"of": "t"}}
    )

    names = ["kept", "b", "a", "none", "gone", "absent", "b"]
    found = await store.sessions.adapter_states(names, "frame")

    assert list(found.items()) == [
        ("kept", {"n": 1}),
        ("b", {"of": "b"}),
        ("a", {"of": "a"}),
    ]
    assert (await store.sessions.get("kept")).state == "archived"
    assert await store.sessions.adapter_states([], "frame") == {}


async def test_another_tenant_or_user_finds_no_state(store: Store) -> None:
    await store.sessions.get_or_create("s", user_id="u")
    await store.sessions.patch("s", adapter_state={"adk": {"n": 1}})
    await store.for_tenant("t").sessions.get_or_create("s", user_id="u")

    assert await store.for_tenant("t").sessions.adapter_state("s", "adk") is None
    theirs = store.conversation("s", user_id="other")
    with pytest.raises(SessionNotFoundError):
        await theirs.adapter_state("adk")
    with pytest.raises(SessionNotFoundError):
        await theirs.patch(metadata={"a": 1})


async def test_the_first_patch_of_a_conversation_makes_it(store: Store) -> None:
    chat = store.conversation("s", user_id="u")

    session = await chat.patch(metadata={"a": 1}, adapter_state={"adk": {"n": 1}})

    assert (session.user_id, session.metadata) == ("u", {"a": 1})
    assert await chat.adapter_state("adk") == {"n": 1}


async def test_a_patch_in_a_transaction_goes_with_it(store: Store) -> None:
    await store.sessions.get_or_create("s")

    async def give_up() -> None:
        async with store.transaction() as tx:
            await tx.sessions.patch("s", adapter_state={"a": {"n": 1}})
            await tx.sessions.patch("s", adapter_state={"a": {"m": 2}})
            assert await tx.sessions.adapter_state("s", "a") == {"n": 1, "m": 2}
            raise LookupError

    with pytest.raises(LookupError):
        await give_up()

    assert await store.sessions.adapter_state("s", "a") is None
