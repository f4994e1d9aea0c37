"""The invariants of the archive, checked from outside: with SQL, files and zstd.

Nothing of the library is called, so that a fault in it cannot hide itself. The numbers
are those of `docs/reliability.md`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from tests.crash.actor_invariants import copies, named_in_copies, noted_faults
from tests.crash.attachment_invariants import attachment_faults
from tests.crash.index_invariants import check_index
from tests.crash.meaning import (
    branch_faults,
    checkpoints_said,
    decoded,
    effective_labels,
    fork_faults,
    half_faults,
    items_said,
    payload_in,
    spent_faults,
    told_faults,
    total_faults,
)
from tests.crash.oplog import History, Key, Told

Row = dict[str, Any]
ContentOf = Callable[[str, str, str], str]
PayloadOf = Callable[[str, str, str], bytes | None]

_CHECKPOINTS = {
    "checkpoints": "checkpoints",
    "checkpoint_values": "values",
    "checkpoint_logs": "elements",
    "checkpoint_writes": "writes",
    "checkpoint_ends": "ends",
}
_CONTENT = (
    "turns",
    "interactions",
    "graph_states",
    "tool_sets",
    "session_ledger",
    "session_state",
    "session_items",
    *_CHECKPOINTS,
)


@dataclass
class Memory:
    """What earlier checks saw, for what may only grow or must never change."""

    versions: dict[str, int] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


@dataclass
class _Seen:
    """The database and the folder at one moment."""

    rows: dict[str, list[Row]]
    archive: Path
    wrong: list[str] = field(default_factory=list)
    sessions: dict[Key, Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for row in self.rows["sessions"]:
            self.sessions[row["tenant_id"], row["session_id"]] = row

    def expect(self, true: object, rule: str, *about: object) -> None:
        if not true:
            self.wrong.append(f"{rule}: {' '.join(map(str, about))}")

    def of_session(self, table: str) -> dict[Key, list[Row]]:
        groups: dict[Key, list[Row]] = defaultdict(list)
        for row in self.rows[table]:
            groups[row["tenant_id"], row["session_id"]].append(row)
        return groups


def check(
    url: str,
    archive: Path,
    history: History | None = None,
    *,
    settled: bool = False,
    memory: Memory | None = None,
    content_of: ContentOf | None = None,
    payload_of: PayloadOf | None = None,
) -> list[str]:
    """Every violation found, as text without content; empty when all is well.

    Args:
        history: What was acknowledged, if it was logged.
        settled: Recovery has run since the last crash, and nobody is at work: then
            nothing half done may be left either.
        memory: Of the earlier checks of the same database.
        content_of: What the write of a name must say.
        payload_of: What a framework keeps with the turn of a name.
    """
    seen = _Seen(read_rows(url), archive)
    if url.startswith("sqlite"):
        _check_sqlite(seen, url)
    documents = _check_sessions(seen)
    seen.wrong += total_faults(seen.rows, documents)
    kept, recounted = kept_counts(seen.rows), counted_anew(seen.rows)
    seen.expect(kept == recounted, "I23 counts of sessions", kept, recounted)
    seen.wrong += attachment_faults(seen.rows, seen.sessions, documents)
    seen.wrong += fork_faults(seen.rows["sessions"], documents)
    check_index(seen, url, documents, settled=settled)
    _check_segments(seen, settled)
    if memory is not None:
        _check_memory(seen, memory)
    if history is not None:
        seen.wrong += history.errors
        for key, told in history.sessions.items():
            _check_told(seen, key, told, documents, content_of)
            if payload_of is not None and key in documents:
                _check_payloads(seen, key, documents[key]["turns"], payload_of)
        absent = history.sessions.keys() - seen.sessions.keys()
        _check_wiped(seen, {key for key, t in history.sessions.items() if t.wiped})
        seen.wrong += half_faults(history, documents, absent)
        seen.wrong += spent_faults(seen.rows, history)
    if settled:
        _check_settled(seen)
        _check_erased(seen, history)
    return seen.wrong


def read_rows(url: str) -> dict[str, list[Row]]:
    """Every row of every table that the database has, read in one snapshot."""
    if not url.startswith("sqlite"):
        return asyncio.run(_read_postgres(url))
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("BEGIN")
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
            " AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'search_words%'"
        ).fetchall()
        return {
            name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}"')]
            for (name,) in tables
        }
    finally:
        connection.close()


async def _read_postgres(url: str) -> dict[str, list[Row]]:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            tables = await connection.fetch(
                "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
            )
            return {
                name: [
                    dict(row)
                    for row in await connection.fetch(f'SELECT * FROM "{name}"')
                ]
                for (name,) in tables
            }
    finally:
        await connection.close()


def _check_sqlite(seen: _Seen, url: str) -> None:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)
    try:
        state = connection.execute("PRAGMA integrity_check").fetchall()
        seen.expect(state == [("ok",)], "I16 integrity_check", state[:1])
        orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
        seen.expect(not orphans, "I16 foreign_key_check", orphans[:1])
    finally:
        connection.close()


def _check_sessions(seen: _Seen) -> dict[Key, dict[str, Any]]:
    """I3 to I8 of every session; the content of each, from rows or from its frame."""
    tables = {name: seen.of_session(name) for name in (*_CONTENT, "archive_entries")}
    holds = seen.of_session("legal_holds")
    labels = seen.of_session("session_labels")
    metadata = seen.of_session("session_metadata")
    words = seen.of_session("session_title_words")
    segments = {row["segment_id"]: row for row in seen.rows["archive_segments"]}
    contents: dict[Key, dict[str, Any]] = {}
    for row in seen.rows["sessions"]:
        key = row["tenant_id"], row["session_id"]
        in_force = [h for h in holds.get(key, ()) if h["released_at"] is None]
        seen.expect(row["hold_count"] == len(in_force), "I11 hold_count", *key)
        _check_labels(seen, key, row, labels.get(key, []))
        _check_metadata(seen, key, row, metadata.get(key, []))
        _check_title(seen, key, row, words.get(key, []))
        stated = row
        entries = tables["archive_entries"].get(key, [])
        committed = [entry for entry in entries if entry["state"] == "committed"]
        if row["state"] == "active":
            seen.expect(not committed, "I6 active with committed entry", *key)
            seen.expect(row["segment_id"] is None, "I6 active names a segment", *key)
            content = {name: tables[name].get(key, []) for name in _CONTENT}
        else:
            left = [name for name in _CONTENT if tables[name].get(key)]
            seen.expect(not left, f"I6 {row['state']} with rows in", left, *key)
            if row["segment_id"] is None:
                seen.expect(row["state"] != "archived", "I6 archived nowhere", *key)
                continue
            named = [e["segment_id"] for e in committed]
            seen.expect(named == [row["segment_id"]], "I6 entries", named, *key)
            if named != [row["segment_id"]]:
                continue
            document = _frame(seen, segments, committed[0])
            if document is None:
                continue
            content = _content_of_frame(document)
            stated = session = document["session"]
            seen.expect(
                (session["tenant_id"], session["id"]) == key, "I12 frame of", *key
            )
            same = session["head_seq"] == row["head_seq"]
            seen.expect(same or row["state"] != "archived", "I4 head of frame", *key)
        _check_numbers(seen, key, row, content)
        for fault in branch_faults(stated, content["turns"]):
            seen.expect(False, fault, *key)
        same = effective_labels(content["interactions"]) == _counts(stated)
        seen.expect(same, "I18 counts of", *key)
        said = {"said": list(checkpoints_said(content))}
        contents[key] = content | said | items_said(key, content, seen.rows["items"])
    return contents


def kept_counts(rows: dict[str, list[Row]]) -> dict[Key, tuple[int, ...]]:
    """What is kept of each tenant and state: sessions, those in the archive, those with
    a problem, turns and interactions of those that are not live."""
    names = ("sessions", "in_archive", "unreadable", "turns", "interactions")
    return _added_up(
        (row["tenant_id"], row["state"], *(row[name] for name in names))
        for row in rows["session_counts"]
    )


def counted_anew(rows: dict[str, list[Row]]) -> dict[Key, tuple[int, ...]]:
    """The same, from the sessions."""
    return _added_up(
        (
            row["tenant_id"],
            row["state"],
            1,
            row["segment_id"] is not None,
            row["problem"] is not None,
            row["turn_count"] * (row["state"] != "active"),
            row["interaction_count"] * (row["state"] != "active"),
        )
        for row in rows["sessions"]
    )


def _added_up(rows: Iterable[tuple[Any, ...]]) -> dict[Key, tuple[int, ...]]:
    sums: dict[Key, list[int]] = defaultdict(lambda: [0] * 5)
    for tenant, state, *numbers in rows:
        for place, number in enumerate(numbers):
            sums[tenant, state][place] += number
    return {key: tuple(of) for key, of in sums.items() if any(of)}


def _check_labels(seen: _Seen, key: Key, row: Row, labels: list[Row]) -> None:
    """The labels to find a session by are those that it counts; none of one gone."""
    kept = row["state"] in ("active", "archived")
    counts = _counts(row) if kept else {}
    found = {label["label"]: label["count"] for label in labels}
    seen.expect(found == counts, "I18 labels", *key)


def _check_metadata(seen: _Seen, key: Key, row: Row, kept: list[Row]) -> None:
    """A filter finds a session by the scalars and tags that its row has: a deleted one
    keeps them until it is destroyed."""
    scalars, tags = decoded(row["metadata"]), decoded(row["tags"])
    said = {
        f"={name}": json.dumps(value, ensure_ascii=False)
        for name, value in scalars.items()
        if not isinstance(value, list | dict)
    } | {f"#{tag}": "" for tag in tags}
    found = {one["key"]: one["value"] for one in kept}
    short = {n: v for n, v in said.items() if len(n) <= 255 and len(v) <= 255}
    seen.expect(found == short, "I27 metadata and tags", *key)


def _check_title(seen: _Seen, key: Key, row: Row, kept: list[Row]) -> None:
    """A session is found by the words of its title: what those are is told here of
    titles in ASCII, and of others that there are some."""
    title = row["title"] or ""
    seen.expect(kept or not any(map(str.isalnum, title)), "I29 no words", *key)
    if title.isascii():
        said = set(re.findall("[a-z0-9]{1,64}", title.lower()))
        seen.expect({one["word"] for one in kept} == said, "I29 other words", *key)


def _counts(session: Row) -> dict[str, int]:
    stored = decoded(session["feedback_counts"])
    return {label: count for label, count in stored.items() if count}


def _content_of_frame(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "turns": document["turns"],
        "interactions": document["interactions"],
        "graph_states": [
            state | {"state": json.dumps(state["state"], ensure_ascii=False)}
            for state in document["graph_states"]
        ],
        "session_ledger": [entry for entry in [document["ledger"]] if entry],
        "session_state": [
            {"name": name, "state": state}
            for name, state in document.get("adapter_state", {}).items()
        ],
        "session_items": document.get("items", []),
        "attachments": document.get("attachments", []),
        **{
            table: document.get("checkpoints", {}).get(section, [])
            for table, section in _CHECKPOINTS.items()
        },
    }


def _check_numbers(
    seen: _Seen, key: Key, row: Row, content: dict[str, list[Row]]
) -> None:
    for table, count in (
        ("turns", "turn_count"),
        ("interactions", "interaction_count"),
    ):
        numbers = sorted(item["seq"] for item in content[table])
        wanted = list(range(1, row[count] + 1))
        seen.expect(numbers == wanted, f"I4 {table} of", *key, len(numbers), row[count])
    # A head may be the empty branch, whatever turns there are.
    head = row["head_seq"]
    there = head is None or 1 <= head <= row["turn_count"]
    seen.expect(there, "I4 head of", *key, head)
    before = all((t["parent_seq"] or 0) < t["seq"] for t in content["turns"])
    seen.expect(before, "I4 a parent comes first in", *key)
    states = content["graph_states"]
    seen.expect(len(states) == row["graph_state_count"], "I4 graph states of", *key)
    for table in ("turns", "interactions", "graph_states"):
        names = [i["external_id"] for i in content[table] if i["external_id"]]
        seen.expect(len(set(names)) == len(names), f"I3 twice in {table}", *key)


def _frame(seen: _Seen, segments: dict[str, Row], entry: Row) -> dict[str, Any] | None:
    """The document of an entry, decoded without the library; None if it is gone."""
    about = entry["tenant_id"], entry["session_id"], entry["segment_id"]
    segment = segments.get(entry["segment_id"])
    if segment is None or segment["state"] not in ("sealed", "quarantined"):
        seen.expect(False, "I7 no sealed segment", *about)
        return None
    path = seen.archive / segment["key"]
    if not path.exists():
        seen.expect(False, "I7 no file", *about)
        return None
    with path.open("rb") as file:
        file.seek(entry["offset"])
        frame = file.read(entry["length"])
    try:
        line = zstandard.ZstdDecompressor().decompress(frame).removesuffix(b"\n")
    except zstandard.ZstdError:
        seen.expect(False, "I7 frame does not unpack", *about)
        return None
    same = hashlib.sha256(line).hexdigest() == entry["sha256"]
    seen.expect(same, "I8 frame is not what was purged", *about)
    document: dict[str, Any] = json.loads(line)
    return document


def _check_segments(seen: _Seen, settled: bool) -> None:
    used = {
        entry["segment_id"]
        for entry in seen.rows["archive_entries"]
        if entry["state"] in ("committed", "sealed")
    }
    for segment in seen.rows["archive_segments"]:
        if segment["state"] not in ("sealed", "quarantined"):
            about = segment["segment_id"], segment["state"]
            seen.expect(segment["segment_id"] not in used, "I7 used", *about)
            continue
        path = seen.archive / segment["key"]
        if not path.exists():
            seen.expect(False, "I7 file missing", segment["segment_id"])
            continue
        data = path.read_bytes()
        whole = len(data) == segment["size_bytes"]
        whole = whole and hashlib.sha256(data).hexdigest() == segment["sha256"]
        seen.expect(whole, "I7 file differs", segment["segment_id"])


def _check_memory(seen: _Seen, memory: Memory) -> None:
    for row in seen.rows["sessions"]:
        name = f"{row['tenant_id']}|{row['session_id']}"
        before = memory.versions.get(name, 0)
        seen.expect(row["version"] >= before, "I13 version fell", name)
        memory.versions[name] = row["version"]
    present: dict[str, str] = {}
    for path in _files(seen.archive):
        name = str(path.relative_to(seen.archive))
        if name.startswith("tmp/"):
            continue
        present[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        before_it = memory.files.get(name, present[name])
        seen.expect(before_it == present[name], "I9 changed after publication", name)
    memory.files = present


def _check_told(
    seen: _Seen,
    key: Key,
    told: Told,
    contents: dict[Key, dict[str, Any]],
    content_of: ContentOf | None,
) -> None:
    """I1, I2, I5, I10, I11, I15 and I17 of one session."""
    row = seen.sessions.get(key)
    state = None if row is None else row["state"]
    gone = row is not None and state != "active" and row["segment_id"] is None
    if told.destroyed_at:
        seen.expect(gone, "I2 destroyed, and there", *key, state)
    if told.erased:
        seen.expect(state == "erased", "I2 erased, and", state, *key)
    if told.held:
        seen.expect(not gone, "I11 held, and destroyed", *key)
    if told.deleted and not told.destroy_tried:
        seen.expect(state == "deleted", "I2 deleted, and", state, *key)
    if gone:
        seen.expect(told.destroy_tried, "I1 gone without a word", *key)
        return
    if row is None:
        kinds = (told.turns, told.acts, told.graphs, told.checkpoints, told.items)
        kept = [item for kind in kinds for item in kind.values()]
        lost = [1 for item in kept if item["state"] == "acknowledged"]
        there = not lost and told.forked is None
        seen.expect(there, "I1 no such session", *key)
        return
    content = contents.get(key)
    if content is not None:  # if it is, that is said above
        _check_content(seen, key, told, content, content_of)


def _check_content(
    seen: _Seen,
    key: Key,
    told: Told,
    content: dict[str, Any],
    content_of: ContentOf | None,
) -> None:
    row = seen.sessions[key]
    if (row["generation"] or 1) != told.generation:
        _check_begun_anew(seen, key, told, content)
        return
    copied = row["forked_turns"] or 0
    if told.forked is not None:
        seen.expect(copied == told.forked, "I17 another number of turns", *key)
    own = {**content, "turns": [t for t in content["turns"] if t["seq"] > copied]}
    for table, number, names in (
        ("turns", "seq", told.turns),
        ("interactions", "seq", told.acts),
        ("graph_states", "version", told.graphs),
        ("said", "external_id", told.checkpoints),
        ("kept", "external_id", told.items),
    ):
        # A fork has its source's items, of which nobody spoke.
        if row["forked_from"] is None or table != "kept":
            _check_names(seen, key, own[table], number, names, content_of)
    _check_names(seen, key, content["outside"], "external_id", told.outside, None)
    for fault in told_faults(row, content, told):
        seen.expect(False, fault, *key)


def _check_begun_anew(
    seen: _Seen, key: Key, told: Told, content: dict[str, Any]
) -> None:
    """I30: whoever was to begin it anew could not say so, and it is empty."""
    row = seen.sessions[key]
    once_more = told.renewing and row["generation"] == told.generation + 1
    seen.expect(once_more, "I30 generation of", *key, row["generation"])
    left = {turn["external_id"] for turn in content["turns"]} & told.before
    seen.expect(not left, "I30 begun anew with", *key, *left)


def _check_names(
    seen: _Seen,
    key: Key,
    items: Iterable[Row],
    number: str,
    names: dict[str, dict[str, Any]],
    content_of: ContentOf | None,
) -> None:
    # What code does to the head has no name.
    found = {item["external_id"]: item for item in items if item["external_id"]}
    for name in found.keys() - names.keys():
        seen.expect(False, "I15 nobody wrote", name, *key)
    for name, told in names.items():
        item = found.get(name)
        if told["state"] == "acknowledged":
            seen.expect(item is not None, "I1 lost", name, *key)
        elif told["state"] == "refused":
            seen.expect(item is None, "I15 refused, and there", name, *key)
        elif told["state"] == "gone":
            seen.expect(item is None, "I30 taken away, and there", name, *key)
        if item is None:
            continue
        if told.get("number") is not None:
            same = item[number] == told["number"]
            seen.expect(same, "I17 another number", name, *key)
        if content_of is not None:
            wanted = content_of(*key, name)
            said = item["content"] if "content" in item else item["state"]
            ok = said == wanted if "content" in item else wanted in said
            seen.expect(ok, "I5 says something else", name, *key)


def _check_payloads(
    seen: _Seen, key: Key, turns: Iterable[Row], payload_of: PayloadOf
) -> None:
    for turn in turns:
        payload = payload_in(turn)
        same = payload == payload_of(*_said_in(seen, key, turn), turn["external_id"])
        seen.expect(same, "I5 another payload", turn["external_id"], *key)
        both = (payload is None) == (turn.get("payload_format") is None)
        seen.expect(both, "I5 a payload of no format", turn["external_id"], *key)


def _said_in(seen: _Seen, key: Key, turn: Row) -> Key:
    """The session in which a turn was said first: a fork begins with another's."""
    row = seen.sessions[key]
    copied = turn["seq"] <= (row["forked_turns"] or 0)
    return (key[0], row["forked_from"]) if copied else key


