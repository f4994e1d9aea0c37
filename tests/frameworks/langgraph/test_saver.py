"""What LangGraph's tests do not ask of a checkpointer."""

from __future__ import annotations

import asyncio
import copy
import operator
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph

from convstore import (
    CheckpointsEndedError,
    ConfigError,
    LegalHoldError,
    SessionErasedError,
    blocking,
    open_store,
)
from convstore.adapters.langgraph import ConvstoreSaver

RUN = {"run_id": "run-1"}


class State(TypedDict):
    said: Annotated[list[str], operator.add]


def graph(saver: ConvstoreSaver) -> Any:
    def answer(state: State) -> State:
        return {"said": [f"re: {state['said'][-1]}"]}

    builder = StateGraph(State)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=saver)


def thread(name: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": name}}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[blocking.Store]:
    with blocking.open_store(f"sqlite:///{tmp_path}/store.db") as store:
        yield store


def test_a_run_goes_on_where_it_ended_in_any_thread_and_loop(
    opened: blocking.Store,
) -> None:
    saver = ConvstoreSaver(opened)

    def talk(number: int) -> list[str]:
        if number % 2:
            return list(
                graph(saver).invoke({"said": ["a"]}, thread(f"t-{number}"))["said"]
            )
        run = graph(saver).ainvoke({"said": ["a"]}, thread(f"t-{number}"))
        return list(asyncio.run(run)["said"])

    with ThreadPoolExecutor(5) as pool:
        first = list(pool.map(talk, range(10)))
        second = list(pool.map(talk, range(10)))

    assert first == [["a", "re: a"]] * 10
    assert second == [["a", "re: a", "a", "re: a"]] * 10
    assert opened.sessions.get("t-1").state == "active"


def test_many_turns_take_little_room(opened: blocking.Store) -> None:
    saver = ConvstoreSaver(opened)
    for number in range(50):
        graph(saver).invoke({"said": [f"{number}:" + "x" * 500]}, thread("t"))

    told = opened.checkpoints.get("t")
    assert len(told.lists["said"]) == 100
    assert len(list(saver.list(thread("t"), limit=7))) == 7


def test_a_late_write_does_not_bring_a_deleted_thread_back(
    opened: blocking.Store,
) -> None:
    saver = ConvstoreSaver(opened)
    app = graph(saver)
    app.invoke({"said": ["a"]}, thread("t"))
    late = saver.get_tuple(thread("t"))
    assert late is not None

    saver.delete_thread("t")

    with pytest.raises(CheckpointsEndedError):
        saver.put_writes(late.config, [("said", ["late"])], "task")
    assert saver.get_tuple(thread("t")) is None
    assert app.invoke({"said": ["b"]}, thread("t"))["said"] == ["b", "re: b"]


def test_what_no_database_holds_is_kept_all_the_same(opened: blocking.Store) -> None:
    saver = ConvstoreSaver(opened)
    odd = "nul \0 here"
    config = {**thread("x" * 300), "metadata": {"nan": float("nan")}}
    graph(saver).invoke({"said": [odd]}, config)

    found = saver.get_tuple(thread("x" * 300))

    assert found is not None
    assert found.checkpoint["channel_values"]["said"][0] == odd
    assert found.metadata["nan"] != found.metadata["nan"]
    assert found.config["configurable"]["thread_id"] == "x" * 300


def test_a_checkpoint_that_is_named_by_nothing_is_the_latest(
    opened: blocking.Store,
) -> None:
    """As LangGraph's own take it: a page sends an empty id for none."""
    saver = ConvstoreSaver(opened)
    app = graph(saver)
    app.invoke({"said": ["a"]}, thread("t"))
    named = {"configurable": {"thread_id": "t", "checkpoint_id": ""}}

    assert saver.get_tuple(named) == saver.get_tuple(thread("t"))
    assert [*saver.list(named)] == [*saver.list(thread("t"))]
    assert [*saver.list(thread("t"), before=named)] == [*saver.list(thread("t"))]
    app.invoke({"said": ["b"]}, named)
    assert app.get_state(thread("t")).values["said"] == ["a", "re: a", "b", "re: b"]


def test_a_filter_that_no_metadata_meets_finds_nothing(
    opened: blocking.Store,
) -> None:
    saver = ConvstoreSaver(opened)
    graph(saver).invoke({"said": ["a"]}, thread("t"))

    for key, value in ((7, "seven"), ("\0", 1), ("n", 2**70), ("n", float("nan"))):
        wanted: Any = {key: value}
        assert [*saver.list(thread("t"), filter=wanted)] == []


@pytest.mark.parametrize("conversation", ["messages", None])
def test_a_thread_that_was_deleted_elsewhere_is_not_there(
    opened: blocking.Store, conversation: str | None
) -> None:
    saver = ConvstoreSaver(opened, conversation=conversation)
    graph(saver).invoke({"said": ["a"]}, thread("t"))
    opened.sessions.delete("t")

    assert saver.get_tuple(thread("t")) is None
    assert [*saver.list(thread("t"))] == []
    saver.prune(["t"])
    saver.delete_thread("t")


def test_a_session_that_was_archived_goes_on(opened: blocking.Store) -> None:
    saver = ConvstoreSaver(opened)
    graph(saver).invoke({"said": ["a"]}, thread("t"))
    assert opened.run_retention(older_than_s=0).purged == 1

    said = graph(saver).invoke({"said": ["b"]}, thread("t"))["said"]

    assert said == ["a", "re: a", "b", "re: b"]
    opened.erase(session_id="t")
    with pytest.raises(SessionErasedError):
        saver.get_tuple(thread("t"))


async def test_a_store_of_this_loop_serves_its_tasks_and_refuses_its_thread(
    tmp_path: Path,
) -> None:
    async with open_store(f"sqlite:///{tmp_path}/store.db") as store:
        saver = copy.copy(ConvstoreSaver(store))
        await graph(saver).ainvoke({"said": ["a"]}, thread("t"))

        with pytest.raises(ConfigError):
            saver.get_tuple(thread("t"))
        found = await asyncio.to_thread(saver.get_tuple, thread("t"))

    assert found is not None


@pytest.mark.parametrize("awaited", [False, True])
def test_a_held_thread_stays_and_all_others_are_done(
    opened: blocking.Store, awaited: bool
) -> None:
    saver = ConvstoreSaver(opened)
    for name in ("t-1", "held", "t-2"):
        graph(saver).invoke({"said": ["a"]}, {**thread(name), "metadata": RUN})
    before = list(saver.list(thread("held")))
    opened.holds.place("held", reason="case 7", actor_id="legal")

    def call(verb: str, *args: Any, **given: Any) -> Any:
        if not awaited:
            return getattr(saver, verb)(*args, **given)
        return asyncio.run(getattr(saver, f"a{verb}")(*args, **given))

    with pytest.raises(LegalHoldError, match="held"):
        call("prune", ["t-1", "held", "t-2"])
    left = [len(list(saver.list(thread(name)))) for name in ("t-1", "t-2")]
    with pytest.raises(LegalHoldError, match="held"):
        call("delete_for_runs", ["run-1"])
    with pytest.raises(LegalHoldError, match="held"):
        call("delete_thread", "held")
    with pytest.raises(LegalHoldError, match="held"):
        call("prune", ["held"], strategy="delete")

    assert left == [1, 1]
    assert [saver.get_tuple(thread(name)) for name in ("t-1", "t-2")] == [None, None]
    assert list(saver.list(thread("held"))) == before
    said = graph(saver).invoke({"said": ["b"]}, thread("held"))["said"]
    assert said == ["a", "re: a", "b", "re: b"]
