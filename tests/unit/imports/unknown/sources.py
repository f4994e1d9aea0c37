"""Sources with all that a format reads, one of a kind, where the samples have less."""

from __future__ import annotations

import json
from typing import Any

from convstore.vocabulary.codec import decode_json
from convstore.vocabulary.documents import encode_document
from tests.unit.imports.tools.samples import ASKED, AT, SAID
from tests.unit.imports.unknown.fields import Source
from tests.unit.segments.made import odd

LATER = "2026-03-01T09:00:05Z"
CHAT = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": SAID}]
_JUDGED = {"feedback": "thumbs_up", "model": "m", "tags": ["t"], "user": "u-1"}
_CALL = {"name": "find", "arguments": "{}"}
_CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c", "type": "function", "function": _CALL}],
}

MAPPING = {
    "name": "survey",
    "session": {"id": "row"},
    "turn": [{"role": "user", "text": "ask.text"}],
    "answers": {"text": ["answers.0.text", "answers.1.text"]},
}


def _message(role: str, text: str, **more: Any) -> dict[str, Any]:
    content = {"content_type": "text", "parts": [text]}
    return {"author": {"role": role}, "content": content, **more}


def _node(name: str, parent: str | None, message: Any) -> dict[str, Any]:
    return {"id": name, "parent": parent, "children": [], "message": message}


_CHATGPT = {
    "conversation_id": "c-1",
    "current_node": "a",
    "mapping": {
        "root": _node("root", None, None),
        "sys": _node("sys", "root", _message("system", "", metadata={"k": 1})),
        "u": _node("u", "sys", _message("user", ASKED)),
        "call": _node("call", "u", _message("assistant", "x", recipient="python")),
        "res": _node("res", "call", _message("tool", "14")),
        "a": _node("a", "res", _message("assistant", SAID)),
    },
}
_VOTE = {
    "id": "f",
    "conversation_id": "c-1",
    "message_id": "a",
    "rating": "thumbsUp",
    "content": json.dumps({"text": "Ja.", "tags": ["t"]}),
}
_COMPARED = {
    "id": "p",
    "input": {"prompt_convo": {"title": "T", "messages": [_message("user", ASKED)]}},
    "output": {
        "feedback_step_1": {
            "original_turn": [_node("o", None, _message("assistant", SAID))],
            "new_turn": [{"message": _message("assistant", "Elders.")}],
            "completion_comparison_rating": "new",
        }
    },
    "metadata": {"k": 1},
}

_ANNOTATION = {"rating": 1, "details": {"rating": 9}, "comment": "Ja."}
_WEBUI = {
    "id": "c",
    "user_id": "u-1",
    "chat": {
        "models": ["m"],
        "params": {"system": "Kort."},
        "history": {
            "currentId": "a",
            "messages": {
                "u": {"id": "u", "role": "user", "content": ASKED},
                "a": {
                    "id": "a",
                    "parentId": "u",
                    "role": "assistant",
                    "output": [{"type": "message", "role": "assistant", **CHAT[1]}],
                    "usage": {"prompt_tokens": 1},
                    "annotation": _ANNOTATION,
                    "feedbackId": "f",
                },
            },
        },
        "messages": [{"id": "u", "role": "user", "content": ASKED}],
    },
}
_FEEDBACK = {
    "id": "f",
    "user_id": "u-1",
    "type": "rating",
    "data": {"rating": 1, "model_id": "m"},
    "meta": {"message_id": "a", "chat_id": "c", "model_id": "m"},
    "snapshot": {"chat": _WEBUI},
}

_CODEX_ITEMS: list[dict[str, Any]] = [
    {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "Q"}],
    },
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
    {"type": "function_call", "call_id": "c", **_CALL},
    {"type": "function_call_output", "call_id": "c", "output": "14"},
    {"type": "message", "role": "assistant", "content": SAID},
]


def _row(kind: str, **payload: Any) -> dict[str, Any]:
    return {"timestamp": AT, "type": kind, "payload": payload}


