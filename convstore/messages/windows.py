"""Which turns of a branch go to a model, and in what shape.

Pure functions over the turns of one branch, oldest first: the whole branch, or its
newest part. A window is always the newest end of what was given, and never holds the
result of a tool call without the call.

Prefix stability: while the start of a window stays, every later window of the branch
begins with the earlier one, so a model's prompt cache stays warm. `window_since` fixes
the start by hand. `step` moves it in strides: with `step=10` the start jumps over ten
turns at a time instead of creeping forward with every append.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from convstore.messages.message import speaks
from convstore.messages.openai import to_messages as to_messages
from convstore.messages.pairing import OpenCalls
from convstore.messages.parts import (
    RESULT_ROLES,
    call_of,
    is_result,
    kind_of,
    result_of,
)
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Turn


def window_by_turns(
    turns: Sequence[Turn], limit: int, *, step: int = 1
) -> tuple[Turn, ...]:
    """The newest turns, at most `limit`, oldest first.

    Fewer come back where the cut would part a tool call from its result. Empty only
    when `turns` is: if the newest exchange (a call and its results) alone is over the
    limit, that whole exchange is returned.

    Args:
        turns: A branch, oldest first, or the newest part of one; see
            `has_orphan_results` for the second case.
        limit: 1 or more.
        step: The start moves only to turns whose `seq` begins a new stride of so many;
            the window of a long branch then holds between `limit - step + 1` and
            `limit` turns, fewer where `seq` has gaps or exchanges are long. Where no
            such turn fits, the start is not strided.

    Raises:
        InvalidInputError: `limit` or `step` is below 1.
    """
    return _window(turns, "limit", limit, lambda _: 1, step)


def window_by_chars(
    turns: Sequence[Turn], max_chars: int, *, step: int = 1
) -> tuple[Turn, ...]:
    """As `window_by_turns`, with at most `max_chars` characters by `turn_chars`."""
    return _window(turns, "max_chars", max_chars, turn_chars, step)


def window_by_tokens(
    turns: Sequence[Turn],
    max_tokens: int,
    count: Callable[[Turn], int],
    *,
    step: int = 1,
) -> tuple[Turn, ...]:
    """As `window_by_turns`, with at most `max_tokens` tokens as the caller counts.

    `count` gives the tokens of one turn, 0 or more. It is called once per turn from
    the newest backwards, and no further than the window reaches.
    """
    return _window(turns, "max_tokens", max_tokens, count, step)


def window_since(turns: Sequence[Turn], start_seq: int) -> tuple[Turn, ...]:
    """All turns from `start_seq` on: with a fixed start a window only grows.

    The start moves back as far as needed to keep a call with its results. A branch
    that ended before `start_seq` gives nothing.
    """
    first = next((i for i, turn in enumerate(turns) if turn.seq >= start_seq), None)
    if first is None:
        return ()
    return tuple(turns[max(cut for cut in _cuts(turns) if cut <= first) :])


def has_orphan_results(turns: Sequence[Turn]) -> bool:
    """Whether a tool result here names a call that is not among `turns`.

    A reader that loads only the newest part of a branch asks this of its window: when
    true and the branch goes further back, it loads more and cuts again. A result
    whose call was never stored stays an orphan for ever, so bound the loading.
    """
    carried: set[str | None] = set()
    for turn in turns:
        carried.update(_call_ids(turn))
        if speaks(turn):
            carried.add(None)  # What a result without an id may answer.
        if is_result(turn) and not carried.issuperset(_result_ids(turn)):
            return True
    return False


def is_plain(turns: Iterable[Turn]) -> bool:
    """Whether none of `turns` is a tool's, or has parts: such a branch can be cut
    anywhere, and most windows need nothing else to be looked at."""
    for turn in turns:
        if turn.parts or turn.tool_call_id is not None or turn.role in RESULT_ROLES:
            return False
    return True


def turn_chars(turn: Turn) -> int:
    """Characters (code points) of a turn as `to_messages` gives it to a model.

    The text, or the resolved question that stands in for it, plus the compact JSON of
    the parts.
    """
    text = turn.content if turn.resolved_question is None else turn.resolved_question
    return len(text or "") + (len(dumps(turn.parts).decode()) if turn.parts else 0)


def _window(
    turns: Sequence[Turn],
    name: str,
    limit: int,
    cost: Callable[[Turn], int],
    step: int,
) -> tuple[Turn, ...]:
    for field, value in ((name, limit), ("step", step)):
        if value < 1:
            raise InvalidInputError(field, "must be 1 or more")
    starts = sorted(_cuts(turns), reverse=True)
    if not starts:
        return ()
    fitting = _fitting(turns, starts, limit, cost)
    # The oldest start that fits; a strided one before any other.
    strided = [start for start in fitting if _begins_stride(turns[start], step)]
    start = (strided or fitting or starts[:1])[-1]
    return tuple(turns[start:])


def _fitting(
    turns: Sequence[Turn],
    starts: Sequence[int],
    limit: int,
    cost: Callable[[Turn], int],
) -> list[int]:
    """Those of `starts` (newest first) from which the turns cost at most `limit`."""
    fitting: list[int] = []
    total, end = 0, len(turns)
    for start in starts:
        for index in range(end - 1, start - 1, -1):
            total += cost(turns[index])
            if total > limit:
                return fitting
        fitting.append(start)
        end = start
    return fitting


def _begins_stride(turn: Turn, step: int) -> bool:
    # Told by the turn alone, so that a part of a branch gives the same starts.
    parent = turn.parent_seq
    return parent is None or (turn.seq - 1) // step != (parent - 1) // step


def _cuts(turns: Sequence[Turn]) -> list[int]:
    """Where a window may begin, oldest first: each result is after its call there."""
    cuts: list[int] = []
    calls = _call_of(turns)
    earliest = len(turns)
    for index in range(len(turns) - 1, -1, -1):
        earliest = min(earliest, calls[index])
        if earliest >= index:
            cuts.append(index)
    cuts.reverse()
    return cuts


def _call_of(turns: Sequence[Turn]) -> list[int]:
    """For each turn the index of the earliest one that it may not be parted from.

    For a result that is its call; where that is not here, the nearest assistant turn
    before it. For what was said or called after a turn of nothing but thoughts it is
    that turn: some models are refused a call without the thought before it. For
    others it is their own.
    """
    open_calls: OpenCalls[int] = OpenCalls()
    speaker: int | None = None
    calls: list[int] = []
    for index, turn in enumerate(turns):
        call = index
        if is_result(turn):
            nearest = index if speaker is None else speaker
            found = (open_calls.result(call_id)[1] for call_id in _result_ids(turn))
            call = min(nearest if place is None else place for place in found)
        elif not speaks(turn):
            open_calls.next_message()
        elif index and _only_thinks(turns[index - 1]):
            call = calls[index - 1]
        for call_id in _call_ids(turn):
            open_calls.call(call_id, index)
        if speaks(turn):
            speaker = index
        calls.append(call)
    return calls


def _only_thinks(turn: Turn) -> bool:
    parts = turn.parts if speaks(turn) and not turn.content else None
    return bool(parts) and all(kind_of(part) == "thought" for part in parts or ())


def _call_ids(turn: Turn) -> Iterator[str | None]:
    for part in turn.parts or ():
        if kind_of(part) == "call":
            yield call_of(part).id


def _result_ids(turn: Turn) -> list[str | None]:
    """The ids of the calls that a turn answers; None for a result without one."""
    parts = [part for part in turn.parts or () if kind_of(part) == "result"]
    ids = [result_of(part).call_id for part in parts]
    if turn.tool_call_id is not None and turn.tool_call_id not in ids:
        ids = [turn.tool_call_id, *filter(None, ids)]
    return ids or [None]
