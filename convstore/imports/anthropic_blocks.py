"""Blocks of Anthropic's Messages API as steps: one reader for every tool with them."""

from __future__ import annotations

from collections.abc import Iterable

from convstore.imports.pieces import data_part, pointer_part
from convstore.imports.steps import Steps
from convstore.vocabulary.records import Json, JsonObject

_RESULTS = "_tool_result"


def add_blocks(steps: Steps, blocks: Iterable[Json]) -> None:
    """Add the blocks of one message to its steps."""
    for block in blocks:
        if isinstance(block, str):
            steps.text(block)
        elif isinstance(block, dict):
            _add(steps, block)
        else:
            steps.talk.drop("block_of_no_kind")


def _add(steps: Steps, block: JsonObject) -> None:
    kind = block.get("type")
    if kind == "text" and isinstance(block.get("text"), str):
        steps.text(block["text"])
        if block.get("citations"):
            steps.open.metadata.setdefault("citations", []).extend(block["citations"])
    elif kind == "thinking":
        told = block.get("thinking")
        steps.thought(
            told if isinstance(told, str) else "",
            signature=block.get("signature"),
            summaries=block.get("summaries"),
        )
    elif kind == "redacted_thinking":
        steps.thought("", redacted=block.get("data"))
    elif kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
        about = ("type", "id", "name", "input")
        more = {k: v for k, v in block.items() if k not in about and v is not None}
        steps.call(block.get("id"), block.get("name"), block.get("input"), more)
    elif isinstance(kind, str) and (kind == "tool_result" or kind.endswith(_RESULTS)):
        _result(steps, block)
    elif kind in ("image", "document"):
        _media(steps, kind, block)
    else:
        steps.talk.drop(f"block:{kind}" if isinstance(kind, str) else "block")


def _result(steps: Steps, block: JsonObject) -> None:
    steps.result(
        block.get("tool_use_id"),
        None,
        name=block.get("name"),
        error=block.get("is_error") is True,
    )
    said = steps.done[-1]
    content = block.get("content")
    items = content if isinstance(content, list) else [content]
    for item in items:
        if isinstance(item, dict) and item.get("type") in ("image", "document"):
            part, with_bytes = _media_part(item["type"], item)
            steps.talk.attach(said, part, with_bytes=with_bytes)
        elif item is not None:
            steps.fill(said, [item])


def _media(steps: Steps, kind: str, block: JsonObject) -> None:
    part, with_bytes = _media_part(kind, block)
    steps.attach(part, with_bytes=with_bytes)


def _media_part(kind: str, block: JsonObject) -> tuple[JsonObject, bool]:
    source = block.get("source")
    source = source if isinstance(source, dict) else {}
    data, media_type = source.get("data"), source.get("media_type")
    if isinstance(data, str) and isinstance(media_type, str):
        if source.get("type") == "text":
            return {"type": "document", **block}, True
        title = block.get("title")
        return data_part(
            media_type, data, title if isinstance(title, str) else None
        ), True
    url = source.get("url") or source.get("file_id")
    pointer = url if isinstance(url, str) else None
    kind = "image" if kind == "image" else "file"
    return pointer_part(kind, pointer, name=block.get("title"), source=block), False
