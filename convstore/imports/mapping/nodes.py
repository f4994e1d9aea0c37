"""Messages of any shape as a conversation, by a mapping: trees, nests, rows. Pure.

A list, an object of nodes by id, nodes that hold those that follow them, or the rows of
a group: each becomes a turn that keeps the source's own id, so that a later export of
the same conversation adds what is new.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from convstore.imports.chat import role_of
from convstore.imports.fields import number_or_none, text_or_none, time_or_none
from convstore.imports.mapping.file import Judgements, Messages, Skip
from convstore.imports.mapping.paths import find, locate, take
from convstore.imports.steps import Steps, merge_text
from convstore.imports.talk import Said, Talk, Vote
from convstore.vocabulary.codec import decode_json
from convstore.vocabulary.errors import CorruptionError, InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

MOST_NODES = 100_000
"""Of one conversation; they are held in memory together."""


class NodeReader:
    """Reads the messages of one conversation into a talk.

    Attributes:
        absent: Paths of a message that no message had so far.
    """

    def __init__(self, messages: Messages, absent: set[str]) -> None:
        self._messages = messages
        self._absent = absent
        self._judgements: list[Judgements] = []

    def read(self, talk: Talk, record: Json, judgements: Iterable[Judgements]) -> None:
        """Say everything that the record holds; a group's is the list of its rows.

        Raises:
            InvalidInputError: A message is none, or there are too many.
        """
        self._judgements = [j for j in judgements if j.inside == "messages"]
        place = self._messages.path
        given = find(record, place) if place else record
        if given is None:
            return
        before: str | None = None
        for node_id, parent, item in self._walk(given, None, ""):
            if self._messages.parent is None and self._messages.children is None:
                parent = before
            self._say(talk, node_id, parent, item)
            before = node_id
        if self._messages.head is not None:
            talk.head = word_of(find(record, self._messages.head))

    def _walk(
        self, given: Json, above: str | None, way: str
    ) -> Iterator[tuple[str, str | None, JsonObject]]:
        """Each node with its id and what it follows, nested ones behind their own."""
        waiting = [(given, above, way)]
        count = 0
        while waiting:
            nodes, parent, way = waiting.pop()
            for name, node in self._named(nodes, way):
                if not isinstance(node, dict):
                    kind = type(node).__name__
                    raise InvalidInputError(
                        f"{self._messages.path or 'rows'}[]",
                        f"must be an object, not {kind}",
                    )
                count += 1
                if count > MOST_NODES:
                    raise InvalidInputError("messages", f"are more than {MOST_NODES}")
                node_id = self._text(node, self._messages.id) or name
                follows = self._text(node, self._messages.parent) or parent
                yield node_id, follows, node
                if self._messages.children is not None:
                    below = self._find(node, self._messages.children)
                    if below:
                        waiting.append((below, node_id, f"{name}."))

    def _named(self, nodes: Json, way: str) -> Iterable[tuple[str, Json]]:
        """Nodes by the key that they have in an object, or by their place."""
        if isinstance(nodes, dict):
            return nodes.items()
        if isinstance(nodes, list):
            return [(f"{way}{place}", node) for place, node in enumerate(nodes, 1)]
        field = self._messages.path or "record"
        raise InvalidInputError(field, "must be a list or an object of messages")

    def _say(
        self, talk: Talk, node_id: str, parent: str | None, node: JsonObject
    ) -> None:
        messages = self._messages
        said = Said(node_id, "user", parent=parent)
        if any(self._skips(skip, node) for skip in messages.skip):
            talk.pass_through(node_id, parent)
            talk.drop("message_skipped")
            return
        self._fill(talk, said, node)
        if said.content is None and not said.parts:
            talk.pass_through(node_id, parent)
            talk.drop("message_without_text")
            return
        talk.say(said)
        for number, judgements in enumerate(self._judgements):
            for vote in votes_of(judgements, node, f"{node_id}#{number}", node_id):
                talk.vote(vote)

    def _fill(self, talk: Talk, said: Said, node: JsonObject) -> None:
        messages = self._messages
        said.role = _role(messages, self._find(node, messages.role))
        texts = messages.text
        for path in [texts] if isinstance(texts, str) else texts:
            value = self._find(node, path)
            if value in (None, "", []):
                continue
            before = said.content
            Steps(talk).fill(said, value)
            merge_text(said)
            if before and said.content:
                said.content = f"{before}\n\n{said.content}"
        said.at = time_or_none(self._find(node, messages.created_at))
        for name in _TEXTS:
            setattr(said, name, self._text(node, getattr(messages, name)))
        for name in _NUMBERS:
            value = self._find(node, getattr(messages, name))
            setattr(said, name, value if type(value) is int and value >= 0 else None)
        parts = _decoded(self._find(node, messages.parts))
        said.parts += parts if isinstance(parts, list) else []
        tools = _decoded(self._find(node, messages.tools))
        said.tools = tools if isinstance(tools, list) else None
        results = _decoded(self._find(node, messages.results))
        if isinstance(results, list) and all(isinstance(r, dict) for r in results):
            said.results = results
        slots = _decoded(self._find(node, messages.slots))
        if isinstance(slots, dict):
            said.slots = {k: word for k, v in slots.items() if (word := word_of(v))}
        said.metadata = self._left_over(node)

    def _left_over(self, node: JsonObject) -> JsonObject:
        left: Any = node
        for path in self._messages.taken():
            keys = locate(left, path)
            if keys:
                left = take(left, keys)
        assert isinstance(left, dict)
        return {
            key: value for key, value in left.items() if value not in (None, {}, [])
        }

    def _skips(self, skip: Skip, node: JsonObject) -> bool:
        value = self._find(node, skip.field)
        return value in (None, "", []) if skip.values is None else value in skip.values

    def _find(self, node: JsonObject, path: str | None) -> Json:
        if path is None:
            return None
        value = find(node, path)
        if value is not None:
            self._absent.discard(path)
        return value

    def _text(self, node: JsonObject, path: str | None) -> str | None:
        return word_of(self._find(node, path))


def votes_of(
    table: Judgements, record: JsonObject, prefix: str, on: str | None
) -> Iterator[Vote]:
    """The judgements that a record or a message holds."""
    given = find(record, table.path) if table.path else record
    items = given if isinstance(given, list) else [given]
    for place, item in enumerate(items):
        if item is None:
            continue
        if not isinstance(item, dict):
            item = {"value": item}
        vote = _vote(table, item, f"{prefix}:{place}", on)
        if vote is not None:
            yield vote


def _vote(
    table: Judgements, item: JsonObject, name: str, on: str | None
) -> Vote | None:
    def value(path: str | None) -> Json:
        return None if path is None else find(item, path)

    told = value(table.label)
    word = word_of(told)
    label = table.labels.get(word or "", None if table.labels else word)
    score = table.scores.get(word or "")
    if score is None and table.score is not None:
        score = _number(value(table.score))
    chosen, rejected = word_of(value(table.chosen)), _words(value(table.rejected))
    content, reason = text_or_none(value(table.content)), word_of(value(table.reason))
    if label is None and score is None and not rejected and content is None:
        return None
    shown = value(table.shown)
    scaled = table.scale is not None and score is not None
    return Vote(
        id=word_of(value(table.id)) or name,
        on=word_of(value(table.on)) or on,
        label=label,
        score=score,
        rater=word_of(value(table.actor)),
        kind=table.kind,
        reason=reason,
        content=content,
        at=time_or_none(value(table.created_at)),
        metadata={"scale": list(table.scale or ())} if scaled else {},
        action=word_of(value(table.action_field)) or table.action,
        chosen=chosen,
        rejected=rejected,
        node_id=word_of(value(table.node_id)),
        shown=shown if isinstance(shown, dict) else None,
        surface=word_of(value(table.surface)),
    )


def word_of(value: Json) -> str | None:
    """A value as one word: text, a number or a truth; None for anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return value if isinstance(value, str) and value else None


