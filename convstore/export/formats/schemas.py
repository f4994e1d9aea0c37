"""JSON Schemas of the rows, one per format: what a reader may rely on. Pure.

They describe a row as a JSON object. In Parquet, and wherever `datasets` loads rows, a
column that a row does not have is null instead of absent. Within a major version of
the exporter properties are added and none is changed.
"""

from __future__ import annotations

from collections.abc import Mapping

from convstore.export.formats import FORMATS
from convstore.export.formats.base import PROVENANCE_COLUMNS, Column
from convstore.vocabulary.records import Json, JsonObject

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_STRING: JsonObject = {"type": "string"}
_NULLABLE: JsonObject = {"type": ["string", "null"]}
_TEXT: JsonObject = {"type": "string", "pattern": r"\S"}
_OBJECT: JsonObject = {"type": "object"}
_COUNT: JsonObject = {"type": "integer", "minimum": 1}
_TIME: JsonObject = {"type": "string", "format": "date-time"}
_TYPES: dict[str, JsonObject] = {
    "string": _STRING,
    "strings": {"type": "array", "items": _STRING},
    "int64": {"type": "integer"},
    "float64": {"type": "number"},
}


def schema_of(name: str) -> JsonObject:
    """The JSON Schema of one row of the format `name`.

    Raises:
        KeyError: There is no such format.
    """
    fmt = FORMATS[name]
    properties = dict(_ROWS[name])
    optional = set() if name.startswith("sharegpt") else _OPTIONAL
    if fmt.provenance == "column":
        properties["convstore"] = _provenance()
    needed = [key for key in properties if key not in optional]
    return {
        "$schema": DIALECT,
        "title": f"convstore export: {name}",
        "description": fmt.description,
        **_record(properties, needed),
        "$defs": {key: _DEFS[key] for key in _used(properties)},
    }


def _record(properties: JsonObject, required: list[str] | None = None) -> JsonObject:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


def _list(items: Json, least: int = 1) -> JsonObject:
    return {"type": "array", "items": items, "minItems": least}


def _ref(name: str) -> JsonObject:
    return {"$ref": f"#/$defs/{name}"}


def _roles(*names: str) -> JsonObject:
    return {"enum": list(names)} if len(names) > 1 else {"const": names[0]}


def _provenance() -> JsonObject:
    def told(column: Column) -> JsonObject:
        if column.name == "row_id":
            return {"type": "string", "pattern": "^[0-9a-f]{32}$"}
        if column.type == "counts":
            return _list(_record({"kind": _TEXT, "count": _COUNT}), 0)
        return _TYPES[column.type]

    record = _record({column.name: told(column) for column in PROVENANCE_COLUMNS})
    return {**record, "description": "Where the row came from; nothing is null."}


def _said(role: JsonObject, content: Json, **more: Json) -> JsonObject:
    properties = {"role": role, "content": content, **more}
    return _record(properties, ["role", "content"])


def _function(arguments: JsonObject) -> JsonObject:
    return _record({"name": _TEXT, "arguments": arguments})


def _call(arguments: JsonObject, *needed: str) -> JsonObject:
    properties = {
        "id": _TEXT,
        "type": {"const": "function"},
        "function": _function(arguments),
    }
    return _record(properties, [*needed, "type", "function"])


_PARTS = _list(
    {
        "oneOf": [
            _record({"type": {"const": "text"}, "text": _STRING}),
            _record({"type": {"const": "image"}}),
        ]
    }
)
_ASKED = {"anyOf": [_TEXT, _PARTS]}
_JSON_TEXT: JsonObject = {"type": "string", "contentMediaType": "application/json"}

_DEFS: dict[str, JsonObject] = {
    "message": {
        "oneOf": [
            _said(_roles("system", "user"), _ASKED),
            _ref("answer"),
            _said(
                _roles("tool"),
                {"anyOf": [_STRING, _PARTS]},
                tool_call_id=_STRING,
                name=_STRING,
            ),
        ],
    },
    "answer": {
        **_said(
            _roles("assistant"),
            {"anyOf": [_STRING, _PARTS]},
            tool_calls=_list(_call(_OBJECT)),
            reasoning_content=_TEXT,
        ),
        # Words, or at least a call.
        "anyOf": [
            {"properties": {"content": _ASKED}},
            {"required": ["tool_calls"]},
        ],
    },
    "tool": _record(
        {
            "type": {"const": "function"},
            "function": {
                "type": "object",
                "properties": {"name": _TEXT, "parameters": _OBJECT},
                "required": ["name"],
            },
        }
    ),
    "image": _record(
        {
            "bytes": {"description": "The file; Parquet only."},
            "path": {"type": "null"},
        }
    ),
    "openai_message": {
        "oneOf": [
            _said(_roles("system", "user"), _TEXT),
            _ref("openai_answer"),
            {
                **_said(_roles("tool"), _STRING, tool_call_id=_TEXT),
                "required": ["role", "tool_call_id", "content"],
            },
        ],
    },
    "openai_answer": {
        **_said(
            _roles("assistant"),
            {"anyOf": [_TEXT, {"type": "null"}]},
            tool_calls=_list(_call(_JSON_TEXT, "id")),
            weight={"enum": [0, 1]},
        ),
        "anyOf": [
            {"properties": {"content": _TEXT}},
            {"required": ["tool_calls"]},
        ],
    },
    "turn": _record(
        {
            "from": _roles("human", "gpt", "function_call", "observation"),
            "value": _STRING,
        }
    ),
    "reply": _record({"from": _roles("gpt", "function_call"), "value": _TEXT}),
    "plain": _said(_roles("system", "user", "assistant", "tool"), _STRING),
    "plain_answer": _said(_roles("assistant"), _TEXT),
    "node": _record(
        {
            "message_id": _TEXT,
            "parent_id": _NULLABLE,
            "user_id": {"type": "null"},
            "created_date": _TIME,
            "text": _TEXT,
            "role": _roles("prompter", "assistant"),
            "lang": _NULLABLE,
            "review_count": {"type": "null"},
            "review_result": {"type": "null"},
            "deleted": {"const": False},
            "rank": {"type": ["integer", "null"], "minimum": 0},
            "synthetic": {"type": "boolean"},
            "model_name": _NULLABLE,
            "emojis": {
                "type": ["object", "null"],
                "additionalProperties": {"type": "integer", "minimum": 1},
            },
            "replies": _list(_ref("node"), 0),
            "labels": {"type": "null"},
            "events": {"type": ["object", "null"]},
            "detoxify": {"type": "null"},
            "message_tree_id": {"type": "null"},
            "tree_state": {"type": "null"},
        }
    ),
}

