"""What is to be judged, by how many, and what a rater was given of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from convstore.vocabulary.records import Session


@dataclass(frozen=True, slots=True)
class Queue:
    """A stored filter over live sessions, and how many people judge each.

    Of a session the last answer of its active branch is judged, beside the other
    answers to the same turn. `question` is what raters are asked; the other fields are
    the filters of `sessions.list`, None where open.
    """

    name: str
    raters: int
    question: str | None
    user_id: str | None
    language: str | None
    tag: str | None
    label: str | None
    title: str | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class QueueItem:
    """What one rater was given: nobody else has this place until `leased_until`.

    `turn_seq` is the answer, `others` those that answer the same turn, in `seq` order.
    """

    queue: str
    session: Session
    turn_seq: int
    others: tuple[int, ...]
    rater: str
    leased_until: datetime


@dataclass(frozen=True, slots=True)
class QueueTurn:
    """The answer to a rater who asks for the next one.

    `item` is None where there was none; nothing is left for this rater only if
    `complete` is True: else the call ended before all was looked at, and the next one
    goes on.
    """

    item: QueueItem | None
    complete: bool
