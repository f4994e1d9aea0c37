"""What of a framework's message every database can hold: the neutral side of a turn.

An adapter keeps the framework's own object as the turn's payload. What stands in the
columns beside it is read by windows, search, exports and the other adapters, and must
never be the reason that a message is refused in the middle of somebody's run: so it is
cut to what can be stored, and the payload keeps the truth. Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from convstore.vocabulary.codec import dumps, encode_json
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.ids import MAX_ID_CHARS
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.record import names_of
from convstore.vocabulary.records import Json, Turn, TurnInput

# PostgreSQL takes no NUL in text, and neither database a lone surrogate.
_NOT_STORED = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\ufffd"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_HASHED = "sha256:"
_DEFAULT = Limits()
_SAME = sorted({*names_of(Turn)} & {*names_of(TurnInput)})


def plain_text(text: str) -> str:
    """Text with U+FFFD in place of each character that no database holds."""
    return _NOT_STORED.sub(_REPLACEMENT, text)


def plain_id(value: object) -> str | None:
    """A name or an id of a client, if it can be one of ours; else None."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_ID_CHARS:
        return None
    return None if _NOT_STORED.search(value) else value


def fitting_id(value: object) -> str:
    """An id of ours for any of a client's, and two for two: the id itself, or a hash of
    one that can be none, or could be taken for a hash."""
    text = str(value)
    if plain_id(text) is not None and not is_hashed(text):
        return text
    return _HASHED + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_hashed(value: str) -> bool:
    """Whether an id of ours says less than the client's that it stands for."""
    return value.startswith(_HASHED)


def plain_parts(parts: Sequence[Json]) -> list[Json] | None:
    """Those parts that can be stored as JSON; None where none can.

    Left out: numbers beyond 64 bits, NaN, text that no database holds, and nesting
    beyond the default of `max_json_depth`.
    """
    kept = [part for part in parts if _can_be_stored(part)]
    return kept or None


def _can_be_stored(part: Json) -> bool:
    try:
        # One level less: parts stand in a list.
        encode_json("parts", part, _DEFAULT.max_turn_bytes, _DEFAULT.max_json_depth - 1)
    except (InvalidInputError, RecursionError):
        return False
    return True


def stored_json(value: Json) -> str:
    """JSON text of a value; empty where there is none, or none that can be stored."""
    stored = None if value is None else plain_parts([value])
    return dumps(stored[0]).decode() if stored else ""


def stored_count(value: object) -> int | None:
    """A count of tokens, if it is one that can be stored; none is no count."""
    return value if type(value) is int and 0 < value < 2**63 else None


def unsaved(given: TurnInput) -> Turn:
    """A turn as it will be read back, before it has a place: what an adapter asks
    whether the neutral side says all that the framework's object says."""
    same = {name: getattr(given, name) for name in _SAME}
    return Turn(
        session_id="",
        seq=0,
        tools_hash=None,
        **{**same, "created_at": given.created_at or _LONG_AGO},
    )


def again(turn: Turn) -> TurnInput:
    """A turn once more, for another branch: without its external id, which stays where
    it is, and without tokens and costs, which were paid once."""
    return TurnInput(
        turn.role,
        turn.content,
        parts=turn.parts,
        name=turn.name,
        tool_call_id=turn.tool_call_id,
        model=turn.model,
        finish_reason=turn.finish_reason,
        language=turn.language,
        resolved_question=turn.resolved_question,
        template_id=turn.template_id,
        slots=turn.slots,
        results=turn.results,
        metadata=turn.metadata,
        created_at=turn.created_at,
        payload=turn.payload,
        payload_format=turn.payload_format,
    )