_CODEX = (
    _row("session_meta", id="s", cwd="/home/user", git={"branch": "main"}),
    _row("turn_context", model="m", sandbox_policy={"type": "off"}),
    _row("world_state", state={"k": 1}),
    *(_row("response_item", **item) for item in _CODEX_ITEMS),
    _row("token_usage_record", usage={"input_tokens": 1}, turn={"k": 1}),
    _row("event_msg", type="token_count", info={"k": 1}),
    _row("turn_context", model="m", sandbox_policy={"type": "on"}),
    _row("response_item", type="message", role="user", content=[]),
    _row("response_item", type="message", role="user", content="R"),
    _row("event_msg", type="turn_aborted", reason="r"),
    _row("compacted", message="C", replacement_history=[{"k": 1}]),
    _row("event_msg", type="thread_rolled_back", num_turns=1),
)
_CODEX_OF_2025 = (
    {"id": "s", "timestamp": AT, "instructions": "I", "git": {"branch": "main"}},
    {"record_type": "state"},
    *_CODEX_ITEMS[:3],
    {
        "type": "function_call_output",
        "call_id": "c",
        "output": json.dumps({"output": "14", "metadata": {"exit_code": 1}}),
    },
)

_TAVERN = (
    {
        "user_name": "U",
        "character_name": "A",
        "create_date": AT,
        "chat_metadata": {"integrity": "i", "note": {"k": 1}},
    },
    {"name": "U", "is_user": True, "mes": ASKED, "extra": {"image": "/a.png"}},
    {
        "name": "A",
        "is_user": False,
        "mes": SAID,
        "extra": {"model": "m", "token_count": 3, "file": {"url": "/b.txt"}},
        "swipes": ["Op straat.", "Elders."],
        "swipe_id": 0,
        "swipe_info": [{"extra": {"model": "m"}}, {"extra": {"reasoning": "hm"}}],
    },
    {
        "name": "N",
        "is_system": True,
        "mes": "Het regent.",
        "extra": {"type": "narrator"},
    },
)


def _generation(text: str, at: str = AT) -> dict[str, Any]:
    return {
        "id": text,
        "type": "GENERATION",
        "model": "m",
        "startTime": at,
        "input": json.dumps({"messages": CHAT[:1], "tools": [{"name": "find"}]}),
        "output": json.dumps({"choices": [{"message": CHAT[1], "index": 0}]}),
        "modelParameters": {"temperature": 1},
        "usageDetails": {"input": 1, "output": 2},
        "metadata": json.dumps({"attributes": {"k": 1}}),
    }


_LANGFUSE = {
    "trace": {
        "id": "t",
        "sessionId": "s",
        "userId": "u-1",
        "metadata": {"k": 1},
        "input": {"messages": CHAT[:1]},
        "output": CHAT[1],
        "scores": [
            {"id": "1", "name": "q", "value": 1, "dataType": "NUMERIC"},
            {"id": "2", "name": "k", "stringValue": "x", "dataType": "CATEGORICAL"},
        ],
        "corrections": [
            {"id": "1", "value": json.dumps("Beter.")},
            {"id": "2", "value": {"role": "assistant"}},
        ],
        "observations": [{"id": "b", "type": "SPAN"}],
    },
    "observations": [
        {"id": "b", "type": "SPAN", "input": {"k": 1}},
        _generation("a"),
        _generation("b", LATER),
    ],
}
_LANGFUSE_ROWS = (
    {**_generation("a"), "traceId": "t", "sessionId": "s"},
    {"traceId": "t", "type": "TOOL", "input": {"k": 1}},
)


def _run(number: int, kind: str, parent: str | None, **more: Any) -> dict[str, Any]:
    return {
        "id": f"r-{number}",
        "trace_id": "t",
        "parent_run_id": parent,
        "dotted_order": str(number),
        "run_type": kind,
        "start_time": AT,
        "extra": {"metadata": {"thread_id": "s"}, "runtime": {"k": 1}},
        **more,
    }


