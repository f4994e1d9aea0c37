"""An import can be rehearsed, labelled and taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from convstore import Store
from tests.integration.test_imports_of_tools import sessions_of_adk

ADK = ("google-adk:app:imported", "a"), ("google-adk:user:imported", "a/ann")


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


async def values(store: Store) -> list[Any]:
    """What is kept where imports of ADK put the state of apps and users."""
    found = await store.items.find_many(ADK)
    return [found[name].value if name in found else None for name in ADK]


async def test_state_outside_sessions_is_as_it_was_before_the_import(
    store: Store, tmp_path: Path
) -> None:
    source = sessions_of_adk(tmp_path / "adk.db", ("a", "ann", "s"))
    await store.items.put(*ADK[1], {"lang": '"fy"'}, user_id="ann")
    await store.import_("google-adk", source, batch="b-1")
    await store.import_("google-adk", source, batch="b-1")
    assert await values(store) == [{"open": "true"}, {"lang": '"nl"'}]

    report = await store.undo_import("b-1")

    assert (report.deleted, report.items, report.items_left) == (1, 2, 0)
    assert await values(store) == [None, {"lang": '"fy"'}]
    assert [one.key for one in (await store.items.list()).items] == ["a/ann"]


async def test_state_that_somebody_needs_since_stays_and_is_named(
    store: Store, tmp_path: Path
) -> None:
    keys = [("a", "ann", "s"), ("a", "bob", "s")]
    source = sessions_of_adk(tmp_path / "adk.db", *keys)
    await store.import_("google-adk", source, batch="b-1")
    await store.turns.append("a/bob/s", role="user", content="Hoi")
    await store.items.patch(*ADK[1], {"lang": '"de"'})

    report = await store.undo_import("b-1")

    # Of nobody, and so of Bob, too; and changed since.
    assert sorted(report.left) == ["/".join(name) for name in ADK]
    assert (report.changed, report.items, report.items_left) == (1, 0, 2)
    assert await values(store) == [{"open": "true"}, {"lang": '"de"'}]


async def test_state_that_two_imports_brought_is_no_ones_to_take_back(
    store: Store, tmp_path: Path
) -> None:
    for batch, name in (("b-1", "s"), ("b-2", "t")):
        source = sessions_of_adk(tmp_path / f"{name}.db", ("a", "ann", name))
        await store.import_("google-adk", source, batch=batch)

    report = await store.undo_import("b-1")

    assert (report.deleted, report.items, report.items_left) == (1, 0, 0)
    assert await values(store) == [{"open": "true"}, {"lang": '"nl"'}]
