"""A piece of a text around what was found in it, and how well it fits. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

from convstore.messages.titles import cut_at
from convstore.search.query import Phrase, Query
from convstore.search.words import placed_words, words_of
from convstore.vocabulary.hits import Span

CHARS = 160
"""Characters of a snippet, the ellipses not counted."""
_BEFORE = 40  # of them before the first hit
_LOOKED_AT = 1_000_000
_AT_ONCE = 32  # words, of which a line has fewer
_BREAKS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")


def snippet(text: str, query: Query) -> tuple[Span, ...]:
    """One line around the first place where something of the query stands.

    Spans put together are the line; those that are hits are what was looked for.
    """
    text = text[:_LOOKED_AT]
    return shown(text, _hits(text, query))


def shown(text: str, hits: Sequence[tuple[int, int]]) -> tuple[Span, ...]:
    """The line of a text around the first of some places in it, which are in order."""
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
    """The first place where something of the query stands, and those that are shown
    with it, at least."""
    found = _words_found(text, query.wanted)
    if not found:
        written = text.casefold()
        if len(written) == len(text):
            found.update(
                (at, at + len(literal))
                for literal in query.literals
                if (at := written.find(literal)) >= 0
            )
    return _joined(sorted(found))


def _words_found(text: str, phrases: Sequence[Phrase]) -> set[tuple[int, int]]:
    found: set[tuple[int, int]] = set()
    longest = max((len(phrase.words) for phrase in phrases), default=0)
    if not longest:
        return found
    skipped = _nothing_before(text, phrases)
    placed: list[tuple[str, int, int]] = []
    rest = placed_words(text[skipped:])
    while some := list(islice(rest, _AT_ONCE)):
        # A phrase may have begun among those of before.
        begin = max(0, len(placed) - longest + 1)
        placed += [(word, at + skipped, to + skipped) for word, at, to in some]
        words = [word for word, _, _ in placed[begin:]]
        for phrase in phrases:
            for at in phrase.places(words):
                places = range(begin + at, begin + at + len(phrase.words))
                found.update(placed[place][1:] for place in places)
        # No phrase that begins within the line is still open.
        if found and placed[-longest][1] > min(found)[0] + CHARS:
            break
    return found


def _nothing_before(text: str, phrases: Sequence[Phrase]) -> int:
    """A place between two words before which no phrase begins. In other texts than
    those of ASCII a word may be written in many ways."""
    if not text.isascii():
        return 0
    written = text.lower()
    chances = [written.find(phrase.words[0]) for phrase in phrases]
    at = min((chance for chance in chances if chance >= 0), default=len(text))
    while at and written[at - 1].isalnum():
        at -= 1
    return at


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
