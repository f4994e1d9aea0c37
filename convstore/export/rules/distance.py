"""How far an edit went: characters taken out and put in.

Ours, because the standard library's difflib gives no least distance, and rapidfuzz,
which does, is a compiled dependency of everybody for one number of edited rows.
"""

from __future__ import annotations

EXACT_CHARS = 8_192
"""Characters that are compared at once. The work grows with their square: it is some
ten milliseconds for so many, and a second or two for a megabyte, piece by piece."""


def edit_distance(before: str, after: str) -> int:
    """Least number of characters to take out of one text and put in to get the other.

    A changed character counts as two: one out, one in. It is the length of both texts
    without twice that of their longest common subsequence, and so the same both ways.

    Exact if, without the beginning and the end that both share, neither text is longer
    than `EXACT_CHARS`. Longer ones are cut into as many pieces as it takes, each of a
    like share, and what is given is the sum over these pieces: an upper bound, near
    the distance where both texts grow alike, and never above the sum of both lengths.
    """
    start = _shared_beginning(before, after)
    before, after = before[start:], after[start:]
    end = _shared_beginning(before[::-1], after[::-1])
    before, after = before[: len(before) - end], after[: len(after) - end]
    count = -(-max(len(before), len(after)) // EXACT_CHARS)
    pieces = zip(_cut(before, count), _cut(after, count), strict=True)
    return sum(len(one) + len(two) - 2 * _common(one, two) for one, two in pieces)


def _shared_beginning(one: str, two: str) -> int:
    """Characters of the longest beginning that both texts have."""
    known, most = 0, min(len(one), len(two))
    while known < most:
        middle = (known + most + 1) // 2
        if one[known:middle] == two[known:middle]:
            known = middle
        else:
            most = middle - 1
    return known


def _cut(text: str, count: int) -> list[str]:
    return [
        text[len(text) * n // count : len(text) * (n + 1) // count]
        for n in range(count)
    ]


def _common(one: str, two: str) -> int:
    """Length of the longest common subsequence.

    Bit-parallel (Hyyrö, 2004): bit `n` of `row` is 0 where the subsequence grows at
    character `n` of the longer text, and one character of the shorter one is a few
    operations on all bits at once.
    """
    short, long = sorted((one, two), key=len)
    places: dict[str, int] = {}
    for place, char in enumerate(long):
        places[char] = places.get(char, 0) | 1 << place
    row = every = (1 << len(long)) - 1
    for char in short:
        same = row & places.get(char, 0)
        row = (row + same | row - same) & every
    return len(long) - row.bit_count()
