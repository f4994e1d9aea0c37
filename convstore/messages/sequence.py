"""What may follow what in a conversation that chat templates take. Pure.

Looked at a message, or a part of one, at a time, so that the many rows of one session
share what was found of their common beginning.
"""

from __future__ import annotations

from typing import NamedTuple

from convstore.vocabulary.records import Json, JsonObject


class Shape(NamedTuple):
    """What messages must be followed by, as far as they have come.

    Attributes:
        fault: Where and why chat templates would refuse or distort them, if at all.
        length: How many messages; of those with a fault, how many were looked at.
        role: The role of the last one.
        said: Whether the last one says, shows or calls anything.
        asked: Where the last message that calls stands.
        open: Ids of its calls without a result; None for a call without an id.
        answered: Ids of its calls that have one.
    """

    fault: tuple[int, str] | None = None
    length: int = 0
    role: str = ""
    said: bool = True
    asked: int = 0
    open: tuple[str | None, ...] = ()
    answered: frozenset[str | None] = frozenset()


NO_MESSAGES = Shape()
_IN_TURN = {"user": "assistant", "assistant": "user"}


def followed(shape: Shape, message: JsonObject) -> Shape:
    """The shape with one more message, or with more of an assistant's last one.

    The strict profile: system only first, users and assistants in turn, each call
    answered once before anybody else speaks, each result after its call, no message
    without content.
    """
    if shape.fault is not None:
        return shape
    role, calls = message["role"], message.get("tool_calls", ())
    said = bool(calls or message["content"].strip() or "images" in message)
    if role == shape.role == "assistant":
        # Another turn of one message; `ended` says whether all of it says anything.
        return _called(shape, shape.length - 1, calls, shape.said or said)
    if role == "tool":
        return _answered(shape, message.get("tool_call_id"))
    plain = said and not calls and shape.said and not shape.open
    if plain and role == _IN_TURN.get(shape.role):
        # What most conversations are made of.
        return Shape(None, shape.length + 1, role)
    shape = ended(shape)
    if shape.fault is not None:
        return shape
    problem = _misplaced(shape, role)
    if problem is None and not said and role != "assistant":
        problem = "empty-turn"
    if problem is not None:
        return shape._replace(fault=(shape.length, problem))
    more = Shape(None, shape.length + 1, role)
    return _called(more, shape.length, calls, said)


def ended(shape: Shape) -> Shape:
    """The shape once the last message is known to be whole, and its calls answered."""
    shape = whole(shape)
    if shape.fault is None and shape.open:
        return shape._replace(fault=(shape.asked, "call-without-result"))
    return shape


def whole(shape: Shape) -> Shape:
    """The shape once the last message is known to be whole."""
    if shape.fault is None and not shape.said:
        return shape._replace(fault=(shape.length - 1, "empty-turn"))
    return shape


def _called(shape: Shape, place: int, calls: Json, said: bool) -> Shape:
    if not calls:
        return shape._replace(said=said)
    ids = tuple([call.get("id") for call in calls])
    return shape._replace(said=True, asked=place, open=shape.open + ids)


def _answered(shape: Shape, call_id: str | None) -> Shape:
    waiting = shape.open
    if call_id in waiting:
        place = waiting.index(call_id)
    elif call_id is None and waiting:
        place = 0
    else:
        twice = call_id is not None and call_id in shape.answered
        reason = "double-result" if twice else "result-without-call"
        return shape._replace(fault=(shape.length, reason))
    return shape._replace(
        length=shape.length + 1,
        role="tool",
        open=waiting[:place] + waiting[place + 1 :],
        answered=shape.answered | {waiting[place]},
    )


def _misplaced(shape: Shape, role: str) -> str | None:
    if role == "system":
        return "system-in-the-middle" if shape.length else None
    if role == shape.role:
        return f"two-{role}-turns"
    if role == "assistant" and shape.role in ("", "system"):
        return "starts-with-assistant"
    return None
