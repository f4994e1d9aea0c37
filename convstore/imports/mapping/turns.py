"""The turns of a mapped record.

Texts and graphs are moved out of the record; each move is noted, in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convstore.imports.chat import role_of
from convstore.imports.extras import external_id, keep
from convstore.imports.fields import (
    need_list,
    need_object,
    need_text,
    text_or_none,
    time_or_none,
)
from convstore.imports.mapping.file import Answers, OneTurn, TurnList
from convstore.imports.mapping.paths import find, locate, take
from convstore.vocabulary.records import Json, JsonObject, TurnInput


class TurnReader:
    """One record on its way: the turns so far, and what is left of the record.

    Attributes:
        items: The items of the list of turns that are objects, each with the `seq` of
            its turn.
        moved: What was moved out: kind, keys, and where it is now.
    """

    def __init__(self, record: JsonObject) -> None:
        self.record = record
        self.left_over = record
        self.turns: list[TurnInput] = []
        self.items: list[tuple[int, JsonObject]] = []
        self.moved: list[Json] = []

    def add_turn(self, turn: OneTurn) -> None:
        """Add a turn of its own, or nothing when none of its fields is there."""
        paths = [turn.text] if isinstance(turn.text, str) else turn.text
        values = [(path, find(self.record, path)) for path in paths]
        texts = [need_text(path, text) for path, text in values if text is not None]
        if not texts:
            return
        name = text_or_none(find(self.record, turn.name)) if turn.name else None
        # An empty part of several adds nothing; a single empty text is said.
        said = [text for text in texts if text or len(paths) == 1]
        self._add(turn.role, "\n\n".join(said), name=name)
        if len(paths) == 1:
            self.move("text", paths[0], len(self.turns))

    def add_list(self, turns: TurnList) -> None:
        """Add the turns of a list; none when it is not there."""
        items = find(self.record, turns.path)
        if items is None:
            return
        first = len(self.turns) + 1
        for place, item in enumerate(need_list(turns.path, items)):
            field = f"{turns.path}[{place}]"
            if turns.text is None:
                self._add_spoken(turns.speakers, item, field)
            else:
                self._add_item(turns, turns.text, item, field)
        lengths = [len(item) if isinstance(item, list) else 0 for item in items]
        count = len(self.turns) - first + 1
        self.move("list", turns.path, first, count, lengths if any(lengths) else [])

    def add_answers(self, answers: Answers) -> list[int]:
        """Add sibling answers to the last turn; their places."""
        fork = len(self.turns)
        if isinstance(answers.text, str):
            path = answers.text
            texts = need_list(path, find(self.record, path))
            given = [(f"{path}[{place}]", text) for place, text in enumerate(texts)]
        else:
            given = [(path, find(self.record, path)) for path in answers.text]
        for place, (field, value) in enumerate(given):
            parent = fork if place else None
            self._add(answers.role, need_text(field, value), parent_seq=parent)
            if not isinstance(answers.text, str):
                self.move("text", field, len(self.turns))
        if isinstance(answers.text, str):
            self.move("answers", answers.text, fork + 1)
        return list(range(fork + 1, len(self.turns) + 1))

    def move(self, kind: str, path: str, *where: Json) -> None:
        """Move the value at `path` out of what is left."""
        keys = locate(self.left_over, path)
        if keys:
            self.left_over = take(self.left_over, keys)
            self.moved.append([kind, keys, *where])

    def _add_spoken(self, speakers: Sequence[str], item: Json, field: str) -> None:
        if not isinstance(item, list):
            role = speakers[len(self.turns) % len(speakers)]
            self._add(role, need_text(field, item))
            return
        for place, text in enumerate(need_list(field, item)):
            self._add(speakers[place % len(speakers)], need_text(field, text))

    def _add_item(self, turns: TurnList, key: str, item: Json, field: str) -> None:
        message = need_object(field, item)
        left_over = {name: value for name, value in message.items() if name != key}
        self._add(
            _role(turns, message, field),
            need_text(f"{field}.{key}", message.get(key)),
            name=text_or_none(message.get(turns.name)) if turns.name else None,
            created_at=time_or_none(message.get(turns.created_at or "")),
            metadata=keep(left_over, {}),
        )
        self.items.append((len(self.turns), message))

    def _add(self, role: str, content: str, **fields: Any) -> None:
        number = external_id(len(self.turns) + 1)
        self.turns.append(TurnInput(role, content, external_id=number, **fields))


def _role(turns: TurnList, message: JsonObject, field: str) -> str:
    given = message.get(turns.role) if turns.role else None
    if given is None:
        return turns.default_role
    if isinstance(given, str) and given in turns.roles:
        return turns.roles[given]
    if "*" in turns.roles:
        return turns.roles["*"]
    return role_of(f"{field}.{turns.role}", given)[0]
