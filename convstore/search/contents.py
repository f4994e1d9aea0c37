"""What of a conversation can be found: its title, what was said, and comments on it.

Not what tools gave back, arguments of calls, pictures, states and metadata: an index of
those would be larger than the conversations. Pure.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from convstore.messages.parts import ROLES, kind_of, text_of
from convstore.messages.titles import title_of
from convstore.search.words import words_of
from convstore.vocabulary.record import Value
from convstore.vocabulary.records import Json

Kind: TypeAlias = Literal["title", "turn", "comment"]
SaidBy: TypeAlias = Literal["user", "assistant"]

MOST_CHARS = 262_144
"""Characters of one text that are indexed."""
MOST_WORDS = 16_000
"""Words of one text that are indexed: PostgreSQL tells apart 16,383 places."""
_MOST_REPEATS = 255  # PostgreSQL keeps so many places of one word
_MOST_BYTES = 500_000  # and a megabyte of words

SAID: dict[str, SaidBy] = {
    word: role for word, role in ROLES.items() if role in ("user", "assistant")
}
"""The roles whose turns are found, as the two that a search tells apart."""


class Text(Value, frozen=True):
    """The words of a text; `cut` where it has more than an index takes."""

    words: list[str]
    cut: bool


def said(
    role: str, content: str | None, resolved_question: str | None, parts: Json
) -> str | None:
    """What can be found of a turn; None where nothing can."""
    if role not in SAID:
        return None
    texts = [content, resolved_question]
    if isinstance(parts, list):
        texts += [text_of(part) for part in parts if kind_of(part) == "text"]
    given = list(dict.fromkeys(text for text in texts if text))
    return "\n".join(given) or None


def commented(content: str | None, reason: str | None) -> str | None:
    """What can be found of an interaction; None where nothing can."""
    return "\n".join(text for text in (content, reason) if text) or None


def own_title(title: str | None, first_said: str | None) -> str | None:
    """A title that was set; None for one that the first thing said has given."""
    if title is None or (first_said is not None and title == title_of(first_said)):
        return None
    return title


def to_index(text: str) -> Text:
    """The words that an index holds of a text, on every database the same."""
    words = words_of(text[:MOST_CHARS])
    cut = len(text) > MOST_CHARS or len(words) > MOST_WORDS
    del words[MOST_WORDS:]
    if len(words) > _MOST_REPEATS and len(words) - len(set(words)) >= _MOST_REPEATS:
        times: dict[str, int] = {}
        for word in words:
            times[word] = times.get(word, 0) + 1
        cut = cut or max(times.values()) > _MOST_REPEATS
    if len(words) > _MOST_BYTES // 256:
        size = 0
        for place, word in enumerate(words):
            size += len(word.encode())
            if size > _MOST_BYTES:
                del words[place:]
                return Text(words, cut=True)
    return Text(words, cut)