def _check_generation(seen: _Seen) -> None:
    """I14: database and folder agree about the newest generation, or the database has
    noted the one that a dead worker has published."""
    files = sorted(_files(seen.archive / "generations"))
    seen.expect(len(files) <= 2, "I14 generations", len(files))
    found = json.loads(files[-1].read_bytes()) if files else {"number": 0}
    for row in seen.rows["archive_folder"]:
        known = {
            (row["generation"], row["token"]),
            (row["generation"] + 1, row["next_token"]),
        }
        same = (found["number"], found.get("token")) in known
        seen.expect(same, "I14 generation", row["generation"], found["number"])


def _check_settled(seen: _Seen) -> None:
    """I14: nothing half done is left, and no file that nobody knows."""
    staging = seen.archive / "tmp"
    left = [path.name for path in _files(staging)]
    seen.expect(not left, "I14 staged files", left[:3])
    _check_generation(seen)
    states = {row["segment_id"]: row["state"] for row in seen.rows["archive_segments"]}
    for segment_id, state in states.items():
        done = state in ("sealed", "quarantined", "deleted")
        seen.expect(done, "I14 segment", segment_id, state)
    alive = {s for s, state in states.items() if state in ("sealed", "quarantined")}
    for path in _files(seen.archive):
        name = str(path.relative_to(seen.archive))
        if name.startswith(("tmp/", "erasures/")):
            continue
        if name == "archive.json":
            mark = json.loads(path.read_bytes())["folder_id"]
            bound = [row["folder_id"] for row in seen.rows["archive_folder"]]
            seen.expect(bound == [mark], "I14 mark of another database", bound, mark)
            continue
        if name.startswith("generations/"):
            continue
        known = any(segment_id in name for segment_id in alive)
        seen.expect(known, "I14 file of no segment", name)
    for entry in seen.rows["archive_entries"]:
        about = entry["segment_id"], entry["state"], entry["session_id"]
        seen.expect(entry["state"] != "sealed", "I14 purge left", *about)
        seen.expect(entry["segment_id"] in alive, "I14 entry of no segment", *about)


