"""`agno`: sessions of agno (once phidata), in its SQLite file, versions 1 to 3.

Version 3 keeps runs in a table, version 2 in a column of the sessions, version 1 in
their memory; JSON is at times encoded twice. What a run repeats of the history before
it is passed over, and the system prompt is one turn wherever it changes. Runs of the
members of a team are conversations of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from convstore.imports.chat import role_of
from convstore.imports.fields import (
    count_or_none,
    rest_of,
    text_or_none,
    time_or_none,
)
from convstore.imports.material import Found, Material, Row, Tables, Value
from convstore.imports.model import ImportedSession
from convstore.imports.pieces import (
    call_part,
    data_part,
    pointer_part,
    text_part,
    thought_part,
)
from convstore.imports.rowsets import bounded, by_key, joined, made, other_columns
from convstore.imports.steps import merge_text
from convstore.imports.talk import Said, Talk
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

NAME = "agno"
STATE = "agno-state"
_MEDIA = {
    "images": "image/png",
    "audio": "audio/wav",
    "videos": "video/mp4",
    "files": "application/octet-stream",
}
_READ = frozenset(
    "session_id user_id created_at updated_at session_data runs memory".split()
)
_OF_RUN = tuple(
    "run_id session_id run_type agent_id team_id workflow_id user_id parent_run_id "
    "status run_index run_data created_at updated_at".split()
)
_ENCODED_ONES = ("summary", "metadata", "agent_data", "team_data", "workflow_data")
_ENCODED = 3
"""How often JSON may be encoded in JSON."""


def read(material: Material) -> Iterator[Found]:
    """All sessions of all tables of sessions."""
    tables = material.tables
    if tables is None:
        return
    beside = dict.fromkeys(_tables_of_runs(tables), _OF_RUN)
    yield from other_columns(tables, beside)
    number = 0
    for table in sorted(tables.columns):
        columns = set(tables.columns[table])
        if not columns >= {"session_id", "session_data"}:
            continue
        sessions = tables.rows(table, order=["session_id"])
        for _, owner, rows in joined(sessions, ["session_id"], _runs(tables, table)):
            number += 1
            if owner is None:
                continue
            yield from _sessions(material, number, owner, rows)


def _tables_of_runs(tables: Tables) -> list[str]:
    needed = {"run_data", "session_id"}
    return [name for name, columns in tables.columns.items() if needed <= set(columns)]


def _runs(
    tables: Tables, table: str
) -> Iterator[tuple[tuple[Value, ...], Iterator[Row]]]:
    """The runs of version 3 that lie in a table beside the sessions."""
    names = _tables_of_runs(tables)
    prefix = table.removesuffix("sessions")
    names.sort(key=lambda name: not name.startswith(prefix))
    if not names:
        return iter(())
    return by_key(tables, names[0], ["session_id"], ["run_index", "created_at"])


def _sessions(
    material: Material, number: int, owner: Row, rows: Iterator[Row]
) -> Iterator[Found]:
    members: list[JsonObject] = []

    def whole() -> ImportedSession:
        runs = [_object(_decoded(material, row["run_data"])) for row in bounded(rows)]
        runs = runs or _inside(material, owner)
        members.extend(run for run in runs if run.get("parent_run_id"))
        mine = [run for run in runs if not run.get("parent_run_id")]
        return _session(material, owner, str(owner.get("session_id")), mine)

    yield made(number, whole)
    for run in members:
        session_id = f"{owner.get('session_id')!s}/{run.get('run_id')!s}"
        yield made(
            number,
            lambda session_id=session_id, run=run: _session(  # type: ignore[misc]
                material, owner, session_id, [run]
            ),
        )


def _inside(material: Material, owner: Row) -> list[JsonObject]:
    """The runs that a session holds itself."""
    for name in ("runs", "memory"):
        value = _decoded(material, owner.get(name))
        if isinstance(value, dict):
            value = value.get("runs") or [{"messages": value.get("messages")}]
        if isinstance(value, list):
            runs = [_object(run) for run in value]
            return [
                {**rest_of(run, "response"), **_object(run.get("response"))}
                for run in runs
            ]
    return []


def _decoded(material: Material, value: Json) -> Json:
    for _ in range(_ENCODED):
        if not isinstance(value, str) or not value.strip():
            break
        value = material.decoded(value, field="session")
    return value


def _session(
    material: Material, owner: Row, session_id: str, runs: list[JsonObject]
) -> ImportedSession:
    talk = Talk(NAME, session_id)
    talk.user_id = talk.text("user", owner.get("user_id"))
    talk.created_at = talk.time("created_at", owner.get("created_at"))
    data = _object(_decoded(material, owner.get("session_data")))
    talk.title = data.get("session_name")
    talk.metadata = talk.rest(owner, *_READ)
    for name in _ENCODED_ONES:
        if told := _decoded(material, talk.metadata.pop(name, None)):
            talk.metadata[name] = told
    talk.keep_rest(data, "session_name", "session_state", under="session_data")
    memory = _object(_decoded(material, owner.get("memory")))
    talk.keep_rest(memory, "runs", "messages", under="memory")
    system: str | None = None
    for place, run in enumerate(runs):
        system = _add_run(talk, run, place, system)
    state = data.get("session_state")
    if state:
        talk.state(STATE, state)
    return talk.session()


def _add_run(talk: Talk, run: JsonObject, place: int, system: str | None) -> str | None:
    run_id = text_or_none(run.get("run_id")) or f"run-{place + 1}"
    messages = run.get("messages")
    given = messages if isinstance(messages, list) and messages else _of_run(run)
    said: Said | None = None
    for number, message in enumerate(given):
        if not isinstance(message, dict):
            raise InvalidInputError("messages", "must hold objects")
        if message.get("from_history"):
            continue
        if message.get("role") == "system":
            if message.get("content") == system:
                continue
            system = text_or_none(message.get("content"))
        message_id = text_or_none(message.get("id")) or f"{run_id}:{number}"
        said = _said(talk, message, message_id, run)
        said.parent = talk.last
        talk.say(said)
    status = run.get("status")
    if said is None:
        talk.drop("run_without_messages")
    else:
        talk.source([said], {k: v for k, v in run.items() if k != "messages"})
    if said is not None and status not in (None, "COMPLETED"):
        said.metadata["status"] = status
        if status == "ERROR":
            said.metadata["error"] = True
    return system


def _of_run(run: JsonObject) -> list[Json]:
    """The question and the answer, where a run has no messages."""
    asked, answer = run.get("input"), run.get("content")
    if isinstance(asked, dict):
        asked = asked.get("input_content")
    return [
        {"role": role, "content": text}
        for role, text in (("user", asked), ("assistant", answer))
        if text is not None
    ]


def _said(talk: Talk, message: JsonObject, message_id: str, run: JsonObject) -> Said:
    role, _ = role_of("message.role", message.get("role"))
    at = time_or_none(message.get("created_at")) or time_or_none(run.get("created_at"))
    said = Said(message_id, role, at=at)
    content = message.get("content")
    thought = text_or_none(message.get("reasoning_content"))
    if thought:
        said.parts.append(thought_part(thought))
    for name, usual in _MEDIA.items():
        items = message.get(name)
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict):
                _attach(talk, said, item, usual)
    if content is not None:
        text = content if isinstance(content, str) else json.dumps(content)
        said.parts.append(text_part(text))
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = _object(_object(call).get("function"))
        tool, call_id = function.get("name"), text_or_none(_object(call).get("id"))
        said.parts.append(
            call_part(call_id, str(tool or ""), function.get("arguments"))
        )
    merge_text(said)
    _tell(said, message, run)
    talk.source([said], message)
    return said


def _tell(said: Said, message: JsonObject, run: JsonObject) -> None:
    said.tool_call_id = text_or_none(message.get("tool_call_id"))
    said.name = text_or_none(message.get("tool_name") or message.get("name"))
    if said.role == "assistant":
        said.model = text_or_none(run.get("model"))
        metrics = _object(message.get("metrics"))
        said.tokens_in = count_or_none(metrics.get("input_tokens"))
        said.tokens_out = count_or_none(metrics.get("output_tokens"))
    if message.get("tool_call_error"):
        said.metadata["error"] = True
    for name in ("tool_args", "citations", "provider_data"):
        if message.get(name):
            said.metadata[name] = message[name]
    if run.get("run_id"):
        said.metadata["run_id"] = run["run_id"]


def _attach(talk: Talk, said: Said, item: JsonObject, usual: str) -> None:
    data = item.get("content")
    media_type: str = text_or_none(item.get("mime_type")) or usual
    if isinstance(data, str):
        talk.attach(said, data_part(media_type, data), with_bytes=True)
        return
    pointer = text_or_none(item.get("url") or item.get("filepath") or item.get("id"))
    part = pointer_part(media_type, pointer, media_type=media_type, source=item)
    talk.attach(said, part, with_bytes=False)


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}
