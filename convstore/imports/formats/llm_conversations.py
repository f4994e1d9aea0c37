"""Conversations of llm before 0.36: a row for each question and its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from convstore.imports.fields import text_or_none, time_or_none
from convstore.imports.formats.llm_threads import TOLD, attach, fragment, plain
from convstore.imports.material import Material, Row, Tables
from convstore.imports.model import ImportedSession
from convstore.imports.pieces import call_part, text_part, thought_part
from convstore.imports.rowsets import bounded, by_key, joined
from convstore.imports.steps import merge_text
from convstore.imports.talk import Said, Talk
from convstore.vocabulary.records import Json

NAME = "llm"
_CALLS = "tool_calls"


def conversations(
    material: Material, tables: Tables
) -> Iterator[tuple[str, Callable[[], ImportedSession]]]:
    """Each conversation's id, and what makes a session of it."""
    if "conversation_id" not in tables.columns.get("responses", ()):
        return
    groups = by_key(tables, "responses", ["conversation_id"], ["id"])
    owners = tables.rows("conversations", order=["id"])
    keyed = ({**owner, "conversation_id": owner.get("id")} for owner in owners)
    for (key,), owner, rows in joined(keyed, ["conversation_id"], groups):
        yield (
            str(key),
            lambda key=key, owner=owner, rows=rows: _session(  # type: ignore[misc]
                material, tables, str(key), owner or {}, rows
            ),
        )


def _session(
    material: Material, tables: Tables, key: str, owner: Row, rows: Iterator[Row]
) -> ImportedSession:
    talk = Talk(NAME, key, TOLD)
    talk.title = owner.get("name")
    talk.keep_rest(owner, "id", "conversation_id", "name")
    system: str | None = None
    parent: str | None = None
    for row in bounded(rows):
        told = _with_fragments(tables, "system_fragments", row, row.get("system"))
        steps = _steps(material, tables, talk, row)
        if told and told != system:
            steps.insert(0, Said("", "system", told, at=steps[0].at))
            system = told
        talk.source([steps[-1], *steps], plain(row))
        response_id = str(row["id"])
        talk.say_all(response_id, parent, steps)
        parent = talk.last
        talk.created_at = talk.created_at or steps[0].at
    return talk.session()


def _with_fragments(tables: Tables, table: str, row: Row, text: Json) -> str:
    pieces = [
        fragment(tables, link.get("fragment_id"))
        for link in tables.rows(
            table, where={"response_id": row["id"]}, order=["order"]
        )
    ]
    if isinstance(text, str) and text:
        pieces.append(text)
    return "\n".join(piece for piece in pieces if piece)


def _steps(material: Material, tables: Tables, talk: Talk, row: Row) -> list[Said]:
    at = time_or_none(row.get("datetime_utc"))
    where = {"response_id": row["id"]}
    steps: list[Said] = []
    # A result belongs to the response after its call, whose prompt is empty.
    for result in tables.rows("tool_results", where=where, order=["id"]):
        said = Said("", "tool", text_or_none(result.get("output")) or "", at=at)
        said.name = text_or_none(result.get("name"))
        said.tool_call_id = text_or_none(result.get("tool_call_id"))
        if result.get("exception"):
            said.metadata["error"] = str(result["exception"])
        steps.append(said)
    asked = _question(tables, talk, row)
    asked.at = at
    if asked.content or asked.parts:
        steps.append(asked)
    answer = Said("", "assistant", at=at)
    if text_or_none(row.get("reasoning")):
        answer.parts.append(thought_part(str(row["reasoning"])))
    answer.parts.append(text_part(str(row.get("response") or "")))
    for call in tables.rows(_CALLS, where=where, order=["id"]):
        name, call_id = (
            str(call.get("name") or ""),
            text_or_none(call.get("tool_call_id")),
        )
        answer.parts.append(call_part(call_id, name, call.get("arguments")))
    merge_text(answer)
    _tell(material, answer, row)
    return [*steps, answer]


def _question(tables: Tables, talk: Talk, row: Row) -> Said:
    said = Said("", "user")
    text = _with_fragments(tables, "prompt_fragments", row, row.get("prompt"))
    if text:
        said.parts.append(text_part(text))
    links = tables.rows(
        "prompt_attachments", where={"response_id": row["id"]}, order=["order"]
    )
    for link in links:
        attach(tables, talk, said, link.get("attachment_id"))
    merge_text(said)
    return said


def _tell(material: Material, answer: Said, row: Row) -> None:
    answer.model = text_or_none(row.get("resolved_model") or row.get("model"))
    tokens_in, tokens_out = row.get("input_tokens"), row.get("output_tokens")
    answer.tokens_in = tokens_in if isinstance(tokens_in, int) else None
    answer.tokens_out = tokens_out if isinstance(tokens_out, int) else None
    options = row.get("options_json")
    if isinstance(options, str) and options not in ("", "{}"):
        answer.metadata["options"] = material.decoded(options)
    if row.get("schema_id"):
        answer.metadata["schema_id"] = row["schema_id"]
