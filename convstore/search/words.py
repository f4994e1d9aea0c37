"""The words of a text, as they are indexed and looked for. Pure.

One definition for every database and for what is read without an index, so that all
find the same. Case and accents do not count; scripts that part no words with spaces are
cut into overlapping pairs of characters. The tokenizers of the databases differ from
each other, and one of a language would not do for a store of all of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

VERSION = 1
"""Of these rules. An index that was made by others is made anew: what is taken out must
be, word for word, what was put in. Rows of `session_title_words` are of them, too: with
other rules comes a migration that makes those anew."""

LONGEST = 64
"""Characters of a word; a longer one is several."""

DENSE = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f"  # Myanmar, Khmer
    "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"  # Hangul
    "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Han
    "\U00020000-\U0003ffff"
    "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3100-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\uff66-\uff9f"  # kana, bopomofo
)
# Marks of Latin, Greek, Cyrillic, Hebrew and Arabic, and what only joins letters.
_DROPPED = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
    "\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed"
    "\u08d3-\u08e1\u08e3-\u08ff\u1ab0-\u1aff\u1dc0-\u1dff\u200c\u200d\u20d0-\u20f0"
)
# Vowel signs without which an Indic word is cut to pieces; not the two full stops.
_SIGNS = "\u0900-\u0963\u0966-\u0dff"
_EMOJI = "\u2600-\u27bf\U0001f000-\U0001faff"
_LETTER = f"[^\\W_{DENSE}]"
_ASCII = re.compile(r"[a-z0-9]{1,64}")
_RUN = f"([{DENSE}]+)|({_LETTER}(?:{_LETTER}|[{_DROPPED}{_SIGNS}])*)|([{_EMOJI}])"
_IS_DENSE = f"[{DENSE}]"
_DROP = f"[{_DROPPED}]+"
_NO_LETTER = re.compile(r"[\x00-/:-@\[-`{-\x7f\s]+")
# Letters with a stroke are letters of their own to Unicode, and accents to a keyboard.
_PLAIN = str.maketrans("\u0131\u00f8\u0142\u0111\u0127", "ioldh")


@lru_cache
def _pattern(text: str) -> re.Pattern[str]:
    """Worked out when first used: these take longer than a command has to start."""
    return re.compile(text)


def words_of(text: str) -> list[str]:
    """The words in their order; equal lists are equal texts to a search."""
    if text.isascii():
        return _ASCII.findall(text.lower())
    found: list[str] = []
    for dense, word, sign in _pattern(_RUN).findall(text):
        if word:
            found += folded(word)
        elif dense:
            found += _pairs(dense)
        else:
            found.append(sign)
    return found


def beginnings_of(text: str) -> list[str]:
    """What words of a text must begin with to say this, each once."""
    words = words_of(text)
    # A last character alone is the beginning of a pair: the text may go on behind it.
    if len(words) > 1 and is_dense(words[-1]) and is_dense(words[-2]):
        words.pop()
    return list(dict.fromkeys(words))


def placed_words(text: str) -> Iterator[tuple[str, int, int]]:
    """As `words_of`, each with where it begins and ends in the text."""
    if text.isascii():
        for found in _ASCII.finditer(text.lower()):
            yield found[0], *found.span()
        return
    for run in _pattern(_RUN).finditer(text):
        dense, word, sign = run.groups()
        start, end = run.span()
        if sign:
            yield sign, start, end
        elif word:
            for piece in folded(word):
                yield piece, start, end
        else:
            pieces = _pairs(dense)
            same = len(pieces) == end - start  # else its characters were put together
            for at, piece in enumerate(pieces, start):
                yield piece, *((at, min(at + 2, end)) if same else (start, end))


@lru_cache(maxsize=65_536)
def folded(word: str) -> tuple[str, ...]:
    """A run of letters without case and accents, in pieces of `LONGEST`."""
    if word.isascii():
        word = word.lower()
    else:
        word = unicodedata.normalize("NFKD", word.casefold())
        word = _pattern(_DROP).sub("", word).casefold().translate(_PLAIN)
        # A compatibility character may stand for several words, or for a sign.
        word = _NO_LETTER.sub("", unicodedata.normalize("NFC", word))
    return tuple(word[at : at + LONGEST] for at in range(0, len(word), LONGEST))


def is_dense(word: str) -> bool:
    """Whether a word is of a script that parts no words with spaces."""
    return _pattern(_IS_DENSE).match(word) is not None


def _pairs(run: str) -> list[str]:
    """Overlapping pairs, and the last character alone, so that each character begins a
    word."""
    if not unicodedata.is_normalized("NFKC", run):
        run = _NO_LETTER.sub("", unicodedata.normalize("NFKC", run))
    if not run:
        return []
    return [*map("".join, pairwise(run)), run[-1]]
