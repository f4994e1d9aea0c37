"""Conversations from files: whole or not at all, once however often, nothing lost."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from convstore import (
    ConfigError,
    InvalidInputError,
    ManualClock,
    StorageFullError,
    Store,
    StoreClosedError,
    StoreConfig,
    open_store,
)
from convstore.imports.importer import ImportOptions, Stored, run_import
from convstore.imports.model import ImportedSession
from convstore.imports.registry import load_format
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.records import SessionDocument

OpenAnother = Callable[..., Awaitable[Store]]


def talk(session_id: str, *texts: str, **more: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [
        {"role": roles[place % 2], "content": text} for place, text in enumerate(texts)
    ]
    return {"session_id": session_id, "messages": messages, **more}


def written(folder: Path, *records: Any, name: str = "in.jsonl") -> Path:
    path = folder / name
    lines = [
        record if isinstance(record, bytes) else json.dumps(record).encode()
        for record in records
    ]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


async def documents(store: Store) -> list[SessionDocument]:
    return [document async for document in store.documents()]


async def test_an_import_brings_sessions_turns_and_judgements(
    store: Store, tmp_path: Path
) -> None:
    source = written(
        tmp_path,
        talk("s-1", "Hoi", "Dag", user_id="u-1", language="nl", tags=["t"]),
        talk("s-2", "Hi", "Hello", reward=0.5),
    )

    report = await store.import_("messages", source)

    assert (report.records, report.sessions, report.turns) == (2, 2, 4)
    assert (report.interactions, report.rejected_total) == (1, 0)
    session = await store.sessions.get("s-1")
    assert (session.user_id, session.language, session.tags) == ("u-1", "nl", ("t",))
    assert [t.content for t in await store.turns.window("s-2")] == ["Hi", "Hello"]
    page = await store.sessions.list(tag="t")
    assert [found.id for found in page.items] == ["s-1"]


async def test_a_second_import_changes_nothing(store: Store, tmp_path: Path) -> None:
    source = written(tmp_path, talk("s-1", "a", "b", reward=1))
    await store.import_("messages", source)
    before = await documents(store)

    report = await store.import_("messages", source)

    assert report.records == report.already_present == len(before)
    assert (report.sessions, report.turns, report.interactions) == (0, 0, 0)
    assert await documents(store) == before


async def test_a_session_twice_in_one_source_is_one_session(
    store: Store, tmp_path: Path
) -> None:
    record = talk("s-1", "a", "b")

    report = await store.import_("messages", written(tmp_path, record, record))

    assert (report.sessions, report.already_present) == (1, 1)


async def test_a_conversation_that_has_grown_is_continued(
    store: Store, tmp_path: Path
) -> None:
    await store.import_("messages", written(tmp_path, talk("s-1", "a", "b")))

    report = await store.import_(
        "messages", written(tmp_path, talk("s-1", "a", "b", "c", "d"))
    )

    assert (report.sessions, report.turns, report.rejected_total) == (0, 2, 0)
    window = await store.turns.window("s-1")
    assert [turn.content for turn in window] == ["a", "b", "c", "d"]


async def test_a_session_that_went_on_here_is_left_alone(
    store: Store, tmp_path: Path
) -> None:
    source = written(tmp_path, talk("s-1", "a", "b"))
    await store.import_("messages", source)
    await store.turns.append("s-1", role="user", content="c")

    again = await store.import_("messages", source)
    grown = await store.import_(
        "messages", written(tmp_path, talk("s-1", "a", "b", "other", "d"))
    )

    assert again.already_present == 1
    assert grown.rejected == {"conflict": 1}
    window = await store.turns.window("s-1")
    assert [turn.content for turn in window] == ["a", "b", "c"]


async def test_another_conversation_under_a_taken_id_is_refused(
    store: Store, tmp_path: Path
) -> None:
    await store.sessions.get_or_create("s-1")
    await store.turns.append("s-1", role="user", content="mine")
    before = await documents(store)

    report = await store.import_("messages", written(tmp_path, talk("s-1", "theirs")))

    assert report.rejected == {"conflict": 1}
    assert await documents(store) == before


async def test_an_archived_session_is_present_and_stays_archived(
    store: Store, tmp_path: Path
) -> None:
    source = written(tmp_path, talk("s-1", "a", "b"))
    await store.import_("messages", source)
    await store.run_retention(older_than_s=0)

    report = await store.import_("messages", source)

    assert (report.already_present, report.rejected_total) == (1, 0)
    assert (await store.sessions.get("s-1")).state == "archived"


async def test_an_archived_session_is_restored_by_the_record_that_continues_it(
    store: Store, tmp_path: Path
) -> None:
    await store.import_("messages", written(tmp_path, talk("s-1", "a", "b")))
    await store.run_retention(older_than_s=0)

    grown = written(tmp_path, talk("s-1", "a", "b", "c"))
    report = await store.import_("messages", grown)

    assert (report.turns, report.rejected_total) == (1, 0)
    assert (await store.sessions.get("s-1")).state == "active"
    assert [t.content for t in await store.turns.window("s-1")] == ["a", "b", "c"]


async def test_an_erased_session_does_not_come_back_by_an_import(
    store: Store, tmp_path: Path
) -> None:
    source = written(tmp_path, talk("s-1", "a", "b"), talk("s-2", "c"))
    await store.import_("messages", source)
    await store.erase(session_id="s-1")
    await store.sessions.delete("s-2", archive=False)

    report = await store.import_("messages", source)

    assert report.rejected == {"session_erased": 1, "session_deleted": 1}


async def test_bad_records_are_laid_aside_with_line_and_reason(
    store: Store, tmp_path: Path
) -> None:
    source = written(
        tmp_path,
        talk("s-1", "a"),
        b'{"messages": [',
        talk("s-\0", "b"),
        {"messages": [{"role": "user", "content": "nul \0"}]},
        talk("s-2", "c"),
    )

    report = await store.import_("messages", source, report_to=tmp_path / "report")

    assert (report.records, report.sessions, report.rejected_total) == (5, 2, 3)
    lines = (tmp_path / "report" / "rejected.jsonl").read_bytes().splitlines()
    rejected = [json.loads(line) for line in lines]
    assert [line["number"] for line in rejected] == [2, 3, 4]
    assert all(line["code"] and line["reason"] for line in rejected)
    assert rejected[0]["record"] == '{"messages": ['
    told = json.loads((tmp_path / "report" / "report.json").read_bytes())
    assert told["sessions"] == 2
    for path in (tmp_path / "report").iterdir():
        assert path.stat().st_mode & 0o077 == 0


async def test_a_report_holds_nothing_of_the_one_before_it(
    store: Store, tmp_path: Path
) -> None:
    told = tmp_path / "report"
    await store.import_("messages", written(tmp_path, b"no json"), report_to=told)
    assert (told / "rejected.jsonl").exists()

    mended = written(tmp_path, talk("s-1", "a"))
    await store.import_("messages", mended, report_to=told)

    assert [path.name for path in told.iterdir()] == ["report.json"]


async def test_a_source_of_noise_fills_no_disk_with_what_was_set_aside(
    tmp_path: Path,
) -> None:
    noise = written(tmp_path, *[b"1"] * 1_000)
    options = ImportOptions(report_to=tmp_path / "out", most_rejected_bytes=1_000)

    async def write(_: ImportedSession) -> Stored:
        raise AssertionError("nothing is to be written")

    report = await run_import(load_format("messages"), noise, write, options)

    kept = (tmp_path / "out" / "rejected.jsonl").read_bytes()
    assert report.rejected_total == 1_000
    assert 800 < len(kept) <= 1_000
    assert [json.loads(line)["number"] for line in kept.splitlines()][:2] == [1, 2]


async def test_fields_of_a_mapping_that_no_record_has_are_in_the_report(
    store: Store, tmp_path: Path
) -> None:
    mapping = tmp_path / "map.toml"
    told = '[[turn]]\nrole = "user"\ntext = "ask"\n[[feedback]]\nfield = "grad"\n'
    mapping.write_text(told)
    source = written(tmp_path, {"ask": "Q", "grade": 5})

    report = await store.import_("map", source, mapping=mapping)

    assert (report.sessions, report.absent) == (1, ["grad"])


async def test_the_first_reasons_are_in_the_report(
    store: Store, tmp_path: Path
) -> None:
    source = written(tmp_path, *[{"messages": []}] * 9, {"chat": []}, {"messages": []})

    report = await store.import_("messages", source)

    assert report.format == "messages"
    assert [reason.partition(" has none")[0] for reason in report.reasons] == [
        "record 1: messages: is empty",
        "record 10: record:",
    ]


async def test_hostile_records_are_laid_aside_and_hostile_names_are_only_names(
    store: Store, tmp_path: Path
) -> None:
    ids = [
        "../../escaped",
        "/etc/passwd",
        "a/../../b",
        "C:\\\\x",
        "s'; DROP TABLE turns",
    ]
    said = b'{"session_id": "bad", "messages": [{"role": "user", "content": %s}]}'
    hostile = [
        said % b'"a", "content": "b"',
        said % b"[" * 100_000,
        said % (b'{"a":' * 300 + b"1" + b"}" * 300),
        said % (b"9" * 100_000),
        said % b"1e999",
        said % b"NaN",
        said % rb'"\u0000"',
        said % rb'"\ud800"',
        said % b'"\xff\xfe"',
        said % b'"\xc0\xaf"',
        said % b'"\x00"',
    ]
    folder = tmp_path / "in"
    folder.mkdir()
    source = written(folder, *hostile, *(talk(name, name) for name in ids))

    report = await store.import_("messages", source, report_to=folder / "report")

    assert report.rejected_total == len(hostile)
    assert sorted(d.session.id for d in await documents(store)) == sorted(ids)
    for name in ids:
        assert [t.content for t in await store.turns.window(name)] == [name]
    assert sorted(p.name for p in folder.rglob("*")) == [
        "in.jsonl",
        "rejected.jsonl",
        "report",
        "report.json",
    ]


@pytest.mark.parametrize("name", ["rejected.jsonl", "report.json"])
async def test_a_full_disk_under_the_report_is_named_and_what_came_in_stays(
    store: Store, tmp_path: Path, name: str
) -> None:
    source = written(tmp_path, talk("s-1", "a"), b"no json")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / name).symlink_to("/dev/full")

    with pytest.raises(StorageFullError, match=name):
        await store.import_("messages", source, report_to=tmp_path / "report")

    assert [d.session.id for d in await documents(store)] == ["s-1"]


async def test_a_record_is_stored_whole_or_not_at_all(
    store: Store, tmp_path: Path
) -> None:
    """The last turn is what cannot be stored."""
    source = written(tmp_path, talk("s-1", "fine", "not \0 fine"))

    report = await store.import_("messages", source)

    assert report.rejected == {"invalid_input": 1}
    assert await store.sessions.find("s-1") is None


async def test_a_strict_import_stops_at_the_first_bad_record(
    store: Store, tmp_path: Path
) -> None:
    source = written(tmp_path, talk("s-1", "a"), b"no json", talk("s-2", "b"))

    with pytest.raises(InvalidInputError, match="record 2"):
        await store.import_("messages", source, strict=True)

    assert await store.sessions.find("s-1") is not None


async def test_many_records_share_commits(store: Store, tmp_path: Path) -> None:
    source = written(tmp_path, *(talk(f"s-{n}", "a", "b") for n in range(1_000)))

    report = await store.import_("messages", source)

    assert report.sessions == 1_000
    assert (await store.stats()).commits < 100


async def test_two_imports_of_one_source_at_once_make_one_of_each(
    store: Store, open_another: OpenAnother, tmp_path: Path
) -> None:
    source = written(tmp_path, *(talk(f"s-{n}", "a", "b") for n in range(200)))
    other = await open_another()

    reports = await asyncio.gather(
        *(one.import_("messages", source) for one in (store, other))
    )

    assert sum(report.sessions for report in reports) == 200
    assert sum(report.already_present for report in reports) == 200
    assert sum(report.turns for report in reports) == 400


async def test_a_cancelled_import_is_completed_by_the_next(
    store: Store, tmp_path: Path
) -> None:
    source = written(tmp_path, *(talk(f"s-{n}", "a") for n in range(1_000)))
    begun = asyncio.Event()
    task = asyncio.create_task(
        store.import_("messages", source, on_progress=lambda _: begun.set())
    )
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    report = await store.import_("messages", source)

    assert report.rejected_total == 0
    assert report.sessions + report.already_present == 1_000
    assert await store.sessions.count() == 1_000


async def test_an_import_into_a_closed_store_says_so(
    open_another: OpenAnother, tmp_path: Path
) -> None:
    store = await open_another()
    await store.close()

    with pytest.raises(StoreClosedError):
        await store.import_("messages", written(tmp_path, talk("s-1", "a")))


# Choices and branches


async def test_a_preference_becomes_two_answers_and_a_choice(
    store: Store, tmp_path: Path
) -> None:
    def said(role: str, text: str) -> list[dict[str, str]]:
        return [{"role": role, "content": text}]

    record = {
        "session_id": "s-1",
        "prompt": said("user", "Q"),
        "chosen": said("assistant", "A"),
        "rejected": said("assistant", "B"),
    }

    report = await store.import_("preference", written(tmp_path, record))

    assert (report.turns, report.interactions) == (3, 1)
    (act,) = (await store.interactions.list("s-1")).items
    assert act.choice is not None
    chosen = await store.turns.get("s-1", act.choice.chosen or 0)
    assert chosen.content == "A"
    assert [t.content for t in await store.turns.window("s-1")] == ["Q", "A"]


# Our own documents


async def a_rich_session(store: Store, clock: ManualClock) -> None:
    turns, acts = store.turns, store.interactions
    await store.sessions.get_or_create("s-1", user_id="u-1", metadata={"k": 1})
    await turns.append("s-1", role="user", content="Q 🎉", slots={"place": "Enschede"})
    await turns.append("s-1", role="assistant", content="A", tools=[{"name": "f"}])
    clock.advance(7)
    await turns.append("s-1", role="assistant", content="B", parent_seq=1)
    await acts.record("s-1", action="feedback", turn_seq=2, feedback="correct", score=1)
    await store.graph_states.put("s-1", {"nodes": [1]}, turn_seq=2)
    await store.holds.place("s-1", reason="case 7", actor_id="legal")


async def test_thoughts_that_come_in_go_out(store: Store, tmp_path: Path) -> None:
    thought = {"role": "assistant", "content": "4", "reasoning_content": "2 + 2"}
    other = {"role": "assistant", "content": "5"}
    asked = {"role": "user", "content": "What is 2 + 2?"}
    row = {"prompt": [asked], "chosen": [thought], "rejected": [other]}
    (tmp_path / "in.jsonl").write_text(json.dumps(row))

    await store.import_("preference", tmp_path / "in.jsonl", strict=True)
    await store.export("preference", to=tmp_path / "out")

    (data,) = (tmp_path / "out" / "data").iterdir()
    found = json.loads(data.read_bytes())
    assert {key: found[key] for key in row} == row


async def test_a_document_is_imported_without_loss(
    store: Store,
    new_database: Callable[[str], str],
    open_another: OpenAnother,
    clock: ManualClock,
    tmp_path: Path,
) -> None:
    await a_rich_session(store, clock)
    (before,) = await documents(store)
    source = written(tmp_path, encode_document(before))
    other = await open_another(
        url=new_database("sqlite"), archive_dir=tmp_path / "other"
    )

    report = await other.import_("convstore", source)
    again = await other.import_("convstore", source)

    assert (report.sessions, report.turns) == (1, 3)
    assert (again.sessions, again.already_present) == (0, 1)
    (after,) = await documents(other)
    assert after.session.imported_at is not None
    after = replace(after, session=replace(after.session, imported_at=None))
    assert encode_document(after) == encode_document(before)
    assert [s.id for s in (await other.sessions.list(metadata={"k": 1})).items]
    assert (await other.interactions.summary("s-1")).by_label == {"correct": 1}
    turn = await other.turns.append("s-1", role="user", content="on")
    assert (turn.seq, turn.parent_seq) == (4, 3)


async def test_an_export_and_import_give_the_same_export(
    store: Store,
    new_database: Callable[[str], str],
    open_another: OpenAnother,
    clock: ManualClock,
    tmp_path: Path,
) -> None:
    await a_rich_session(store, clock)
    await store.export("convstore", to=tmp_path / "first")
    (data,) = (tmp_path / "first").rglob("*.jsonl")
    other = await open_another(
        url=new_database("sqlite"), archive_dir=tmp_path / "other"
    )

    await other.import_("convstore", data)
    await other.export("convstore", to=tmp_path / "second")

    (copy,) = (tmp_path / "second").rglob("*.jsonl")
    assert copy.read_bytes() == data.read_bytes()


async def test_a_document_of_a_session_with_another_content_is_refused(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    await a_rich_session(store, clock)
    (before,) = await documents(store)
    other = replace(before, session=replace(before.session, title="other"))

    report = await store.import_("convstore", written(tmp_path, encode_document(other)))

    assert report.rejected == {"conflict": 1}
    assert await documents(store) == [before]


async def test_a_document_of_an_archived_session_is_known_by_its_checksum(
    store: Store, tmp_path: Path
) -> None:
    await store.import_("messages", written(tmp_path, talk("s-1", "a")))
    (before,) = await documents(store)
    await store.run_retention(older_than_s=0)
    changed = replace(before, turns=(replace(before.turns[0], content="other"),))

    same = await store.import_("convstore", written(tmp_path, encode_document(before)))
    other = await store.import_(
        "convstore", written(tmp_path, encode_document(changed))
    )

    assert same.already_present == 1
    assert other.rejected == {"conflict": 1}


async def test_a_document_made_by_hand_is_checked(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    await a_rich_session(store, clock)
    (document,) = await documents(store)
    plain = json.loads(encode_document(document))
    await store.holds.release("s-1")
    await store.sessions.delete("s-1", archive=False)

    def with_(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        copy: dict[str, Any] = json.loads(json.dumps(plain))
        copy["session"]["id"] = "s-2"
        for part in ("turns", "interactions", "graph_states", "holds"):
            for item in copy[part]:
                item["session_id"] = "s-2"
        change(copy)
        return copy

    bad = [
        with_(lambda d: d["turns"].pop()),
        with_(lambda d: d["turns"][2].update(parent_seq=3)),
        with_(lambda d: d["turns"][0].update(content="nul \0")),
        with_(lambda d: d["turns"][0].update(role="r" * 256)),
        with_(lambda d: d["turns"][1].update(tools_hash="0" * 64)),
        with_(lambda d: d["session"].update(turn_count=9)),
        with_(lambda d: d["session"].update(head_seq=9)),
        with_(lambda d: d["session"].update(hold_count=0)),
        with_(lambda d: d["session"].update(tenant_id="acme")),
        with_(lambda d: d["session"].update(id="s-3")),
        with_(lambda d: d["interactions"][0].update(turn_seq=9)),
        with_(lambda d: d["session"].update(version=2**63 - 1)),
        with_(lambda d: d["session"].update(version=0)),
        with_(lambda d: d["session"].update(last_activity_at="2999-01-01T00:00:00Z")),
        with_(lambda d: d["session"].update(created_at="1969-01-01T00:00:00Z")),
    ]
    damaged = [
        with_(lambda d: d["turns"][0].update(created_at="9999-12-31T23:00:00-12:00")),
        with_(lambda d: d.update(format_version="what was said")),
    ]

    source = written(tmp_path, *bad, *damaged)
    report = await store.import_("convstore", source, report_to=tmp_path / "report")
    rejected = (tmp_path / "report" / "rejected.jsonl").read_bytes().splitlines()

    assert report.rejected == {
        "invalid_input": len(bad),
        "corruption": len(damaged),
    }
    assert not any("what was said" in json.loads(line)["reason"] for line in rejected)
    assert await store.sessions.find("s-2") is None


# Which format


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({"messages": talk("", "Q", "A")["messages"], "label": False}, "kto"),
        (
            {"messages": talk("", "Q")["messages"], "chosen": "A", "rejected": "B"},
            "preference",
        ),
        ({"instruction": "Q", "output": ["A", "B"]}, "alpaca"),
        (talk("s-1", "Q", "A"), "messages"),
    ],
)
async def test_of_two_formats_the_one_that_reads_more_is_told(
    store: Store, tmp_path: Path, record: dict[str, Any], name: str
) -> None:
    report = await store.import_("auto", written(tmp_path, record))

    assert report.format == name
    assert report.interactions == (name != "messages")


async def test_the_first_record_tells_the_format(store: Store, tmp_path: Path) -> None:
    source = written(
        tmp_path,
        {
            "conversations": [
                {"from": "human", "value": "Q"},
                {"from": "gpt", "value": "A"},
            ]
        },
    )

    report = await store.import_("auto", source)

    assert (report.sessions, report.turns) == (1, 2)


async def test_a_mapping_file_reads_what_no_format_knows(
    store: Store, tmp_path: Path
) -> None:
    mapping = tmp_path / "map.toml"
    mapping.write_text(
        '[session]\nid = "key"\n[[turn]]\nrole = "user"\ntext = "question"\n'
    )
    source = written(tmp_path, {"key": "s-1", "question": "Waar?"})

    report = await store.import_("map", source, mapping=mapping)

    assert report.sessions == 1
    assert [t.content for t in await store.turns.window("s-1")] == ["Waar?"]


@pytest.mark.parametrize(
    ("format_", "mapping", "error"),
    [
        ("nope", None, InvalidInputError),
        ("auto", None, InvalidInputError),
        ("map", None, ConfigError),
        ("messages", "map.toml", ConfigError),
        ("map", "absent.toml", ConfigError),
    ],
)
async def test_a_format_that_cannot_be_is_refused(
    store: Store,
    tmp_path: Path,
    format_: str,
    mapping: str | None,
    error: type[Exception],
) -> None:
    source = written(tmp_path, {"nothing": "of ours"})

    with pytest.raises(error):
        await store.import_(format_, source, mapping=mapping and tmp_path / mapping)


async def test_a_source_that_is_not_there_is_refused(
    store: Store, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match="absent"):
        await store.import_("messages", tmp_path / "absent.jsonl")


async def test_compressed_sources_are_read(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "in.gz"
    source.write_bytes(gzip.compress(json.dumps(talk("s-1", "a")).encode()))

    report = await store.import_("messages", source)

    assert report.sessions == 1


@pytest.mark.parametrize("bad", ["\\u0000", "\\ud800"])
async def test_what_no_database_holds_is_refused_or_replaced_when_asked(
    store: Store, tmp_path: Path, bad: str
) -> None:
    whole = json.dumps(talk("s-1", "Hoi", "ok 🎉")).replace("Hoi", f"a{bad}b")
    source = written(tmp_path, whole.encode(), talk("s-2", "x", user=[]))

    refused = await store.import_("messages", source)
    replaced = await store.import_("messages", source, replace_invalid=True)
    again = await store.import_("messages", source, replace_invalid=True)

    assert (refused.sessions, refused.rejected_total, refused.replaced) == (1, 1, 0)
    assert (replaced.sessions, replaced.rejected_total, replaced.replaced) == (1, 0, 1)
    assert (again.sessions, again.already_present) == (0, 2)
    assert refused.left_out == {"user": 1}
    turns = await store.turns.list("s-1")
    assert [turn.content for turn in turns.items] == ["a\ufffdb", "ok 🎉"]


class Ticking(ManualClock):
    """Each look at it takes a few microseconds."""

    def now(self) -> datetime:
        self.advance(37e-6)
        return super().now()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_one_file_imported_again_and_again_gives_data_sets_of_the_same_rows(
    new_database: Callable[[str], str], tmp_path: Path, kind: str
) -> None:
    records = [talk(f"s-{n}", f"Q {n % 20}", f"A {n % 5}") for n in range(120)]
    source = written(tmp_path, *records)
    found = []
    for place in range(4):
        # Each begins at another fraction of a millisecond.
        clock = Ticking(datetime(2026, 1, 1, 0, 0, 0, 230 * place, tzinfo=UTC))
        folder = tmp_path / str(place)
        config = StoreConfig(url=new_database(kind), archive_dir=folder / "archive")
        async with open_store(config, clock=clock) as store:
            await store.import_("messages", source, strict=True)
            await store.export("messages", to=folder / "out", caps={"per_prompt": 1})
        (data,) = (folder / "out" / "data").glob("*.jsonl")
        rows = [json.loads(line) for line in data.read_bytes().split(b"\n") if line]
        found.append(sorted(json.dumps(row["messages"]) for row in rows))

    assert len(found[0]) == 20
    assert found == [found[0]] * 4
