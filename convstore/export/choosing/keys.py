"""What makes two rows the same, opposite, or neighbours: hashes over canonical rows."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import NamedTuple

from convstore.export.example import Example
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import JsonObject

KEY_BYTES = 16


class Keys(NamedTuple):
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


def keys_of(row: Example, body: JsonObject) -> Keys:
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
    prompt, whole = _prompt_keys(row)
    polarity = 0
    if row.kind == "label":
        subject, polarity = (
            _hash(b"".join((whole, answer))),
            int(bool(row.label)),
        )
    elif row.kind == "pair":
        low, high = sorted((answer, rejected))
        subject, polarity = (
            _hash(b"".join((whole, low, high))),
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
        subject = _hash(b"".join((whole, answer)))
    return Keys(_hash(dumps(identity)), prompt, subject, polarity)


@lru_cache(maxsize=512)
def group_key(*names: str) -> bytes:
    """Bytes that name what is dealt to one split; its rows come one after the other."""
    return _sha(names)


def _prompt_keys(row: Example) -> tuple[bytes, bytes]:
    """Of the prompt without its system text, and of all of it."""
    if row.document is not None:
        first = row.origin.turn_ids[:1]
        texts = [turn.content for turn in row.document.turns if turn.seq in first]
        said = _sha(texts if row.kind == "tree" else [row.document.session.id])
        return said, said
    whole = _sha(row.prompt)
    if not row.prompt or row.prompt[0]["role"] != "system":
        return whole, whole
    return _sha(row.prompt[1:]), whole


def _sha(value: object) -> bytes:
    return hashlib.sha256(dumps(value)).digest()[:KEY_BYTES]


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:KEY_BYTES]
