"""What makes two rows the same, opposite, or neighbours: hashes over canonical rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from convstore.codec import dumps
from convstore.export.rows import Message, Row
from convstore.records import JsonObject

KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Keys:
    """Hashes of one row.

    Attributes:
        row_id: Of the rule, the context, the answers and the feedback: stable while
            these are, in every format. Rows are written in its order.
        prompt: Of what was said before the answer, without system text.
        subject: Of what is judged, whichever way: equal for a pair and its reverse.
        polarity: The way it is judged; equal subject and polarity is a duplicate.
    """

    row_id: bytes
    prompt: bytes
    subject: bytes
    polarity: int


def keys_of(row: Row, body: JsonObject) -> Keys:
    """The keys of a row that a format told as `body`."""
    origin = row.origin
    answer, rejected = _sha(row.answer), _sha(row.rejected) if row.rejected else b""
    if row.kind in ("tree", "whole"):
        answer = _sha(body)
    identity = [
        origin.rule,
        origin.tenant_id,
        origin.session_id,
        origin.context_sha256,
        answer.hex(),
        rejected.hex(),
        row.label,
        row.steps,
        row.step_labels,
        origin.turn_ids,
        origin.feedback_ids,
    ]
    prompt = _prompt_key(row)
    polarity = 0
    if row.kind == "label":
        subject, polarity = (
            _hash(b"".join((_sha(row.prompt), answer))),
            int(bool(row.label)),
        )
    elif row.kind == "pair":
        low, high = sorted((answer, rejected))
        subject, polarity = (
            _hash(b"".join((_sha(row.prompt), low, high))),
            int(answer == low),
        )
    elif row.kind in ("tree", "whole"):
        # Two sessions with equal words are two sessions.
        subject = _hash(
            dumps([origin.tenant_id, origin.session_id, origin.turn_ids[:1]])
        )
    elif row.kind == "steps":
        subject = _hash(dumps([row.prompt, row.steps, row.step_labels]))
    else:
        subject = _hash(b"".join((_sha(row.prompt), answer)))
    return Keys(_hash(dumps(identity)), prompt, subject, polarity)


def group_key(row: Row) -> bytes:
    """Eight bytes that name the root session, for splits."""
    return _hash(dumps([row.origin.tenant_id, row.origin.group_id]))


def _prompt_key(row: Row) -> bytes:
    if row.document is not None:
        first = row.origin.turn_ids[:1]
        texts = [turn.content for turn in row.document.turns if turn.seq in first]
        return _hash(dumps(texts if row.kind == "tree" else [row.document.session.id]))
    said: Sequence[Message] = row.prompt
    if said and said[0]["role"] == "system":
        said = said[1:]
    return _sha(said)


def _sha(value: object) -> bytes:
    return _hash(dumps(value))


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:KEY_BYTES]
