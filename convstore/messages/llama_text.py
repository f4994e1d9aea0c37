"""Messages of LlamaIndex that are nothing but text, made without its checks. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from convstore.messages.copies import mould

M = TypeVar("M")


def maker_of(kind: type[M]) -> Callable[[Any, str], M]:
    """Makes messages, of LlamaIndex's class of them, of a role and a text: see `mould`.

    Args:
        kind: `ChatMessage`; the role is one of its own.
    """
    made_by: Any = kind
    return _maker_of(made_by)


@cache
def _maker_of(kind: Any) -> Callable[[Any, str], Any]:
    text = {"block_type": "text", "text": "-"}
    given = {"role": "user", "additional_kwargs": {}, "blocks": [text]}
    first = kind.model_validate(given)
    message, block = mould(first), mould(first.blocks[0])
    return lambda role, text: message({"role": role, "blocks": [block({"text": text})]})
