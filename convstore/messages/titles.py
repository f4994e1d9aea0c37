"""The title that a conversation takes from the first thing its user says. Pure."""

from __future__ import annotations

import unicodedata

TITLE_CHARS = 35
"""Code points of a title, the ellipsis not counted."""

_LOOKED_AT = 8 * TITLE_CHARS
# Format characters that nobody sees: a title of nothing else is blank.
_UNSEEN = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
_JOINER = "\u200d"
_EXTENDING = frozenset({"Mn", "Me", "Mc"})
_VIRAMA = 9


def title_of(said: str) -> str | None:
    """One line of at most 35 characters that begins as `said` does; None for blanks.

    Never cut between what people see as one character, so a cut title may be shorter.
    """
    line = " ".join(said.lstrip()[:_LOOKED_AT].split())
    if not line.strip(_UNSEEN + " "):
        return None
    if len(line) <= TITLE_CHARS:
        return line
    return line[: _end(line)].rstrip() + "…"


def cut_at(text: str, chars: int) -> str:
    """The beginning of `text`, at most `chars` code points, cut between characters as
    people see them; a single one that is longer than that is cut all the same."""
    end = chars
    while 0 < end < len(text) and not _parts_at(text, end):
        end -= 1
    return text[: end or chars]


def _end(line: str) -> int:
    end = TITLE_CHARS
    while end and not _parts_at(line, end):
        end -= 1
    if end:
        return end
    # One character with a crowd of marks: whole, as far as was looked.
    end = TITLE_CHARS
    while end < len(line) and not _parts_at(line, end):
        end += 1
    return end


def _parts_at(text: str, at: int) -> bool:
    """Whether two characters, as people see them, meet at this place.

    The rules of extended grapheme clusters that chats meet: marks, joined emoji, skin
    tones, flags of countries and regions, Hangul in letters, Indic conjuncts. What is
    left out (Thai vowels before a consonant, control characters) errs nowhere that a
    reader would see. A library for it brings tables of 200 KB for a cut per session.
    """
    before, after = text[at - 1], text[at]
    if after in (_JOINER, "\u200c") or before == _JOINER:
        return False
    if unicodedata.category(after) in _EXTENDING or after in "\u0e33\u0eb3":
        return False
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\U000e0020" <= after <= "\U000e007f":
        return False
    if _is_flag_letter(after) and _is_flag_letter(before):
        letters = at
        while letters and _is_flag_letter(text[letters - 1]):
            letters -= 1
        return (at - letters) % 2 == 0
    if "\u1160" <= after <= "\u11ff" and "\u1100" <= before <= "\ud7a3":
        return False
    if "\u1100" <= after <= "\u115f" and "\u1100" <= before <= "\u115f":
        return False
    return unicodedata.combining(before) != _VIRAMA


def _is_flag_letter(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
