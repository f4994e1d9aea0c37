"""Which call a tool's result answers. Pure.

One reading for all who ask: windows that must not part the two, histories that are
repaired, and the messages of every client.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, Literal, TypeVar

Place = TypeVar("Place")
Answer = Literal["answers", "again", "unknown"]


class OpenCalls(Generic[Place]):
    """The calls so far, each at the place that its caller gave, and what is open.

    By id, the newest open call that has it: clients count anew in each message. A
    result without an id answers the oldest open call without one, or if there is none
    the oldest open call, of the newest message that calls.
    """

    def __init__(self) -> None:
        self._open: dict[str, list[Place]] = {}
        self._answered: dict[str, Place] = {}
        self._newest: deque[tuple[str | None, Place]] = deque()
        self._calling = False

    def next_message(self) -> None:
        """The next call, if one comes, is of another message."""
        self._calling = False

    def call(self, call_id: str | None, place: Place) -> None:
        """A call was made."""
        if not self._calling:
            self._newest.clear()
            self._calling = True
        self._newest.append((call_id, place))
        if call_id is not None:
            self._open.setdefault(call_id, []).append(place)

    def result(self, call_id: str | None) -> tuple[Answer, Place | None]:
        """A result came: the place of its call, and whether it is the first one.

        An id that no call has is `unknown`, unless the newest message has open calls
        without an id: then it answers the oldest of those.
        """
        if call_id is None:
            return self._unnamed(any_id=True)
        places = self._open.get(call_id)
        if places:
            place = places.pop()
            self._answered[call_id] = place
            self._drop(place)
            return "answers", place
        if call_id in self._answered:
            return "again", self._answered[call_id]
        return self._unnamed(any_id=False)

    def _unnamed(self, *, any_id: bool) -> tuple[Answer, Place | None]:
        waiting = [call for call in self._newest if call[0] is None]
        if not waiting and any_id:
            waiting = list(self._newest)
        if not waiting:
            return "unknown", None
        call_id, place = waiting[0]
        self._drop(place)
        if call_id is not None:
            self._open[call_id].remove(place)
            self._answered[call_id] = place
        return "answers", place

    def _drop(self, place: Place) -> None:
        self._newest = deque(call for call in self._newest if call[1] != place)
