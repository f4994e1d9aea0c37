"""What the bound handle's `buffer()` gives: turns, and the shapes clients take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from convstore.messages.anthropic import (
    AnthropicMessages,
    to_anthropic_messages,
)
from convstore.messages.dspy import to_dspy_history
from convstore.messages.history import (
    History,
    beginning,
    check_begin_with,
    history_of,
    is_of,
)
from convstore.messages.openai import (
    OpenAIMessages,
    to_messages,
    to_openai_messages,
)
from convstore.messages.windows import window_by_turns, window_since
from convstore.vocabulary.records import JsonObject, Turn


@dataclass(frozen=True, slots=True)
class Buffer(Sequence[Turn]):
    """A view of the newest turns, oldest first; frozen when it was asked for.

    A sequence of turns. The record behind it keeps every turn.

    Attributes:
        system: The system turns that the branch begins with, where they were asked for
            and are not among the turns.
    """

    turns: tuple[Turn, ...]
    system: tuple[Turn, ...] = ()

    def history(
        self,
        *,
        limit: int | None = None,
        repair: bool = False,
        keep_system: bool = False,
        begin_with: str | None = None,
    ) -> History:
        """Chat messages, as `turns.history` gives them, of the turns that are here.

        `keep_system` keeps those of a buffer that was asked for with `keep_system`.
        """
        check_begin_with(begin_with)
        window = self.turns
        if limit is not None:
            window = window_by_turns(window, limit)
        if begin_with is not None and not any(is_of(t, begin_with) for t in window):
            spoken = (t.seq for t in reversed(self.turns) if is_of(t, begin_with))
            seq = next(spoken, None)
            window = window if seq is None else window_since(self.turns, seq)
        kept = (*self.system, *beginning(self.turns)) if keep_system else ()
        return history_of(window, repair=repair, kept=kept, begin_with=begin_with)

    def to_messages(self) -> list[JsonObject]:
        """Chat messages in OpenAI's shape, as they were stored; see `to_messages`."""
        return to_messages(self.turns)

    def to_openai_messages(self) -> OpenAIMessages:
        """Messages for OpenAI-style clients, as far as they take what was stored."""
        return to_openai_messages(self.turns)

    def to_anthropic_messages(self) -> AnthropicMessages:
        """System and messages for Anthropic-style clients."""
        return to_anthropic_messages(self.turns)

    def to_dspy_history(self, field_map: Mapping[str, str] | None = None) -> Any:
        """`dspy.History`, or a dict of its shape where DSPy is not installed."""
        return to_dspy_history(self.turns, field_map)

    @overload
    def __getitem__(self, index: int) -> Turn: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Turn, ...]: ...
    def __getitem__(self, index: int | slice) -> Turn | tuple[Turn, ...]:
        return self.turns[index]

    def __len__(self) -> int:
        return len(self.turns)

    def __iter__(self) -> Iterator[Turn]:
        return iter(self.turns)
