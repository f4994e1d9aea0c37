"""A stand-in for a language model: local, instant, and the same answer every time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

MICROS_PER_TOKEN = 2


async def stream(messages: Sequence[dict[str, Any]]) -> AsyncIterator[str]:
    """The answer to the last message, a word at a time."""
    asked = [m for m in messages if m["role"] == "user"]
    said = str(asked[-1]["content"]) if asked else "nothing"
    for word in f"You said “{said}”; I remember {len(messages)} messages.".split(" "):
        await asyncio.sleep(0)  # a real model is waited for here
        yield word + " "


def count_tokens(text: str) -> int:
    """About as many as a real model would count."""
    return -(-len(text) // 4)
