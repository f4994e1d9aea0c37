"""A small export of each tool, written for the tests: what it holds, and how much.

A file is a list of records, one to a line, or one document; a database is its tables.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ASKED, SAID = "Waar is het archief?", "Op de markt."
AT = "2026-03-01T09:00:00Z"


@dataclass(frozen=True)
class Sample:
    """What is written, and the turns that come of it."""

    name: str
    turns: int
    records: tuple[Any, ...] = ()
    document: Any = None
    tables: dict[str, list[dict[str, Any]]] | None = None

    def written(self, folder: Path) -> Path:
        if self.tables is not None:
            return _database(folder / "x.db", self.tables)
        path = folder / "x.jsonl"
        if self.document is not None:
            path = folder / "x.json"
            path.write_text(json.dumps(self.document))
        else:
            path.write_text("".join(json.dumps(r) + "\n" for r in self.records))
        return path


def _database(path: Path, tables: dict[str, list[dict[str, Any]]]) -> Path:
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    for table, rows in tables.items():
        columns = list(rows[0])
        named = ", ".join(f'"{name}"' for name in columns)
        connection.execute(f'CREATE TABLE "{table}" ({named})')
        marks = ", ".join("?" * len(columns))
        for row in rows:
            values = [_stored(row.get(name)) for name in columns]
            connection.execute(f'INSERT INTO "{table}" VALUES ({marks})', values)
    connection.commit()
    connection.close()
    return path


def _stored(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value


def _node(name: str, parent: str | None, role: str, text: str) -> dict[str, Any]:
    content = {"content_type": "text", "parts": [text]}
    message = {"author": {"role": role}, "content": content, "recipient": "all"}
    return {"id": name, "parent": parent, "message": message, "children": []}


_CHAT = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": SAID}]
_ITEMS = [
    {"role": "user", "content": ASKED},
    {
        "type": "reasoning",
        "id": "r",
        "summary": [{"type": "summary_text", "text": "h"}],
    },
    {"type": "function_call", "call_id": "c", "name": "find", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "14"},
    {"type": "message", "role": "assistant", "id": "m", "content": SAID},
]
_LANGCHAIN = [
    {"type": "human", "data": {"content": ASKED, "type": "human"}},
    {"type": "ai", "data": {"content": SAID, "type": "ai", "tool_calls": []}},
]
_CLAUDE_CODE = {"sessionId": "s", "cwd": "/home/user", "timestamp": AT}
_RUN = {"trace_id": "t", "start_time": AT, "end_time": AT, "extra": {"metadata": {}}}
_LC = ["langchain_core.messages", "AIMessage"]

SAMPLES = (
    Sample(
        "chatgpt",
        2,
        document=[
            {
                "id": "c",
                "title": None,
                "current_node": "a",
                "mapping": {
                    "root": {"id": "root", "parent": None, "message": None},
                    "u": _node("u", "root", "user", ASKED),
                    "a": _node("a", "u", "assistant", SAID),
                },
            }
        ],
    ),
    Sample(
        "claude-ai",
        2,
        document=[
            {
                "uuid": "c",
                "name": "Kaart",
                "chat_messages": [
                    {"uuid": "1", "sender": "human", "text": ASKED, "content": []},
                    {
                        "uuid": "2",
                        "sender": "assistant",
                        "text": "",
                        "content": [{"type": "text", "text": SAID}],
                        "files": [{"file_name": "kaart.png"}],
                    },
                ],
            }
        ],
    ),
    Sample(
        "open-webui",
        3,
        records=(
            {
                "id": "c",
                "user_id": "u-1",
                "title": "Kaart",
                "chat": {
                    "params": {"system": "Kort."},
                    "history": {
                        "currentId": "a",
                        "messages": {
                            "u": {"id": "u", "role": "user", "content": ASKED},
                            "a": {
                                "id": "a",
                                "parentId": "u",
                                "role": "assistant",
                                "content": SAID,
                                "annotation": {"rating": "1"},
                                "feedbackId": "f",
                            },
                        },
                    },
                },
            },
        ),
    ),
    Sample(
        "librechat",
        3,
        document={
            "conversationId": "c",
            "recursive": True,
            "options": {"promptPrefix": "Kort."},
            "messages": [
                {
                    "messageId": "u",
                    "isCreatedByUser": True,
                    "text": ASKED,
                    "children": [
                        {
                            "messageId": "a",
                            "parentMessageId": "u",
                            "isCreatedByUser": False,
                            "content": [{"type": "text", "text": {"value": SAID}}],
                            "feedback": {"rating": "thumbsDown"},
                        }
                    ],
                }
            ],
        },
    ),
    Sample("langchain", 2, document=_LANGCHAIN),
    Sample(
        "langchain",
        2,
        tables={
            "message_store": [
                {"id": number, "session_id": "s", "message": message}
                for number, message in enumerate(_LANGCHAIN, 1)
            ]
        },
    ),
    Sample(
        "langgraph",
        1,
        tables={
            "checkpoints": [
                {
                    "thread_id": "t",
                    "checkpoint_ns": "",
                    "checkpoint_id": "1",
                    "type": "json",
                    "checkpoint": {
                        "ts": AT,
                        "channel_values": {
                            "messages": [{"type": "human", "content": ASKED, "id": "1"}]
                        },
                    },
                    "metadata": {"source": "loop", "user_id": "u-1"},
                }
            ],
            "writes": [{"thread_id": "t", "channel": "messages", "value": b""}],
        },
    ),
    Sample("openai-agents", 4, document=_ITEMS),
    Sample(
        "openai-agents",
        4,
        tables={
            "agent_sessions": [{"session_id": "s", "created_at": AT, "updated_at": AT}],
            "agent_messages": [
                {"id": n, "session_id": "s", "message_data": item, "created_at": AT}
                for n, item in enumerate(_ITEMS, 1)
            ],
        },
    ),
    Sample(
        "google-adk",
        2,
        tables={
            "sessions": [
                {"app_name": "a", "user_id": "u", "id": "s", "state": {"k": 1}}
            ],
            "events": [
                {
                    "id": str(number),
                    "app_name": "a",
                    "user_id": "u",
                    "session_id": "s",
                    "invocation_id": "i",
                    "timestamp": AT,
                    "event_data": {
                        "author": author,
                        "content": {"parts": [{"text": text}]},
                        "actions": {},
                    },
                }
                for number, (author, text) in enumerate(
                    [("user", ASKED), ("agent", SAID)], 1
                )
            ],
        },
    ),
    Sample(
        "agno",
        2,
        tables={
            "agno_sessions": [
                {
                    "session_id": "s",
                    "session_type": "agent",
                    "session_data": json.dumps({"session_state": {"k": 1}}),
                    "runs": json.dumps(
                        json.dumps([{"run_id": "r", "messages": _CHAT, "model": "m"}])
                    ),
                }
            ]
        },
    ),
    Sample(
        "pydantic-ai",
        2,
        document=[
            {
                "kind": "request",
                "timestamp": AT,
                "parts": [{"part_kind": "user-prompt", "content": ASKED}],
            },
            {
                "kind": "response",
                "timestamp": AT,
                "model_name": "m",
                "parts": [{"part_kind": "text", "content": SAID}],
            },
        ],
    ),
    Sample(
        "uimessage",
        4,
        records=(
            {
                "id": "c",
                "messages": [
                    {
                        "id": "1",
                        "role": "user",
                        "parts": [{"type": "text", "text": ASKED}],
                    },
                    {
                        "id": "2",
                        "role": "assistant",
                        "parts": [
                            {
                                "type": "tool-find",
                                "toolCallId": "c",
                                "state": "output-available",
                                "input": {},
                                "output": {"n": 14},
                            },
                            {"type": "step-start"},
                            {"type": "text", "text": SAID},
                        ],
                    },
                ],
            },
        ),
    ),
    Sample(
        "claude-code",
        2,
        records=(
            {
                **_CLAUDE_CODE,
                "type": "user",
                "uuid": "1",
                "message": {"role": "user", "content": ASKED},
            },
            {
                **_CLAUDE_CODE,
                "type": "assistant",
                "uuid": "2",
                "parentUuid": "1",
                "message": {
                    "id": "m",
                    "role": "assistant",
                    "content": [{"type": "text", "text": SAID}],
                },
            },
            {"type": "summary", "summary": "Kaart", "leafUuid": "2"},
        ),
    ),
    Sample(
        "codex",
        4,
        records=(
            {"type": "session_meta", "timestamp": AT, "payload": {"id": "s"}},
            *(
                {"type": "response_item", "timestamp": AT, "payload": item}
                for item in _ITEMS
            ),
            {"type": "event_msg", "payload": {"type": "thread_rolled_back"}},
        ),
    ),
    Sample(
        "llm",
        2,
        tables={
            "conversations": [{"id": "c", "name": "Kaart", "model": "m"}],
            "responses": [
                {
                    "id": "r",
                    "conversation_id": "c",
                    "prompt": ASKED,
                    "response": SAID,
                    "model": "m",
                    "datetime_utc": AT,
                }
            ],
        },
    ),
    Sample(
        "chainlit",
        2,
        tables={
            "threads": [{"id": "t", "name": "Kaart", "userIdentifier": "u-1"}],
            "steps": [
                {
                    "id": str(number),
                    "threadId": "t",
                    "type": kind,
                    "output": text,
                    "createdAt": f"2026-03-01T09:00:0{number}Z",
                    "metadata": {},
                }
                for number, (kind, text) in enumerate(
                    [("user_message", ASKED), ("assistant_message", SAID), ("run", "")]
                )
            ],
        },
    ),
    Sample(
        "sillytavern",
        3,
        records=(
            {"user_name": "U", "character_name": "A", "chat_metadata": {}},
            {"name": "U", "is_user": True, "mes": ASKED, "send_date": 1772355840000},
            {
                "name": "A",
                "is_user": False,
                "mes": SAID,
                "swipes": [SAID, "Elders."],
                "swipe_id": 0,
                "send_date": "March 1, 2026 9:00am",
            },
        ),
    ),
    Sample(
        "langfuse",
        2,
        document={
            "trace": {"id": "t", "sessionId": "s", "scores": [{"id": "1", "value": 1}]},
            "observations": [
                {
                    "type": "GENERATION",
                    "startTime": AT,
                    "input": json.dumps([_CHAT[0]]),
                    "output": json.dumps(json.dumps(_CHAT[1])),
                }
            ],
        },
    ),
    Sample(
        "langsmith",
        2,
        records=(
            {
                **_RUN,
                "id": "r",
                "run_type": "llm",
                "dotted_order": "1",
                "inputs": {"messages": [[{"type": "human", "content": ASKED}]]},
                "outputs": {
                    "generations": [
                        [{"message": {"id": _LC, "kwargs": {"content": SAID}}}]
                    ]
                },
            },
        ),
    ),
    Sample(
        "phoenix",
        2,
        records=(
            {
                "context": {"trace_id": "t"},
                "span_kind": "LLM",
                "start_time": AT,
                "attributes": {
                    "llm.input_messages.0.message.role": "user",
                    "llm.input_messages.0.message.content": ASKED,
                    "llm.output_messages.0.message.role": "assistant",
                    "llm.output_messages.0.message.content": SAID,
                },
            },
        ),
    ),
    Sample(
        "label-studio",
        2,
        document=[
            {
                "id": 1,
                "data": {"talk": _CHAT},
                "annotations": [
                    {
                        "id": 2,
                        "completed_by": 3,
                        "result": [
                            {
                                "id": "x",
                                "type": "rating",
                                "from_name": "q",
                                "to_name": "t",
                                "value": {"rating": 4},
                            }
                        ],
                    }
                ],
            }
        ],
    ),
    Sample(
        "argilla",
        3,
        document=[
            {
                "id": "r",
                "fields": {"q": ASKED, "a": SAID, "b": "Elders."},
                "responses": {"best": [{"value": "a", "user_id": "u-1"}]},
            }
        ],
    ),
    Sample(
        "arena",
        3,
        records=(
            {
                "question_id": "q",
                "model_a": "x",
                "model_b": "y",
                "winner": "tie (bothbad)",
                "conversation_a": _CHAT,
                "conversation_b": [_CHAT[0], {"role": "assistant", "content": "Neen."}],
            },
        ),
    ),
    Sample(
        "ultrafeedback",
        2,
        records=(
            {
                "instruction": ASKED,
                "completions": [
                    {
                        "response": SAID,
                        "model": "m",
                        "overall_score": 7,
                        "annotations": {"honesty": {"Rating": "4"}},
                    }
                ],
            },
        ),
    ),
    Sample(
        "wildchat",
        2,
        records=(
            {
                "conversation_hash": "h",
                "model": "m",
                "conversation": _CHAT,
                "openai_moderation": [{"flagged": False}],
            },
        ),
    ),
    Sample(
        "rasa",
        2,
        document={
            "sender_id": "s",
            "events": [
                {"event": "user", "text": ASKED, "timestamp": 1772355840.5},
                {"event": "slot", "name": "place", "value": "Enschede"},
                {"event": "bot", "text": SAID},
            ],
        },
    ),
    Sample(
        "discord",
        2,
        document={
            "guild": {"id": "1"},
            "channel": {"id": "2"},
            "messages": [
                {"id": "1", "content": ASKED, "timestamp": AT, "author": {"id": "3"}},
                {
                    "id": "2",
                    "content": SAID,
                    "timestamp": AT,
                    "author": {"id": "4", "isBot": True},
                    "reference": {"messageId": "1"},
                },
            ],
        },
    ),
    Sample(
        "slack",
        2,
        document=[
            {"type": "message", "user": "U", "ts": "1772355840.1", "text": ASKED},
            {"type": "message", "bot_id": "B", "ts": "1772355841.1", "text": SAID},
        ],
    ),
)
