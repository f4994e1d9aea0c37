"""What an answer must not be, to be trained on or compared.

Trainers are no validators: they take a cut-off answer, an error page or a quoted
correction without a word. These checks answer with a reason, or None.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from convstore.export.example import Dropped, Example, Message
from convstore.export.formats.messages import has_calls, text_chars
from convstore.export.reading.conversation import Conversation
from convstore.vocabulary.records import Interaction

FAILED_FINISH = frozenset(
    {"length", "max_tokens", "error", "content_filter", "aborted"}
)

# What served models and their front ends print instead of an answer, in small letters.
# The first four are dropped by the cleaning scripts of the LMSYS arena data.
_ERROR_TEXTS = (
    "$moderation$",
    "api request error",
    "network error due to high traffic",
    "your input violates our content moderation",
)
_ERROR_STARTS = ("internal server error", "upstream connect error", "error code: ")
_ERROR_WORDS = ("error", "moderation")
"""One of them is in each of the texts and starts: most answers have neither."""
_UNFINISHED = ("▌", "▋", "█")
_FEEDBACK_TEXTS = (
    "thanks, that's right",
    "thank you, that's right",
    "is this response better or worse",
    "was this response better or worse",
    "was this response helpful",
    "regenerate response",
)
"""What people say of an answer, and what is printed around it, to be judged."""
_FEEDBACK_WORDS = ("response", "s right")
"""One of them is in each, whichever apostrophe is before it."""
_NAMES = (
    "chatgpt|gpt|claude|gemini|bard|llama|mistral|qwen|vicuna|alpaca|language model"
).split("|")
_NAMING = ("i am ", "i'm ", "as ")
_IDENTITY = re.compile(
    r"\b(i am|i'm|as)( a| an)? (chatgpt|gpt-?\d|claude|gemini|bard|llama|mistral|qwen"
    r"|vicuna|alpaca|(large )?language model (trained|created|developed) by)"
)
_SHORT_NAME = 4
"""Model names shorter than this are words of a language more often than names."""


def answer_problem(
    conversation: Conversation, seq: int, answer: Message, *, good: bool
) -> Dropped | None:
    """Why turn `seq` cannot be an answer in a row; `good` if it would be rewarded."""
    turn, options = conversation.turns[seq], conversation.options
    filters = options.filters
    if conversation.role(seq) != "assistant":
        return Dropped("not-an-answer", fault=False)
    if turn.finish_reason in FAILED_FINISH:
        if good or not options.judging.failed_as_rejected:
            return Dropped("failed-generation")
    elif filters.finish_reasons and turn.finish_reason not in filters.finish_reasons:
        return Dropped("filter-finish-reason", fault=False)
    if filters.models and turn.model not in filters.models:
        return Dropped("filter-model", fault=False)
    if filters.languages and (problem := language_problem(conversation, seq)):
        return problem
    known = conversation.text_problems
    if seq not in known:
        drop_identity = options.judging.drop_identity
        known[seq] = text_problem(answer["content"], turn.model, drop_identity)
    return known[seq]


def language_problem(conversation: Conversation, seq: int | None) -> Dropped | None:
    """Whether a row about turn `seq`, or about no turn, is in another language."""
    languages = conversation.options.filters.languages
    if not languages or conversation.language(seq) in languages:
        return None
    return Dropped("filter-language", fault=False)


def text_problem(text: str, model: str | None, drop_identity: bool) -> Dropped | None:
    """Why a text is no answer: an error page, an unfinished stream, a name tag."""
    low = text.lower()
    if _holds(low, _ERROR_WORDS) and (
        _holds(low, _ERROR_TEXTS) or low.lstrip().startswith(_ERROR_STARTS)
    ):
        return Dropped("error-text")
    if _holds(low, _FEEDBACK_WORDS) and _holds(
        low.replace("\u2019", "'"), _FEEDBACK_TEXTS
    ):
        return Dropped("feedback-text")
    if low.rstrip().endswith(_UNFINISHED):
        return Dropped("unfinished-stream")
    if drop_identity and low and _names_itself(low, (model or "").lower()):
        return Dropped("identity")
    return None


def _holds(text: str, words: Sequence[str]) -> bool:
    for word in words:  # noqa: SIM110 - twice as fast as any() over a generator
        if word in text:
            return True
    return False


def _names_itself(low: str, model: str) -> bool:
    if len(model) >= _SHORT_NAME and model in low:
        return True
    # The pattern is slow on long texts, and few texts hold what it begins with and a
    # name besides.
    if not _holds(low, _NAMING):
        return False
    return _holds(low, _NAMES) and bool(_IDENTITY.search(low))


def stale(conversation: Conversation, act: Interaction) -> bool:
    """Whether the judgement was about another text or context than the stored one.

    Told only where the recorder kept `text_sha256` or `context_sha256` (hex) in the
    metadata of the interaction.
    """
    if act.turn_seq is None or act.turn_seq not in conversation.turns:
        return act.turn_seq is not None
    if not act.metadata:
        return False
    said = act.metadata.get("text_sha256")
    if isinstance(said, str):
        text = conversation.turns[act.turn_seq].content or ""
        if hashlib.sha256(text.encode()).hexdigest() != said.lower():
            return True
    seen = act.metadata.get("context_sha256")
    return isinstance(seen, str) and seen != conversation.context(act.turn_seq)


def length_problem(conversation: Conversation, row: Example) -> Dropped | None:
    """Which bound on characters the row breaks."""
    filters = conversation.options.filters
    for side in (row.answer, row.rejected):
        if text_chars(side) < filters.min_chars and side and not has_calls(side):
            return Dropped("filter-min-chars", fault=False)
    if filters.max_chars is not None and row_chars(row) > filters.max_chars:
        return Dropped("filter-max-chars", fault=False)
    return None


def row_chars(row: Example) -> int:
    """Characters of everything a trainer would read of the row."""
    said = text_chars(row.prompt) + text_chars(row.answer) + text_chars(row.rejected)
    return said + beside_chars(row)


def beside_chars(row: Example) -> int:
    """Those of them that are in no message."""
    steps = sum(map(len, row.steps)) if row.steps else 0
    return steps + len(row.reference)
