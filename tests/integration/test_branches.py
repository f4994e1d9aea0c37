"""Branches: exact reads, pops, the empty branch, expected heads, siblings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convstore import Session, Store, Turn
from convstore.db import branches, statements
from convstore.errors import (
    ConflictError,
    InvalidInputError,
    SessionDeletedError,
    SessionNotFoundError,
    TurnNotFoundError,
    VersionConflictError,
)
from convstore.imports.model import from_document
from convstore.repositories.imported import write_imported
from convstore.vocabulary.documents import decode_document, encode_document
from tests.integration.archives import OpenAnother
from tests.integration.conversations import contents, every_page, everything, say

Write = Callable[[Store], Awaitable[Any]]


def seqs(turns: list[Turn] | tuple[Turn, ...]) -> list[int]:
    return [turn.seq for turn in turns]


async def session_of(store: Store) -> Session:
    return await store.sessions.get("s-1")


async def acts(store: Store) -> list[tuple[str, int | None, str]]:
    found = await every_page(store.interactions.list, "s-1")
    return [(act.action, act.turn_seq, act.actor_kind) for act in found]


# Reading


async def test_a_branch_is_read_exactly_and_page_by_page(store: Store) -> None:
    await say(store, "s-1", *"123456")
    await store.turns.append("s-1", role="user", content="7", parent_seq=4)
    branch = store.turns.branch

    assert seqs(await branch("s-1")) == [1, 2, 3, 4, 7]
    assert seqs(await branch("s-1", limit=2)) == [4, 7]
    assert seqs(await branch("s-1", before=4, limit=2)) == [2, 3]
    assert seqs(await branch("s-1", before=2, limit=2)) == [1]
    assert seqs(await branch("s-1", before=1)) == []
    assert seqs(await branch("s-1", head=6, limit=3)) == [4, 5, 6]
    assert seqs(await branch("s-1", head=6, before=6)) == [1, 2, 3, 4, 5]
    assert seqs(await branch("s-1", head=0)) == []


async def test_a_branch_is_not_shortened_for_a_call_and_its_result(
    store: Store,
) -> None:
    await say(store, "s-1", "1", "2")
    await store.turns.append("s-1", role="tool", content="3", tool_call_id="c")

    assert seqs(await store.turns.branch("s-1", limit=1)) == [3]


async def test_a_page_does_not_depend_on_where_the_head_is_by_now(store: Store) -> None:
    await say(store, "s-1", *"12345")
    await store.turns.branch("s-1", limit=2)
    await store.turns.switch("s-1", 1)

    assert seqs(await store.turns.branch("s-1", before=4, limit=2)) == [2, 3]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"head": 9}, TurnNotFoundError),
        ({"before": 9}, TurnNotFoundError),
        ({"head": -1}, InvalidInputError),
        ({"before": 0}, InvalidInputError),
        ({"head": 1, "before": 2}, InvalidInputError),
        ({"limit": 0}, InvalidInputError),
        ({"head": "2"}, InvalidInputError),
    ],
)
async def test_a_branch_that_is_none_is_refused(
    store: Store, given: dict[str, Any], error: type[Exception]
) -> None:
    await say(store, "s-1", "1", "2")

    with pytest.raises(error):
        await store.turns.branch("s-1", **given)


async def test_siblings_and_children_are_told_by_turn(store: Store) -> None:
    await say(store, "s-1", "1", "2", "3")
    await store.turns.append("s-1", role="assistant", content="4", parent_seq=1)
    await store.turns.append("s-1", role="user", content="5", parent_seq=0)

    siblings = await store.turns.siblings("s-1", [1, 3, 4])
    children = await store.turns.children("s-1", [0, 1, 3])

    assert {seq: seqs(t) for seq, t in siblings.items()} == {
        1: [1, 5],
        3: [3],
        4: [2, 4],
    }
    assert {seq: seqs(t) for seq, t in children.items()} == {
        0: [1, 5],
        1: [2, 4],
        3: [],
    }
    for verb in (store.turns.siblings, store.turns.children):
        assert await verb("s-1", []) == {}
        with pytest.raises(TurnNotFoundError):
            await verb("s-1", [1, 6])


# Pop


async def test_a_pop_takes_the_tip_and_says_why(store: Store) -> None:
    await say(store, "s-1", "1", "2", "3")

    popped = await store.turns.pop("s-1")

    assert popped is not None
    assert (popped.seq, popped.content) == (3, "3")
    assert await contents(store, "s-1") == ["1", "2"]
    assert await acts(store) == [("pop", 3, "code")]
    added = await store.turns.append("s-1", role="user", content="4")
    assert (added.seq, added.parent_seq) == (4, 2)
    assert await contents(store, "s-1") == ["1", "2", "4"]
    assert (await store.turns.get("s-1", 3)).content == "3"


async def test_callers_of_pop_get_different_turns(
    store: Store, open_another: OpenAnother
) -> None:
    await say(store, "s-1", *"12345678")
    other = await open_another()

    popped = await asyncio.gather(
        *(one.turns.pop("s-1") for one in (store, other) for _ in range(5))
    )

    found = sorted(turn.seq for turn in popped if turn is not None)
    assert (found, popped.count(None)) == (list(range(1, 9)), 2)
    assert len(await acts(store)) == 8
    assert (await session_of(store)).head_seq is None


async def test_slots_template_and_language_follow_a_pop(store: Store) -> None:
    async def ask(language: str, template_id: str, **slots: str) -> None:
        await store.turns.append(
            "s-1", role="user", slots=slots, language=language, template_id=template_id
        )

    await store.sessions.get_or_create("s-1", language="fr")
    await ask("nl", "t-1", place="Enschede", year="1900")
    await ask("de", "t-2", place="Gronau")
    await store.turns.append("s-1", role="assistant", content="none")

    found = []
    for _ in range(3):
        await store.turns.pop("s-1")
        now = await session_of(store)
        found.append((now.current_slots, now.current_template_id, now.language))

    assert found == [
        ({"place": "Gronau", "year": "1900"}, "t-2", "de"),
        ({"place": "Enschede", "year": "1900"}, "t-1", "nl"),
        ({}, None, "nl"),
    ]


async def test_a_repeat_of_a_popped_turn_puts_it_back(store: Store) -> None:
    await say(store, "s-1", "1")
    said = {"role": "user", "content": "2", "external_id": "m", "slots": {"a": "1"}}
    first = await store.turns.append("s-1", **said)  # type: ignore[arg-type]
    await store.turns.pop("s-1")

    again = await store.turns.append("s-1", **said, expected_head=7)  # type: ignore[arg-type]

    assert again == first
    assert await contents(store, "s-1") == ["1", "2"]
    session = await session_of(store)
    assert (session.head_seq, session.current_slots) == (2, {"a": "1"})
    assert session.turn_count == 2


async def test_a_repeat_leaves_a_branch_alone_that_went_on(store: Store) -> None:
    await say(store, "s-1", "1")
    await store.turns.append("s-1", role="user", content="2", external_id="m")
    await store.turns.pop("s-1")
    await store.turns.append("s-1", role="user", content="3")
    before = await everything(store, "s-1")

    again = await store.turns.append("s-1", role="user", content="2", external_id="m")

    assert again.seq == 2
    assert await everything(store, "s-1") == before


async def test_a_branch_without_branches_is_read_by_its_key_in_one_statement(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Part of one, which a turn names, in two: the session is looked at first. What is
    read is what a walk along the parents gives."""
    await say(store, "s-1", *"abcde")
    sent: list[object] = []
    run = statements.Prepared.all

    def seen(self: Any, connection: Any, values: Any) -> Any:
        sent.append(self)
        return run(self, connection, values)

    monkeypatch.setattr(statements.Prepared, "all", seen)

    async def branch(count: int, **given: int) -> list[int]:
        sent.clear()
        turns = await store.turns.branch("s-1", **given)
        assert len(sent) == count
        return seqs(turns)

    assert await branch(1) == [1, 2, 3, 4, 5]
    assert await branch(1, limit=2) == [4, 5]
    assert await branch(2, head=4) == [1, 2, 3, 4]
    assert await branch(2, before=4, limit=2) == [2, 3]
    assert branches._PATH_WHOLE not in sent
    await store.turns.pop("s-1")
    assert await branch(1) == [1, 2, 3, 4]
    assert await branch(2, head=5) == [1, 2, 3, 4, 5]
    await store.turns.append("s-1", role="user", content="E")
    assert await branch(2) == [1, 2, 3, 4, 6]
    assert await branch(1) == [1, 2, 3, 4, 6]
    assert await branch(2, head=5) == [1, 2, 3, 4, 5]
    assert branches._PATH_WHOLE in sent


