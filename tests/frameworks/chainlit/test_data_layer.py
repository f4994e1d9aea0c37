"""Chainlit's data layer over a store, on both databases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from chainlit.context import ChainlitContext, context_var
from chainlit.data.storage_clients.base import BaseStorageClient
from chainlit.element import Text
from chainlit.session import HTTPSession
from chainlit.types import Feedback, Pagination, ThreadFilter
from chainlit.user import PersistedUser, User

from convstore import (
    InvalidInputError,
    LegalHoldError,
    SessionDeletedError,
    SessionNotFoundError,
    Store,
)
from convstore.adapters.chainlit import ConvstoreDataLayer
from convstore.db import branches

ASK, ANSWER = "Which archives are there in Enschede?", "Three."


class Files(BaseStorageClient):
    """Keeps files in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes | str] = {}

    async def upload_file(
        self, object_key: str, data: bytes | str, **_: Any
    ) -> dict[str, Any]:
        self.kept[object_key] = data
        return {"object_key": object_key, "url": f"https://files/{object_key}?old"}

    async def delete_file(self, object_key: str) -> bool:
        return self.kept.pop(object_key, None) is not None

    async def get_read_url(self, object_key: str) -> str:
        return f"https://files/{object_key}?new"

    async def close(self) -> None:
        self.kept.clear()


class Chat:
    """A browser that somebody has logged in to, with a thread open."""

    def __init__(self, layer: ConvstoreDataLayer, user: PersistedUser | None) -> None:
        self.layer, self.user = layer, user
        self.clock = 0

    @contextmanager
    def open(self, thread_id: str) -> Iterator[None]:
        session = HTTPSession(
            id="s", thread_id=thread_id, user=self.user, client_type="webapp",
            token=None, user_env=None,
        )  # fmt: skip
        token = context_var.set(ChainlitContext(session))
        try:
            yield
        finally:
            context_var.reset(token)

    def step(self, step_id: str, kind: str, text: str, **more: Any) -> dict[str, Any]:
        self.clock += 1
        at = f"2026-03-01T10:00:{self.clock:02}.000000Z"
        told = {"id": step_id, "threadId": "t", "name": kind, "type": kind}
        return told | {"output": text, "input": "", "createdAt": at, **more}

    async def say(self, step: dict[str, Any]) -> dict[str, Any]:
        with self.open(step["threadId"]):
            await self.layer.create_step(dict(step))
        return step

    async def change(self, step: dict[str, Any], **more: Any) -> dict[str, Any]:
        with self.open(step["threadId"]):
            await self.layer.update_step(step | more)
        return step | more

    async def remove(self, step_id: str) -> None:
        with self.open("t"):
            await self.layer.delete_step(step_id)

    async def steps(self) -> list[dict[str, Any]]:
        thread = await self.layer.get_thread("t")
        return [] if thread is None else thread["steps"]

    async def judge(self, step_id: str, value: Any, comment: str | None = None) -> str:
        return await self.layer.upsert_feedback(
            Feedback(forId=step_id, value=value, threadId="t", comment=comment)
        )


@pytest.fixture
def files() -> Files:
    return Files()


@pytest_asyncio.fixture
async def chat(store: Store, files: Files) -> AsyncIterator[Chat]:
    layer = ConvstoreDataLayer(store, files)
    yield Chat(layer, await layer.create_user(User(identifier="ann")))


async def talk(chat: Chat) -> None:
    await chat.say(chat.step("u1", "user_message", ASK))
    await chat.say(chat.step("r1", "run", "", parentId=None))
    await chat.say(chat.step("x1", "tool", "rows", input="select", parentId="r1"))
    await chat.say(chat.step("a1", "assistant_message", ANSWER, parentId="r1"))


async def told(store: Store) -> list[tuple[str, str | None]]:
    return [(turn.role, turn.content) for turn in await store.turns.branch("t")]


async def test_every_step_is_kept_whole_and_each_message_is_a_turn(
    chat: Chat, store: Store
) -> None:
    await talk(chat)

    assert await told(store) == [("user", ASK), ("assistant", ANSWER)]
    steps = await chat.steps()
    assert [step["id"] for step in steps] == ["u1", "r1", "x1", "a1"]
    assert (steps[2]["input"], steps[2]["parentId"]) == ("select", "r1")
    assert (await store.sessions.get("t")).user_id == "ann"


