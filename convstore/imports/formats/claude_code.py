"""`claude-code`: sessions of Claude Code: one file, a project's folder, or all of them.

One answer of the model is several rows with one message id, which are joined. Rows that
are no messages hang others on. A sub-agent is a conversation of its own. What was put
in by commands and tools is kept and marked as hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from convstore.imports.anthropic_blocks import add_blocks
from convstore.imports.fields import (
    count_or_none,
    rest_of,
    text_or_none,
    time_or_none,
)
from convstore.imports.material import Found, LeftOut, Material
from convstore.imports.model import ImportedSession, Rejected
from convstore.imports.reader import base_name
from convstore.imports.rowsets import MOST_ROWS, made
from convstore.imports.steps import Steps
from convstore.imports.talk import Said, Talk, digest_of
from convstore.vocabulary.records import Json, JsonObject

NAME = "claude-code"
_SAID = ("user", "assistant")
_QUIET = frozenset(
    "summary file-history-snapshot queue-operation last-prompt custom-title progress "
    "attachment system ai-title agent-name permission-mode pr-link mode".split()
)
_INJECTED = (
    "<command-name>", "<local-command-", "<system-reminder>", "<bash-", "Caveat: ",
    "[Request interrupted", "<environment_context>", "<task-notification>",
    "<user-memory-input>", "<command-message>",
)  # fmt: skip
_TOLD = ("isMeta", "isSidechain", "userType", "usage")
_MOST_KEPT = 8_000
_TITLES = ("summary", "custom-title", "ai-title")
_OF_TITLE = (
    "type", "uuid", "sessionId", "leafUuid", "summary", "customTitle", "aiTitle"
)  # fmt: skip
_SYNTHETIC = "<synthetic>"


@dataclass(slots=True)
class _Entry:
    """A message while its rows are gathered."""

    id: str
    parent: str | None
    rows: list[JsonObject] = field(default_factory=list)


def read(material: Material) -> Iterator[Found]:
    """The conversations of all files, with the titles that any of them gives."""
    titles: dict[str, str] = {}
    for name in material.names:
        for record in material.records(name):
            if not isinstance(record, Rejected):
                _note_title(record.value, titles)
    for name in material.names:
        talks: dict[str, list[JsonObject]] = {}
        yield from _gathered(material, name, talks)
        for number, (session_id, rows) in enumerate(talks.items(), 1):
            if any(row.get("type") in _SAID for row in rows):
                yield made(
                    number,
                    lambda session_id=session_id, rows=rows: _session(  # type: ignore[misc]
                        session_id, rows, titles
                    ),
                )
                continue
            for row in rows:
                yield from map(LeftOut, _left_of(row))


def _gathered(
    material: Material, name: str, talks: dict[str, list[JsonObject]]
) -> Iterator[Found]:
    """Put the rows of a file to their conversations, and give what is none."""
    count = 0
    for record in material.records(name):
        if isinstance(record, Rejected):
            yield material.told(record, name)
            continue
        for row in _rows(record.value, base_name(name)):
            count += 1
            talk = _talk_of(row, base_name(name))
            if talk is None or count > MOST_ROWS:
                yield LeftOut("line_of_no_kind" if talk is None else "row_too_many")
            else:
                talks.setdefault(talk, []).append(row)


def _note_title(row: Json, titles: dict[str, str]) -> None:
    if not isinstance(row, dict):
        return
    if row.get("type") == "summary" and isinstance(row.get("leafUuid"), str):
        if isinstance(row.get("summary"), str):
            titles[row["leafUuid"]] = row["summary"]
    elif row.get("type") in ("custom-title", "ai-title"):
        title = row.get("customTitle") or row.get("aiTitle")
        if isinstance(title, str) and isinstance(row.get("sessionId"), str):
            titles[f"session:{row['sessionId']}"] = title


def _rows(value: Json, file: str) -> list[JsonObject]:
    """The rows of a record: it is one, or the web's form that holds them."""
    if isinstance(value, dict) and isinstance(value.get("loglines"), list):
        stem = file.partition(".")[0]
        return [
            {"sessionId": stem, **row}
            for row in value["loglines"]
            if isinstance(row, dict)
        ]
    return [value if isinstance(value, dict) else {}]


def _talk_of(row: JsonObject, file: str) -> str | None:
    session_id = text_or_none(row.get("sessionId"))
    kind = str(row.get("type"))
    if session_id is None:
        # Old rows of an answer may lack it; the file is named after the session.
        if kind not in _SAID or "message" not in row:
            return "" if kind in _QUIET else None
        session_id = file.partition(".")[0]
    if row.get("isSidechain"):
        return f"{session_id}/{text_or_none(row.get('agentId')) or 'sidechain'}"
    return session_id