_LANGSMITH_ANSWER = {
    "generations": [[{"text": SAID, "message": {"type": "ai", "content": SAID}}]]
}
_LANGSMITH = (
    _run(
        1,
        "chain",
        None,
        name="N",
        inputs={"messages": CHAT[:1], "k": {"l": 1}},
        outputs={"output": CHAT[1]},
        feedback_stats={"q": {"n": 1}},
    ),
    _run(
        2, "prompt", "r-1", inputs={"k": 1}, outputs={"output": {"messages": CHAT[:1]}}
    ),
    _run(3, "tool", "r-1", inputs={"k": 1}, outputs={"k": 1}),
    _run(
        4,
        "llm",
        "r-1",
        inputs={"messages": [[{"type": "human", "content": ASKED}]]},
        outputs=_LANGSMITH_ANSWER,
        feedback=[
            {
                "id": "f",
                "key": "q",
                "score": 1,
                "value": "good",
                "correction": {"k": 1},
                "feedback_source": {"type": "model", "metadata": {"k": 1}},
            },
            {"key": "r", "score": True, "value": {"k": 1}},
        ],
        feedback_stats={"q": {"n": 1}},
    ),
)
_LANGSMITH_FLAT = (
    _run(1, "chain", None, inputs={"messages": CHAT[:1]}, outputs={"output": SAID}),
    _run(2, "llm", "r-1", inputs={"prompts": [ASKED]}, outputs=_LANGSMITH_ANSWER),
)

_PHOENIX = (
    {
        "context": {"trace_id": "t"},
        "start_time": AT,
        "attributes": {
            "llm": {
                "input_messages": [{"message": CHAT[0]}],
                "output_messages": [{"message": CHAT[1]}],
                "token_count": {"prompt": 1},
            },
            "session": {"id": "s"},
        },
        "annotations": [
            {"name": "q", "annotator_kind": "LLM", "result": {"label": "good"}}
        ],
    },
)


def _result(place: int, kind: str, **value: Any) -> dict[str, Any]:
    return {
        "id": f"x{place}",
        "type": kind,
        "from_name": "q",
        "to_name": "t",
        "value": value,
    }


_LABELLED = {
    "id": 1,
    "data": {"text": ASKED, "more": {"k": 1}},
    "annotations": [
        {
            "id": 2,
            "completed_by": {"id": 3, "email": "e@example.org"},
            "result": [
                _result(1, "chatmessage", chatmessage=CHAT[0]),
                _result(2, "chatmessage", chatmessage=CHAT[1]),
                _result(3, "rating", rating=4),
                _result(4, "number", number=4),
                _result(5, "pairwise", selected="left"),
                _result(6, "choices", choices=["a", "b"]),
                _result(7, "taxonomy", taxonomy=[["a"]]),
                _result(8, "textarea", text=["Beter."]),
                _result(9, "labels", start=1, labels=["a"]),
            ],
        }
    ],
    "predictions": [
        {
            "id": 4,
            "model_version": "m",
            "score": 1,
            "result": [_result(10, "rating", rating=5)],
        }
    ],
}

_ARGILLA = [
    {
        "id": "r",
        "fields": {"q": ASKED, "a": SAID, "b": "Elders.", "picture": {"url": "/a"}},
        "metadata": {"k": 1},
        "vectors": {"v": [0.5]},
        "responses": {
            "best": [{"value": "a", "user_id": "u-1", "status": "submitted"}],
            "stars": [{"value": 4, "user_id": "u-1"}],
            "words": {"value": {"start": 1}, "user_id": "u-1"},
        },
        "suggestions": {"stars": {"value": 5, "agent": "m", "score": 0.5}},
    },
    {"id": "s", "fields": {"talk": CHAT, "note": "Kort.", "more": {"k": 1}}},
]

_ULTRAFEEDBACK = (
    {
        "instruction": ASKED,
        "models": ["m", "n"],
        "source": "s",
        "more": {"k": 1},
        "completions": [
            {
                "response": SAID,
                "model": "m",
                "overall_score": 7,
                "fine-grained_score": "N/A",
                "critique": "Goed.",
                "annotations": {
                    "honesty": {"Rating": "4", "Rationale": "Ja."},
                    "truth": {"Rating": "N/A", "Rationale": "Geen."},
                },
            },
            {"response": "Elders.", "model": "n", "critique": "Niet goed."},
        ],
    },
)

