"""What a caller types, as what is looked for. Every text is a query. Pure.

Chunks between spaces must all occur in one text. A chunk with punctuation inside is a
phrase of its words, `"…"` is one, a leading `-` excludes, a trailing `*` makes the last
word a beginning. There are no other operators: AND, OR, NEAR and parentheses are words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import islice

from convstore.search.words import is_dense, words_of
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.record import Value

MOST_CHARS = 256
MOST_CHUNKS = 16
SHORTEST_PREFIX = 3
"""Characters of a beginning: shorter ones are of a good part of all words."""
_BROAD = 4
"""Characters of a beginning that many words may have."""

_CHUNK = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))(\*?)')


class Phrase(Value, frozen=True):
    """Words that follow one another; with `prefix`, the last is only begun.

    `literal` is how a chunk with signs was written, which words do not tell: the text
    itself must contain it, small letters or large.
    """

    words: tuple[str, ...]
    prefix: bool = False
    literal: str | None = None

    def places(self, words: Sequence[str]) -> list[int]:
        """Where the phrase begins in a list of words."""
        last = len(self.words) - 1
        mine = self.words[last]
        if not last and self.prefix:
            return [at for at, word in enumerate(words) if word.startswith(mine)]
        if not last:
            return [at for at, word in enumerate(words) if word == mine]
        return [
            at
            for at in range(len(words) - last)
            if all(words[at + n] == self.words[n] for n in range(last))
            and self._is_last(words[at + last])
        ]

    def occurs(self, words: Sequence[str], found: set[str]) -> bool:
        """Whether it is in a list of words, given also as the set of them."""
        if len(self.words) == 1 and not self.prefix:
            return self.words[0] in found
        if not found.issuperset(self.words[:-1]):
            return False
        return bool(self.places(words))

    def _is_last(self, word: str) -> bool:
        mine = self.words[-1]
        return word.startswith(mine) if self.prefix else word == mine


class Query(Value, frozen=True):
    """What must occur, and what must not.

    `literals` are chunks of signs alone, of which no index knows: the texts must be
    looked through.
    """

    wanted: tuple[Phrase, ...]
    excluded: tuple[Phrase, ...] = ()
    literals: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked for."""
        return not self.wanted and not self.literals

    @property
    def is_broad(self) -> bool:
        """Whether a beginning is asked for that many words may have."""
        return any(
            phrase.prefix
            and (len(phrase.words[-1]) <= _BROAD or is_dense(phrase.words[-1]))
            for phrase in self.wanted
        )

    @property
    def must_be_read(self) -> bool:
        """Whether words alone do not decide."""
        return any(p.literal for p in (*self.wanted, *self.excluded)) or bool(
            self.literals
        )

    def matches(self, words: Sequence[str], text: str) -> bool:
        """Whether a text, with its words, is what is looked for."""
        found = set(words)
        written = text.casefold() if self.must_be_read else ""
        return (
            all(_is_in(phrase, words, found, written) for phrase in self.wanted)
            and all(literal in written for literal in self.literals)
            and not any(_is_in(p, words, found, written) for p in self.excluded)
        )


def parse(text: str) -> Query:
    """The query that a text means.

    Raises:
        InvalidInputError: It is not text, or longer than 256 characters.
    """
    if not isinstance(text, str):
        raise InvalidInputError("text", "must be text")
    if len(text) > MOST_CHARS:
        raise InvalidInputError("text", f"must have at most {MOST_CHARS} characters")
    wanted: list[Phrase] = []
    excluded: list[Phrase] = []
    literals: list[str] = []
    for minus, quoted, bare, star in islice(_CHUNK.findall(text), MOST_CHUNKS):
        chunk = quoted or bare
        if not quoted and chunk.endswith("*"):
            chunk, star = chunk.rstrip("*"), "*"
        phrase = _phrase(chunk, begun=bool(star))
        if phrase is not None:
            (excluded if minus else wanted).append(phrase)
        elif not minus and (signs := _signs(chunk)):
            literals.append(signs)
    return Query(tuple(wanted), tuple(excluded), tuple(literals))


def _phrase(chunk: str, *, begun: bool) -> Phrase | None:
    words = words_of(chunk)
    if not words:
        return None
    prefix = begun and (is_dense(words[-1]) or len(words[-1]) >= SHORTEST_PREFIX)
    if is_dense(words[-1]):
        if len(words) > 1 and len(words[-2]) > 1 and is_dense(words[-2]):
            words.pop()  # the last character alone: the text may go on behind it
        else:
            prefix = True
    return Phrase(tuple(words), prefix, _literal(chunk))


def _literal(chunk: str) -> str | None:
    """How a chunk is written that has signs around its words: `C++`, `10%`, `#tag`."""
    core = chunk.strip()
    edges = (core[:1], core[-1:])
    if not any(_is_sign(edge) for edge in edges):
        return None
    return _signs(core)


def _signs(chunk: str) -> str:
    """A chunk without the punctuation around it; empty where it has no sign."""
    start, end = 0, len(chunk)
    while start < end and _is_punctuation(chunk[start]):
        start += 1
    while end > start and _is_punctuation(chunk[end - 1]):
        end -= 1
    kept = chunk[start:end].casefold()
    return kept if any(_is_sign(char) for char in kept) else ""


def _is_sign(char: str) -> bool:
    return bool(char) and (char in "%#@&" or unicodedata.category(char)[0] == "S")


def _is_punctuation(char: str) -> bool:
    return not _is_sign(char) and unicodedata.category(char)[0] in "PZC"


def _is_in(phrase: Phrase, words: Sequence[str], found: set[str], written: str) -> bool:
    if phrase.literal is not None and phrase.literal not in written:
        return False
    return phrase.occurs(words, found)
