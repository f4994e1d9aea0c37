"""Personal data that has a shape of its own: found by pattern and checked by sum.

For those who cannot load a language model; the extra `pii` finds more, by Presidio
and its models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

Hit = tuple[int, int, str]

VERSION = 1
"""Of what is found: it goes up with every change that finds otherwise."""


def find_patterns(text: str) -> list[Hit]:
    """Start, end and kind of each find, in order; of two that overlap the first kind.

    Kinds: EMAIL, IBAN (sum checked), CARD (payment cards, sum checked), SSN (of the US,
    with dashes), IP (version 4), PHONE (with a plus, or with separators).
    """
    taken: list[Hit] = []
    for kind, pattern, check in _KINDS:
        free = _free(text, pattern, taken)
        hits = [(*m.span(), kind) for m in free if check(m.group())]
        # Two runs that are in order each: sorting them together is one pass.
        taken = sorted(taken + hits)
    return taken


def _free(
    text: str, pattern: re.Pattern[str], taken: Sequence[Hit]
) -> Iterator[re.Match[str]]:
    """Where a pattern fits, in order, without what overlaps with `taken`."""
    place = 0
    for match in pattern.finditer(text):
        while place < len(taken) and taken[place][1] <= match.start():
            place += 1
        if place == len(taken) or taken[place][0] >= match.end():
            yield match


def _luhn(text: str) -> bool:
    digits = [int(char) for char in text if char.isdigit()]
    if not 13 <= len(digits) <= 19:
        return False
    total = sum(digits[-1::-2])
    return (
        total + sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    ) % 10 == 0


def _iban(text: str) -> bool:
    plain = text.replace(" ", "").upper()
    if not 15 <= len(plain) <= 34:
        return False
    moved = plain[4:] + plain[:4]
    return int("".join(str(int(char, 36)) for char in moved)) % 97 == 1


def _phone(text: str) -> bool:
    return 8 <= sum(char.isdigit() for char in text) <= 15


def _any(text: str) -> bool:
    return True


def _kinds() -> Iterator[tuple[str, re.Pattern[str], Callable[[str], bool]]]:
    flags = re.ASCII
    yield "EMAIL", re.compile(r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+", flags), _any
    yield (
        "IBAN",
        re.compile(
            r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", flags
        ),
        _iban,
    )
    yield "CARD", re.compile(r"(?<![\d-])\d(?:[ -]?\d){12,18}(?![\d-])", flags), _luhn
    yield "SSN", re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])", flags), _any
    byte = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
    yield "IP", re.compile(rf"(?<![\d.]){byte}(?:\.{byte}){{3}}(?![\d.])", flags), _any
    yield (
        "PHONE",
        re.compile(
            r"(?<![\w.-])(?:\+\d{1,3}[ .-]?)(?:\(?\d{1,4}\)?[ .-]?){2,5}\d(?![\w-])"
            r"|(?<![\w.-])\(?0?\d{2,4}\)?[ -]\d{3}[ -]?\d{3,4}(?![\w-])",
            flags,
        ),
        _phone,
    )


_KINDS = tuple(_kinds())
KINDS = tuple(kind for kind, _, _ in _KINDS)
