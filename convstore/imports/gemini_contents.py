"""Contents of Gemini's API as steps: `{role, parts}` in either spelling."""

from __future__ import annotations

from collections.abc import Iterable

from convstore.imports.fields import text_or_none
from convstore.imports.pieces import data_part, pointer_part
from convstore.imports.steps import Steps
from convstore.vocabulary.records import Json, JsonObject

_TO_STANDARD = str.maketrans("-_", "+/")


def add_parts(steps: Steps, parts: Iterable[Json]) -> None:
    """Add the parts of one content to its steps."""
    for part in parts:
        if isinstance(part, dict):
            _add(steps, part)
        else:
            steps.talk.drop("part_of_no_kind")


def _get(part: JsonObject, snake: str) -> Json:
    first, *rest = snake.split("_")
    return part.get(snake, part.get(first + "".join(map(str.capitalize, rest))))


def _add(steps: Steps, part: JsonObject) -> None:
    text = part.get("text")
    call, result = _get(part, "function_call"), _get(part, "function_response")
    inline, file = _get(part, "inline_data"), _get(part, "file_data")
    if isinstance(text, str) and part.get("thought") is True:
        steps.thought(text, signature=_get(part, "thought_signature"))
    elif isinstance(text, str):
        steps.text(text)
    elif isinstance(call, dict):
        signature = _get(part, "thought_signature")
        more = None if signature is None else {"thought_signature": signature}
        steps.call(call.get("id"), call.get("name"), call.get("args"), more)
    elif isinstance(result, dict):
        steps.result(result.get("id"), result.get("response"), name=result.get("name"))
    elif isinstance(inline, dict) and isinstance(inline.get("data"), str):
        media_type = str(_get(inline, "mime_type") or "application/octet-stream")
        steps.attach(data_part(media_type, standard(inline["data"])), with_bytes=True)
    elif isinstance(file, dict):
        kind = str(_get(file, "mime_type") or "file")
        pointer = text_or_none(_get(file, "file_uri"))
        steps.attach(pointer_part(kind, pointer, media_type=kind, source=file))
    elif any(_get(part, key) for key in ("executable_code", "code_execution_result")):
        _code(steps, part)
    else:
        steps.talk.drop("part_of_no_kind")


def _code(steps: Steps, part: JsonObject) -> None:
    code, result = _get(part, "executable_code"), _get(part, "code_execution_result")
    if isinstance(code, dict):
        steps.call(code.get("id"), "code_execution", code.get("code"), code)
    elif isinstance(result, dict):
        steps.result(result.get("id"), result.get("output"), name="code_execution")


def standard(base64: str) -> str:
    """Base64 of the alphabet that URLs use, in the usual one and padded."""
    text = base64.translate(_TO_STANDARD)
    return text + "=" * (-len(text) % 4)
