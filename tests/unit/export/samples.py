"""Builds session documents for export tests, a line per turn and act."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from convstore.export.example import Dropped, Example
from convstore.export.options import ExportOptions
from convstore.export.reading.conversation import Conversation
from convstore.export.rules import RULES
from convstore.export.stages.job import run_export
from convstore.vocabulary.records import (
    Choice,
    GraphState,
    Interaction,
    Session,
    SessionDocument,
    Turn,
)

START = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)

WEATHER_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather in a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]


STARS = {"scale": [1, 5]}
"""What an act says whose score is on a scale of one to five."""


class Chat:
    """A session under construction; times go up by a second per turn or act."""

    def __init__(self, session_id: str = "s-1", **session: Any) -> None:
        self._session = {"id": session_id, **session}
        self._turns: list[Turn] = []
        self._acts: list[Interaction] = []
        self._states: list[GraphState] = []
        self._tools: dict[str, list[Any]] = {}

    def turn(self, role: str, content: str | None, **fields: Any) -> int:
        """Append a turn after the last one, or after `parent_seq`; 0 begins anew."""
        seq = len(self._turns) + 1
        parent = fields.pop("parent_seq", seq - 1) or None
        tools = fields.pop("tools", None)
        if tools is not None:
            fields["tools_hash"] = f"hash of {len(tools)} tools"
            self._tools[fields["tools_hash"]] = tools
        turn = Turn(
            session_id=self._session["id"],
            seq=seq,
            parent_seq=parent,
            role=role,
            content=content,
            **{**_NO_TURN, "created_at": self._at(), **fields},
        )
        self._turns.append(turn)
        return seq

    def user(self, content: str, **fields: Any) -> int:
        """A user turn."""
        return self.turn("user", content, **fields)

    def assistant(self, content: str | None, **fields: Any) -> int:
        """An assistant turn."""
        return self.turn("assistant", content, **fields)

    def call(
        self, name: str, arguments: str, call_id: str = "c1", **fields: Any
    ) -> int:
        """An assistant turn that calls a tool, as OpenAI's API tells it."""
        function = {"name": name, "arguments": arguments}
        part = {"id": call_id, "type": "function", "function": function}
        return self.turn("assistant", None, parts=[part], **fields)

    def act(self, action: str, **fields: Any) -> int:
        """Record an interaction; `chosen` and `rejected` make a choice."""
        seq = len(self._acts) + 1
        if "rejected" in fields:
            fields["choice"] = Choice(
                fields.pop("chosen", None), fields.pop("rejected")
            )
        act = Interaction(
            session_id=self._session["id"],
            seq=seq,
            action=action,
            **{**_NO_ACT, "created_at": self._at(), **fields},
        )
        self._acts.append(act)
        return seq

    def up(self, turn_seq: int, **fields: Any) -> int:
        """Thumbs up."""
        return self.act("feedback", turn_seq=turn_seq, feedback="thumbs_up", **fields)

    def down(self, turn_seq: int, **fields: Any) -> int:
        """Thumbs down."""
        return self.act("feedback", turn_seq=turn_seq, feedback="thumbs_down", **fields)

    def graph(self, state: Any, turn_seq: int | None = None) -> None:
        """Put a graph state into the default namespace."""
        version = len(self._states) + 1
        self._states.append(
            GraphState(
                self._session["id"],
                "default",
                version,
                state,
                turn_seq,
                {},
                None,
                START,
            )
        )

    def document(self) -> SessionDocument:
        """The finished document."""
        fields = {**_SESSION, "head_seq": len(self._turns) or None, **self._session}
        fields["turn_count"] = len(self._turns)
        fields["interaction_count"] = len(self._acts)
        fields["graph_state_count"] = len(self._states)
        return SessionDocument(
            session=Session(**fields),
            turns=tuple(self._turns),
            tool_sets=dict(self._tools),
            interactions=tuple(self._acts),
            graph_states=tuple(self._states),
            ledger=None,
            holds=(),
        )

    def _at(self) -> datetime:
        return START + timedelta(seconds=len(self._turns) + len(self._acts))


def one_exchange(number: int, *, good: bool = True, **session: Any) -> SessionDocument:
    """A session of one question and one judged answer, different for each number."""
    chat = Chat(f"s-{number}", **session)
    chat.user(f"Question number {number}: what colour is the sky?")
    answer = chat.assistant(f"Answer number {number}: it is blue. 🎉")
    (chat.up if good else chat.down)(answer)
    return chat.document()


def archived(document: SessionDocument) -> SessionDocument:
    """The same session as it may come out of the archive."""
    stub = replace(
        document.session, state="archived", archived_at=START, segment_id="seg-1"
    )
    return replace(document, session=stub)


_SESSION: dict[str, Any] = {
    "tenant_id": "default",
    "state": "active",
    "version": 1,
    "user_id": "u-1",
    "title": "New Chat",
    "language": "en",
    "tags": (),
    "metadata": {},
    "created_at": START,
    "updated_at": START,
    "last_activity_at": START,
    "expires_at": None,
    "head_seq": None,
    "branched": False,
    "graph_state_count": 0,
    "feedback_counts": {},
    "current_slots": {},
    "current_template_id": None,
    "hold_count": 0,
    "archived_at": None,
    "segment_id": None,
}
_NO_TURN: dict[str, Any] = dict.fromkeys(
    "parts name tool_call_id model finish_reason tokens_in tokens_out cost_micros "
    "language resolved_question template_id slots results tools_hash "
    "external_id".split()
)
_NO_TURN["metadata"] = {}
_NO_ACT: dict[str, Any] = {
    **dict.fromkeys(
        "turn_seq node_id choice feedback score reason content shown surface "
        "supersedes external_id".split()
    ),
    "actor_id": "u-1",
    "actor_kind": "human",
    "metadata": {},
}


def candidates(
    chat: Chat, rule: str, options: ExportOptions | None = None
) -> list[Example | Dropped]:
    """What one rule makes of the chat."""
    found = RULES[rule]
    view = Conversation(chat.document(), options or ExportOptions())
    return list(found.run(view, found.id))


def rows(chat: Chat, rule: str, options: ExportOptions | None = None) -> list[Example]:
    """The rows that one rule makes of the chat."""
    return [row for row in candidates(chat, rule, options) if isinstance(row, Example)]


def reasons(chat: Chat, rule: str, options: ExportOptions | None = None) -> list[str]:
    """Why the rule made no row, once per loss."""
    found = candidates(chat, rule, options)
    return [loss.reason for loss in found if isinstance(loss, Dropped)]


def exported(
    documents: Iterable[SessionDocument],
    format_name: str,
    options: ExportOptions | None = None,
) -> list[dict[str, Any]]:
    """The rows of a whole export in one format, in file order."""
    with tempfile.TemporaryDirectory() as folder:
        to = Path(folder) / "out"
        run_export(documents, [format_name], to, options)
        return read_rows(to)


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """All rows of a JSONL data set, split by split."""
    files = sorted((folder / "data").glob("*.jsonl"))
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    return [json.loads(line) for line in lines]


def documents(count: int = 60) -> list[SessionDocument]:
    """Sessions with one judged answer each, two good ones to a bad one, five users."""
    return [one_exchange(n, good=n % 3 > 0, user_id=f"u-{n % 5}") for n in range(count)]


def tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under a folder, by path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
