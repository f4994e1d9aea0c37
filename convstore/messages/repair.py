"""Messages in an order that clients take: each call with its result, or neither. Pure.

What was stored need not be so: people go on talking while a tool works, a worker dies
between a call and its result, a result is delivered twice.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from convstore.messages.message import LeftOut, Message, append
from convstore.messages.pairing import OpenCalls
from convstore.messages.parts import Call, Result

_Place = tuple[int, int]


@dataclass(slots=True)
class CallIds:
    """Ids of calls that a client takes: the stored one where it can stand.

    Attributes:
        refused: What no id may hold.
        longest: Characters of an id.
    """

    refused: re.Pattern[str]
    longest: int
    _given: set[str] = field(default_factory=set)

    def new(self, call_id: str | None, seq: int) -> str:
        """An id for the next call, which stands in turn `seq`; no two are equal."""
        told = call_id or f"call_{seq}"
        if len(told) > self.longest or self.refused.search(told):
            # By the id alone, so that every window names a call alike.
            digest = hashlib.sha256(told.encode()).hexdigest()[:12]
            kept = self.refused.sub("_", told)[: self.longest - len(digest) - 1]
            told = f"{kept}_{digest}"
        first, number = told, 1
        while told in self._given:
            again = f"_{seq}" if number == 1 else f"_{seq}_{number}"
            told, number = first[: self.longest - len(again)] + again, number + 1
        self._given.add(told)
        return told


@dataclass(frozen=True, slots=True)
class _Answered:
    result: Result
    seq: int
    is_late: bool


def repaired(
    messages: Sequence[Message],
    ids: CallIds,
    left_out: list[LeftOut],
    moved: list[int],
) -> list[Message]:
    """The messages with every call answered right behind the message that makes it.

    Left out: calls that nobody answered, results of calls that are not here, second
    results. A result that came late stands behind its call; its turn is in `moved`.
    """
    answers = _answers(messages, left_out)
    told: list[Message] = []
    for number, message in enumerate(messages):
        if message.role == "tool":
            continue
        kept, results = replace(message, blocks=[]), list[tuple[int, _Answered]]()
        for place, (block, seq) in enumerate(message.blocks):
            if isinstance(block, Call) and message.role == "assistant":
                answered = answers.get((number, place))
                if answered is None:
                    left_out.append(LeftOut("call-without-result", seq))
                    continue
                block = replace(block, id=ids.new(block.id, seq))
                result = replace(answered.result, call_id=block.id)
                results.append((answered.seq, replace(answered, result=result)))
            kept.blocks.append((block, seq))
        append(told, kept)
        if results:
            results.sort(key=lambda result: result[0])
            moved += [seq for seq, answered in results if answered.is_late]
            located = [(answered.result, seq) for seq, answered in results]
            told.append(Message("tool", results[0][0], "tool", None, [*located]))
    return told


def _answers(
    messages: Sequence[Message], left_out: list[LeftOut]
) -> dict[_Place, _Answered]:
    """The result of each call that has one, by the place of the call."""
    calls: OpenCalls[_Place] = OpenCalls()
    answers: dict[_Place, _Answered] = {}
    asked = -1  # The message that results may follow at once.
    for number, message in enumerate(messages):
        if message.role != "tool":
            asked = number
            calls.next_message()
        for place, (block, seq) in enumerate(message.blocks):
            if isinstance(block, Call) and message.role == "assistant":
                calls.call(block.id, (number, place))
            elif isinstance(block, Result):
                answer, call = calls.result(block.call_id)
                if answer == "answers" and call is not None:
                    answers[call] = _Answered(block, seq, call[0] != asked)
                else:
                    reason = "double-result" if call else "result-without-call"
                    left_out.append(LeftOut(reason, seq))
    return answers