_MESSAGES = _list(_ref("message"))
_ANSWERS = {
    **_MESSAGES,
    "description": "Of the assistant, with the results of its calls between.",
}
_TOOLS = _list(_ref("tool"))
_IMAGES = {**_list(_ref("image")), "description": "One for each part `image`."}
_TRL: dict[str, Json] = {"tools": _TOOLS, "images": _IMAGES}
_OPENAI = _list(_ref("openai_message"))
_TURNS = _list(_ref("turn"))
_BESIDE: dict[str, Json] = {
    "system": _STRING,
    "tools": {**_STRING, "description": "JSON text of the definitions, or empty."},
}
_OPTIONAL = {
    "tools",
    "images",
    "parallel_tool_calls",
    "adapter_state",
    "items",
    "checkpoints",
    "attachments",
}
_FREE = _list(_OBJECT, 0)

_ROWS: Mapping[str, JsonObject] = {
    "messages": {"messages": _MESSAGES, **_TRL},
    "prompt-completion": {"prompt": _MESSAGES, "completion": _ANSWERS, **_TRL},
    "preference": {
        "prompt": _MESSAGES,
        "chosen": _ANSWERS,
        "rejected": _ANSWERS,
        **_TRL,
    },
    "reward": {
        "chosen": _MESSAGES,
        "rejected": _MESSAGES,
        "margin": {"type": "number", "minimum": 0},
        "tools": _TOOLS,
    },
    "kto": {
        "prompt": _MESSAGES,
        "completion": _ANSWERS,
        "label": {"type": "boolean"},
        **_TRL,
    },
    "prompt": {"prompt": _MESSAGES, "reference": _STRING, "tools": _TOOLS},
    "stepwise": {
        "prompt": _TEXT,
        "completions": _list(_TEXT),
        "labels": _list({"type": "boolean"}),
    },
    "openai-sft": {
        "messages": _OPENAI,
        "tools": _TOOLS,
        "parallel_tool_calls": {"type": "boolean"},
    },
    "openai-dpo": {
        "input": _record(
            {
                "messages": _OPENAI,
                "tools": _TOOLS,
                "parallel_tool_calls": {"type": "boolean"},
            },
            ["messages"],
        ),
        "preferred_output": {**_list(_ref("openai_answer")), "maxItems": 1},
        "non_preferred_output": {**_list(_ref("openai_answer")), "maxItems": 1},
    },
    "sharegpt": {"conversations": _TURNS, **_BESIDE},
    "sharegpt-dpo": {
        "conversations": _TURNS,
        "chosen": _ref("reply"),
        "rejected": _ref("reply"),
        **_BESIDE,
    },
    "sharegpt-kto": {
        "conversations": _TURNS,
        "kto_tag": {"type": "boolean"},
        **_BESIDE,
    },
    "axolotl-dpo": {
        "messages": _list(_ref("plain")),
        "chosen": _ref("plain_answer"),
        "rejected": _ref("plain_answer"),
    },
    "oasst": {
        "message_tree_id": _TEXT,
        "tree_state": {"const": "ready_for_export"},
        "origin": _TEXT,
        "prompt": _ref("node"),
    },
    "rlhf-json": {
        "session_id": _TEXT,
        "created_at": _TIME,
        "updated_at": _TIME,
        "language": _STRING,
        "chat_history": _FREE,
        "interactions": _FREE,
        "feedback_summary": _record(
            {"total": {"type": "integer", "minimum": 0}, "by_label": _OBJECT}
        ),
        "graph_state": _OBJECT,
        "metadata": _OBJECT,
    },
    "convstore": {
        "format": {"const": "convstore.session"},
        "format_version": {"type": "integer"},
        "session": _OBJECT,
        "turns": _FREE,
        "tool_sets": _OBJECT,
        "interactions": _FREE,
        "graph_states": _FREE,
        "ledger": {"type": ["object", "null"]},
        "holds": _FREE,
        "adapter_state": _OBJECT,
        "items": _FREE,
        "checkpoints": _OBJECT,
        "attachments": _FREE,
    },
}


def _used(value: Json) -> list[str]:
    """The names of the definitions that a schema refers to, in order, all of them."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        here = waiting.pop(0)
        if isinstance(here, list):
            waiting += here
        elif isinstance(here, dict):
            name = str(here.get("$ref", "")).removeprefix("#/$defs/")
            if name and name not in found:
                found.append(name)
                waiting.append(_DEFS[name])
            waiting += here.values()
    return sorted(found)
