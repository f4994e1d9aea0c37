"""Lists of checkpoints, kept as logs: what versions of a list have in common is there
once.

A version is a row of stretches of logs, `[log, from, to]`, which follow one another. A
list that grows adds to the end of its log. One that differs from its former version in
the middle shares the beginning, and goes on in a log of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from sqlalchemy import Connection, bindparam, func, insert, select

from convstore.db import models
from convstore.db.codec.checkpoints import ELEMENTS, with_digest
from convstore.db.statements import Prepared
from convstore.db.unit import Key, Row
from convstore.vocabulary.checkpoints import CheckpointValue, chains_of

Stretch: TypeAlias = tuple[int, int, int]

# A list that was changed in the middle so many times is written whole again.
_MOST_STRETCHES = 64

L = models.checkpoint_logs.c
_OF_SESSION = (L.tenant_id == bindparam("tenant"), L.session_id == bindparam("id"))
_LAST_LOG = Prepared(lambda _: select(func.max(L.log)).where(*_OF_SESSION))
_CHAINS = Prepared(
    lambda _: (
        select(L.idx, L.chain)
        .where(*_OF_SESSION, L.log == bindparam("log"), L.idx >= bindparam("first"))
        .order_by(L.idx)
        .limit(bindparam("most"))
    )
)
_INSERT = Prepared(lambda _: insert(models.checkpoint_logs))


class Lists:
    """The logs of one session, whose row is locked."""

    def __init__(self, connection: Connection, key: Key) -> None:
        self._connection = connection
        self._key = {"tenant": key[0], "id": key[1]}
        self._last: int | None = None
        self._added: list[Row] = []

    def put(
        self, values: Sequence[CheckpointValue], previous: Sequence[Stretch]
    ) -> list[Stretch]:
        """Where the list is, with what is new of it added.

        Args:
            former: Where the version before is; any other will do, and costs room.
        """
        chains = chains_of(values)
        shared, common = self._common(chains, previous)
        shared, common, is_end = self._follow(chains, shared, common)
        if common == len(chains):
            return shared
        if len(shared) >= _MOST_STRETCHES:
            shared, common, is_end = [], 0, False
        if not is_end:
            shared = [*shared, (self._new_log(), common, common)]
        log, first, _ = shared[-1]
        for idx in range(common, len(chains)):
            value = values[idx]
            row: Row = {"tenant_id": self._key["tenant"], "session_id": self._key["id"]}
            row |= {"log": log, "idx": idx, "type": value.type, "data": value.data}
            row |= {"chain": chains[idx]}
            self._added.append(with_digest(ELEMENTS, row))
        return [*shared[:-1], (log, first, len(chains))]

    def write(self) -> None:
        """Write what was added."""
        if self._added:
            _INSERT.many(self._connection, self._added)
            self._added = []

    def _common(
        self, chains: Sequence[str], previous: Sequence[Stretch]
    ) -> tuple[list[Stretch], int]:
        """What of the former version is the beginning of this one."""
        if not previous:
            return [], 0
        log, first, end = previous[-1]
        # Mostly a list grows: then its last element is where it was.
        if end <= len(chains):
            last = self._chains(log, end - 1, 1)
            if last and last[0] == chains[end - 1]:
                return list(previous), end
        shared: list[Stretch] = []
        for log, first, end in previous:
            known = self._chains(log, first, end - first)
            same = 0
            for mine, stored in zip(chains[first:], known, strict=False):
                if mine != stored:
                    break
                same += 1
            if same:
                shared.append((log, first, first + same))
            if same < end - first:
                return shared, first + same
        return shared, end

    def _follow(
        self, chains: Sequence[str], shared: list[Stretch], common: int
    ) -> tuple[list[Stretch], int, bool]:
        """Go on in the log as far as somebody else has added the same; says whether
        that is the log's end."""
        if not shared:
            return shared, common, False
        log, first, _ = shared[-1]
        known = self._chains(log, common, len(chains) - common + 1)
        same = 0
        for mine, stored in zip(chains[common:], known, strict=False):
            if mine != stored:
                break
            same += 1
        shared = [*shared[:-1], (log, first, common + same)]
        return shared, common + same, len(known) == same

    def _chains(self, log: int, first: int, most: int) -> list[str]:
        given = {**self._key, "log": log, "first": first, "most": most}
        chains = [row[1] for row in _CHAINS.all(self._connection, given)]
        # One list may have been added to in this very call.
        for row in self._added:
            if row["log"] == log and row["idx"] >= first and len(chains) < most:
                chains.append(row["chain"])
        return chains

    def _new_log(self) -> int:
        if self._last is None:
            ((last,),) = _LAST_LOG.all(self._connection, self._key)
            self._last = last or 0
        self._last += 1
        return self._last
