"""Heads of the sessions appended to last, for as long as nobody has written since.

Where the database is a file, whoever holds its write lock can ask whether anything has
been committed since he held it last. If nothing has, heads are what they were, and need
not be read again: which on SQLite costs as much as to write them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable

from convstore.db.dialects.base import Stamp
from convstore.db.remembered_heads import MOST, is_worth_it
from convstore.db.unit import Head, Key, Row


class RecentHeads:
    """Heads as of one moment, which a stamp of the database tells.

    They are of appends and of sessions that are made, one batch after the other: what
    else is written may change sessions that no operation names. Used on the writer's
    thread.
    """

    def __init__(self) -> None:
        self._rows: OrderedDict[Key, Row] = OrderedDict()
        # The stamp of the next unit, if this one is committed and no other is between.
        self._as_of: Stamp | None = None

    def recall(self, stamp: Stamp, keys: Collection[Key]) -> dict[Key, Row]:
        """The heads of `keys` that are known, in a unit that has this stamp; they are
        the unit's from now on."""
        if stamp != self._as_of:
            self._rows.clear()
        self._as_of = None  # until it is known how the unit ends
        rows = self._rows
        return {key: rows.pop(key) for key in keys if key in rows}

    def remember(self, stamp: Stamp, heads: Iterable[tuple[Key, Head | None]]) -> None:
        """Keep heads as the unit with this stamp leaves them, if it is committed; the
        unit does not go on."""
        for key, head in heads:
            if head is not None and is_worth_it(head.row):
                self._rows[key] = head.row
        while len(self._rows) > MOST:
            self._rows.popitem(last=False)
        self._as_of = stamp.after_commit

    def forget(self) -> None:
        """Know nothing."""
        self._as_of = None