def _check_erased(seen: _Seen, history: History | None) -> None:
    """I10: no file and no row says anything of what was erased or destroyed."""
    gone = {
        (row["tenant_id"], row["session_id"])
        for row in seen.rows["sessions"]
        if row["state"] == "erased"
        or (row["state"] == "deleted" and row["segment_id"] is None)
    }
    for entry in seen.rows["archive_entries"]:
        key = entry["tenant_id"], entry["session_id"]
        seen.expect(key not in gone, "I10 copy of", *key)
    named = copies(seen.archive, seen.rows["archive_segments"])
    seen.wrong += noted_faults(seen.rows, named)
    for tenant, user in () if history is None else history.erased_users:
        if _check_forgotten(seen, tenant, user):
            seen.wrong += named_in_copies(named, tenant, user)
    # A fork is a session of its own, and tells on what it began with.
    told_on = {
        (key[0], row["forked_from"])
        for key, row in seen.sessions.items()
        if key not in gone
    }
    marks = [f"«{tenant}|{session}|".encode() for tenant, session in gone - told_on]
    if not marks:
        return
    for table, column, value in _values(seen):
        # As it is, or as JSON with its own escapes.
        for mark in marks:
            seen.expect(mark not in value, "I10 found in", table, column, mark.decode())
    for path in _files(seen.archive):
        data = path.read_bytes()
        if path.suffix == ".zst":
            stream = zstandard.ZstdDecompressor().stream_reader(
                data, read_across_frames=True
            )
            data = stream.read()
        for mark in marks:
            seen.expect(mark not in data, "I10 found in", path.name, mark.decode())


