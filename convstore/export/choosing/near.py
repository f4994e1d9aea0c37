"""Rows that are nearly equal: MinHash signatures, compared band by band on disk.

Two rows share a band with a likelihood that rises steeply with their similarity; only
those are compared, by their whole signatures. The older one stays, so that new rows
never push out an old one. The extra `dedup` (rensa).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import groupby
from operator import itemgetter
from typing import Any

from convstore.export.choosing.keys import KEY_BYTES
from convstore.export.stages.spool import Spool
from convstore.vocabulary.errors import InvalidInputError, MissingExtraError

PERMUTATIONS = 128
_SEED = 1
_SHINGLE_WORDS = 5
_CHARACTER_SHINGLE = 8
_ENTRY = struct.Struct(f">{KEY_BYTES}sq{KEY_BYTES}s{PERMUTATIONS}s")

Signer = Callable[[str], bytes]


def signer() -> Signer:
    """A function from text to a signature of 128 bytes, one per permutation.

    Raises:
        MissingExtraError: rensa is not installed.
    """
    try:
        module: Any = import_module("rensa")
    except ImportError:
        raise MissingExtraError("near-duplicate detection", "dedup") from None

    def sign(text: str) -> bytes:
        minhash = module.RMinHash(num_perm=PERMUTATIONS, seed=_SEED)
        minhash.update(shingles(text))
        # One byte of each value: two of 256 agree by chance, which is corrected for.
        return bytes(value & 0xFF for value in minhash.digest())

    return sign


def shingles(text: str) -> list[str]:
    """Runs of five words; of eight characters where words are not spaced apart."""
    words = text.lower().split()
    if len(words) > _SHINGLE_WORDS and len(text) < 20 * len(words):
        count = len(words) - _SHINGLE_WORDS + 1
        return [" ".join(words[i : i + _SHINGLE_WORDS]) for i in range(count)]
    plain = " ".join(words)
    last = max(len(plain) - _CHARACTER_SHINGLE, 0)
    return [plain[i : i + _CHARACTER_SHINGLE] for i in range(last + 1)]


def bands_for(threshold: float) -> int:
    """Rows per band: fewer find less similar pairs, and cost more comparisons.

    Raises:
        InvalidInputError: Not between 0.5 and 1.
    """
    if not 0.5 <= threshold <= 1:
        raise InvalidInputError("near_duplicates", "must be between 0.5 and 1")
    return 8 if threshold >= 0.9 else 4


def add_bands(
    spool: Spool, signature: bytes, threshold: float, at_us: int, row_id: bytes
) -> None:
    """Put a row into a spool, once per band of its signature."""
    width = bands_for(threshold)
    for band in range(0, PERMUTATIONS, width):
        piece = bytes([band]) + signature[band : band + width]
        key = hashlib.sha256(piece).digest()[:KEY_BYTES]
        spool.add(key, _ENTRY.pack(key, at_us, row_id, signature))


def near_duplicates(spool: Spool, threshold: float) -> Iterator[bytes]:
    """Ids of rows that nearly equal an older one; the same id may come repeatedly."""
    for part in spool.parts(_cut):
        entries = sorted(_ENTRY.iter_unpack(part))
        for _, group in groupby(entries, key=itemgetter(0)):
            yield from _near(list(group), threshold)


def _cut(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    for end in range(_ENTRY.size, len(data) + 1, _ENTRY.size):
        start = end - _ENTRY.size
        yield data[start : start + KEY_BYTES], start, end


def _near(entries: Sequence[tuple[Any, ...]], threshold: float) -> Iterator[bytes]:
    kept: list[bytes] = []
    for _, _, row_id, signature in entries:
        if any(similarity(signature, other) >= threshold for other in kept):
            yield row_id
        elif len(kept) < _COMPARED:
            kept.append(signature)


_COMPARED = 200
"""Rows of one band that later ones are compared with; bounds a crowded band."""


def similarity(one: bytes, other: bytes) -> float:
    """The estimated share of shingles that two signed texts have in common."""
    same = sum(a == b for a, b in zip(one, other, strict=True)) / len(one)
    return max((same - 1 / 256) / (1 - 1 / 256), 0.0)
