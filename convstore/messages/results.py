"""What a tool gave back, as text. Pure."""

from __future__ import annotations

from convstore.messages.message import LeftOut
from convstore.messages.parts import Result, kind_of, text_of
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import Json


def result_text(result: Result, seq: int, left_out: list[LeftOut]) -> str:
    """The content of a result as text; media in it are left out.

    A list of parts gives their text, a line each; any other JSON stands as it is.
    """
    content = result.content
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not is_parts(content):
        return dumps(content).decode()
    lines: list[str] = []
    for part in content:
        if kind_of(part) in ("text", "refusal"):
            lines.append(text_of(part) or "")
        else:
            left_out.append(LeftOut("media-in-result", seq))
    return "\n".join(lines)


def is_parts(content: Json) -> bool:
    """Whether the content of a result is a list of parts, and not a list of data."""
    return isinstance(content, list) and all(
        kind_of(part) in ("text", "refusal", "image", "file", "audio")
        for part in content
    )
