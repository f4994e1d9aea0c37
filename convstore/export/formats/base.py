"""What a format is, and the provenance that travels with its rows. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from convstore.export.example import ROW_SCHEMA, Dropped, Example, Kind
from convstore.vocabulary.records import Json, JsonObject

ColumnType = Literal[
    "messages",
    "json",
    "string",
    "strings",
    "bool",
    "bools",
    "int64",
    "float64",
    "images",
    "counts",
]
Pair = tuple[str, str]
Carriage = Literal["column", "sidecar", "none"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a format, as readers must be told: they guess wrong otherwise.

    Attributes:
        name: Its key in a row.
        type: `messages` are lists of objects that may differ in keys; `counts` are
            lists of a `kind` and how often it was met.
        keys: The two text keys of every object in the column, where there are no
            others; such a column needs no JSON type in any profile.
        listed: Whether an object column with `keys` holds lists of them.
    """

    name: str
    type: ColumnType
    keys: Pair | None = None
    listed: bool = True


@dataclass(frozen=True, slots=True)
class Format:
    """A pure way from a canonical row to one object of a data set.

    Attributes:
        name: What users call it.
        kind: The canonical rows that it is made of.
        description: One line for lists and cards.
        columns: Training columns in order; empty where the shape is free.
        encode: The object for a row, or why the format cannot hold it.
        trim: What the format leaves out of a row before it is told apart from others.
        provenance: In a `convstore` column, in a sidecar file because the reader
            refuses keys it does not know, or none because the row says it all itself.
        consent: Whether sessions whose people said no are kept out. A lossless copy
            keeps them: it is no training data.
        parquet: Whether readers take Parquet.
        tags: Tags of the card.
        notes: What to know about the reader, for the card.
    """

    name: str
    kind: Kind
    description: str
    columns: tuple[Column, ...]
    encode: Callable[[Example], JsonObject | Dropped]
    trim: Callable[[Example], Example | Dropped] | None = None
    provenance: Carriage = "column"
    consent: bool = True
    parquet: bool = True
    tags: tuple[str, ...] = ()
    notes: str = ""


PROVENANCE_COLUMNS = (
    Column("row_id", "string"),
    Column("tenant_id", "string"),
    Column("session_id", "string"),
    Column("group_id", "string"),
    Column("turn_ids", "strings"),
    Column("feedback_ids", "strings"),
    Column("rule", "string"),
    Column("weight", "float64"),
    Column("context_sha256", "string"),
    Column("model_chosen", "string"),
    Column("model_rejected", "string"),
    Column("language", "string"),
    Column("side", "string"),
    Column("at_ms", "int64"),
    Column("n_chars", "int64"),
    Column("edit_distance", "int64"),
    Column("redactions", "counts"),
    Column("exporter", "string"),
    Column("schema", "int64"),
)


def until_disliked(row: Example) -> Example | Dropped:
    """The loss covers every message, so nothing may follow a disliked answer."""
    if not row.silent:
        return row
    said = row.prompt + row.answer
    end = row.silent[0]
    while end:
        last = said[end - 1]
        if last["role"] == "assistant" and "tool_calls" not in last:
            break
        end -= 1
    if not end:
        return Dropped("disliked-first-answer")
    return replace(row, prompt=said[: end - 1], answer=said[end - 1 : end], silent=())


def provenance(
    row: Example, row_id: str, n_chars: int, redactions: list[Json], exporter: str
) -> JsonObject:
    """Where a row came from; every field present and none null.

    `redactions` are the `counts` of what was redacted in the whole session. Nothing
    says whether the session was live or archived: both give the same bytes.
    """
    origin = row.origin
    return {
        "row_id": row_id,
        "tenant_id": origin.tenant_id,
        "session_id": origin.session_id,
        "group_id": origin.group_id,
        "turn_ids": [str(seq) for seq in origin.turn_ids],
        "feedback_ids": [str(seq) for seq in origin.feedback_ids],
        "rule": origin.rule,
        "weight": origin.weight,
        "context_sha256": origin.context_sha256,
        "model_chosen": origin.model_chosen,
        "model_rejected": origin.model_rejected,
        "language": origin.language,
        "side": origin.side,
        "at_ms": origin.at_ms,
        "n_chars": n_chars,
        "edit_distance": origin.edit_distance,
        "redactions": redactions,
        "exporter": exporter,
        "schema": ROW_SCHEMA,
    }