_RASA_EVENTS: list[dict[str, Any]] = [
    {"event": "session_started", "timestamp": 1},
    {"event": "action", "name": "action_listen", "policy": "p"},
    {
        "event": "user",
        "text": ASKED,
        "parse_data": {"intent": {"name": "ask"}, "entities": [{"value": "x"}]},
        "metadata": {"k": 1},
    },
    {"event": "slot", "name": "place", "value": "Enschede"},
    {"event": "slot", "name": "place", "value": None},
    {"event": "bot", "text": SAID, "data": {"buttons": [{"title": "Ja"}]}},
    {"event": "followup", "name": "f"},
    {"event": "undo"},
    {"event": "rewind"},
    {"event": "restart"},
    {"event": "reminder", "args": {"k": 1}},
]
_RASA = {
    "sender_id": "s",
    "slots": {"place": "Enschede"},
    "latest_message": {"text": ASKED},
    "events": [
        *_RASA_EVENTS,
        {"event": "user", "text": ASKED},
        {"event": "slot", "name": "n", "value": {"k": 1}},
    ],
}

_DISCORD = {
    "guild": {"id": "1", "name": "G"},
    "channel": {"id": "2", "name": "C"},
    "dateRange": {"after": None},
    "messages": [
        {
            "id": "1",
            "type": "Default",
            "content": ASKED,
            "timestamp": AT,
            "author": {"id": "3", "name": "A", "roles": [{"id": "9"}]},
            "attachments": [{"id": "7", "url": "https://x/a.png", "fileName": "a.png"}],
            "reactions": [{"emoji": {"id": "", "name": "x"}, "count": 1}],
            "embeds": [{"title": "T"}],
        },
        {
            "id": "2",
            "type": "Reply",
            "content": SAID,
            "author": {"id": "4", "isBot": True},
            "reference": {"messageId": "1"},
        },
        {"id": "3", "type": "ChannelPinnedMessage", "author": {"id": "4"}},
    ],
}

_OASST = {
    "message_tree_id": "t",
    "tree_state": "ready_for_export",
    "prompt": {
        "message_id": "1",
        "role": "prompter",
        "text": ASKED,
        "labels": {"quality": {"value": 0.5, "count": 2}},
        "emojis": {"+1": 1},
        "replies": [
            {
                "message_id": "2",
                "parent_id": "1",
                "role": "assistant",
                "text": SAID,
                "rank": 0,
            },
            {
                "message_id": "3",
                "parent_id": "1",
                "role": "assistant",
                "text": "Nee.",
                "rank": 1,
            },
        ],
    },
}
_OASST_FLAT = tuple(
    {
        "message_tree_id": "t",
        "message_id": str(number),
        "parent_id": parent,
        "role": role,
        "text": role,
        "detoxify": {"toxicity": 0.5},
    }
    for number, (parent, role) in enumerate([(None, "prompter"), ("0", "assistant")])
)

_SESSION_JSON = {
    "session_id": "s",
    "created_at": AT,
    "updated_at": AT,
    "language": "nl",
    "chat_history": [
        {"role": "user", "content": ASKED, "timestamp": AT, "language": "nl"},
        {"role": "assistant", "content": SAID, "timestamp": LATER, "language": "nl"},
    ],
    "interactions": [
        {
            "timestamp": AT,
            "action_type": "feedback",
            "node_id": "n-1",
            "content": None,
            "feedback": "correct",
            "metadata": {"surface": "map"},
        }
    ],
    "graph_state": {"nodes": [{"id": "n-1"}], "edges": []},
    "metadata": {"user_id": "u-1"},
    "feedback_summary": {"correct": 1},
}

_SURVEY = (
    {
        "row": "1",
        "ask": {"text": ASKED},
        "answers": [{"text": SAID, "by": {"k": 1}}, {"text": "Elders."}],
        "more": {"list": [{"k": 1}]},
    },
)

