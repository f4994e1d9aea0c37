"""A conversation in the shape of ChatGPT's export, which other tools take in. Pure.

Open WebUI and LibreChat read it where they import chats. It has text, thoughts, calls
with their results, branches and the current one, models and times; of pictures and
files it has no bytes, so that they are named in the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from convstore.messages.parts import (
    ROLES,
    call_of,
    kind_of,
    parts_text,
    thought_of,
)
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import (
    Json,
    JsonObject,
    SessionDocument,
    Turn,
)

ROOT = "client-created-root"
_MEDIA = ("image", "audio", "file")


def as_chatgpt(document: SessionDocument) -> list[Json]:
    """The list of one conversation that a `conversations.json` would hold."""
    session, tree = document.session, _Tree()
    for turn in document.turns:
        tree.add(turn)
    models = [turn.model for turn in document.turns if turn.model]
    return [
        {
            "id": session.id,
            "conversation_id": session.id,
            "title": session.title,
            "create_time": session.created_at.timestamp(),
            "update_time": session.last_activity_at.timestamp(),
            "mapping": tree.nodes,
            "current_node": tree.last.get(session.head_seq or 0, ROOT),
            "default_model_slug": models[-1] if models else None,
        }
    ]


@dataclass(slots=True)
class _Tree:
    """The nodes, and the last one of each turn."""

    nodes: JsonObject = field(default_factory=lambda: {ROOT: _node(ROOT, None, None)})
    last: dict[int, str] = field(default_factory=dict)

    def add(self, turn: Turn) -> None:
        above = self.last.get(turn.parent_seq or 0, ROOT)
        name = turn.external_id or f"turn-{turn.seq}"
        for number, message in enumerate(_messages(turn)):
            node_id = name if number == 0 else f"{name}#{number}"
            if node_id in self.nodes:
                node_id = f"{node_id}#{turn.seq}"
            self.nodes[node_id] = _node(node_id, above, {"id": node_id, **message})
            self.nodes[above]["children"].append(node_id)
            above = node_id
        self.last[turn.seq] = above


def _node(node_id: str, parent: str | None, message: JsonObject | None) -> JsonObject:
    return {"id": node_id, "parent": parent, "children": [], "message": message}


def _messages(turn: Turn) -> Iterator[JsonObject]:
    """What a turn is there: a message for what was thought, one for what was said, and
    one for each call, which is addressed to its tool."""
    parts = turn.parts or []
    role = ROLES.get(turn.role, turn.role)
    thoughts = [thought_of(part) for part in parts if kind_of(part) == "thought"]
    thoughts = [thought for thought in thoughts if thought]
    calls = [call_of(part) for part in parts if kind_of(part) == "call"]
    text = _text(turn)
    if thoughts:
        told: Json = [{"summary": "", "content": thought} for thought in thoughts]
        yield _message(turn, role, {"content_type": "thoughts", "thoughts": told})
    if role == "tool":
        yield _message(turn, role, {"content_type": "execution_output", "text": text})
    elif text or not (thoughts or calls):
        yield _message(turn, role, {"content_type": "text", "parts": [text]})
    for call in calls:
        given = call.arguments
        asked = given if isinstance(given, str) else dumps(given).decode()
        content: JsonObject = {"content_type": "code", "language": "json"}
        yield _message(turn, role, {**content, "text": asked}, call.name)


def _text(turn: Turn) -> str:
    parts = turn.parts or []
    text = turn.content if turn.content is not None else parts_text(parts)
    named = [f"[{kind_of(part)}]" for part in parts if kind_of(part) in _MEDIA]
    return "\n".join([*([text] if text else []), *named])


def _message(
    turn: Turn, role: str, content: JsonObject, tool: str | None = None
) -> JsonObject:
    hidden = bool(turn.metadata.get("hidden"))
    return {
        "author": {"role": role, "name": turn.name, "metadata": {}},
        "create_time": turn.created_at.timestamp(),
        "content": content,
        "status": "finished_successfully",
        "end_turn": tool is None,
        "weight": 0.0 if hidden else 1.0,
        "recipient": tool or "all",
        "metadata": {"model_slug": turn.model} if turn.model else {},
    }
