"""What a chat message is: one speaker's say, however many turns it was stored in. Pure.

A turn is the finest thing that a framework adds, so one message of a model may be many
turns: a thought, a text, two calls. Neighbouring turns of an assistant are one message;
results follow as the messages of tools. Every client's shape is made from these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from convstore.messages.parts import (
    ROLES,
    Call,
    Kind,
    Result,
    Role,
    call_of,
    is_result,
    kind_of,
    result_of,
    text_of,
)
from convstore.vocabulary.records import Json, Turn

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Said:
    """Text, a refusal, a thought, a picture or something else, by `kind`.

    `part` is what it was read from; None for the content of a turn.
    """

    kind: Kind
    text: str = ""
    part: Json = None


Block: TypeAlias = Said | Call | Result
_SPEAKERS = frozenset({"user", "assistant", "system"})


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that a client could not be told, and the turn that it stood in."""

    reason: str
    seq: int


@dataclass(slots=True)
class Message:
    """One message, in no client's shape yet.

    Attributes:
        seq: The number of its first turn.
        given: That turn's own word for the role.
        name: Of the speaker; None where its turns have several.
        blocks: What is said, each with the number of the turn that it stood in.
    """

    role: Role
    seq: int
    given: str
    name: str | None = None
    blocks: list[tuple[Block, int]] = field(default_factory=list)

    def texts(self) -> str:
        """All text: that of one turn put together, that of two as paragraphs."""
        paragraphs: dict[int, str] = {}
        for block, seq in self.blocks:
            if isinstance(block, Said) and block.kind in ("text", "refusal"):
                paragraphs[seq] = paragraphs.get(seq, "") + block.text
        return "\n\n".join(text for text in paragraphs.values() if text)


def says_only_text(turn: Turn) -> bool:
    """Whether a turn is a text, of one of three speakers, and nothing else: what nearly
    all turns are, and can be told without looking any further."""
    return (
        turn.parts is None
        and turn.role in _SPEAKERS
        and turn.content is not None
        and turn.content != ""
        and turn.tool_call_id is None
        and turn.resolved_question is None
    )


def speaks(turn: Turn) -> bool:
    """Whether a turn is an assistant's own, and so may be a part of a message."""
    return ROLES.get(turn.role) == "assistant" and not is_result(turn)


def grouped(turns: Iterable[Turn]) -> list[list[Turn]]:
    """The turns of each message; only an assistant's are ever more than one."""
    groups: list[list[Turn]] = []
    speaking = False
    for turn in turns:
        if speaks(turn) and speaking:
            groups[-1].append(turn)
        else:
            groups.append([turn])
            speaking = speaks(turn)
    return groups


def runs(
    turns: Sequence[Turn], own: Callable[[Turn], T | None]
) -> Iterator[tuple[T | None, Sequence[Turn]]]:
    """Each turn of which `own` tells something alone, with that; others as they follow
    one another, with None."""
    start = 0
    for end, turn in enumerate(turns):
        told = own(turn)
        if told is None:
            continue
        if start < end:
            yield None, turns[start:end]
        yield told, turns[end : end + 1]
        start = end + 1
    if start < len(turns):
        yield None, turns[start:]


def messages_of(turns: Iterable[Turn], left_out: list[LeftOut]) -> list[Message]:
    """The messages of a branch, oldest first.

    A turn that holds results beside words becomes several. Turns of a role that is
    none of the words of `ROLES` are left out.
    """
    messages: list[Message] = []
    for turn in turns:
        role = ROLES.get(turn.role)
        if role is None:
            left_out.append(LeftOut("unknown-role", turn.seq))
            continue
        for told in told_by(turn, role):
            append(messages, told)
    return messages


def append(messages: list[Message], message: Message) -> None:
    """Put a message behind others, or into the last one where it goes on with it."""
    if messages and messages[-1].role == message.role == "assistant":
        last = messages[-1]
        last.blocks += message.blocks
        if last.name != message.name:
            last.name = None
    else:
        messages.append(message)


def blocks_of(turn: Turn) -> list[Block]:
    """What a turn says, in its order; the content before the parts but for thoughts.

    `resolved_question` stands in for all its text. Content that the parts repeat as
    text is told once.
    """
    blocks = [_block(part) for part in turn.parts or ()]
    text = turn.content
    if turn.resolved_question is not None:
        text = turn.resolved_question
        blocks = [block for block in blocks if not _is(block, "text")]
    elif any(_is(block, "text") for block in blocks):
        return blocks
    if text:
        first = 0
        while first < len(blocks) and _is(blocks[first], "thought"):
            first += 1
        blocks.insert(first, Said("text", text))
    return blocks


def called_names(turns: Iterable[Turn]) -> dict[str, str]:
    """The names of the tools that are called, by the ids of the calls."""
    return {
        block.id: block.name
        for turn in turns
        for block in blocks_of(turn)
        if isinstance(block, Call) and block.id and block.name
    }


def told_by(turn: Turn, role: Role) -> Iterator[Message]:
    """The messages that one turn is: almost always one."""
    if not is_result(turn):
        yield _message(turn, role, blocks_of(turn))
        return
    parts = turn.parts or []
    if not any(kind_of(part) == "result" for part in parts):
        yield _message(turn, "tool", [Result(turn.tool_call_id or None, _whole(turn))])
        return
    blocks = blocks_of(turn)
    if role == "tool":  # Its content says the result once more.
        blocks = [block for block in blocks if not (_is(block, "text"))]
    start = 0
    for end in range(1, len(blocks) + 1):
        results = isinstance(blocks[start], Result)
        if end == len(blocks) or isinstance(blocks[end], Result) != results:
            run = blocks[start:end]
            if results and len(run) == 1:
                run = [_named(run[0], turn.tool_call_id)]
            yield _message(turn, "tool" if results else role, run)
            start = end


def _message(turn: Turn, role: Role, blocks: Iterable[Block]) -> Message:
    located = [(block, turn.seq) for block in blocks]
    return Message(role, turn.seq, turn.role, turn.name, located)


def _whole(turn: Turn) -> Json:
    """All that a turn of a tool holds, as the content of its result."""
    parts = turn.parts or []
    if not parts:
        return turn.content or ""
    repeated = any(kind_of(part) == "text" for part in parts)
    return parts if repeated or not turn.content else [turn.content, *parts]


def _named(block: Block, call_id: str | None) -> Block:
    if isinstance(block, Result) and block.call_id is None:
        return Result(call_id or None, block.content, block.is_error)
    return block


def _block(part: Json) -> Block:
    kind = kind_of(part)
    if kind == "call":
        return call_of(part)
    if kind == "result":
        return result_of(part)
    return Said(kind, text_of(part) or "", part)


def _is(block: Block, kind: Kind) -> bool:
    return isinstance(block, Said) and block.kind == kind
