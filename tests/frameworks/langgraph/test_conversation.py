"""The messages of a graph are the turns of its session, on both databases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
)
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, MessagesState, StateGraph

from convstore import CheckpointsEndedError, Store
from convstore.adapters.langgraph import ConvstoreSaver
from convstore.types import Limits
from convstore.vocabulary.watch import Facts
from tests.frameworks.langgraph.talk import asked, keeping, talk, thread


class Seen(list[str]):
    """What a store was asked, that is seen through it."""

    def watching(self, name: str, facts: Facts) -> AbstractContextManager[None]:
        if name in ("read", "write", "transaction"):
            self.append(name)
        return nullcontext()


def messages(state: Any) -> list[Any]:
    return list(state.values.get("messages", []))


async def say(app: Any, *said: Any, config: Any = None) -> list[Any]:
    told = await app.ainvoke({"messages": list(said)}, config or thread("t"))
    return list(told["messages"])


async def contents(store: Store) -> list[str | None]:
    return [turn.content for turn in await store.turns.branch("t")]


async def test_what_others_say_after_the_latest_checkpoint_is_seen(
    store: Store,
) -> None:
    app = keeping(ConvstoreSaver(store))
    await say(app, *talk())
    await store.turns.append("t", role="user", content="From elsewhere.")
    await store.turns.append("t", role="assistant", content="Noted.")

    told = messages(await app.aget_state(thread("t")))
    assert told[:-2] == talk()
    assert [(one.id, one.content) for one in told[-2:]] == [
        ("turn-6", "From elsewhere."),
        ("turn-7", "Noted."),
    ]
    assert (await say(app, asked("Go on")))[:-1] == told
    assert len(await store.turns.branch("t")) == 8
    assert (await store.sessions.get("t")).turn_count == 8
    await store.turns.pop("t")
    assert messages(await app.aget_state(thread("t"))) == told


class Counting(JsonPlusSerializer):
    """Counts the messages that are serialised one by one."""

    messages = 0

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        self.messages += isinstance(obj, BaseMessage)
        return super().dumps_typed(obj)


async def test_what_was_read_is_put_again_without_being_serialised(
    store: Store,
) -> None:
    serde = Counting()
    app = keeping(ConvstoreSaver(store, serde=serde))
    await say(app, asked("One"))
    serde.messages = 0
    await say(app, asked("Two"))
    for_one = serde.messages
    await say(app, *talk(), asked("Three"))
    serde.messages = 0

    await say(app, asked("Four"))

    assert serde.messages == for_one > 0


async def test_on_another_branch_the_checkpoint_stands(store: Store) -> None:
    app = keeping(ConvstoreSaver(store))
    await say(app, asked("One"), AIMessage("1", id="a-1"))
    await store.turns.append("t", role="assistant", content="eins", parent_seq=1)

    told = messages(await app.aget_state(thread("t")))
    assert [one.content for one in told] == ["One", "1"]
    await say(app, asked("Two"))
    assert await contents(store) == ["One", "1", "Two"]


async def test_an_edit_branches_at_the_common_beginning_and_says_why(
    store: Store,
) -> None:
    app = keeping(ConvstoreSaver(store))
    await say(app, asked("One"), AIMessage("1", id="a-1"), asked("Two"))
    await say(app, AIMessage("uno", id="a-1"))
    assert await contents(store) == ["One", "uno", "Two"]
    await say(app, RemoveMessage("asked-Two"))
    assert await contents(store) == ["One", "uno"]
    await say(app, asked("Two"))
    assert await contents(store) == ["One", "uno", "Two"]

    acts = (await store.interactions.list("t")).items
    assert [(act.action, act.actor_kind) for act in acts] == [
        ("compact", "code"),
        ("pop", "code"),
    ]
    states = [messages(one) async for one in app.aget_state_history(thread("t"))]
    assert ["One", "1", "Two"] in [[one.content for one in some] for some in states]


async def test_a_run_from_an_earlier_checkpoint_branches(store: Store) -> None:
    app = keeping(ConvstoreSaver(store))
    await say(app, asked("One"))
    earlier = (await app.aget_state(thread("t"))).config
    await say(app, asked("Two"))
    config = {
        "configurable": {**thread("t")["configurable"], **earlier["configurable"]}
    }
    told = await say(app, asked("Three"), config=config)

    assert [one.content for one in told] == ["One", "Three"]
    assert await contents(store) == ["One", "Three"]
    again = messages(await app.aget_state(earlier))
    assert [one.content for one in again] == ["One"]


async def test_a_deleted_thread_begins_with_an_empty_conversation(
    store: Store,
) -> None:
    saver = ConvstoreSaver(store)
    app = keeping(saver)
    await say(app, *talk())
    late = await saver.aget_tuple(thread("t"))
    assert late is not None
    await saver.adelete_thread("t")

    assert await store.turns.branch("t") == []
    assert messages(await app.aget_state(thread("t"))) == []
    again: Any = late.checkpoint | {"id": late.checkpoint["id"][:-1] + "f"}
    with pytest.raises(CheckpointsEndedError):
        await saver.aput(late.config, again, late.metadata, {})
    assert await store.turns.branch("t") == []
    assert [one.content for one in await say(app, asked("Anew"))] == ["Anew"]


async def test_turns_can_be_found_by_the_ids_of_messages_and_have_an_owner(
    store: Store,
) -> None:
    await say(keeping(ConvstoreSaver(store)), *talk())
    turn = await store.turns.find("t", external_id="answered")
    assert turn is not None
    assert (turn.model, turn.seq) == ("m-1", 5)
    assert (await store.sessions.get("t")).user_id == "ann"


async def test_a_copy_of_a_thread_has_the_messages_at_each_step(store: Store) -> None:
    saver = ConvstoreSaver(store)
    app = keeping(saver)
    await say(app, *talk())
    await say(app, asked("Two"))
    await saver.acopy_thread("t", "u")

    for name in "tu":
        states = [one async for one in app.aget_state_history(thread(name))]
        assert [len(messages(one)) for one in states] == [6, 6, 5, 5, 5, 0]
    assert len(await store.turns.branch("u")) == 6


async def test_no_message_is_a_turn_where_that_is_not_wanted(store: Store) -> None:
    class Cipher:
        def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
            return "x", plaintext[::-1]

        def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
            return ciphertext[::-1]

    hidden = EncryptedSerializer(Cipher())
    for saver in (
        ConvstoreSaver(store, conversation=None),
        ConvstoreSaver(store, serde=hidden),
    ):
        app = keeping(saver)
        await say(app, *talk())
        assert messages(await app.aget_state(thread("t"))) == talk()
        assert await store.turns.branch("t") == []
        await saver.adelete_thread("t")


async def test_a_thread_that_was_kept_without_turns_goes_on_with_them(
    store: Store,
) -> None:
    await say(keeping(ConvstoreSaver(store, conversation=None)), *talk())
    told = await say(keeping(ConvstoreSaver(store)), asked("Two"))
    assert told == [*talk(), asked("Two")]
    assert len(await store.turns.branch("t")) == 6


async def test_a_message_that_is_too_long_for_a_turn_is_kept_in_the_checkpoint(
    open_another: Callable[..., Awaitable[Store]],
) -> None:
    store = await open_another(limits=Limits(max_turn_bytes=2_000))
    app = keeping(ConvstoreSaver(store))
    long = HumanMessage("x" * 3_000, id="long")
    assert await say(app, long) == [long]
    assert messages(await app.aget_state(thread("t"))) == [long]
    assert await store.turns.branch("t") == []


async def test_what_a_node_changes_in_place_is_an_edit_too(store: Store) -> None:
    def change(state: Any) -> dict[str, Any]:
        first, second = state["messages"]
        first.content = "uno"
        second.additional_kwargs["seen"] = True
        return {}

    builder = StateGraph(MessagesState)
    builder.add_node("keep", lambda _: {})
    builder.add_node("change", change)
    builder.add_edge(START, "keep")
    builder.add_edge("keep", "change")
    app = builder.compile(checkpointer=ConvstoreSaver(store))
    await say(app, asked("One"), asked("Two"))

    told = messages(await keeping(ConvstoreSaver(store)).aget_state(thread("t")))
    assert [one.content for one in told] == ["uno", "Two"]
    assert told[1].additional_kwargs == {"seen": True}
    assert await contents(store) == ["uno", "Two"]


async def test_a_step_that_adds_messages_is_one_write_and_the_latest_two_reads(
    store: Store,
) -> None:
    app = keeping(ConvstoreSaver(store))
    await say(app, asked("One"))
    seen = Seen()
    store.watch.add(seen)
    await say(app, asked("Two"))

    assert sorted(seen) == ["read"] * 2 + ["write"] * 5


async def test_metadata_in_another_order_is_the_same_message(store: Store) -> None:
    app = keeping(ConvstoreSaver(store))
    odd = {"finish_reason": "stop", "model_name": "m-1"}
    await say(app, asked("One"), AIMessage("1", id="a-1", response_metadata=odd))
    await say(app, asked("Two"))

    assert (await store.sessions.get("t")).turn_count == 3
    told = messages(await app.aget_state(thread("t")))
    assert list(told[1].response_metadata.items()) == list(odd.items())
