"""What a rule is, and the two ways in which rules build rows from judged turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass

from convstore.export.example import (
    Candidate,
    Dropped,
    Example,
    Kind,
    Message,
    Origin,
    Side,
)
from convstore.export.formats.messages import has_calls, text_chars
from convstore.export.reading.conversation import Conversation
from convstore.export.rules.checks import answer_problem, length_problem
from convstore.vocabulary.records import Interaction


@dataclass(frozen=True, slots=True)
class Rule:
    """A named, versioned, pure way from a conversation to candidate rows.

    The version goes up whenever the rule would make other rows of the same content.
    """

    name: str
    version: int
    kinds: frozenset[Kind]
    description: str
    run: Callable[[Conversation, str], Iterator[Candidate]]
    default: bool = True

    @property
    def id(self) -> str:
        """Name and version, as rows carry it."""
        return f"{self.name}/{self.version}"


def judged_row(
    conversation: Conversation,
    rule: str,
    seq: int,
    acts: Sequence[Interaction],
    *,
    label: bool,
    weight: float = 1.0,
) -> Candidate:
    """A label on one answer, a whole message: the prompt is all before it."""
    turns = conversation.message(seq)
    path = conversation.path(turns[-1])
    messages = conversation.messages(path)
    if isinstance(messages, Dropped):
        return messages
    tools = conversation.tools(turns[-1], messages)
    problem = (
        answer_problem(conversation, seq, messages[-1], good=label)
        or conversation.problem(path)
        or open_problem(conversation, turns[-1])
        or (tools if isinstance(tools, Dropped) else None)
    )
    if problem or isinstance(tools, Dropped):
        return problem or Dropped("tools-malformed")
    origin = conversation.origin(
        rule,
        [seq],
        acts,
        context=conversation.context(turns[0]),
        chosen=seq,
        weight=weight,
    )
    row = Example(
        "label", origin, messages[:-1], messages[-1:], label=label, tools=tools
    )
    return length_problem(conversation, row) or row


def demonstration(row: Example, disliked: Set[int]) -> Example:
    """The approved answer of a row as something to imitate, unless others object."""
    silent = (len(row.prompt),) if row.origin.turn_ids[0] in disliked else ()
    # Word for word: `replace` asks for each field by its name, once a row.
    return Example(
        "demonstration",
        row.origin,
        row.prompt,
        row.answer,
        steps=row.steps,
        step_labels=row.step_labels,
        reference=row.reference,
        tools=row.tools,
        silent=silent,
        document=row.document,
        payloads=row.payloads,
    )


def pair_row(
    conversation: Conversation,
    rule: str,
    chosen: int,
    rejected: int,
    acts: Sequence[Interaction],
    *,
    margin: float = 0.0,
    weight: float = 1.0,
    side: Side = "",
) -> Candidate:
    """Two answers to one context, compared as whole segments."""
    good, bad = conversation.segment(chosen), conversation.segment(rejected)
    context = conversation.context(good[0])
    if context != conversation.context(bad[0]):
        return Dropped("unequal-context")
    shared = _shared(conversation, good, bad)
    if shared:
        context = conversation.context(good[shared])
    before = conversation.path(conversation.turns[good[0]].parent_seq) + good[:shared]
    sides = [conversation.messages(p) for p in (before, good[shared:], bad[shared:])]
    gone = next((part for part in sides if isinstance(part, Dropped)), None)
    if gone is not None:
        return gone
    prompt, answer, other = (p for p in sides if not isinstance(p, Dropped))
    problem = (
        answer_problem(conversation, chosen, answer[-1], good=True)
        or answer_problem(conversation, rejected, other[-1], good=False)
        or conversation.problem(before + good[shared:])
        or conversation.problem(before + bad[shared:])
        or open_problem(conversation, good[-1])
        or open_problem(conversation, bad[-1])
    )
    if problem:
        return problem
    origin = conversation.origin(
        rule,
        [chosen, rejected],
        acts,
        context=context,
        chosen=chosen,
        rejected=rejected,
        weight=weight,
        side=side,
    )
    return finished_pair(conversation, origin, (prompt, answer, other), chosen, margin)


def finished_pair(
    conversation: Conversation,
    origin: Origin,
    sides: tuple[tuple[Message, ...], tuple[Message, ...], tuple[Message, ...]],
    seq: int,
    margin: float,
) -> Candidate:
    """The pair of prompt, chosen and rejected, if the two differ and fit the bounds."""
    prompt, answer, other = sides
    if answer == other or _same_text(answer, other):
        return Dropped("equal-answers", fault=False)
    tools = conversation.tools(seq, prompt + answer + other)
    if isinstance(tools, Dropped):
        return tools
    row = Example("pair", origin, prompt, answer, other, margin=margin, tools=tools)
    return length_problem(conversation, row) or row


def open_problem(conversation: Conversation, tip: int) -> Dropped | None:
    """Whether the message that ends in turn `tip` makes a call that nobody answered."""
    return Dropped("call-without-result") if conversation.is_open(tip) else None


def _shared(conversation: Conversation, good: Sequence[int], bad: Sequence[int]) -> int:
    """How many first turns both segments share, up to the last tool result."""
    shared = 0
    if len(good) == 1 or len(bad) == 1:
        return shared
    for index, (one, other) in enumerate(zip(good[:-1], bad[:-1], strict=False)):
        if one != other:
            break
        if conversation.role(one) == "tool":
            shared = index + 1
    return shared


def _same_text(one: tuple[Message, ...], other: tuple[Message, ...]) -> bool:
    if not (len(one) == len(other) == 1) or has_calls(one) or has_calls(other):
        return False
    first, second = one[0]["content"], other[0]["content"]
    # Most texts differ in their first words, and need not be taken apart as a whole.
    if first.split(None, 3)[:3] != second.split(None, 3)[:3]:
        return False
    return first.split() == second.split() and text_chars(one) > 0