def _session(
    session_id: str, rows: list[JsonObject], titles: dict[str, str]
) -> ImportedSession:
    talk = Talk(NAME, session_id, _TOLD)
    entries: dict[str, _Entry] = {}
    by_message: dict[str, _Entry] = {}
    seen: set[str] = set()
    before: str | None = None
    for row in rows:
        row_id = text_or_none(row.get("uuid")) or f"row:{digest_of(row)}"
        title = titles.get(row_id)
        talk.title = title or talk.title
        if row_id in seen:
            talk.drop("message_twice")
            continue
        seen.add(row_id)
        parent = text_or_none(row.get("parentUuid") or row.get("logicalParentUuid"))
        parent = parent or before
        message = row.get("message")
        if row.get("type") not in _SAID or message is None:
            talk.left_out += _left_of(row)
            if text_or_none(row.get("uuid")):
                talk.pass_through(row_id, parent)
                before = row_id
            continue
        before = row_id
        message_id = message.get("id") if isinstance(message, dict) else None
        known = by_message.get(message_id) if isinstance(message_id, str) else None
        if known is not None and row.get("type") == "assistant":
            known.rows.append(row)
            talk.pass_through(row_id, known.id)
            continue
        entry = entries[row_id] = _Entry(row_id, parent, [row])
        if isinstance(message_id, str) and row.get("type") == "assistant":
            by_message[message_id] = entry
    for entry in entries.values():
        _add(talk, entry)
    _finish(talk, rows, titles)
    return talk.session()


def _left_of(row: JsonObject) -> list[str]:
    """What is left out of a row that is no message: all but a title."""
    kind = str(row.get("type"))
    if kind not in _TITLES:
        return [f"row:{kind}"]
    read = (key for key in _OF_TITLE if isinstance(row.get(key), str))
    return [f"{kind}.{key}" for key in rest_of(row, *read)]


def _finish(talk: Talk, rows: list[JsonObject], titles: dict[str, str]) -> None:
    talk.title = titles.get(f"session:{rows[0].get('sessionId')}", talk.title)
    times = (time_or_none(row.get("timestamp")) for row in rows)
    talk.created_at = next((at for at in times if at is not None), None)
    for name in ("cwd", "gitBranch", "version"):
        told = next((row[name] for row in rows if row.get(name)), None)
        if told is not None:
            talk.metadata[name] = told


def _add(talk: Talk, entry: _Entry) -> None:
    first, last = entry.rows[0], entry.rows[-1]
    role = str(first.get("type"))
    steps = Steps(talk, role, at=time_or_none(first.get("timestamp")))
    told: JsonObject = {}
    usage: JsonObject = {}
    for row in entry.rows:
        message = row.get("message")
        told = message if isinstance(message, dict) else {}
        _spend(talk, usage, told.get("usage"))
        content = told.get("content") if isinstance(message, dict) else message
        if isinstance(content, str):
            steps.text(content)
        elif isinstance(content, list):
            add_blocks(steps, content)
    made_steps = steps.finished() or [Said("", role, "", at=steps.at)]
    _tell(made_steps, first, last, {**told, "usage": usage})
    talk.say_all(entry.id, entry.parent, made_steps)
    for row in entry.rows:
        talk.source(made_steps, row)


def _spend(talk: Talk, usage: JsonObject, given: Json) -> None:
    """Each row of an answer says again what all of it cost so far: the last counts."""
    for key, value in given.items() if isinstance(given, dict) else ():
        before = usage.get(key)
        if before and before != value and count_or_none(before) is None:
            talk.drop(f"usage.{key}")
        usage[key] = value


def _tell(
    made_steps: list[Said], first: JsonObject, row: JsonObject, message: JsonObject
) -> None:
    last, usage = made_steps[-1], message["usage"]
    if last.role == "assistant":
        model = text_or_none(message.get("model"))
        for said in made_steps:
            said.model = None if model == _SYNTHETIC else model
        last.finish_reason = text_or_none(message.get("stop_reason"))
        last.tokens_in = count_or_none(usage.get("input_tokens"))
        last.tokens_out = count_or_none(usage.get("output_tokens"))
    if usage:
        last.metadata["usage"] = usage
    for name in ("isCompactSummary", "requestId", "subtype"):
        if row.get(name):
            last.metadata[name] = row[name]
    if row.get("isApiErrorMessage"):
        last.metadata["error"] = True
    text = (made_steps[0].content or "").lstrip()
    if first.get("isMeta") or (first["type"] == "user" and text.startswith(_INJECTED)):
        for said in made_steps:
            said.metadata["hidden"] = True
    told = row.get("toolUseResult")
    if told is not None and len(str(told)) <= _MOST_KEPT:
        made_steps[0].metadata["toolUseResult"] = told
