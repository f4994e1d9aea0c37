"""Mapping files: which fields of an unknown record hold the turns and the judgements.

A mapping is a TOML file. Paths go down by dots, numbers count items of a list from 0:
`feedback.errors.0`. `records.py` applies it.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from convstore.vocabulary.errors import ConfigError
from convstore.vocabulary.records import DEFAULT_NAMESPACE, ActorKind

FieldPath = Annotated[str, Field(min_length=1)]
OneOrMany = FieldPath | Annotated[list[FieldPath], Field(min_length=1)]
Word = Annotated[str, Field(min_length=1, max_length=255)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class SessionFields(_Table):
    """Where the facts about the session are; several paths of an id join with `/`."""

    id: OneOrMany | None = None
    user_id: FieldPath | None = None
    language: FieldPath | None = None
    title: FieldPath | None = None
    tags: FieldPath | None = None
    created_at: FieldPath | None = None


class OneTurn(_Table):
    """A turn of its own; texts of several fields are joined by an empty line."""

    role: Word
    text: OneOrMany
    name: FieldPath | None = None


class TurnList(_Table):
    """A list of turns.

    Attributes:
        path: Where the list is.
        text: The field of an item that holds its text; with `speakers` left out.
        role: The field of an item that holds its role; `default_role` where it is not.
        roles: Our word for each of the source's; `*` for any other.
        name: The field of an item that holds the speaker's name.
        created_at: The field of an item that holds its time.
        speakers: The roles in turn, where items are texts, or lists of texts.
    """

    path: FieldPath
    text: FieldPath | None = None
    role: FieldPath | None = None
    default_role: Word = "user"
    roles: dict[str, Word] = {}
    name: FieldPath | None = None
    created_at: FieldPath | None = None
    speakers: list[Word] = []

    @model_validator(mode="after")
    def _one_way(self) -> TurnList:
        if (self.text is None) == (not self.speakers):
            raise ValueError("needs either text or speakers")
        return self


class Answers(_Table):
    """Sibling answers to the turns before; `ranked` when they come best first."""

    text: OneOrMany
    role: Word = "assistant"
    ranked: bool = False


class _Judgement(_Table):
    field: FieldPath
    actor: Word | None = None
    kind: ActorKind = "human"


class Votes(_Judgement):
    """Whose answer is better: a number, 1 for the first of `between`; `tie` for none.

    `between` names answers by place, from 1; all of them where it is left out.
    """

    between: Annotated[list[int], Field(min_length=2)] | None = None
    tie: int = 0
    values: dict[str, int] = {}


class Feedback(_Judgement):
    """A judgement of the session, of each item of `[turns]`, or of one answer.

    `scores` and `labels` tell what a value means; a number without `scores` is the
    score. `scale` is kept with the score. Values that mean nothing are passed over.
    """

    on: Literal["session", "turns", "answer"] = "session"
    answer: int = 1
    scores: dict[str, float] = {}
    labels: dict[str, Word] = {}
    scale: tuple[float, float] | None = None


class Edit(_Judgement):
    """A corrected answer, as text."""

    answer: int = 1


class Steps(_Table):
    """A chain of reasoning: texts that become a graph state of one node each.

    `first_wrong` names the field with the place, from 0, of the first wrong step: the
    steps before it are `correct`, it is `incorrect`, the rest is not judged. Null means
    that all are right.
    """

    path: FieldPath
    first_wrong: FieldPath | None = None
    kind: ActorKind = "human"


class Graph(_Table):
    """Any JSON that is kept as a graph state, as it is."""

    path: FieldPath
    namespace: Word = DEFAULT_NAMESPACE


class Skip(_Table):
    """Messages to pass over: whose field has one of these values, or, without values,
    is absent or empty. What follows them follows what they follow."""

    field: FieldPath
    values: list[str | int | bool] | None = None


class Group(_Table):
    """Rows that form one conversation, wherever they stand in the file.

    `by` names what they share, `order` what sorts them: times, numbers or text, and
    then their place in the file.
    """

    by: OneOrMany
    order: OneOrMany = []


class Messages(_Table):
    """Messages of any shape; all but `path` and `head` are paths within a message.

    Attributes:
        path: A list of messages, or an object of them by their ids. Left out for the
            rows of a group, or a record that is the list itself.
        id: Their own ids; the key in an object, or the place, where left out.
        parent: The id of the message that each follows; where neither this nor
            `children` is named, each follows the one before.
        children: Where a message holds those that follow it.
        skip: Messages to pass over.
        head: Where the record names the message that is shown last.
        text: What was said: text, parts or any JSON; of several fields all that is
            there, joined by an empty line.
        roles: Our word for each of the source's; `*` for any other, `true` and `false`
            where it is a truth.
    """

    path: str = ""
    id: FieldPath | None = None
    parent: FieldPath | None = None
    children: FieldPath | None = None
    skip: list[Skip] = []
    head: FieldPath | None = None
    role: FieldPath | None = None
    default_role: Word = "user"
    roles: dict[str, Word] = {}
    text: OneOrMany
    parts: FieldPath | None = None
    created_at: FieldPath | None = None
    name: FieldPath | None = None
    tool_call_id: FieldPath | None = None
    model: FieldPath | None = None
    finish_reason: FieldPath | None = None
    tokens_in: FieldPath | None = None
    tokens_out: FieldPath | None = None
    cost_micros: FieldPath | None = None
    language: FieldPath | None = None
    resolved_question: FieldPath | None = None
    template_id: FieldPath | None = None
    slots: FieldPath | None = None
    results: FieldPath | None = None
    tools: FieldPath | None = None

    @model_validator(mode="after")
    def _one_tree(self) -> Messages:
        if self.parent is not None and self.children is not None:
            raise ValueError("takes either parent or children")
        return self

    def taken(self) -> list[str]:
        """The paths within a message whose values go into its turn."""
        named: list[OneOrMany | None] = [
            getattr(self, name)
            for name in type(self).model_fields
            if name not in ("path", "skip", "head", "default_role", "roles")
        ]
        lists = [[one] if isinstance(one, str) else one or [] for one in named]
        return list(dict.fromkeys(path for paths in lists for path in paths))


class Judgements(_Table):
    """Judgements of messages: every field of an interaction, by its path.

    Attributes:
        inside: Whether `path` begins in the record or in each message.
        path: Where they are: a list of them, or one; of what is no object the only
            field is `value`. Left out where the record or message has the fields.
        on: The id of the message that is judged; in messages their own.
        label: What `labels` gives another word for. With `labels`, words that are not
            in it are passed over.
        score: A number; `scores` gives one for a word of `label`.
        chosen: The id of the better message, `rejected` those of the others.
    """

    inside: Literal["record", "messages"] = "record"
    path: str = ""
    id: FieldPath | None = None
    on: FieldPath | None = None
    action: Word = "feedback"
    action_field: FieldPath | None = None
    label: FieldPath | None = None
    labels: dict[str, Word] = {}
    score: FieldPath | None = None
    scores: dict[str, float] = {}
    scale: tuple[float, float] | None = None
    actor: FieldPath | None = None
    kind: ActorKind = "human"
    reason: FieldPath | None = None
    content: FieldPath | None = None
    chosen: FieldPath | None = None
    rejected: FieldPath | None = None
    node_id: FieldPath | None = None
    shown: FieldPath | None = None
    surface: FieldPath | None = None
    created_at: FieldPath | None = None


class Mapping(_Table):
    """A whole mapping file.

    The turns come in this order: each `[[turn]]`, the list of `[turns]`, `[answers]`.
    Or they are `[messages]`, of one record or of a `[group]` of rows, with
    `[[judgements]]` of them.
    """

    name: Word = "map"
    session: SessionFields = SessionFields()
    turn: list[OneTurn] = []
    turns: TurnList | None = None
    answers: Answers | None = None
    votes: list[Votes] = []
    feedback: list[Feedback] = []
    edits: list[Edit] = []
    steps: Steps | None = None
    graphs: list[Graph] = []
    group: Group | None = None
    messages: Messages | None = None
    judgements: list[Judgements] = []

    @model_validator(mode="after")
    def _has_turns(self) -> Mapping:
        if self.messages is not None:
            others = (self.turn, self.turns, self.answers, self.feedback, self.steps)
            if any(others):
                raise ValueError("[messages] go without other turns and [[feedback]]")
            return self
        if self.group is not None or self.judgements:
            raise ValueError("[group] and [[judgements]] need [messages]")
        if not self.turn and self.turns is None:
            raise ValueError("needs [[turn]], [turns] or [messages]")
        on_answers = [f for f in self.feedback if f.on == "answer"]
        if self.answers is None and (self.votes or self.edits or on_answers):
            raise ValueError("judges answers: needs [answers]")
        return self

    def paths(self) -> list[str]:
        """Every path from the record on, in the order of the tables."""
        session = self.session
        named = [session.id, session.user_id, session.language, session.title]
        named += [session.tags, session.created_at]
        for turn in self.turn:
            named += [turn.text, turn.name]
        named += [part.path for part in (self.turns, self.steps) if part is not None]
        named += [self.steps.first_wrong if self.steps else None]
        named += [self.answers.text if self.answers else None]
        named += [judged.field for judged in (*self.votes, *self.edits)]
        named += [judged.field for judged in self.feedback if judged.on != "turns"]
        named += [graph.path for graph in self.graphs]
        if self.messages is not None:
            named += [self.messages.path or None, self.messages.head]
        lists = [[one] if isinstance(one, str) else one or [] for one in named]
        return list(dict.fromkeys(path for paths in lists for path in paths))


def load_mapping(path: str | os.PathLike[str]) -> Mapping:
    """The mapping of a TOML file.

    Raises:
        ConfigError: It cannot be read, is no TOML, or says something unknown; names
            the key.
    """
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    return read_mapping(data, str(path))


def read_mapping(data: object, where: str = "mapping") -> Mapping:
    """The mapping of parsed TOML; errors as `load_mapping`."""
    try:
        return Mapping.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}"
            for e in error.errors(include_input=False, include_url=False)
        )
        raise ConfigError(f"{where}: {problems}") from None
