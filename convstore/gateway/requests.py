"""Hashes and sizes of requests: what the ledger counts strikes and caches by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from convstore.messages.text import flatten
from convstore.vocabulary.codec import canonical
from convstore.vocabulary.records import Json

CHARS_PER_TOKEN = 3
"""A low guess for every language: it overstates tokens rather than understates."""

_HASHED_CHARS = 500


def hash_request(content: Json, tool_names: Iterable[str] = ()) -> str:
    """A digest of 16 hexadecimal digits that repeats of a request share.

    Whitespace is normalised, the first 500 characters count, and the tool names in any
    order. For telling repeats apart, not for identity.
    """
    text = " ".join(flatten(content).split())[:_HASHED_CHARS]
    return hashlib.sha256(canonical([text, sorted(tool_names)])).hexdigest()[:16]


def estimate_tokens(messages: Sequence[Mapping[str, Json]]) -> int:
    """About how many tokens the messages take: one for every three characters."""
    chars = sum(len(flatten(message.get("content"))) for message in messages)
    return -(-chars // CHARS_PER_TOKEN)


def should_cache_sticky(
    messages: Sequence[Mapping[str, Json]], *, threshold_tokens: int = 4_096
) -> bool:
    """Whether a conversation is long enough that its warm prefix is worth keeping."""
    return estimate_tokens(messages) > threshold_tokens
