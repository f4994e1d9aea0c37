"""Heads of the sessions appended to last, for as long as nobody has written since.

Where the database is a file, whoever holds its write lock can ask whether anything has
been committed since he held it last. If nothing has, heads are what they were, and need
not be read again: which on SQLite costs as much as to write them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from convstore.db.dialects.base import Stamp
from convstore.db.remembered_heads import RememberedHeads
from convstore.db.unit import Head, Key, Row


class RecentHeads:
    """Heads as of one moment, which a stamp of the database tells.

    They are of appends and of sessions that are made, one batch after the other: what
    else is written may change sessions that no operation names. Used on the writer's
    thread.
    """

    def __init__(self) -> None:
        self._heads = RememberedHeads()
        # The stamp of the next unit, if this one is committed and no other is between.
        self._as_of: Stamp | None = None

    def recall(self, stamp: Stamp, keys: Collection[Key]) -> dict[Key, Row]:
        """The heads of `keys` that are known, in a unit that has this stamp."""
        if stamp != self._as_of:
            self._heads = RememberedHeads()
        self._as_of = None  # until it is known how the unit ends
        return self._heads.recall(keys)

    def remember(self, stamp: Stamp, heads: Iterable[tuple[Key, Head | None]]) -> None:
        """Keep heads as the unit with this stamp leaves them, if it is committed."""
        self._heads.remember(heads)
        self._as_of = stamp.after_commit

    def forget(self) -> None:
        """Know nothing."""
        self._as_of = None
