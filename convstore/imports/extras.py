"""What a format has no place for is kept, so that the record can be made again.

Fields without a place stay in `metadata` under their own names, where filters find
them. How the record differed from its usual shape is noted under the key `import`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from convstore.imports.fields import (
    TIME_KEYS,
    first_time,
    id_or_none,
    language_or_none,
    tags_of,
    title_or_none,
)
from convstore.imports.model import ImportedSession
from convstore.vocabulary.records import InteractionInput, Json, JsonObject, TurnInput

NOTES = "import"
_SHADOWED = "field"
_ID_KEYS = ("session_id", "conversation_id")


def keep(left_over: Mapping[str, Json], notes: Mapping[str, Json]) -> JsonObject:
    """Metadata that holds both; `kept` takes them apart again."""
    metadata, noted = dict(left_over), dict(notes)
    if NOTES in metadata:
        # The source has a field of this name: it moves under ours.
        noted[_SHADOWED] = metadata.pop(NOTES)
    if noted:
        metadata[NOTES] = noted
    return metadata


def kept(metadata: Mapping[str, Json]) -> tuple[JsonObject, JsonObject]:
    """The fields of the source and our notes about it."""
    left_over = dict(metadata)
    notes = dict(left_over.pop(NOTES, {}))
    if _SHADOWED in notes:
        left_over[NOTES] = notes.pop(_SHADOWED)
    return left_over, notes


def derived_id(format_name: str, record: Json) -> str:
    """The session id of a record that names none.

    SHA-256 over the format's name and the record as JSON with sorted keys, its first
    128 bits in hexadecimal behind `import-`. The same record has the same id in any
    file and at any line; two equal records are one session.
    """
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(f"{format_name}\n{text}".encode()).hexdigest()
    return f"import-{digest[:32]}"


def external_id(number: int) -> str:
    """The external id of the turn or interaction at a place of its session."""
    return f"import:{number}"


def build_session(
    format_name: str,
    record: JsonObject,
    turns: tuple[TurnInput, ...],
    *,
    taken: frozenset[str],
    notes: Mapping[str, Json],
    interactions: tuple[InteractionInput, ...] = (),
    head_seq: int | None = None,
) -> ImportedSession:
    """The session of a record whose fields `taken` went into turns and interactions.

    `session_id` or `conversation_id` is the session's id; other fields named `id` are
    not, because data sets number their rows and two files then mean different rows.
    `user_id` or `user`, `language` or `lang`, `title`, `tags`, the model of its answers
    and `created_at` or another time are read, and stay in the metadata as they came;
    those of them that could not be are named in `left_out`.
    """
    left_over = {key: value for key, value in record.items() if key not in taken}
    user_id, begun = id_or_none(record, "user_id", "user"), first_time(record)
    model = id_or_none(record, "model")
    read = {
        **dict.fromkeys(("user_id", "user"), user_id),
        **dict.fromkeys(TIME_KEYS, begun),
        "model": model,
        "feedback": next((a.feedback for a in interactions if _of_whole(a)), None),
    }
    return ImportedSession(
        session_id=id_or_none(record, *_ID_KEYS) or derived_id(format_name, record),
        turns=turns if model is None else tuple(_of_model(turns, model)),
        user_id=user_id,
        language=language_or_none(record.get("language") or record.get("lang")),
        title=title_or_none(record.get("title")),
        tags=tags_of(record.get("tags")),
        metadata=keep(left_over, {"format": format_name, **notes}),
        created_at=begun,
        interactions=interactions,
        head_seq=head_seq,
        left_out=tuple(
            name
            for name, value in read.items()
            if value is None and left_over.get(name) is not None
        ),
    )


def _of_whole(act: InteractionInput) -> bool:
    """Whether it is a label of the record itself, and not of a message of it."""
    return act.feedback is not None and act.turn_seq is None


def _of_model(turns: Iterable[TurnInput], model: str) -> Iterator[TurnInput]:
    """The turns, with the model of the record where an answer names none."""
    for turn in turns:
        if turn.role == "assistant" and turn.model is None:
            left_over, notes = kept(turn.metadata)
            metadata = keep(left_over, {**notes, "model": False})
            turn = replace(turn, model=model, metadata=metadata)
        yield turn
