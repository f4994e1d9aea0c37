"""Ranges that are known to be wanted, read together where they lie near each other.

To open a file costs more than to read some frames of it, and to ask a bucket more than
to read many. So what lies between two that are wanted is read along, if it is little.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from convstore.blobs.base import BlobStore

GAP_BYTES = 64 * 1024
"""The most that is read along between two ranges."""

SPAN_BYTES = 4 * 1024 * 1024
"""No range is joined to others beyond this."""

Range = tuple[str, int, int]
"""Key, offset and length."""


@dataclass(slots=True)
class _Span:
    key: str
    begin: int
    end: int
    left: int = 0
    data: bytes | None = None


class NearbyReads:
    """Reads each of the wanted ranges once, in any order; others as they come.

    Holds what is wanted still of the spans that it has read.
    """

    def __init__(self, blobs: BlobStore, wanted: Iterable[Range]) -> None:
        self._blobs = blobs
        self._spans: dict[Range, _Span] = {}
        by_key: dict[str, list[Range]] = defaultdict(list)
        for each in wanted:
            by_key[each[0]].append(each)
        for ranges in by_key.values():
            self._join(sorted(ranges))

    def _join(self, ranges: list[Range]) -> None:
        span: _Span | None = None
        for key, offset, length in ranges:
            end = offset + length
            if (
                span is None
                or offset > span.end + GAP_BYTES
                or end > span.begin + SPAN_BYTES
            ):
                span = _Span(key, offset, end)
            span.end = max(span.end, end)
            span.left += 1
            self._spans[key, offset, length] = span
            if length > SPAN_BYTES:  # nobody waits for all of it but who wants it
                span = None

    def read(self, key: str, offset: int, length: int) -> bytes:
        """The range, fewer bytes at the end; raises as `BlobStore.read`."""
        span = self._spans.pop((key, offset, length), None)
        if span is None:
            return self._blobs.read(key, offset, length)
        span.left -= 1
        if span.data is None:
            data = self._blobs.read(key, span.begin, span.end - span.begin)
        else:
            data = span.data
        span.data = data if span.left else None
        begin = offset - span.begin
        return data[begin : begin + length]
