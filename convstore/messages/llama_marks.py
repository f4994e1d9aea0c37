"""Which turns LlamaIndex calls archived: ranges of their numbers, and in a fork, which
has other numbers, their places. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from convstore.vocabulary.records import JsonObject, Session, Turn


class Step(NamedTuple):
    """A turn of a branch: its number, and when it was said, where that is known."""

    seq: int
    said_at: str | None


def places_of(ranges: Sequence[Sequence[int]], path: Sequence[Step]) -> list[list[Any]]:
    """Where ranges are on a branch: places of the first and the last turn, the number
    of the first, and when both were said."""
    found: list[list[Any]] = []
    for first, last in ranges:
        on = [n for n, step in enumerate(path, 1) if first <= step.seq <= last]
        if on:
            start, end = path[on[0] - 1], path[on[-1] - 1]
            found.append([on[0], on[-1], start.seq, start.said_at, end.said_at])
    return found


def marks_of(
    state: JsonObject, session: Session, turns: Sequence[Turn]
) -> list[list[int]]:
    """The ranges that are archived. A fork took them over, with the turns of one branch
    under new numbers: their places there."""
    ranges: list[list[int]] = state.get("archived", [])
    of = state.get("of", session.id)
    copied = session.forked_turns
    if of == session.id or copied is None:
        return ranges
    said_at = {turn.seq: turn.created_at.isoformat() for turn in turns}
    found = []
    for first, last, seq, start, end in state.get("places", []):
        # Not of a branch that the fork has not: known by a number beyond its tip, where
        # that is of the same session, or by when something else was said there.
        beyond = session.forked_from == of and seq > (session.forked_at_seq or 0)
        is_same = start is None or said_at.get(first, start) == start
        if last <= copied:
            is_same = is_same and (end is None or said_at.get(last, end) == end)
        if first <= copied and is_same and not beyond:
            found.append([first, min(last, copied)])
    return found


def with_more(ranges: Sequence[Sequence[int]], seqs: Sequence[int]) -> list[list[int]]:
    """Ranges of numbers with more numbers in them."""
    merged: list[list[int]] = []
    for first, last in sorted([*map(list, ranges), *([seq, seq] for seq in seqs)]):
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    return merged
