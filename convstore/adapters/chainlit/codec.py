"""Between Chainlit's steps and the store's turns, items and ids: pure functions.

A step is kept whole, as an item of its session. A message is a turn beside that, with
the step's id in its metadata.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, unquote

from convstore.messages.message import Said, blocks_of, says_only_text
from convstore.messages.neutral import (
    fitting_id,
    plain_id,
    plain_parts,
    plain_text,
)
from convstore.messages.parts import ROLES, Call
from convstore.vocabulary.clock import EPOCH
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import Json, JsonObject, Session, Turn, TurnInput

STATE: Final = "chainlit"
"""Of what is kept beside a session: `metadata`, each value as JSON text, which holds
any JSON, and `id`, where the thread's own id can be none of a session."""
STEPS: Final = "chainlit.steps"
ELEMENTS: Final = "chainlit.elements"
USERS: Final = "chainlit.users"
FAVORITES: Final = "chainlit.favorites"

STEP: Final = "step_id"
"""In the metadata of a turn: the message that it is."""
MARK: Final = "chainlit"
"""Beside it, as others have steps, too: True where it is ours. Turns written before it
was there have no metadata but ours."""
LABELS: Final = ("thumbs_down", "thumbs_up")
"""By the value of a feedback."""

MAX_TITLE_CHARS: Final = 200

_BEFORE = {STEP, "error"}
_TEXT = "json"
_ROLES_OF = {
    "user_message": "user",
    "assistant_message": "assistant",
    "system_message": "system",
}
_TYPES = {role: kind for kind, role in _ROLES_OF.items()}
_USER_IDS = uuid.UUID("6f1d3ad4-7d0f-5c58-9a0e-2f6f1c0a9b51")


def user_id_of(owner: str) -> str:
    """The id that Chainlit knows an owner of sessions by: always the same."""
    return str(uuid.uuid5(_USER_IDS, owner))


def kept(value: Mapping[str, Json]) -> JsonObject:
    """A document as an item holds it: itself, or its JSON text where a database could
    not hold it.

    Raises:
        TypeError: It is not made of JSON.
    """
    if set(value) != {_TEXT} and plain_parts([dict(value)]):
        return dict(value)
    return {_TEXT: json.dumps(value, separators=(",", ":"))}


def native(value: Json) -> JsonObject:
    """The document that was kept."""
    found: JsonObject = json.loads(value[_TEXT]) if set(value) == {_TEXT} else value
    return found


def metadata_patch(metadata: Mapping[str, Json]) -> JsonObject:
    """What to change of what is kept beside a session: each value takes the place of
    what was there whole, None removes it."""
    return {
        plain_text(name): None
        if value is None
        else json.dumps(value, separators=(",", ":"))
        for name, value in metadata.items()
    }


def metadata_of(session: Session, state: Mapping[str, Json] | None) -> JsonObject:
    """The metadata of a thread, from what is kept beside its session, on top of what an
    import brought along."""
    told = (state or {}).get("metadata") or {}
    imported = session.metadata.get("metadata")
    base = imported if isinstance(imported, dict) else {}
    return {**base, **{name: json.loads(text) for name, text in told.items()}}


def title_of(name: str) -> str:
    """A thread's name, which may be a whole message, as a title."""
    return plain_text(name[:MAX_TITLE_CHARS])


def tags_of(tags: Sequence[object]) -> list[str]:
    """Those tags that a session can have."""
    return [tag for tag in map(plain_id, tags) if tag is not None][:64]


def turn_of(step: Mapping[str, Json]) -> TurnInput | None:
    """The turn of a message that has been said; None for any other step, for a message
    that is still written, and for one of an assistant without a word yet."""
    role, text = _ROLES_OF.get(str(step.get("type"))), step.get("output")
    said = plain_text(text) if isinstance(text, str) else ""
    if role is None or step.get("streaming") or not (said or role == "user"):
        return None
    metadata: JsonObject = {STEP: fitting_id(step.get("id")), MARK: True}
    if step.get("isError"):
        metadata["error"] = True
    generation = step.get("generation")
    model = generation.get("model") if isinstance(generation, dict) else None
    return TurnInput(
        role,
        said,
        model=plain_id(model) if role == "assistant" else None,
        metadata=metadata,
        created_at=time_of(step.get("createdAt")),
    )