_CLAUDE_CODE = {"sessionId": "s", "timestamp": AT, "type": "assistant"}
_ANSWER = {"id": "m", "role": "assistant", "model": "m"}
_CLAUDE_CODE_ROWS = (
    {"type": "summary", "summary": "S", "leafUuid": "2"},
    {"type": "file-history-snapshot", "snapshot": {"k": {"l": 1}}},
    {
        "sessionId": "s",
        "type": "user",
        "uuid": "1",
        "message": {"role": "user", "content": ASKED},
    },
    {
        **_CLAUDE_CODE,
        "uuid": "2",
        "parentUuid": "1",
        "message": {
            **_ANSWER,
            "content": [{"type": "tool_use", "id": "c", "name": "find", "input": {}}],
            "usage": {"input_tokens": 1},
        },
    },
    {
        **_CLAUDE_CODE,
        "uuid": "3",
        "parentUuid": "2",
        "message": {
            **_ANSWER,
            "content": [{"type": "text", "text": SAID}],
            "usage": {"input_tokens": 1, "output_tokens": 2},
        },
    },
    {**_CLAUDE_CODE, "type": "system", "uuid": "4", "compactMetadata": {"k": 1}},
    {**_CLAUDE_CODE, "type": "custom-title", "customTitle": "T"},
)

_ADK = [
    {"author": "user", "content": {"parts": [{"text": ASKED}]}},
    {
        "author": "agent",
        "content": {
            "parts": [{"function_call": {"id": "c", "name": "f", "args": {"k": 1}}}]
        },
        "usage_metadata": {"prompt_token_count": 1},
        "actions": {"state_delta": {"k": 1}},
    },
    {"author": "agent", "actions": {"state_delta": {"k": 1}}},
    {"author": "agent", "content": {"parts": [{"text": ""}]}},
    {"author": "user", "actions": {"rewind_before_invocation_id": "i"}},
]

_AGNO_3 = {
    "agno_sessions": [{"session_id": "s", "session_data": {"session_name": "N"}}],
    "agno_runs": [
        {
            "run_id": "r",
            "session_id": "s",
            "run_index": 0,
            "run_data": {"run_id": "r", "messages": CHAT, "input": {"k": 1}},
        },
        {"run_id": "q", "session_id": "s", "run_index": 1, "run_data": {"run_id": "q"}},
    ],
}
_LLM_OF_BEFORE = {
    "conversations": [{"id": "c", "name": "N", "model": "m"}],
    "responses": [
        {
            "id": "r",
            "conversation_id": "c",
            "prompt": ASKED,
            "response": SAID,
            "options_json": {"k": 1},
            "response_json": {"k": {"l": 1}},
            "datetime_utc": AT,
        }
    ],
    "tool_calls": [
        {"id": 1, "response_id": "r", "name": "find", "arguments": {"k": 1}}
    ],
    "tool_results": [{"id": 1, "response_id": "r", "name": "find", "output": "14"}],
    "attachments": [{"id": "a", "type": "image/png", "url": "https://x/a.png"}],
    "prompt_attachments": [{"response_id": "r", "attachment_id": "a", "order": 0}],
    "fragments": [{"id": 1, "hash": "h", "content": "F"}],
    "prompt_fragments": [{"response_id": "r", "fragment_id": 1, "order": 0}],
    "system_fragments": [{"response_id": "r", "fragment_id": 1, "order": 0}],
}
_LLM = {
    "threads": [
        {"id": "t", "name": "N", "tip_message_hash": "b", "datetime_utc": AT},
        {"id": "u", "forked_from": "t", "tip_message_hash": "a", "datetime_utc": AT},
    ],
    "messages": [
        {"hash": "a", "role": "user"},
        {"hash": "b", "parent_hash": "a", "role": "assistant"},
    ],
    "parts": [
        {"id": 1, "message_hash": "a", "position": 0, "type": "text", "text": ASKED},
        {
            "id": 2,
            "message_hash": "b",
            "position": 0,
            "type": "tool_call",
            "payload": {"name": "find", "arguments": {"k": 1}},
        },
    ],
    "turns": [
        {
            "id": "1",
            "thread_id": "t",
            "parent_message_hash": "a",
            "tip_message_hash": "b",
            "model": "m",
            "options_json": {"k": 1},
            "datetime_utc": AT,
        }
    ],
}
_THREAD = {"thread_id": "t", "checkpoint_ns": ""}
_LANGGRAPH_ON_POSTGRESQL = {
    "checkpoints": [
        {
            **_THREAD,
            "checkpoint_id": "1",
            "type": "json",
            "checkpoint": {
                "ts": AT,
                "channel_versions": {"messages": "1"},
                "channel_values": {"plan": {"k": 1}},
            },
            "metadata": {"source": "loop", "writes": {"k": 1}},
        }
    ],
    "checkpoint_blobs": [
        {
            **_THREAD,
            "channel": "messages",
            "version": "1",
            "type": "json",
            "blob": [{"type": "human", "content": ASKED, "id": "1"}],
        }
    ],
    "checkpoint_writes": [
        {**_THREAD, "checkpoint_id": "1", "channel": "c", "blob": ""}
    ],
    "writes": [{**_THREAD, "checkpoint_id": "1", "channel": "c", "value": ""}],
}
_CHAINLIT = {
    "threads": [{"id": "t", "name": "N", "metadata": {"k": 1}}],
    "steps": [
        {
            "id": "1",
            "threadId": "t",
            "type": "assistant_message",
            "output": SAID,
            "generation": {"model": "m"},
        }
    ],
    "elements": [{"id": "e", "threadId": "t", "forId": "1", "props": {"k": 1}}],
    "feedbacks": [{"id": "f", "threadId": "t", "forId": "1", "value": 1}],
}
_WEBUI_TABLES = {
    "chat": [
        {
            "id": "c",
            "user_id": "u-1",
            "chat": _WEBUI["chat"],
            "meta": {"tags": ["t"], "k": 1},
            "updated_at": 1_772_355_600,
        }
    ],
    "feedback": [_FEEDBACK],
    "chat_message": [
        {
            "id": "c-u",
            "chat_id": "c",
            "role": "user",
            "content": ASKED,
            "updated_at": 1_772_355_500,
        },
        {
            "id": "c-n",
            "chat_id": "c",
            "role": "assistant",
            "parent_id": "a",
            "content": SAID,
            "usage": {"k": 1},
            "updated_at": 1_772_355_700,
        },
    ],
}