def _number(value: Json) -> float | None:
    """A number, also as the text that a table's cell holds."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
        return value if math.isfinite(value) else None
    return number_or_none(value)


def _words(value: Json) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(word for item in values if (word := word_of(item)) is not None)


def _role(messages: Messages, value: Json) -> str:
    word = word_of(value)
    if word is None:
        return messages.default_role
    if word in messages.roles:
        return messages.roles[word]
    if "*" in messages.roles:
        return messages.roles["*"]
    return role_of(f"messages.{messages.role}", word)[0]


def _decoded(value: Json) -> Json:
    """JSON that a table's cell holds as text."""
    if not isinstance(value, str):
        return value
    try:
        return decode_json(value)
    except CorruptionError:
        return None


_TEXTS = (
    "name tool_call_id model finish_reason language resolved_question template_id"
).split()
_NUMBERS = "tokens_in tokens_out cost_micros".split()


def facts_of(record: Json) -> JsonObject:
    """What a record says of its conversation. Of rows that form one, or of a list of
    messages, the first value of each field."""
    if isinstance(record, dict):
        return record
    facts: JsonObject = {}
    for row in record if isinstance(record, list) else ():
        if not isinstance(row, dict):
            continue
        for key, value in row.items():
            if facts.get(key) is None:
                facts[key] = value
    return facts