async def test_a_step_behind_one_that_was_just_made_reads_no_branch(
    chat: Chat, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless somebody else has gone on with it, or the step belongs before."""
    sent: list[object] = []
    newest = branches.newest
    monkeypatch.setattr(
        branches, "newest", lambda *a, **kw: sent.append(a) or newest(*a, **kw)
    )
    late = chat.step("a0", "assistant_message", "Late.")

    await chat.say(chat.step("u1", "user_message", ASK))
    await chat.say(chat.step("a1", "assistant_message", ANSWER))
    assert len(sent) == 1
    await store.turns.append("t", role="user", content="And then?")
    await chat.say(chat.step("a2", "assistant_message", "Then."))
    assert len(sent) == 2
    await chat.say(late | {"threadId": "t"})
    assert len(sent) == 3
    monkeypatch.undo()

    assert [content for _, content in await told(store)] == [
        *(ASK, ANSWER, "And then?", "Late.", "Then.")
    ]


async def test_what_no_database_holds_comes_back_all_the_same(chat: Chat) -> None:
    odd = {"big": 2**70, "text": "nul \x00 and \ud83d", "json": None}
    step = await chat.say(
        chat.step("u1", "user_message", "a\x00b\ud83d", metadata=odd, name="x" * 300)
    )

    assert await chat.steps() == [step]


async def test_a_message_becomes_a_turn_when_it_has_been_said(
    chat: Chat, store: Store
) -> None:
    await chat.say(chat.step("u1", "user_message", ASK))
    answer = await chat.say(chat.step("a1", "assistant_message", ""))
    answer = await chat.change(answer, output="Thr", streaming=True)
    assert await told(store) == [("user", ASK)]

    await chat.change(answer, output=ANSWER, streaming=False)
    await chat.change(answer, output=ANSWER, streaming=False, metadata={"a": 1})

    assert await told(store) == [("user", ASK), ("assistant", ANSWER)]
    assert (await store.sessions.get("t")).turn_count == 2
    assert (await chat.steps())[1]["metadata"] == {"a": 1}


async def test_an_edited_question_is_a_branch_and_is_answered_anew(
    chat: Chat, store: Store
) -> None:
    await talk(chat)
    question = (await chat.steps())[0]

    await chat.change(question, output="And in Zwolle?")
    await chat.remove("a1")
    await chat.say(chat.step("a2", "assistant_message", "Two."))

    assert await told(store) == [("user", "And in Zwolle?"), ("assistant", "Two.")]
    assert [b.turn_count for b in await store.turns.branches("t")] == [2, 2]
    assert [s["id"] for s in await chat.steps()] == ["u1", "r1", "x1", "a2"]


async def test_a_changed_answer_keeps_what_was_said_after_it(
    chat: Chat, store: Store
) -> None:
    await talk(chat)
    await chat.say(chat.step("u2", "user_message", "Thanks."))
    answer = (await chat.steps())[3]

    await chat.change(answer, output="Four.")

    said = [("user", ASK), ("assistant", "Four."), ("user", "Thanks.")]
    assert await told(store) == said
    acts = (await store.interactions.list("t")).items
    assert [(a.action, a.actor_kind, a.turn_seq) for a in acts] == [
        ("compact", "code", 3)
    ]


async def test_a_removed_message_is_left_behind_and_destroys_no_turn(
    chat: Chat, store: Store
) -> None:
    await talk(chat)
    await chat.say(chat.step("u2", "user_message", "Thanks."))
    await chat.remove("a1")
    assert await told(store) == [("user", ASK), ("user", "Thanks.")]
    await chat.remove("u2")
    await chat.remove("u2")
    await chat.remove("x1")

    assert await told(store) == [("user", ASK)]
    assert [s["id"] for s in await chat.steps()] == ["u1", "r1"]
    await chat.say(chat.step("u2", "user_message", "Thanks."))
    assert await told(store) == [("user", ASK), ("user", "Thanks.")]


async def test_what_was_queued_until_the_user_spoke_stands_before_it(
    chat: Chat, store: Store
) -> None:
    welcome = chat.step("w", "assistant_message", "Welcome!")
    await chat.say(chat.step("u1", "user_message", ASK))
    await chat.say(welcome)

    assert await told(store) == [("assistant", "Welcome!"), ("user", ASK)]


async def test_feedback_is_on_the_turn_by_whoever_is_logged_in(
    chat: Chat, store: Store
) -> None:
    await talk(chat)

    name = await chat.judge("a1", 0)
    assert await chat.judge("a1", 1, "good") == name

    (judgement,) = await store.interactions.effective("t")
    assert (judgement.turn_seq, judgement.actor_id) == (2, "ann")
    assert (judgement.feedback, judgement.content) == ("thumbs_up", "good")
    judged = (await chat.steps())[3]["feedback"]
    assert judged == {"id": name, "forId": "a1", "value": 1, "comment": "good"}
    assert await chat.layer.delete_feedback(name)
    assert not await chat.layer.delete_feedback(name)
    assert not await chat.layer.delete_feedback("no-id-of-ours")
    assert "feedback" not in (await chat.steps())[3]
    assert await store.interactions.effective("t") == ()


async def test_feedback_on_a_run_is_on_its_answer_and_on_a_tool_on_its_node(
    chat: Chat, store: Store
) -> None:
    await talk(chat)

    await chat.judge("r1", 1)
    await chat.judge("x1", 0)

    run, tool = await store.interactions.effective("t")
    assert (run.turn_seq, run.node_id) == (2, None)
    assert (tool.turn_seq, tool.node_id) == (None, "x1")
    shown = {
        s["id"]: s["feedback"]["value"] for s in await chat.steps() if "feedback" in s
    }
    assert shown == {"r1": 1, "x1": 0}


async def test_what_your_own_code_says_in_the_thread_is_shown(
    chat: Chat, store: Store
) -> None:
    own = store.conversation("t", user_id="ann")
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    await own.append(role="user", content=ASK)
    await own.append(role="assistant", parts=[call])
    await own.append(role="tool", content="rows", tool_call_id="c")
    await own.append(role="assistant", content=ANSWER, external_id="m-4")

    shown = [(s["id"], s["type"], s["name"], s["output"]) for s in await chat.steps()]
    assert shown == [
        ("turn-1", "user_message", "user", ASK),
        ("turn-3", "tool", "f", "rows"),
        ("m-4", "assistant_message", "assistant", ANSWER),
    ]
    await chat.judge("m-4", 1)
    assert (await chat.steps())[2]["feedback"]["value"] == 1
    await chat.change((await chat.steps())[0], metadata={"favorite": True})
    assert (await store.sessions.get("t")).turn_count == 4
    assert chat.user is not None
    (favorite,) = await chat.layer.get_favorite_steps(chat.user.id)
    assert favorite["id"] == "turn-1"


async def test_an_agent_that_keeps_the_conversation_itself_says_it_once(
    store: Store,
) -> None:
    layer = ConvstoreDataLayer(store, keep_turns=False)
    chat = Chat(layer, await layer.create_user(User(identifier="ann")))
    own = store.conversation("t", user_id="ann")
    await chat.say(chat.step("u1", "user_message", ASK))
    await own.append(role="user", content=ASK)
    await own.append(role="assistant", content=ANSWER)
    await chat.say(chat.step("a1", "assistant_message", ANSWER))

    await chat.judge("a1", 1)

    assert await told(store) == [("user", ASK), ("assistant", ANSWER)]
    assert [s["id"] for s in await chat.steps()] == ["u1", "a1"]
    assert (await store.interactions.effective("t"))[0].turn_seq == 2


async def test_metadata_is_merged_by_key_and_the_owner_may_come_later(
    chat: Chat, store: Store
) -> None:
    layer = chat.layer
    await layer.update_thread("t", metadata={"a": {"x": 1}, "b": 2, "n": {"y": None}})
    await layer.update_thread("t", metadata={"a": {"z": 1}, "b": None})
    with pytest.raises(ValueError, match="Author"):
        await layer.get_thread_author("t")
    assert chat.user is not None
    await layer.update_thread("t", "Archives " * 90, chat.user.id, tags=["nl"])

    thread = await layer.get_thread("t")
    assert thread is not None
    assert thread["metadata"] == {"a": {"z": 1}, "n": {"y": None}}
    assert (thread["userIdentifier"], thread["userId"]) == ("ann", chat.user.id)
    assert (thread["tags"], thread["name"][:9]) == (["nl"], "Archives ")
    assert await layer.get_thread_author("t") == "ann"
    with pytest.raises(InvalidInputError, match="user_id"):
        await layer.update_thread("t", user_id="nobody")


async def test_a_thread_of_another_is_not_written_to(chat: Chat) -> None:
    await talk(chat)
    bob = Chat(chat.layer, await chat.layer.create_user(User(identifier="bob")))

    with pytest.raises(SessionNotFoundError):
        await bob.say(bob.step("u9", "user_message", "Mine?"))

    assert len(await chat.steps()) == 4


async def test_any_text_may_be_the_id_of_a_thread_and_of_a_user(
    chat: Chat, store: Store
) -> None:
    long, name = "t/" * 300 + "\x00", "n" * 400
    user = await chat.layer.create_user(User(identifier=name, metadata={"a": 1}))
    other = Chat(chat.layer, user)
    await other.say(other.step("u1", "user_message", ASK, threadId=long))
    await other.layer.update_thread(long, metadata={"b": 2})
    given = await other.layer.upsert_feedback(
        Feedback(forId="u1", value=1, threadId=long)
    )

    page = await other.layer.list_threads(
        Pagination(first=5), ThreadFilter(userId=user.id)
    )
    assert [t["id"] for t in page.data] == [long]
    assert page.data[0]["userIdentifier"] == name
    thread = await other.layer.get_thread(long)
    assert thread is not None
    assert thread["steps"][0]["feedback"]["id"] == given
    assert await other.layer.get_user(name) == user


async def test_threads_are_listed_by_page_by_words_and_by_feedback(
    chat: Chat, store: Store
) -> None:
    for number in range(5):
        text = ASK if number % 2 else "Hello."
        step = chat.step(f"u{number}", "user_message", text, threadId=f"t{number}")
        await chat.say(step)
    await chat.layer.upsert_feedback(Feedback(forId="u1", value=0, threadId="t1"))
    await chat.layer.upsert_feedback(Feedback(forId="u2", value=1, threadId="t2"))
    assert chat.user is not None
    mine = chat.user.id

    async def pages(first: int, **given: Any) -> list[list[str]]:
        found, cursor = [], None
        while True:
            page = await chat.layer.list_threads(
                Pagination(first=first, cursor=cursor),
                ThreadFilter(userId=mine, **given),
            )
            found.append([thread["id"] for thread in page.data])
            if not page.pageInfo.hasNextPage:
                return found
            cursor = page.pageInfo.endCursor

    assert await pages(5) == [["t4", "t3", "t2", "t1", "t0"]]
    assert await pages(3) == [["t4", "t3", "t2"], ["t1", "t0"]]
    assert await pages(1, search="ENSCHEDE") == [["t3"], ["t1"]]
    assert await pages(9, feedback=0) == [["t1"]]
    assert await pages(9, feedback=1) == [["t2"]]
    assert await pages(9, search="hello", feedback=1) == [["t2"]]
    with pytest.raises(ValueError, match="userId"):
        await chat.layer.list_threads(Pagination(first=1), ThreadFilter())


async def test_files_go_to_the_provider_and_away_with_what_they_belong_to(
    chat: Chat, files: Files
) -> None:
    async def attach(element_id: str, for_id: str) -> Text:
        with chat.open("t"):
            element = Text(
                id=element_id, name="../a.txt", content="text", for_id=for_id
            )
            await chat.layer.create_element(element)
        return element

    await talk(chat)
    for name, step in (("e1", "a1"), ("e2", "u1"), ("e3", "u1")):
        await attach(name, step)
    assert chat.user is not None
    assert sorted(files.kept) == [f"{chat.user.id}/e{n}/a.txt" for n in (1, 2, 3)]

    thread = await chat.layer.get_thread("t")
    assert thread is not None
    assert [e["url"][-3:] for e in thread["elements"]] == ["new"] * 3
    element = await chat.layer.get_element("t", "e1")
    assert element is not None
    assert (element["forId"], element["name"]) == ("a1", "../a.txt")
    await chat.remove("a1")
    assert len(files.kept) == 2
    with chat.open("t"):
        await chat.layer.delete_element("e2")
    assert len(files.kept) == 1
    await chat.layer.delete_thread("t")
    assert files.kept == {}
    assert await chat.layer.get_element("t", "e3") is None


async def test_of_a_held_thread_nothing_goes_and_no_file_either(
    chat: Chat, store: Store, files: Files
) -> None:
    await talk(chat)
    with chat.open("t"):
        element = Text(id="e1", name="a.txt", content="text", for_id="a1")
        await chat.layer.create_element(element)
    before = await chat.layer.get_thread("t")
    await store.holds.place("t", reason="case 7", actor_id="legal")

    with pytest.raises(LegalHoldError):
        await chat.layer.delete_thread("t")
    with pytest.raises(LegalHoldError):
        await chat.remove("a1")
    with chat.open("t"), pytest.raises(LegalHoldError):
        await chat.layer.delete_element("e1")

    assert await chat.layer.get_thread("t") == before
    assert len(files.kept) == 1
    assert [turn.content for turn in await store.turns.branch("t")] == [ASK, ANSWER]


async def test_what_comes_late_brings_no_deleted_thread_back(
    chat: Chat, store: Store
) -> None:
    await talk(chat)
    await chat.layer.delete_thread("t")
    await chat.layer.delete_thread("t")

    await chat.layer.update_thread("t", metadata={"late": True})
    await chat.remove("a1")
    with pytest.raises(SessionDeletedError):
        await chat.say(chat.step("u2", "user_message", "Late."))
    assert await chat.layer.get_thread("t") is None


async def test_an_archived_thread_is_shown_and_goes_on(
    chat: Chat, store: Store
) -> None:
    await talk(chat)
    await chat.judge("a1", 1)
    before = await chat.steps()
    await store.run_retention(older_than_s=0)
    assert (await store.sessions.get("t")).state == "archived"

    assert await chat.steps() == before
    await chat.say(chat.step("u2", "user_message", "Thanks."))
    assert [s["id"] for s in await chat.steps()] == ["u1", "r1", "x1", "a1", "u2"]


async def test_nothing_of_an_erased_user_is_left(chat: Chat, store: Store) -> None:
    await talk(chat)
    await chat.change((await chat.steps())[0], metadata={"favorite": True})
    await store.erase(user_id="ann")

    assert await chat.layer.get_thread("t") is None
    assert await chat.layer.get_user("ann") is None
    assert (await store.items.list()).items == ()


async def test_steps_stored_at_once_are_kept_in_their_order(
    chat: Chat, store: Store
) -> None:
    said = [chat.step(f"m{n:02}", "user_message", str(n)) for n in range(20)]
    with chat.open("t"):
        tasks = [
            asyncio.create_task(call(dict(step, output=step["output"] + end)))
            for step in said
            for call, end in (
                (chat.layer.create_step, ""),
                (chat.layer.update_step, "!"),
            )
        ]
        await asyncio.gather(*tasks)

    assert await told(store) == [("user", f"{n}!") for n in range(20)]


async def test_two_processes_that_store_one_step_store_it_once(
    chat: Chat, store: Store, files: Files
) -> None:
    others = [Chat(ConvstoreDataLayer(store, files), chat.user) for _ in range(8)]
    step = chat.step("u1", "user_message", ASK)

    await asyncio.gather(*[other.say(step) for other in others])

    assert await told(store) == [("user", ASK)]
    assert (await store.sessions.get("t")).turn_count == 1


async def test_a_thread_is_one_row_of_an_export(
    chat: Chat, store: Store, tmp_path: Path
) -> None:
    await talk(chat)
    await store.export("messages", to=tmp_path / "out")

    (row,) = [
        json.loads(line)
        for path in (tmp_path / "out" / "data").iterdir()
        for line in path.read_text("utf-8").splitlines()
    ]
    assert [(m["role"], m["content"]) for m in row["messages"]] == [
        ("user", ASK),
        ("assistant", ANSWER),
    ]


async def test_threads_of_chainlits_own_database_are_shown_and_go_on(
    chat: Chat, store: Store, tmp_path: Path
) -> None:
    steps = [
        chat.step("u1", "user_message", ASK),
        chat.step("x1", "tool", "rows", input="select"),
        chat.step("a1", "assistant_message", ANSWER),
    ]
    steps[2]["feedback"] = {"id": "f", "forId": "a1", "value": 1, "comment": None}
    thread = {"id": "t", "userIdentifier": "ann", "name": "Archives", "steps": steps}
    thread |= {"metadata": {"chat_profile": "nl"}, "createdAt": steps[0]["createdAt"]}
    (tmp_path / "threads.jsonl").write_text(json.dumps(thread), "utf-8")
    await store.import_("chainlit", tmp_path / "threads.jsonl")

    shown = [(s["id"], s["type"], s["output"]) for s in await chat.steps()]
    assert shown[0] == ("u1", "user_message", ASK)
    assert [(kind, said) for _, kind, said in shown[1:]] == [
        ("tool", "rows"),
        ("assistant_message", ANSWER),
    ]
    read = await chat.layer.get_thread("t")
    assert read is not None
    assert (read["name"], read["metadata"]) == ("Archives", {"chat_profile": "nl"})
    assert read["steps"][2]["feedback"]["value"] == 1
    await chat.say(chat.step("u2", "user_message", "Thanks."))
    await chat.change(steps[2], output="Four.")
    assert [s["output"] for s in await chat.steps()][2:] == ["Four.", "Thanks."]