# The empty branch


async def test_a_window_of_a_session_with_branches_takes_one_statement(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one without; two where it is not remembered yet. Whatever is remembered, what
    is read is right."""
    backend, key = store._parts.backend, ("default", "s-1")
    await say(store, "s-1", "a", "b", "c")
    await say(store, "s-2", "x", "y")
    sent: list[object] = []
    run = statements.Prepared.all

    def seen(self: Any, connection: Any, values: Any) -> Any:
        sent.append(self)
        return run(self, connection, values)

    monkeypatch.setattr(statements.Prepared, "all", seen)

    async def newest(session_id: str, limit: int, count: int) -> list[str | None]:
        sent.clear()
        place = ("default", session_id)
        turns = await backend.read(lambda c: branches.newest(c, place, limit, None))
        assert len(sent) == count
        return [turn.content for turn in turns]

    assert await newest("s-1", 2, 1) == ["b", "c"]
    await store.turns.append("s-1", role="user", content="C", parent_seq=1)
    await store.turns.append("s-1", role="user", content="D")

    assert await newest("s-1", 3, 2) == ["a", "C", "D"]
    assert await newest("s-1", 3, 1) == ["a", "C", "D"]
    assert await newest("s-1", 2, 1) == ["C", "D"]
    assert await newest("s-1", 1, 1) == ["D"]
    await store.turns.switch("s-1", 3)
    assert await newest("s-1", 9, 1) == ["a", "b", "c"]
    branches._remember(("default", "s-2"), True)
    assert await newest("s-2", 9, 1) == ["x", "y"]
    assert await newest("s-2", 1, 1) == ["y"]
    assert ("default", "s-2") not in branches._BRANCHED
    assert key in branches._BRANCHED
    await store.turns.switch("s-1", 0)
    assert await newest("s-1", 9, 2) == []
    await store.sessions.delete("s-1")
    with pytest.raises(SessionDeletedError):
        await newest("s-1", 9, 2)
    branches._remember(("default", "absent"), True)
    with pytest.raises(SessionNotFoundError):
        await newest("absent", 9, 2)


async def test_the_empty_branch_is_left_by_the_next_append(store: Store) -> None:
    await say(store, "s-1", "1", "2")

    await store.turns.switch("s-1", 0, action="clear")
    await store.turns.switch("s-1", 0, action="clear")

    assert await store.turns.branch("s-1") == await store.turns.window("s-1") == []
    assert await store.turns.pop("s-1") is None
    assert await store.turns.previous_user_turn("s-1") is None
    assert not any(branch.active for branch in await store.turns.branches("s-1"))
    assert await acts(store) == [("clear", 2, "code")]
    session = await session_of(store)
    assert (session.head_seq, session.turn_count) == (None, 2)
    added = await store.turns.append("s-1", role="user", content="3")
    assert (added.seq, added.parent_seq) == (3, None)
    assert await contents(store, "s-1") == ["3"]


async def test_a_compaction_branches_and_appends_in_one(store: Store) -> None:
    await say(store, "s-1", "1", "2", "3", "4")

    added = await store.turns.append_many(
        "s-1",
        [{"role": "system", "content": "short"}, {"role": "user", "content": "5"}],
        parent_seq=0,
        expected_head=4,
    )

    assert [turn.parent_seq for turn in added] == [None, 5]
    assert await contents(store, "s-1") == ["short", "5"]
    with pytest.raises(InvalidInputError):
        await store.turns.append_many(
            "s-1", [{"role": "user", "parent_seq": 2}], parent_seq=0
        )


async def test_an_empty_branch_comes_back_from_the_archive(
    store: Store, archive_dir: Path
) -> None:
    await say(store, "s-1", "1", "2")
    await store.turns.append("s-1", role="user", slots={"a": "1"}, parent_seq=1)
    await store.turns.switch("s-1", 0, action="clear")
    before = await session_of(store)
    report = await store.run_retention(older_than_s=0)
    assert report.purged == 1
    assert (await store.archive.read("s-1")).session.head_seq is None

    await store.restore("s-1")

    after = await session_of(store)
    assert (after.head_seq, after.branched) == (None, True)
    assert (after.current_slots, after.turn_count) == ({}, before.turn_count)
    assert await contents(store, "s-1") == []
    added = await store.turns.append("s-1", role="user", content="4")
    assert (added.seq, added.parent_seq) == (4, None)


async def test_an_empty_branch_is_imported_as_one(
    store: Store,
) -> None:
    await say(store, "s-1", "1", "2")
    await store.turns.switch("s-1", 0)
    (document,) = [document async for document in store.documents()]
    as_parts = replace(from_document(document), document=None)
    moved = replace(document.session, tenant_id="whole")
    as_whole = from_document(replace(document, session=moved))

    for tenant, imported in (("parts", as_parts), ("whole", as_whole)):
        there = store.for_tenant(tenant)
        await write_imported(there._scope, imported)
        session = await there.sessions.get("s-1")
        assert (session.head_seq, session.turn_count) == (None, 2)


async def test_an_empty_branch_gives_no_conversation(
    store: Store, tmp_path: Path
) -> None:
    await say(store, "s-1", "Which colour has the sky?", "It is blue on most days.")
    await store.turns.switch("s-1", 0, action="clear")

    report = await store.export("messages", to=tmp_path / "out")

    assert report.rows == 0


async def test_a_popped_answer_makes_no_pair_with_the_next(
    store: Store, tmp_path: Path
) -> None:
    await say(store, "s-1", "Which colour has the sky?", "It is green, I think.")
    await store.turns.pop("s-1")
    await store.turns.append("s-1", role="assistant", content="It is blue, they say.")

    for kind in ("preference", "kto"):
        report = await store.export(kind, to=tmp_path / kind)
        assert report.rows == 0


# Expected heads


@pytest.mark.parametrize(
    "write",
    [
        lambda s: s.turns.append("s-1", role="user", expected_head=1),
        lambda s: s.turns.append_many("s-1", [{"role": "user"}], expected_head=0),
        lambda s: s.turns.append("s-1", role="user", expected_head=1, parent_seq=9),
        lambda s: s.turns.switch("s-1", 9, expected_head=0),
        lambda s: s.turns.pop("s-1", expected_head=3),
    ],
    ids=["append", "append_many", "before the parent", "switch", "pop"],
)
async def test_a_head_that_moved_refuses_what_expected_another(
    store: Store, write: Write
) -> None:
    await say(store, "s-1", "1", "2")
    before = await everything(store, "s-1")

    with pytest.raises(VersionConflictError) as caught:
        await write(store)

    assert caught.value.actual == 2
    assert "turn 2" in str(caught.value)
    assert await everything(store, "s-1") == before


async def test_a_head_that_is_as_expected_takes_the_write(store: Store) -> None:
    await store.sessions.get_or_create("s-1")

    await store.turns.append("s-1", role="user", content="1", expected_head=0)
    await store.turns.append("s-1", role="user", content="2", expected_head=1)
    await store.turns.switch("s-1", 1, expected_head=2)
    await store.turns.append("s-1", role="user", content="3", expected_head=1)
    await store.turns.pop("s-1", expected_head=3)

    assert await contents(store, "s-1") == ["1"]


async def test_of_callers_that_expect_one_head_one_goes_on(
    store: Store, open_another: OpenAnother
) -> None:
    await say(store, "s-1", "1")
    other = await open_another()
    await other.turns.append("s-1", role="user", content="2")

    done = await asyncio.gather(
        *(
            one.turns.append("s-1", role="user", content=f"{n}", expected_head=2)
            for n in range(10)
            for one in (store, other)
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(turn, Turn) for turn in done) == 1
    conflicts = [e for e in done if isinstance(e, VersionConflictError)]
    assert len(conflicts) == 19
    assert {(error.expected, error.actual) for error in conflicts} == {(2, 3)}


async def test_a_repeat_is_known_before_its_head_is_looked_at(store: Store) -> None:
    await say(store, "s-1", "1")
    first = await store.turns.append(
        "s-1", role="user", content="2", external_id="m", expected_head=1
    )
    await say(store, "s-1", "3")

    again = await store.turns.append(
        "s-1", role="user", content="2", external_id="m", expected_head=1
    )

    assert again == first
    with pytest.raises(ConflictError, match="external_id"):
        await store.turns.append(
            "s-1", role="user", content="other", external_id="m", expected_head=1
        )


@pytest.mark.parametrize("value", [-1, "1", True, 2**63])
async def test_a_head_that_is_no_number_is_refused(store: Store, value: Any) -> None:
    await say(store, "s-1", "1")

    for call in (
        store.turns.append("s-1", role="user", expected_head=value),
        store.turns.append_many("s-1", [], expected_head=value),
        store.turns.switch("s-1", 1, expected_head=value),
        store.turns.pop("s-1", expected_head=value),
    ):
        with pytest.raises(InvalidInputError, match="expected_head"):
            await call
    with pytest.raises(InvalidInputError, match="action"):
        await store.turns.switch("s-1", 0, action="undo")  # type: ignore[arg-type]


# Elsewhere


async def test_a_transaction_and_a_bound_handle_have_the_same_verbs(
    store: Store,
) -> None:
    async with store.transaction() as tx:
        await say(tx, "s-1", "1", "2", "3")  # type: ignore[arg-type]
        assert (await tx.turns.pop("s-1")).seq == 3  # type: ignore[union-attr]
        await tx.turns.append("s-1", role="user", content="4", expected_head=2)
        await tx.turns.switch("s-1", 2, action="compact")
    chat = store.conversation("s-1")

    assert seqs(await chat.branch()) == [1, 2]
    assert seqs((await chat.siblings([4]))[4]) == [3, 4]
    assert seqs((await chat.children([2]))[2]) == [3, 4]
    assert (await chat.pop(expected_head=2)).seq == 2  # type: ignore[union-attr]
    assert await acts(store) == [
        ("pop", 3, "code"), ("compact", 4, "code"), ("pop", 2, "code"),
    ]  # fmt: skip


async def test_a_warm_window_is_right_just_after_the_head_moved(
    open_another: OpenAnother, store: Store
) -> None:
    warm = await open_another(cache={"kind": "memory", "staleness_s": 60})
    await say(warm, "s-1", *"12345")
    moves: list[Write] = [
        lambda s: s.turns.pop("s-1"),
        lambda s: s.turns.append("s-1", role="user", content="6", external_id="m"),
        lambda s: s.turns.pop("s-1"),
        lambda s: s.turns.append("s-1", role="user", content="6", external_id="m"),
        lambda s: s.turns.switch("s-1", 2),
        lambda s: s.turns.switch("s-1", 5),
        lambda s: s.turns.switch("s-1", 0),
        lambda s: s.turns.append("s-1", role="user", content="7"),
    ]

    for move in moves:
        await warm.turns.window("s-1", limit=20)
        await move(warm)
        for limit in (1, 3, 20):
            assert await warm.turns.window("s-1", limit=limit) == (
                await store.turns.window("s-1", limit=limit)
            )
        assert await warm.sessions.get("s-1") == await store.sessions.get("s-1")


async def test_a_document_with_an_empty_branch_is_read_back_as_it_was(
    store: Store,
) -> None:
    await say(store, "s-1", "1", "2")
    await store.turns.switch("s-1", 0)
    (document,) = [document async for document in store.documents()]

    line = encode_document(document)

    assert json.loads(line)["session"]["head_seq"] is None
    assert decode_document(line) == document
