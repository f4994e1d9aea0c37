"""`google-adk`: sessions of Google's Agent Development Kit, in its SQLite file.

A session is called as the adapter calls it, `app/user/id`, as the same id may be of
several users and apps; and state is kept where the adapter finds it, too. A rewind
leaves what it takes back on a branch of its own. Before version 1 the column `actions`
is a pickle, which is never read: it is counted, and what it would say (state, rewinds)
is not known.
"""

from __future__ import annotations

from collections.abc import Iterator

from convstore.imports.fields import (
    count_or_none,
    text_or_none,
    time_or_none,
)
from convstore.imports.gemini_contents import add_parts
from convstore.imports.material import Found, Material, Row, Value
from convstore.imports.model import ImportedSession
from convstore.imports.rowsets import bounded, by_key, joined, made, other_columns
from convstore.imports.steps import Steps
from convstore.imports.talk import Said, Talk
from convstore.messages.adk_names import (
    GRAPH_STATE,
    IMPORTED,
    STATE,
    app_item,
    imported,
    kept_state,
    owner_of,
    session_name,
    user_item,
)
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import ItemInput, Json, JsonObject

NAME = "google-adk"
_TOLD = ("author", "prompt_token_count", "candidates_token_count", "thought")
_BESIDE = {
    "app_states": ("app_name", "state", "update_time"),
    "user_states": ("app_name", "user_id", "state", "update_time"),
}
_OWNER = ["app_name", "user_id", "id"]
_COLUMNS = (
    "id", "app_name", "user_id", "session_id", "invocation_id", "timestamp",
    "event_data",
)  # fmt: skip
_OF = ["app_name", "user_id", "session_id"]


def read(material: Material) -> Iterator[Found]:
    """All sessions, with the state of session, user and app."""
    tables = material.tables
    if tables is None:
        return
    yield from other_columns(tables, _BESIDE)
    apps = {row.get("app_name"): row.get("state") for row in tables.rows("app_states")}
    users = {
        (row.get("app_name"), row.get("user_id")): row.get("state")
        for row in tables.rows("user_states")
    }
    groups = by_key(tables, "events", _OF, ["timestamp"])
    sessions = tables.rows("sessions", order=_OWNER)
    found = enumerate(joined(sessions, _OWNER, groups), 1)
    for number, (key, owner, rows) in found:
        states = (
            (owner or {}).get("state"),
            users.get((key[0], key[1])),
            apps.get(key[0]),
        )
        yield made(
            number,
            lambda key=key, owner=owner, rows=rows, states=states: _session(  # type: ignore[misc]
                material, key, owner, rows, states
            ),
        )


def _session(
    material: Material,
    key: tuple[Value, ...],
    owner: Row | None,
    rows: Iterator[Row],
    states: tuple[Value, ...],
) -> ImportedSession:
    app_name, user_id, own_id = map(str, key)
    talk = Talk(NAME, session_name(app_name, user_id, own_id), _TOLD)
    talk.user_id = owner_of(user_id)
    talk.created_at = talk.time("created_at", (owner or {}).get("create_time"))
    talk.metadata = {"app_name": app_name, "user_id": user_id, "session_id": own_id}
    talk.keep_rest(owner or {}, *_OWNER, "state", "create_time", "update_time")
    tip: str | None = None
    before: dict[Json, str | None] = {}
    for row in bounded(rows):
        event = _event(material, talk, row)
        invocation = event.get("invocation_id")
        actions = _object(event.get("actions"))
        rewind = actions.get("rewind_before_invocation_id")
        if isinstance(rewind, str):
            talk.drop("event_of_rewind")
            tip = before.get(rewind, tip)
            continue
        before.setdefault(invocation, tip)
        tip = _add(talk, event, actions, tip)
    talk.head = tip
    _keep_state(material, talk, states, app_name, user_id)
    return talk.session()


def _event(material: Material, talk: Talk, row: Row) -> JsonObject:
    if "event_data" in row:
        event = material.decoded(row["event_data"], field="event_data")
        if not isinstance(event, dict):
            raise InvalidInputError("event_data", "must be an object")
        return {**talk.rest(row, *_COLUMNS), "id": row.get("id"), **event}
    event = {k: v for k, v in row.items() if k != "actions"}
    if row.get("actions"):
        talk.drop("column_actions_is_a_pickle")
    content = row.get("content")
    event["content"] = material.decoded(content, field="content") if content else None
    return event


def _add(
    talk: Talk, event: JsonObject, actions: JsonObject, tip: str | None
) -> str | None:
    content = _object(event.get("content"))
    parts = content.get("parts")
    author = event.get("author")
    if event.get("partial") is True or not isinstance(parts, list) or not parts:
        talk.drop("event_of_state_alone")
        return tip
    steps = Steps(talk, "user" if author == "user" else "assistant")
    steps.at = time_or_none(event.get("timestamp"))
    add_parts(steps, parts)
    made = steps.finished()
    if not made:
        talk.drop("event_without_content")
    for said in made:
        if said.role == "assistant":
            said.name = text_or_none(author)
    _finish(event, actions, made)
    usage = _object(event.get("usage_metadata"))
    for name in ("prompt_token_count", "candidates_token_count"):
        talk.drop(f"usage_metadata.{name}", _is_no_count(usage.get(name)))
    event_id = text_or_none(event.get("id")) or f"event-{len(talk.left_out)}"
    talk.say_all(event_id, tip, made)
    talk.source(made, event)
    return talk.last if made else tip


def _is_no_count(value: Json) -> bool:
    return bool(value) and count_or_none(value) is None


def _finish(event: JsonObject, actions: JsonObject, made: list[Said]) -> None:
    if not made:
        return
    last, usage = made[-1], _object(event.get("usage_metadata"))
    last.finish_reason = text_or_none(event.get("finish_reason"))
    last.model = text_or_none(event.get("model_version"))
    last.tokens_in = count_or_none(usage.get("prompt_token_count"))
    last.tokens_out = count_or_none(usage.get("candidates_token_count"))
    for name in ("invocation_id", "branch", "error_code", "error_message"):
        if event.get(name):
            last.metadata[name] = event[name]
    for name in ("state_delta", "artifact_delta", "transfer_to_agent"):
        if actions.get(name):
            last.metadata[name] = actions[name]
    if event.get("error_code"):
        last.metadata["error"] = True


def _keep_state(
    material: Material,
    talk: Talk,
    states: tuple[Value, ...],
    app_name: str,
    user_id: str,
) -> None:
    """State of the session, and beside it that of the user and of the app: under the
    prefixes that the framework uses, and each where the adapter finds it."""
    whole: JsonObject = {}
    found: list[JsonObject] = []
    for prefix, text in zip(("", "user:", "app:"), states, strict=True):
        value = material.decoded(text, field="state") if text else None
        found.append(_object(value))
        for name, item in found[-1].items():
            whole[prefix + name] = item
    if not whole:
        return
    talk.state(GRAPH_STATE, whole)
    own, of_user, of_app = map(kept_state, found)
    if own:
        talk.adapter_state[STATE + IMPORTED] = {"state": own}
    where = imported(user_item(app_name, user_id))
    if of_user:
        talk.items.append(ItemInput(*where, of_user, user_id=talk.user_id))
    if of_app:
        talk.items.append(ItemInput(*imported(app_item(app_name)), of_app))


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}
