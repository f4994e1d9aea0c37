"""Conversations of other tools: taken once, and again after they went on there."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from convstore import CorruptionError, InvalidInputError, Store
from convstore.vocabulary.records import SessionDocument

OpenAnother = Callable[..., Awaitable[Store]]
BEGAN = 1_772_355_600.0
NAMES = ("app_name", "user_id", "session_id")


def node(
    node_id: str, parent: str | None, text: str | None = None, at: float = 0
) -> dict[str, Any]:
    role = "user" if node_id.startswith("u") else "assistant"
    message = text and {
        "author": {"role": role},
        "create_time": BEGAN + at,
        "content": {"content_type": "text", "parts": [text]},
        "recipient": "all",
        "metadata": {},
    }
    return {"id": node_id, "parent": parent, "children": [], "message": message}


def talk(
    *nodes: dict[str, Any], head: str | None = None, **more: Any
) -> dict[str, Any]:
    mapping = {each["id"]: each for each in (node("root", None), *nodes)}
    given = {"conversation_id": "c-1", "title": "Kaart", "mapping": mapping}
    return given | {"create_time": BEGAN, "current_node": head} | more


MARCH = (
    node("u1", "root", "Waar is het archief?", 1),
    node("a1", "u1", "Op de markt.", 2),
    node("u2", "a1", "En de kaarten?", 3),
    node("a2", "u2", "Boven.", 4),
)
# An answer to the first question is new, and so is what follows the last one.
APRIL = (
    *MARCH[:2],
    node("a1b", "u1", "In het stadhuis.", 90),
    *MARCH[2:],
    node("u3", "a2", "Dank.", 91),
)


def written(folder: Path, *talks: Any, name: str = "conversations.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(talks))
    return path


async def documents(store: Store) -> list[SessionDocument]:
    return [document async for document in store.documents()]


async def test_an_export_brings_the_tree_its_head_and_its_times(
    store: Store, tmp_path: Path
) -> None:
    source = written(tmp_path, talk(*APRIL, head="a1b"))

    report = await store.import_("auto", source)

    assert (report.format, report.sessions, report.turns) == ("chatgpt", 1, 6)
    assert "mapping" in report.why
    session = await store.sessions.get("c-1")
    assert (session.title, session.head_seq, session.branched) == ("Kaart", 5, True)
    window = await store.turns.window("c-1")
    assert [turn.content for turn in window] == [
        "Waar is het archief?",
        "In het stadhuis.",
    ]
    assert window[0].created_at.timestamp() == BEGAN + 1


async def test_the_same_export_a_month_later_adds_what_is_new_in_the_middle_too(
    store: Store, tmp_path: Path
) -> None:
    await store.import_("chatgpt", written(tmp_path, talk(*MARCH, head="a2")))

    source = written(tmp_path, talk(*APRIL, head="u3"))
    report = await store.import_("chatgpt", source)
    after = await documents(store)
    again = await store.import_("chatgpt", source)

    assert (report.sessions, report.turns, report.rejected_total) == (0, 2, 0)
    assert (again.turns, again.already_present, again.changed) == (0, 1, 0)
    assert await documents(store) == after
    siblings = (await store.turns.siblings("c-1", [2]))[2]
    assert [turn.external_id for turn in siblings] == ["a1", "a1b"]
    texts = [turn.content for turn in await store.turns.window("c-1")]
    assert texts == [
        "Waar is het archief?",
        "Op de markt.",
        "En de kaarten?",
        "Boven.",
        "Dank.",
    ]


async def test_a_conversation_that_went_on_here_keeps_its_head(
    store: Store, tmp_path: Path
) -> None:
    await store.import_("chatgpt", written(tmp_path, talk(*MARCH, head="a2")))
    await store.turns.append("c-1", role="user", content="Hier verder.")

    report = await store.import_("chatgpt", written(tmp_path, talk(*APRIL, head="u3")))

    assert report.turns == 2
    window = await store.turns.window("c-1")
    assert window[-1].content == "Hier verder."
    assert (await store.sessions.get("c-1")).turn_count == 7


async def test_what_the_source_changed_since_is_counted_and_left_alone(
    store: Store, tmp_path: Path
) -> None:
    await store.import_("chatgpt", written(tmp_path, talk(*MARCH)))
    other = (MARCH[0], node("a1", "u1", "Elders.", 2), *MARCH[2:])

    report = await store.import_("chatgpt", written(tmp_path, talk(*other)))

    assert (report.changed, report.rejected_total) == (1, 0)
    assert (await store.turns.window("c-1"))[1].content == "Op de markt."


async def test_a_judgement_that_came_later_finds_its_turn(
    store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    written(folder, talk(*MARCH))
    await store.import_("auto", folder)
    vote = {"message_id": "a1b", "conversation_id": "c-1", "rating": "thumbsUp"}
    (folder / "message_feedback.json").write_text(json.dumps([vote]))
    written(folder, talk(*APRIL))

    report = await store.import_("auto", folder)

    assert (report.turns, report.interactions) == (2, 1)
    page = await store.interactions.list("c-1")
    assert [(act.turn_seq, act.feedback) for act in page.items] == [(5, "thumbs_up")]


async def test_an_archived_conversation_comes_back_when_it_has_grown(
    store: Store, tmp_path: Path
) -> None:
    await store.import_("chatgpt", written(tmp_path, talk(*MARCH)))
    await store.run_retention(older_than_s=0)
    same = await store.import_("chatgpt", written(tmp_path, talk(*MARCH)))
    assert (await store.sessions.get("c-1")).state == "archived"

    report = await store.import_("chatgpt", written(tmp_path, talk(*APRIL)))

    assert same.already_present == 1
    assert (report.turns, report.rejected_total) == (2, 0)
    assert (await store.sessions.get("c-1")).turn_count == 6


async def test_two_imports_at_once_double_nothing(
    store: Store, open_another: OpenAnother, tmp_path: Path
) -> None:
    talks = [talk(*APRIL, conversation_id=f"c-{n}") for n in range(30)]
    source = written(tmp_path, *talks)
    other = await open_another()

    reports = await asyncio.gather(
        store.import_("chatgpt", source), other.import_("chatgpt", source)
    )

    assert sum(report.sessions for report in reports) == 30
    assert sum(report.turns for report in reports) == 30 * 6
    assert all(len(document.turns) == 6 for document in await documents(store))


async def test_an_empty_conversation_is_counted_and_is_no_error(
    store: Store, tmp_path: Path
) -> None:
    report = await store.import_("chatgpt", written(tmp_path, talk()))

    assert (report.records, report.empty, report.rejected_total) == (1, 1, 0)
    assert await store.sessions.find("c-1") is None


async def test_the_zip_that_people_have_is_read_where_it_lies(
    store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    with zipfile.ZipFile(folder / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        first = json.dumps([talk(*MARCH), {"mapping": 1}])
        archive.writestr("conversations-000.json", first)
        second = json.dumps([talk(*MARCH, conversation_id="c-2")])
        archive.writestr("conversations-001.json", second)
        archive.writestr("../../user.json", "{}")
        archive.writestr("chat.html", "<script>")

    report = await store.import_("auto", folder / "export.zip")

    assert (report.format, report.sessions, report.rejected_total) == ("chatgpt", 2, 1)
    assert report.reasons == [
        "record 2: conversations-000.json: mapping: must be an object, not a number"
    ]
    assert [path.name for path in folder.iterdir()] == ["export.zip"]
    assert not (tmp_path.parent / "user.json").exists()


async def test_a_bomb_in_a_zip_ends_the_import_and_keeps_what_came_before(
    store: Store, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations-000.json", json.dumps([talk(*MARCH)]))
        with archive.open("conversations-001.json", "w") as member:
            member.write(b"[")
            for _ in range(100):
                member.write(b" " * 1_000_000)

    with pytest.raises(Exception, match="max_ratio"):
        await store.import_("chatgpt", tmp_path / "x.zip")

    assert (await store.sessions.get("c-1")).turn_count == 4


async def test_a_damaged_zip_is_told(store: Store, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04" + b"\0" * 100)

    with pytest.raises(CorruptionError):
        await store.import_("auto", tmp_path / "x.zip")


async def test_auto_names_the_nearest_formats_where_none_fits(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"mapping": {}, "current_node": 1}))

    with pytest.raises(InvalidInputError, match="nearest are chatgpt"):
        await store.import_("auto", path)


async def test_auto_names_the_nearest_formats_of_a_database(
    store: Store, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("CREATE TABLE steps (id, what)")

    with pytest.raises(InvalidInputError, match="steps; nearest are chainlit"):
        await store.import_("auto", tmp_path / "x.db")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<!doctype html>\n<html></html>\n", "nothing in it can be read: record"),
        ('[{"mapping": {"a": {"mess', "can be read: record: is not whole"),
    ],
)
async def test_auto_says_why_nothing_can_be_read(
    text: str, told: str, store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "conversations.json"
    path.write_text(text)

    with pytest.raises(InvalidInputError, match=told):
        await store.import_("auto", path)


async def test_an_export_of_nothing_is_no_error_and_is_said(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "conversations.json"
    path.write_text("[]")

    report = await store.import_("auto", path)

    assert (report.records, report.rejected_total) == (0, 0)
    assert "no record" in report.why


async def test_a_folder_of_databases_alone_says_to_name_one(
    store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "open-webui"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "webui.db").write_bytes(b"SQLite format 3\0")

    with pytest.raises(InvalidInputError, match=r"named by itself: data/webui\.db"):
        await store.import_("auto", folder)


async def test_of_several_files_the_one_that_cannot_be_read_is_named(
    store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    written(folder, talk(*MARCH), name="a.json")
    (folder / "b.json").write_text("[]", encoding="utf-16")

    with pytest.raises(InvalidInputError, match=r"b\.json: is text in UTF-16"):
        await store.import_("auto", folder)
    assert (await store.sessions.get("c-1")).turn_count == 4


async def test_a_zip_that_a_mac_made_has_no_more_than_its_files(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("export/chat.json", json.dumps([talk(*MARCH)]))
        packed.writestr("__MACOSX/export/._chat.json", b"\0\5\26\7\0\2")
        packed.writestr("export/._chat.json", b"\0\5\26\7\0\2")

    report = await store.import_("auto", path)

    assert (report.format, report.sessions, report.rejected_total) == ("chatgpt", 1, 0)


def sessions_of_adk(path: Path, *keys: tuple[str, str, str]) -> Path:
    """A database of ADK's with a message in each session, and state of all kinds."""
    said = json.dumps({"author": "user", "content": {"parts": [{"text": "Waar?"}]}})
    tables = {
        "sessions (app_name, user_id, id, state)": [(*k, '{"n": 1}') for k in keys],
        "events (app_name, user_id, session_id, id, timestamp, event_data)": [
            (*key, "e-1", BEGAN, said) for key in keys
        ],
        "app_states (app_name, state)": [("a", '{"open": true}')],
        "user_states (app_name, user_id, state)": [("a", "ann", '{"lang": "nl"}')],
    }
    connection = sqlite3.connect(path)
    for table, rows in tables.items():
        connection.execute(f"CREATE TABLE {table}")
        marks = ", ".join("?" * len(rows[0]))
        name = table.partition(" ")[0]
        connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
    connection.commit()
    connection.close()
    return path