def _check_wiped(seen: _Seen, wiped: set[Key]) -> None:
    """I10, at any moment: an erasure that said it was done was."""
    states = {row["segment_id"]: row["state"] for row in seen.rows["archive_segments"]}
    for entry in seen.rows["archive_entries"]:
        if (key := (entry["tenant_id"], entry["session_id"])) in wiped:
            state = states.get(entry["segment_id"])
            left = state in ("sealed", "quarantined")
            seen.expect(not left, "I10 said to be done, and a copy of", *key)


def _check_forgotten(seen: _Seen, tenant: str, user: str) -> bool:
    """An erased user is named in no row; False of one who has come back."""
    there = [(tenant, user) == (r["tenant_id"], r["user_id"]) for r in
             seen.rows["sessions"]]  # fmt: skip
    if any(there):
        return False
    for table, rows in seen.rows.items():
        for row in rows:
            named = row.get("tenant_id", tenant) == tenant and user in row.values()
            seen.expect(not named, "I10 user in", table)
    return True


def _values(seen: _Seen) -> Iterable[tuple[str, str, bytes]]:
    """Every text and blob of every table."""
    for table, rows in seen.rows.items():
        for row in rows:
            for column, value in row.items():
                if isinstance(value, str | bytes):
                    data = value.encode() if isinstance(value, str) else value
                    yield table, column, data


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.rglob("*") if path.is_file())
