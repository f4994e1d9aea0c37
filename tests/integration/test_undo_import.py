"""An import can be rehearsed, labelled and taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from convstore import Store


def written(folder: Path, *talks: Any) -> Path:
    path = folder / "x.jsonl"
    path.write_text("".join(json.dumps(talk) + "\n" for talk in talks))
    return path


def talk(name: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"Hoi {name}"}]
    return {"session_id": name, "messages": messages}


async def test_a_rehearsal_tells_the_same_and_writes_nothing(
    store: Store, tmp_path: Path
) -> None:
    source = written(tmp_path, talk("s-1"), talk("s-2"), {"messages": 1})
    await store.import_("messages", written(tmp_path, talk("s-1")))
    source = written(tmp_path, talk("s-1"), talk("s-2"), {"messages": 1})

    told = await store.import_("messages", source, dry_run=True)

    assert await store.sessions.find("s-2") is None
    assert told == await store.import_("messages", source)
    assert (told.sessions, told.already_present, told.rejected_total) == (1, 1, 1)


async def test_an_import_labels_what_it_makes_and_nothing_else(
    store: Store, tmp_path: Path
) -> None:
    await store.import_("messages", written(tmp_path, talk("s-1")))

    source = written(tmp_path, talk("s-1"), talk("s-2"))
    await store.import_("messages", source, user_id="u-1", tags=["oud"], batch="b-1")

    first, second = await store.sessions.get("s-1"), await store.sessions.get("s-2")
    assert (first.user_id, first.tags) == (None, ())
    assert (second.user_id, second.tags) == ("u-1", ("oud",))
    assert second.metadata["import_batch"] == "b-1"


async def test_an_import_is_undone_but_for_what_went_on(
    store: Store, tmp_path: Path
) -> None:
    await store.import_("messages", written(tmp_path, talk("s-0")))
    source = written(tmp_path, *(talk(f"s-{n}") for n in range(4)))
    await store.import_("messages", source, batch="b-1")
    await store.turns.append("s-2", role="assistant", content="Dag.")
    await store.holds.place("s-3", reason="r", actor_id="a")

    report = await store.undo_import("b-1")

    assert (report.deleted, report.changed, report.held) == (1, 1, 1)
    left = [session.id for session in (await store.sessions.list()).items]
    assert sorted(left) == ["s-0", "s-2", "s-3"]
    assert (await store.undo_import("b-1")).deleted == 0
