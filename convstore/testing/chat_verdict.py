"""What was said to writers, compared with what is there: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

State = Literal["tried", "done", "refused"]
_FILLER = " ".join(f"word{number}" for number in range(20))


@dataclass(slots=True)
class Call:
    """One call of a writer: the names of its messages, and how it ended, if it did.

    `stream` is the writer and its session: calls of one stream were made one after the
    other.
    """

    stream: str
    names: tuple[str, ...]
    state: State = "tried"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many messages, or calls, were found to be what they should not.

    Attributes:
        acknowledged: Messages whose call returned.
        lost: Acknowledged messages that are not there.
        doubled: Messages that are there more than once.
        disordered: Messages that come before an earlier one of their writer.
        half: Calls of which some messages are there, and others are not.
        torn: Calls whose messages are all there, with others between them.
        denied: Calls that were said to have failed, and whose messages are there.
        stray: Messages that nobody wrote, or whose text was changed.
    """

    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    half: int = 0
    torn: int = 0
    denied: int = 0
    stray: int = 0

    def __add__(self, other: Verdict) -> Verdict:
        names = [each.name for each in fields(self)]
        return Verdict(*(getattr(self, n) + getattr(other, n) for n in names))


@dataclass(slots=True)
class Notes:
    """What writers told, call by call."""

    calls: dict[tuple[str, ...], Call] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)

    def note(self, stream: str, names: Sequence[str], state: str) -> None:
        """`state` is `tried`, `done`, or the name of the error that was raised."""
        call = self.calls.setdefault(tuple(names), Call(stream, tuple(names)))
        if state == "done":
            call.state = "done"
        elif state != "tried":
            call.state = "refused"
            self.refusals[state] += 1

    def of(self, session: str) -> list[Call]:
        """The calls to one session, in the order in which they were told of."""
        begin = f"{session}/"
        return [c for c in self.calls.values() if c.stream.startswith(begin)]


def text_of(name: str) -> str:
    """The whole message of a name."""
    return f"{name} {_FILLER}"


def judge(calls: Sequence[Call], texts: Sequence[str]) -> Verdict:
    """Compare all calls to one session with its history."""
    names = [text.partition(" ")[0] for text in texts]
    known = {name for call in calls for name in call.names}
    # Of what is there twice the first counts.
    places = {name: at for at, name in reversed([*enumerate(names)])}
    there = Counter(names)
    done = [name for call in calls if call.state == "done" for name in call.names]
    whole = [call for call in calls if all(name in places for name in call.names)]
    return Verdict(
        acknowledged=len(done),
        lost=sum(name not in places for name in done),
        doubled=sum(count > 1 for name, count in there.items() if name in known),
        disordered=sum(_disordered(calls, places)),
        half=sum(
            0 < sum(name in places for name in call.names) < len(call.names)
            for call in calls
        ),
        torn=sum(_is_torn(call, places) for call in whole),
        denied=sum(call.state == "refused" for call in whole),
        stray=sum(
            name not in known or text != text_of(name)
            for name, text in zip(names, texts, strict=True)
        ),
    )


def _disordered(calls: Sequence[Call], places: dict[str, int]) -> Iterator[bool]:
    last: dict[str, int] = {}
    for call in calls:
        for name in call.names:
            if name in places:
                yield places[name] < last.get(call.stream, -1)
                last[call.stream] = max(places[name], last.get(call.stream, -1))


def _is_torn(call: Call, places: dict[str, int]) -> bool:
    at = [places[name] for name in call.names]
    return max(at) - min(at) >= len(at)
