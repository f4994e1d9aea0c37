"""Which split a root session belongs to: told by its hash alone, so it never moves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import accumulate


class SplitPicker:
    """Deals groups to splits by share; the same group always to the same split."""

    def __init__(self, shares: Mapping[str, float], salt: str) -> None:
        self._salt = salt.encode()
        self._edges = [edge * 2**64 for edge in accumulate(shares.values())]

    def __call__(self, group: bytes) -> int:
        """The number of the split, in the order in which they were named."""
        if len(self._edges) == 1:
            return 0
        drawn = hashlib.sha256(self._salt + group).digest()[:8]
        place = int.from_bytes(drawn, "big")
        found = (i for i, edge in enumerate(self._edges) if place < edge)
        return next(found, len(self._edges) - 1)
