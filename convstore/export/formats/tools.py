"""Tool definitions in the one shape that chat templates take."""

from __future__ import annotations

from collections.abc import Iterable

from convstore.export.example import Message
from convstore.vocabulary.records import Json, JsonObject

_JSON_TYPES = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
}


def tool_definitions(stored: Iterable[Json]) -> list[Json] | None:
    """The stored definitions as `{"type": "function", "function": {…}}`, in order.

    None if one of them cannot be told as a function. Keys keep their order, because
    templates print them as stored.
    """
    definitions: list[Json] = []
    for tool in stored:
        function = _function(tool)
        if function is None:
            return None
        definitions.append({"type": "function", "function": function})
    return definitions


def infer_definitions(messages: Iterable[Message]) -> list[Json]:
    """Bare definitions of the tools that the messages call, in order of first call.

    They name each argument that was used and its JSON type. They are a stand-in for
    definitions that were never stored, not what the model saw.
    """
    seen: dict[str, dict[str, Json]] = {}
    for message in messages:
        for call in message.get("tool_calls", ()):
            function = call["function"]
            properties = seen.setdefault(function["name"], {})
            for key, value in function["arguments"].items():
                kind = _JSON_TYPES.get(type(value))
                properties.setdefault(key, {"type": kind} if kind else {})
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": "",
                "parameters": {"type": "object", "properties": properties},
            },
        }
        for name, properties in seen.items()
    ]


def _function(tool: Json) -> JsonObject | None:
    if not isinstance(tool, dict):
        return None
    inner = tool.get("function")
    function = inner if isinstance(inner, dict) else tool
    if not isinstance(function.get("name"), str) or not function["name"]:
        return None
    plain = {key: value for key, value in function.items() if key != "type"}
    if "input_schema" in plain and "parameters" not in plain:
        # Anthropic's word for the same schema.
        plain = {
            "parameters" if key == "input_schema" else key: value
            for key, value in plain.items()
        }
    return plain