SOURCES = [
    Source(
        "convstore",
        {"x.jsonl": tuple(decode_json(encode_document(one)) for one in odd()[:2])},
    ),
    Source(
        "messages",
        {
            "x.jsonl": (
                {**_JUDGED, "messages": [CHAT[0], _CALLED, *CHAT], "tools": [_CALL]},
            )
        },
    ),
    Source("messages", {"x.jsonl": ({"prompt": CHAT[:1], "completion": CHAT[1:]},)}),
    Source(
        "sharegpt",
        {
            "x.jsonl": (
                {
                    **_JUDGED,
                    "system": "S",
                    "conversations": [
                        {"from": "human", "value": ASKED},
                        {"from": "function_call", "value": '{"name": "find"}'},
                        {"from": "observation", "value": "14"},
                        {"from": "gpt", "value": SAID, "feedback": "good"},
                    ],
                },
            )
        },
    ),
    Source(
        "preference",
        {"x.jsonl": ({"prompt": CHAT[:1], "chosen": CHAT[1:], "rejected": CHAT[1:]},)},
    ),
    Source("kto", {"x.jsonl": ({"messages": CHAT, "label": True},)}),
    Source(
        "alpaca",
        {"x.jsonl": ({"instruction": ASKED, "input": "Kort.", "output": [SAID, "N"]},)},
    ),
    Source("oasst", {"x.jsonl": (_OASST,)}),
    Source("oasst", {"x.jsonl": _OASST_FLAT}),
    Source("session-json", {"x.json": _SESSION_JSON}),
    Source("map", {"x.jsonl": _SURVEY}),
    Source("chatgpt", {"conversations.json": [_CHATGPT]}),
    Source(
        "chatgpt",
        {
            "conversations.json": [_CHATGPT],
            "message_feedback.json": [_VOTE],
            "model_comparisons.json": [_COMPARED],
        },
    ),
    Source(
        "claude-ai",
        {
            "conversations.json": [
                {
                    "uuid": "c",
                    "account": {"uuid": "u-1"},
                    "chat_messages": [
                        {
                            "uuid": "1",
                            "sender": "human",
                            "content": [{"type": "text", "text": ASKED}],
                            "attachments": [
                                {"file_name": "a", "extracted_content": "b"}
                            ],
                        }
                    ],
                }
            ]
        },
    ),
    Source("open-webui", {"x.jsonl": (_WEBUI,)}),
    Source("open-webui", {"feedback.json": [_FEEDBACK]}),
    Source("open-webui", {"chats.json": [_WEBUI], "feedback.json": [_FEEDBACK]}),
    Source("claude-code", {"s.jsonl": _CLAUDE_CODE_ROWS}),
    Source(
        "codex",
        {
            "rollout-1.jsonl": _CODEX,
            "session_index.jsonl": ({"id": "s", "thread_name": "T"},),
        },
    ),
    Source("codex", {"rollout-1.jsonl": _CODEX_OF_2025}),
    Source("sillytavern", {"x.jsonl": _TAVERN}),
    Source("langfuse", {"x.json": _LANGFUSE}),
    Source("langfuse", {"x.jsonl": _LANGFUSE_ROWS}),
    Source("langsmith", {"x.jsonl": _LANGSMITH}),
    Source("langsmith", {"x.jsonl": _LANGSMITH_FLAT}),
    Source("phoenix", {"x.jsonl": _PHOENIX}),
    Source("label-studio", {"x.json": [_LABELLED]}),
    Source("argilla", {"x.json": _ARGILLA}),
    Source("ultrafeedback", {"x.jsonl": _ULTRAFEEDBACK}),
    Source("rasa", {"x.json": _RASA}),
    Source(
        "rasa",
        {
            "x.db": {
                "events": [
                    {"id": number, "sender_id": "s", "type_name": "t", "data": event}
                    for number, event in enumerate(_RASA_EVENTS)
                ]
            }
        },
    ),
    Source("discord", {"x.json": _DISCORD}),
    Source(
        "slack",
        {
            "x.json": [
                {"type": "message", "user": "U", "ts": "1772355840.1", "text": ASKED},
                {"type": "message", "subtype": "channel_join", "ts": "1772355841.1"},
            ]
        },
    ),
    Source(
        "wildchat",
        {
            "x.jsonl": (
                {
                    "conversation_hash": "h",
                    "header": {"user-agent": "x"},
                    "conversation": [{**CHAT[0], "header": {"user-agent": "x"}}],
                    "openai_moderation": [{"categories": {"k": True}}, {"k": 1}],
                },
            )
        },
    ),
    Source(
        "google-adk",
        {
            "x.db": {
                "sessions": [{"app_name": "a", "user_id": "u", "id": "s", "state": {}}],
                "app_states": [{"app_name": "a", "state": {"k": 1}}],
                "user_states": [{"app_name": "a", "user_id": "u", "state": {"k": 1}}],
                "events": [
                    {
                        "id": str(number),
                        "app_name": "a",
                        "user_id": "u",
                        "session_id": "s",
                        "invocation_id": "i",
                        "timestamp": f"2026-03-01T09:00:0{number}Z",
                        "event_data": event,
                    }
                    for number, event in enumerate(_ADK)
                ],
            }
        },
    ),
    Source(
        "chainlit",
        {
            "x.json": {
                "id": "t",
                "metadata": {"k": 1},
                "steps": [
                    {"id": "1", "type": "user_message", "output": ASKED},
                    {
                        "id": "2",
                        "type": "assistant_message",
                        "output": SAID,
                        "generation": {"model": "m", "settings": {"k": 1}},
                        "feedback": {"id": "f", "forId": "2", "value": 1},
                    },
                    {"id": "3", "type": "tool", "name": "find", "input": '{"k": 1}'},
                    {"id": "4", "type": "run", "metadata": {"k": 1}},
                ],
                "elements": [{"id": "e", "forId": "2", "name": "n", "props": {"k": 1}}],
            }
        },
    ),
    Source(
        "librechat",
        {
            "x.json": {
                "conversationId": "c",
                "options": {"promptPrefix": "Kort.", "more": {"k": 1}},
                "messages": [
                    {
                        "messageId": "a",
                        "content": [
                            {"type": "think", "think": "hm"},
                            {"type": "tool_call", "tool_call": {"id": "c", **_CALL}},
                        ],
                        "files": [{"file_id": "f", "type": "image/png"}],
                        "feedback": {"rating": "thumbsUp", "tag": {"key": "k"}},
                    }
                ],
            }
        },
    ),
    Source(
        "openai-agents",
        {
            "x.db": {
                "agent_sessions": [
                    {"session_id": "s", "created_at": AT, "updated_at": AT}
                ],
                "agent_messages": [
                    {"id": n, "session_id": "s", "message_data": item, "created_at": AT}
                    for n, item in enumerate(_CODEX_ITEMS, 1)
                ],
                "message_structure": [
                    {
                        "session_id": "s",
                        "message_id": n,
                        "branch_id": "main",
                        "sequence_number": n,
                        "user_turn_number": 1,
                    }
                    for n in range(1, 6)
                ],
                "turn_usage": [
                    {
                        "session_id": "s",
                        "branch_id": "main",
                        "user_turn_number": 1,
                        "input_tokens": 1,
                        "input_tokens_details": {"cached_tokens": 1},
                    }
                ],
            }
        },
    ),
    Source(
        "agno",
        {
            "x.db": {
                "agno_sessions": [
                    {
                        "session_id": "s",
                        "session_data": {
                            "session_name": "N",
                            "session_state": {"k": 1},
                        },
                        "metadata": {"k": 1},
                        "memory": {
                            "runs": [
                                {
                                    "message": CHAT[0],
                                    "response": {"run_id": "r", "messages": CHAT},
                                }
                            ]
                        },
                    }
                ]
            }
        },
    ),
    Source("agno", {"x.db": _AGNO_3}),
    Source("llm", {"x.db": _LLM_OF_BEFORE}),
    Source("llm", {"x.db": _LLM}),
    Source("langgraph", {"x.db": _LANGGRAPH_ON_POSTGRESQL}),
    Source("chainlit", {"x.db": _CHAINLIT}),
    Source("open-webui", {"x.db": _WEBUI_TABLES}),
]

