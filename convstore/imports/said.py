"""One step of one author, as an importer reads it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from convstore.vocabulary.records import Json, JsonObject


@dataclass(slots=True)
class Said:
    """One step of one author; the fields that are those of a turn mean the same.

    Attributes:
        id: The source's own id, or one cut out of it: `ID#1`.
        parent: The id of what it follows; None begins a first turn.
        at: When it was said, if known.
    """

    id: str
    role: str
    content: str | None = None
    parts: list[Json] = field(default_factory=list)
    parent: str | None = None
    at: datetime | None = None
    name: str | None = None
    tool_call_id: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    tools: list[Json] | None = None
    slots: dict[str, str] = field(default_factory=dict)
    cost_micros: int | None = None
    language: str | None = None
    resolved_question: str | None = None
    template_id: str | None = None
    results: list[JsonObject] | None = None
    metadata: JsonObject = field(default_factory=dict)
