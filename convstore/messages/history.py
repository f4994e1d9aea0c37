"""The turns of a window as a history for a model, and what is not in it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from convstore.messages.message import LeftOut
from convstore.messages.openai import to_messages, to_openai_messages
from convstore.messages.parts import ROLES
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import JsonObject, Turn


class History(list[JsonObject]):
    """Chat messages in OpenAI's shape, oldest first: a list that knows what it lacks.

    Attributes:
        left_out: What a repair or a wish for the beginning left out of the window,
            each with its reason and its turn. Turns beyond the limit are not here.
        moved: Turns of results that came late and stand behind their call.
    """

    def __init__(
        self,
        messages: Iterable[JsonObject] = (),
        left_out: Iterable[LeftOut] = (),
        moved: Iterable[int] = (),
    ) -> None:
        super().__init__(messages)
        self.left_out: tuple[LeftOut, ...] = tuple(left_out)
        self.moved: tuple[int, ...] = tuple(moved)


def history_of(
    window: Sequence[Turn],
    *,
    repair: bool = False,
    kept: Sequence[Turn] = (),
    begin_with: str | None = None,
) -> History:
    """The history of a window, with the turns of `kept` before it.

    `begin_with` as `check_begin_with` takes it: what the window has before the first
    turn of that role is left out, but for system turns.
    """
    known = {turn.seq for turn in kept}
    turns = [turn for turn in window if turn.seq not in known]
    left_out: list[LeftOut] = []
    if begin_with is not None:
        first = next((i for i, t in enumerate(turns) if is_of(t, begin_with)), None)
        before = turns[:first]
        left_out += [
            LeftOut(f"before-the-first-{begin_with}-turn", turn.seq)
            for turn in before
            if not is_of(turn, "system")
        ]
        system = [turn for turn in before if is_of(turn, "system")]
        turns = system + ([] if first is None else turns[first:])
    turns = [*kept, *turns]
    if not repair:
        return History(to_messages(turns), left_out)
    told = to_openai_messages(turns)
    messages, more = told.messages, list(told.left_out)
    return History(messages, [*left_out, *more], told.moved)


def check_begin_with(begin_with: object) -> None:
    """Refuse what no history can begin with.

    Raises:
        InvalidInputError: It is neither None nor `user`.
    """
    if begin_with is not None and begin_with != "user":
        raise InvalidInputError("begin_with", "must be user, or None")


def is_of(turn: Turn, role: str) -> bool:
    """Whether a turn is of a role, whichever of its words it has."""
    return ROLES.get(turn.role) == role


def beginning(turns: Iterable[Turn]) -> list[Turn]:
    """The system turns that a branch begins with."""
    return list(takewhile(lambda turn: is_of(turn, "system"), turns))