async def test_state_of_adk_is_kept_where_its_adapter_looks(
    store: Store, tmp_path: Path
) -> None:
    path = sessions_of_adk(tmp_path / "adk.db", ("a", "ann", "s"))

    await store.import_("google-adk", path, dry_run=True)
    assert (await store.items.list()).items == ()
    await store.import_("google-adk", path)

    (document,) = await documents(store)
    kept = {"google-adk:imported": {"state": {"n": "1"}}}
    assert (document.session.id, document.adapter_state) == ("a/ann/s", kept)
    items = (await store.items.list()).items
    assert [(i.namespace, i.key, i.value, i.user_id) for i in items] == [
        ("google-adk:app:imported", "a", {"open": "true"}, None),
        ("google-adk:user:imported", "a/ann", {"lang": '"nl"'}, "ann"),
    ]
    # Again, and as another user's: what is there stays as it is.
    await store.sessions.patch("a/ann/s", adapter_state=kept | {"mine": {}})
    before = await documents(store)
    for given in ({}, {"user_id": "bob"}):
        report = await store.import_("google-adk", path, **given)
        assert (report.already_present, dict(report.rejected)) == (1, {})
    assert await documents(store) == before
    assert (await store.items.list()).items == items


async def test_names_of_adk_that_only_together_are_the_same_are_two_sessions(
    store: Store, tmp_path: Path
) -> None:
    keys = [("a/b", "c", "d"), ("a", "b/c", "d"), ("a%2Fb", "c", "d")]

    report = await store.import_(
        "google-adk", sessions_of_adk(tmp_path / "adk.db", *keys)
    )

    assert (report.sessions, dict(report.rejected)) == (3, {})
    found = [document.session for document in await documents(store)]
    told = {tuple(map(one.metadata.get, NAMES)): one.user_id for one in found}
    assert told == {key: key[1] for key in keys}