WHOLE: dict[str, dict[str, str]] = {
    # A field that no version of ours has: the document is newer, or is kept with it.
    "convstore": {
        "*": "rejected:newer_format",
        "*/tool_sets": "rejected:corruption",
    },
    "agno": {"*/agno_runs/1/*": "run_without_messages"},
    "chatgpt": {
        "*/mapping": "node_without_fields",
        "*/mapping/sys/message*": "system_message_without_text",
    },
    "claude-code": {
        "s.jsonl/1*": "row:file-history-snapshot",
        "s.jsonl/5*": "row:system",
    },
    "codex": {
        "*.jsonl/1": "row:state",
        "*.jsonl/2*": "row:world_state",
        "*.jsonl/9/payload*": "event:token_count",
        "*.jsonl/10/payload/sandbox_policy": "turn_context.sandbox_policy",
        "*.jsonl/11*": "item_without_content",
        "*.jsonl/14/*": "compacted.replacement_history",
    },
    "discord": {"*/messages/2*": "message:ChannelPinnedMessage"},
    "google-adk": {
        "*/events/2*": "event_of_state_alone",
        "*/events/3*": "event_without_content",
        "*/events/4*": "event_of_rewind",
    },
    "langfuse": {
        "*/trace/input*": "trace.input",
        "*/trace/output*": "trace.output",
        "*/trace/observations/*": "trace.observations",
        "x.json/observations/0*": "observation:SPAN",
        "x.json/observations/1*": "observation_before_the_last",
        "x.jsonl/1*": "observation:TOOL",
    },
    "langgraph": {
        # Its keys are channels, and no fields: each is counted as what it is.
        "*/channel_versions": "channel.plan",
        "*/metadata/writes": "metadata.writes",
        "*/channel_values/plan": "channel.plan",
    },
    "langsmith": {
        "*/[01]/inputs*": "run.inputs",
        "*/0/outputs*": "run.outputs",
        "*/1*": "run:prompt",
        "*/2*": "run:tool",
    },
    "open-webui": {
        "*/history/messages": "message_without_fields",
        "*/snapshot*": "snapshot",
    },
    "rasa": {
        "*/events/0*": "event:session_started",
        "*/events/1*": "event:action",
        "*/events/4*": "event:slot",
        "*/events/6*": "event:followup",
        "*/events/10*": "event:reminder",
    },
    "slack": {"*/1": "message:channel_join"},
    "wildchat": {
        "*/header": "personal:header",
        "*/openai_moderation/1": "openai_moderation",
    },
}
"""Objects of which nothing is kept, by the format and the place, and the kind under
which each is counted: that a field in one is left out, too, the count of it says."""