def is_ours(turn: Turn) -> bool:
    """Whether a turn is a message of Chainlit's."""
    known = turn.metadata.get(MARK) is True or turn.metadata.keys() <= _BEFORE
    return known and isinstance(turn.metadata.get(STEP), str)


def step_id_of(turn: Turn) -> str:
    """The step that a turn is; of another's turn its external id, or one made up."""
    if is_ours(turn):
        return str(turn.metadata[STEP])
    return turn.external_id or f"turn-{turn.seq}"


def says_the_same(turn: Turn, said: TurnInput) -> bool:
    """Whether a message of Chainlit's still says what its turn says."""
    told = (turn.content or "") if is_ours(turn) else _text(turn)
    return turn.role == said.role and told == (said.content or "")


def steps_of(turns: Sequence[Turn], thread_id: str) -> list[JsonObject]:
    """The turns of others as steps: what was said as messages, results as tools."""
    calls: dict[str, Call] = {}
    steps = []
    for turn in turns:
        ours = is_ours(turn)
        if ours and says_only_text(turn):
            continue  # as nearly all are
        for block in blocks_of(turn):
            if isinstance(block, Call) and block.id:
                calls[block.id] = block
        role = ROLES.get(turn.role)
        if ours or role is None:
            continue
        call = calls.get(turn.tool_call_id or "")
        text = _text(turn)
        if role == "tool":
            name = turn.name or (call.name if call else "") or "tool"
            steps.append(_step(turn, thread_id, "tool", name, text, call))
        elif text:
            steps.append(_step(turn, thread_id, _TYPES[role], turn.name or role, text))
    return steps


def _step(
    turn: Turn,
    thread_id: str,
    kind: str,
    name: str,
    text: str,
    call: Call | None = None,
) -> JsonObject:
    at = iso(turn.created_at)
    given: Any = call.arguments if call else ""
    return {
        "id": step_id_of(turn),
        "threadId": thread_id,
        "parentId": None,
        "name": name,
        "type": kind,
        "input": given if isinstance(given, str) else dumps(given).decode(),
        "output": text,
        "createdAt": at,
        "start": at,
        "end": at,
        "streaming": False,
        "isError": False,
        "waitForAnswer": False,
        "metadata": {"tool_call_id": turn.tool_call_id} if call else {},
        "tags": None,
        "showInput": "json" if kind == "tool" else None,
        "language": None,
        "generation": None,
        "feedback": None,
    }


def _text(turn: Turn) -> str:
    if ROLES.get(turn.role) == "tool":
        return turn.content or ""
    said = [block for block in blocks_of(turn) if isinstance(block, Said)]
    return "".join(block.text for block in said if block.kind in ("text", "refusal"))


def feedback_id(thread_id: str, step_id: str) -> str:
    """The id of the feedback on a step, from which both can be read."""
    parts = (thread_id, step_id)
    return "/".join(quote(p.encode("utf-8", "surrogatepass"), safe="") for p in parts)


def judged_by(given: str) -> tuple[str, str] | None:
    """The thread and the step that a feedback is on, by its id; None for an id that is
    not of ours."""
    thread, slash, step = given.partition("/")
    if not (thread and slash and step) or "/" in step:
        return None
    return unquote(thread, errors="surrogatepass"), unquote(
        step, errors="surrogatepass"
    )


def time_of(value: Json) -> datetime | None:
    """A time as Chainlit writes it, if it can be stored."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if at is None:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return at if at >= EPOCH and at.year <= 9998 else None


def iso(at: datetime) -> str:
    """A time as Chainlit writes it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
