"""The canonical row: one type between the rules that make rows and the formats.

A row holds messages in one shape (text content, tool arguments as objects) and where it
came from. Rules and formats answer with a `Dropped` instead of a row when there is
nothing sound to make, so that every loss is counted under a reason.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from convstore.vocabulary.record import repr_without
from convstore.vocabulary.records import Json, JsonObject, SessionDocument

Message: TypeAlias = JsonObject
"""`role` and `content` (text), and where it has them `tool_calls`, `tool_call_id`,
`name`, `reasoning_content` and `images` (Base64); never a key with nothing in it."""

Kind = Literal[
    "conversation", "demonstration", "pair", "label", "prompt", "steps", "tree", "whole"
]
Side = Literal["", "left", "right"]

ROW_SCHEMA = 1


class Dropped(Struct, frozen=True, gc=False):
    """A candidate that became no row, and why.

    `fault` marks what is wrong with the data; filters and choices are none.
    """

    reason: str
    fault: bool = True


class Origin(Struct, frozen=True, gc=False):
    """Where a row came from. Text fields are empty, never None, where unknown.

    Attributes:
        rule: Name and version of the rule, as `R1/1`.
        group_id: Root session: rows with one group stay in one split.
        turn_ids: Numbers of the judged turns within the session.
        feedback_ids: Numbers of the interactions that the row rests on.
        context_sha256: Of everything the model saw before its answer.
        weight: 1.0 for spoken judgements, less for weak signals.
        side: Where the chosen answer stood on the screen.
        votes: Actors who said so; decides contradictions.
        at_ms: Milliseconds since 1970 of the latest judgement or turn.
        at_us: The same in microseconds, by which the oldest row is told: many records
            of one import are of one millisecond.
        edit_distance: Characters taken out and put in by an edit; 0 where none was.
    """

    rule: str
    tenant_id: str
    session_id: str
    group_id: str
    user_id: str
    turn_ids: tuple[int, ...]
    feedback_ids: tuple[int, ...]
    context_sha256: str
    model_chosen: str = ""
    model_rejected: str = ""
    language: str = ""
    weight: float = 1.0
    side: Side = ""
    votes: int = 1
    at_ms: int = 0
    at_us: int = 0
    edit_distance: int = 0


class Example(Struct, frozen=True, gc=False):
    """One row of a data set, in no format yet.

    `answer` is the completion, the chosen side of a pair, or the last answer of a
    conversation; `prompt` is what came before. `silent` are positions, in prompt and
    answer together, of assistant messages that must not be trained on; of a whole
    session, the turns that were reported, 0 for the session itself. `payloads` is
    whether a whole session that is told otherwise than as it is has those of its turns.
    """

    kind: Kind
    origin: Origin
    prompt: tuple[Message, ...] = ()
    answer: tuple[Message, ...] = ()
    rejected: tuple[Message, ...] = ()
    label: bool | None = None
    margin: float = 0.0
    steps: tuple[str, ...] = ()
    step_labels: tuple[bool, ...] = ()
    reference: str = ""
    tools: list[Json] | None = None
    silent: tuple[int, ...] = ()
    document: SessionDocument | None = None
    payloads: bool = False

    def __repr__(self) -> str:
        return repr_without(self, "document")


Candidate: TypeAlias = "Example | Dropped"
