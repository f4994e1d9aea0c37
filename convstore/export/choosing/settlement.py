"""Which rows stay, told from all of them: duplicates, contradictions, leaks, caps.

Works on index entries alone, one part of the key space at a time, and answers with the
ids of the rows that go. The same rows give the same answer in whatever order they came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import groupby
from operator import attrgetter, itemgetter
from pathlib import Path

from convstore.export.choosing.keys import KEY_BYTES
from convstore.export.dataset.statistics import Losses
from convstore.export.example import Dropped
from convstore.export.options import Caps
from convstore.export.stages.entries import (
    Entry,
    cut_entries,
    pack_entry,
    unpack_entries,
)
from convstore.export.stages.spool import Spool

_OLDEST_FIRST: Callable[[Entry], tuple[int, bytes]] = attrgetter("at_us", "row_id")
_BY_SUBJECT = attrgetter("subject", "polarity", "at_us", "row_id")


def settle(entries: Spool, caps: Caps, losses: Losses, work: Path) -> Spool:
    """The ids of the rows that go, as a spool in order of row id.

    Args:
        entries: Index entries by prompt key.
        caps: How many rows a prompt, session and user may give.
        losses: Counts each loss under its reason.
        work: A folder for what waits on disk.
    """
    gone = Spool(work / "gone")

    def drop(entry: Entry, reason: str) -> None:
        losses.add(Dropped(reason, fault=False))
        gone.add(entry.row_id, entry.row_id)

    stay = _kept(entries, caps.per_prompt, drop)
    for name, cap in (("session", caps.per_session), ("user", caps.per_user)):
        if cap is not None:
            stay = _capped(stay, work / f"by-{name}", name, cap, drop)
    for _ in stay:
        pass  # The last stage is drawn out for the sake of what it drops.
    gone.flush()
    return gone


def settled_ids(entries: Iterable[Entry], caps: Caps, losses: Losses) -> set[bytes]:
    """The ids of the rows that go, of entries that fit into memory; see `settle`."""
    gone: set[bytes] = set()

    def drop(entry: Entry, reason: str) -> None:
        losses.add(Dropped(reason, fault=False))
        gone.add(entry.row_id)

    stay = kept_of(entries, caps.per_prompt, drop)
    for name, cap in (("session", caps.per_session), ("user", caps.per_user)):
        if cap is not None:
            stay = _capped_of(stay, name, cap, drop)
    for _ in stay:
        pass
    return gone


def gone_ids(gone: Spool) -> Iterator[bytes]:
    """The ids in order."""
    for row_id, _ in gone.sorted(_cut_ids):
        yield row_id


def either(gone: Spool, near: Spool, losses: Losses) -> Iterator[bytes]:
    """Ids in order that are in one of the two; counts those only near ones lose."""
    marked = merge(
        ((row_id, False) for row_id in gone_ids(gone)),
        ((row_id, True) for row_id in gone_ids(near)),
    )
    for row_id, group in groupby(marked, key=itemgetter(0)):
        if all(only_near for _, only_near in group):
            losses.add(Dropped("near-duplicate", fault=False))
        yield row_id


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
