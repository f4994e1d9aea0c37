"""What a method asks of the store: written once, for callers that wait in a thread and
for those that await."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, TypeAlias

from convstore import blocking, types


class Call(NamedTuple):
    """One verb of a noun that is to be called."""

    noun: str
    verb: str
    args: tuple[Any, ...]
    given: dict[str, Any]


class Together(NamedTuple):
    """Calls that are one commit."""

    calls: Sequence[Call]


Steps: TypeAlias = Generator[Call | Together, Any, Any]
"""What is asked for, and then the result. Errors of the store come back into it."""


def putting(session_id: str, given: types.CheckpointInput) -> Call:
    """Put a checkpoint and nothing else."""
    fields = {name: getattr(given, name) for name in given.__struct_fields__}
    name = fields.pop("checkpoint_id")
    return Call("checkpoints", "put", (session_id, name), {**fields, "create": True})


def in_thread(store: blocking.Store, steps: Steps) -> Any:
    """Carry steps out, waiting."""
    answer: Any = None
    error: Exception | None = None
    while True:
        try:
            asked = steps.send(answer) if error is None else steps.throw(error)
        except StopIteration as end:
            return end.value
        answer, error = None, None
        try:
            if isinstance(asked, Call):
                answer = _verb(store, asked)(*asked.args, **asked.given)
            else:
                with store.transaction() as tx:
                    for call in asked.calls:
                        answer = _verb(tx, call)(*call.args, **call.given)
        except types.ConvstoreError as failure:
            error = failure


async def in_task(store: types.Store, steps: Steps) -> Any:
    """Carry steps out, awaiting."""
    answer: Any = None
    error: Exception | None = None
    while True:
        try:
            asked = steps.send(answer) if error is None else steps.throw(error)
        except StopIteration as end:
            return end.value
        answer, error = None, None
        try:
            if isinstance(asked, Call):
                answer = await _verb(store, asked)(*asked.args, **asked.given)
            else:
                async with store.transaction() as tx:
                    for call in asked.calls:
                        answer = await _verb(tx, call)(*call.args, **call.given)
        except types.ConvstoreError as failure:
            error = failure


def _verb(store: Any, call: Call) -> Any:
    return getattr(getattr(store, call.noun), call.verb)
