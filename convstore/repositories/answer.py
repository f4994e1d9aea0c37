"""An answer that is written while it is being said, and kept however it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from convstore.concurrency.completion import finished
from convstore.vocabulary.errors import ConfigError
from convstore.vocabulary.records import Json, Turn

INTERRUPTED = "interrupted"
"""The finish reason of an answer whose client left, or whose model failed half-way."""


class Answer:
    """One streamed assistant turn; see `Conversation.answer`.

    Attributes:
        turn: The stored turn, after the block has ended; None where nothing was said.
    """

    def __init__(
        self, store: Callable[..., Awaitable[Turn]], given: dict[str, Any]
    ) -> None:
        self._store = store
        self._given = given
        self._pieces: list[str] = []
        self._over = False
        self.turn: Turn | None = None

    @property
    def text(self) -> str:
        """What was said so far."""
        return "".join(self._pieces)

    def write(self, text: str) -> None:
        """Add a piece of the answer; nothing is stored before the block ends.

        Raises:
            ConfigError: The block has ended.
        """
        self._check()
        self._pieces.append(text)

    def finish(
        self,
        reason: str | None = None,
        *,
        tokens_in: int | None = None,
        tokens_out: int | None = None,
        cost_micros: int | None = None,
        metadata: Mapping[str, Json] | None = None,
    ) -> None:
        """Say what the model told at its end; may be called again, the last counts."""
        self._check()
        told = {
            "finish_reason": reason,
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
            "cost_micros": cost_micros,
            "metadata": metadata,
        }
        self._given |= {
            name: value for name, value in told.items() if value is not None
        }

    async def end(self, *, interrupted: bool) -> None:
        """Store what was said. The block calls it, once.

        An answer that was cut short and had not begun is none. Seen through even when
        the caller is cancelled again meanwhile.
        """
        self._over = True
        if interrupted:
            if not self._pieces:
                return
            self._given["finish_reason"] = INTERRUPTED
        await finished(self._stored())

    async def _stored(self) -> None:
        self.turn = await self._store(
            role="assistant", content=self.text, **self._given
        )

    def _check(self) -> None:
        if self._over:
            raise ConfigError("the answer has ended: its block is over")
