"""Tool exports into a store: interrupted, repeated, carried over, and never by half."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from convstore import Store, StoreConfig, open_store
from convstore.vocabulary.progress import Progress
from convstore.vocabulary.records import SessionDocument
from tests.unit.imports.tools.samples import SAMPLES, Sample

IDS = [f"{n}-{sample.name}" for n, sample in enumerate(SAMPLES)]


async def documents(store: Store) -> list[SessionDocument]:
    return [document async for document in store.documents()]


@pytest.mark.mostly_slow("*-chatgpt", "*-claude*", "*-lang*", "*-codex")
@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
async def test_each_tool_comes_in_once_and_goes_over_whole(
    sample: Sample, tmp_path: Path
) -> None:
    source = sample.written(tmp_path)
    async with open_store(f"sqlite:///{tmp_path / 'a.db'}") as store:
        report = await store.import_("auto", source)
        before = await documents(store)
        again = await store.import_("auto", source)
        assert await documents(store) == before
        await store.export("convstore", to=tmp_path / "out")

    assert (report.format, report.turns) == (sample.name, sample.turns)
    assert (report.rejected_total, again.turns, again.changed) == (0, 0, 0)
    assert again.already_present == again.records
    (exported,) = (tmp_path / "out").glob("**/*.jsonl")
    async with open_store(f"sqlite:///{tmp_path / 'b.db'}") as other:
        taken = await other.import_("convstore", exported)
        found = await documents(other)
    assert taken.rejected_total == 0
    assert [d.turns for d in found] == [d.turns for d in before]
    assert [d.interactions for d in found] == [d.interactions for d in before]
    assert [d.graph_states for d in found] == [d.graph_states for d in before]


def node(name: str, parent: str | None, text: str = "") -> dict[str, Any]:
    content = {"content_type": "text", "parts": [text]}
    author = {"role": "user" if name.startswith("u") else "assistant"}
    message = {"author": author, "content": content} if text else None
    return {"id": name, "parent": parent, "message": message}


def chats(path: Path, count: int, text: str = "Hoi") -> Path:
    with path.open("w") as file:
        file.write("[")
        for number in range(count):
            nodes = [node("r", None), node("u", "r", text), node("a", "u", text)]
            talk = {"id": f"c-{number}", "mapping": {n["id"]: n for n in nodes}}
            file.write(("," if number else "") + json.dumps(talk))
        file.write("]")
    return path


class StoppedError(Exception):
    pass


async def test_an_import_that_was_cut_short_goes_on(
    store: Store, tmp_path: Path
) -> None:
    source = chats(tmp_path / "conversations.json", 600)

    def stop(progress: Progress) -> None:
        if progress.done >= 256:
            raise StoppedError

    with pytest.raises(StoppedError):
        await store.import_("chatgpt", source, on_progress=stop)
    report = await store.import_("chatgpt", source)

    assert 0 < report.already_present < 600
    assert report.sessions + report.already_present == 600
    assert (await store.stats()).sessions["active"] == 600


async def test_progress_tells_how_much_of_the_source_was_read(
    store: Store, tmp_path: Path
) -> None:
    source = chats(tmp_path / "conversations.json", 600, "x" * 2_000)
    told: list[Progress] = []

    await store.import_("chatgpt", source, on_progress=told.append)

    read = [progress.counts["bytes"] for progress in told]
    assert read == sorted(read)
    assert told[-1].counts["total_bytes"] == source.stat().st_size
    assert 0 < read[0] <= read[-1] <= source.stat().st_size


async def test_progress_tells_how_much_of_a_database_was_read(
    store: Store, tmp_path: Path
) -> None:
    said = json.dumps({"type": "human", "data": {"content": "Hoi"}})
    rows = [
        {"id": n, "session_id": f"c-{n:04}", "message": said} for n in range(1, 601)
    ]
    source = Sample("langchain", 0, tables={"m": rows}).written(tmp_path)
    told: list[Progress] = []

    await store.import_("langchain", source, on_progress=told.append)

    read = [progress.counts["bytes"] for progress in told]
    assert read == sorted(read)
    assert 0 < read[0] <= read[-1] == source.stat().st_size
    assert told[-1].counts["total_bytes"] == source.stat().st_size


async def test_a_database_that_is_only_memory_takes_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    chats(folder / "conversations-000.json", 2)
    (folder / "loop").symlink_to(folder)
    (folder / "elsewhere.json").symlink_to("/etc/hostname")

    async with open_store(StoreConfig(url="sqlite://")) as store:
        report = await store.import_("auto", folder)

    assert (report.sessions, report.rejected_total) == (2, 0)


@pytest.mark.mostly_slow("postgres")
async def test_a_conversation_of_more_turns_than_a_call_takes_comes_in_whole(
    store: Store, tmp_path: Path
) -> None:
    count = 10_001
    nodes = [node("u0", None, "Hoi")]
    for n in range(1, count):
        nodes.append(node(f"u{n}", nodes[-1]["id"], "Hoi"))
    talk = {"id": "long", "mapping": {n["id"]: n for n in nodes}}
    path = tmp_path / "long.json"
    path.write_text(json.dumps([talk]))

    report = await store.import_("chatgpt", path)

    assert (report.rejected_total, report.turns) == (0, count)
    assert (await store.turns.get("long", count)).external_id == f"u{count - 1}"


async def test_compared_answers_are_branches_with_a_choice(
    store: Store, tmp_path: Path
) -> None:
    def message(name: str, text: str) -> dict[str, Any]:
        author = {"role": "user" if name == "q" else "assistant"}
        content = {"content_type": "text", "parts": [text]}
        return {"id": name, "author": author, "content": content}

    step = {
        "original_turn": [message("a", "The Hague.")],
        "new_turn": [message("b", "Amsterdam.")],
        "completion_comparison_rating": "new",
    }
    compared = {
        "id": "x-1",
        "input": {"prompt_convo": {"messages": [message("q", "Capital?")]}},
        "output": {"feedback_step_1": step, "feedback_version": "1.0"},
    }
    redacted = {"id": "x-2", "output": {"feedback_step_1": {"new_turn": None}}}
    chats(tmp_path / "conversations.json", 1)
    (tmp_path / "model_comparisons.json").write_text(json.dumps([compared, redacted]))

    report = await store.import_("auto", tmp_path)

    assert (report.rejected_total, report.sessions, report.empty) == (0, 2, 1)
    assert report.left_out["comparison_without_its_answers"] == 1
    page = await store.interactions.list("comparison:x-1")
    (choice,) = page.items
    assert choice.choice is not None
    assert (choice.choice.chosen, choice.choice.rejected) == (3, (2,))
    assert (await store.turns.get("comparison:x-1", 3)).parent_seq == 1
