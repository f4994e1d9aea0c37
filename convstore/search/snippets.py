"""A piece of a text around what was found in it, and how well it fits. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from convstore.messages.titles import cut_at
from convstore.search.query import Phrase, Query
from convstore.search.words import placed_words, words_of
from convstore.vocabulary.hits import Span

CHARS = 160
"""Characters of a snippet, the ellipses not counted."""
_BEFORE = 40  # of them before the first hit
_LOOKED_AT = 1_000_000
_BREAKS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")


def snippet(text: str, query: Query) -> tuple[Span, ...]:
    """One line around the first place where something of the query stands.

    Spans put together are the line; those that are hits are what was looked for.
    """
    text = text[:_LOOKED_AT]
    hits = _hits(text, query)
    first = hits[0][0] if hits else 0
    start = _start(text, first)
    end = start + len(cut_at(text[start : start + CHARS + 8], CHARS))
    spans: list[Span] = []
    at = start
    for begin, stop in hits:
        begin, stop = max(begin, at), min(stop, end)
        if begin >= stop:
            continue
        if begin > at:
            spans.append(Span(text[at:begin], False))
        spans.append(Span(text[begin:stop], True))
        at = stop
    if at < end:
        spans.append(Span(text[at:end], False))
    if start:
        spans.insert(0, Span("…", False))
    if end < len(text):
        spans.append(Span("…", False))
    return tuple(_in_one_line(spans))


def fitness(text: str, query: Query, *, is_title: bool = False) -> float:
    """How well a text fits: more of what is looked for, in a shorter text, is better.

    Told from this text alone: how common a word is elsewhere is other people's talk.
    """
    words = words_of(text[:_LOOKED_AT])
    length = 0.25 + 0.75 * len(words) / 80
    total = 0.0
    for phrase in query.wanted:
        times = len(phrase.places(words))
        total += len(phrase.words) * times * 2.2 / (times + 1.2 * length)
    if query.wanted and len(query.wanted) > 1:
        total += _nearness(words, query.wanted)
    return total * (2.0 if is_title else 1.0)


def _nearness(words: Sequence[str], phrases: Sequence[Phrase]) -> float:
    """Up to 1 for phrases that stand side by side."""
    firsts = [places[0] for phrase in phrases if (places := phrase.places(words))]
    if len(firsts) < 2:
        return 0.0
    return len(firsts) / (len(firsts) + max(firsts) - min(firsts))


def _hits(text: str, query: Query) -> list[tuple[int, int]]:
    placed = list(placed_words(text))
    words = [word for word, _, _ in placed]
    found: set[tuple[int, int]] = set()
    for phrase in query.wanted:
        for at in phrase.places(words):
            found.update(
                placed[place][1:] for place in range(at, at + len(phrase.words))
            )
    if not found:
        written = text.casefold()
        if len(written) == len(text):
            found.update(
                (at, at + len(literal))
                for literal in query.literals
                if (at := written.find(literal)) >= 0
            )
    return _joined(sorted(found))


def _joined(places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Places that overlap or touch, as one."""
    joined: list[tuple[int, int]] = []
    for start, end in places:
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined


def _start(text: str, first: int) -> int:
    """Where to begin so that the first hit has something before it: at a word."""
    if len(text) <= CHARS or first <= _BEFORE:
        return 0
    start = first - _BEFORE
    space = text.find(" ", start, first)
    return start if space < 0 else space + 1


def _in_one_line(spans: Sequence[Span]) -> list[Span]:
    return [Span(_BREAKS.sub(" ", span.text), span.is_hit) for span in spans]
