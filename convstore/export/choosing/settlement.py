"""Which rows stay, told from all of them: duplicates, contradictions, leaks, caps.

Works on index entries alone, one part of the key space at a time. The same rows give
the same answer in whatever order they came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from convstore.export.choosing.keys import KEY_BYTES
from convstore.export.dataset.statistics import Losses
from convstore.export.example import Dropped
from convstore.export.options import Caps
from convstore.export.stages.entries import (
    Entry,
    Staying,
    cut_entries,
    cut_staying,
    pack_entry,
    pack_staying,
    unpack_entries,
    unpack_staying,
)
from convstore.export.stages.spool import Spool

_OLDEST_FIRST: Callable[[Entry], tuple[int, bytes]] = attrgetter("at_us", "row_id")
_BY_SUBJECT = attrgetter("subject", "polarity", "at_us", "row_id")


def settled(entries: Spool, caps: Caps, losses: Losses, work: Path) -> Spool:
    """What stays, as a spool in order of row id; see `unpack_staying`.

    Args:
        entries: Index entries by prompt key.
        caps: How many rows a prompt, session and user may give.
        losses: Counts each loss under its reason.
        work: A folder for what waits on disk.
    """

    def drop(entry: Entry, reason: str) -> None:
        losses.add(Dropped(reason, fault=False))

    stay = _kept(entries, caps.per_prompt, drop)
    for name, cap in (("session", caps.per_session), ("user", caps.per_user)):
        if cap is not None:
            stay = _capped(stay, work / f"by-{name}", name, cap, drop)
    found = Spool(work / "stay")
    for entry in stay:
        found.add(entry.row_id, pack_staying(entry))
    return found


def settled_ids(entries: Iterable[Entry], caps: Caps, losses: Losses) -> set[bytes]:
    """The ids of the rows that stay, of entries that fit into memory; see `settled`."""

    def drop(entry: Entry, reason: str) -> None:
        losses.add(Dropped(reason, fault=False))

    stay = kept_of(entries, caps.per_prompt, drop)
    for name, cap in (("session", caps.per_session), ("user", caps.per_user)):
        if cap is not None:
            stay = _capped_of(stay, name, cap, drop)
    return {entry.row_id for entry in stay}


def ids_of(spool: Spool) -> Iterator[bytes]:
    """Row ids that wait by themselves, in order."""
    for row_id, _ in spool.sorted(_cut_ids):
        yield row_id


def staying(stay: Spool, near: Iterable[bytes], losses: Losses) -> Iterator[Staying]:
    """The rows that stay, in order of row id, without nearly equal ones.

    Args:
        stay: As `settled` gave it.
        near: Ids of rows that nearly equal an older one, in order.
        losses: Counts those that only this one loses.
    """
    walk = Walk(near)
    for part in stay.parts(cut_staying):
        if walk.ahead is None:
            yield from unpack_staying(part)
            continue
        for row in unpack_staying(part):
            if walk.is_at(row[0]):
                losses.add(Dropped("near-duplicate", fault=False))
            else:
                yield row


def listed(
    rows: Iterable[Staying],
    previous: Iterable[bytes],
    note: Callable[[bytes], object],
    lose: Callable[[bytes], object],
) -> Iterator[Staying]:
    """The rows that a former export has not, all in order of row id.

    Args:
        rows: Those that stay.
        previous: The ids of the former export.
        note: Told the id of each row that stays.
        lose: Told each id of the former export that does not.
    """
    known = Walk(previous)
    for row in rows:
        row_id = row[0]
        if known.ahead is None:
            note(row_id)
            yield row
            continue
        for old in known.before(row_id):
            lose(old)
        note(row_id)
        if not known.is_at(row_id):
            yield row
    for old in known.rest():
        lose(old)


class Walk:
    """Goes along sorted ids beside another sorted walk; `ahead` is the next id."""

    def __init__(self, ids: Iterable[bytes]) -> None:
        self._ids = iter(ids)
        self.ahead = next(self._ids, None)

    def before(self, row_id: bytes) -> Iterator[bytes]:
        """The next ids that are lower."""
        while self.ahead is not None and self.ahead < row_id:
            yield self.ahead
            self.ahead = next(self._ids, None)

    def is_at(self, row_id: bytes) -> bool:
        """Whether this id is among them; passes it and those before."""
        if self.ahead is None:
            return False
        for _ in self.before(row_id):
            pass
        found = self.ahead == row_id
        while self.ahead == row_id:
            self.ahead = next(self._ids, None)
        return found

    def rest(self) -> Iterator[bytes]:
        """All that are left."""
        while self.ahead is not None:
            yield self.ahead
            self.ahead = next(self._ids, None)


def _cut_ids(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    for end in range(KEY_BYTES, len(data) + 1, KEY_BYTES):
        yield data[end - KEY_BYTES : end], end - KEY_BYTES, end


def _kept(
    entries: Spool, cap: int | None, drop: Callable[[Entry, str], None]
) -> Iterator[Entry]:
    for part in entries.parts(cut_entries("prompt")):
        yield from kept_of(unpack_entries(part), cap, drop)


def kept_of(
    entries: Iterable[Entry], cap: int | None, drop: Callable[[Entry, str], None]
) -> Iterator[Entry]:
    """The entries that stay of all entries with some prompts, held in memory."""
    rows = sorted(entries, key=attrgetter("prompt"))
    for _, group in groupby(rows, key=attrgetter("prompt")):
        found = list(group)
        if len(found) == 1:
            yield found[0]  # Nothing to compare it with, and no cap is under one.
        else:
            yield from _of_one_prompt(list(_distinct(found, drop)), cap, drop)


def _of_one_prompt(
    rows: list[Entry], cap: int | None, drop: Callable[[Entry, str], None]
) -> Iterator[Entry]:
    """Rows of one split: the split of the oldest, so that new rows never move it."""
    if not rows:
        return
    split = min(rows, key=_OLDEST_FIRST).split
    within = []
    for row in rows:
        if row.split == split:
            within.append(row)
        else:
            drop(row, "prompt-in-another-split")
    yield from _first(within, cap, "cap-per-prompt", drop)


def _distinct(rows: list[Entry], drop: Callable[[Entry, str], None]) -> Iterator[Entry]:
    """One row per subject: what most people said, and nothing where they are even."""
    rows.sort(key=_BY_SUBJECT)
    for _, same in groupby(rows, key=attrgetter("subject")):
        sides = [list(side) for _, side in groupby(same, key=attrgetter("polarity"))]
        votes = [_votes(side) for side in sides]
        best = max(votes)
        for side, count in zip(sides, votes, strict=True):
            if count < best or votes.count(best) > 1:
                for row in side:
                    drop(row, "contradiction")
                continue
            yield side[0]
            for row in side[1:]:
                drop(row, "duplicate")


def _votes(rows: Iterable[Entry]) -> int:
    """How many people said so; who says it in many sessions is one of them."""
    by_user: dict[bytes, int] = {}
    for row in rows:
        by_user[row.user] = max(by_user.get(row.user, 0), row.votes)
    return sum(by_user.values())


def _capped(
    rows: Iterable[Entry],
    folder: Path,
    name: str,
    cap: int,
    drop: Callable[[Entry, str], None],
) -> Iterator[Entry]:
    key = attrgetter(name)
    spool = Spool(folder)
    for row in rows:
        spool.add(key(row), pack_entry(row))
    for part in spool.parts(cut_entries(name)):
        yield from _capped_of(unpack_entries(part), name, cap, drop)
    spool.remove()


def _capped_of(
    rows: Iterable[Entry], name: str, cap: int, drop: Callable[[Entry, str], None]
) -> Iterator[Entry]:
    key = attrgetter(name)
    for _, group in groupby(sorted(rows, key=key), key=key):
        yield from _first(list(group), cap, f"cap-per-{name}", drop)


def _first(
    rows: list[Entry], cap: int | None, reason: str, drop: Callable[[Entry, str], None]
) -> Iterator[Entry]:
    rows.sort(key=attrgetter("row_id"))
    yield from rows[:cap]
    for row in rows if cap is None else rows[cap:]:
        if cap is not None:
            drop(row, reason)
