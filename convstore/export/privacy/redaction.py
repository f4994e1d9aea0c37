"""Personal data out of the text of a session, before any row is made of it.

The same value has the same stand-in throughout one session, and none across sessions.
Which values are found is a matter of patterns: this lowers a risk, and removes none.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from convstore.export.formats.pictures import is_image
from convstore.export.options import ExportOptions
from convstore.export.privacy.findings import FindCache, Finder, Found
from convstore.export.privacy.patterns import KINDS, VERSION, find_patterns
from convstore.vocabulary.checkpoints import NO_CHECKPOINTS
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import (
    GraphState,
    Interaction,
    Item,
    Json,
    SessionDocument,
    Turn,
)

CACHE_TEXTS = 50_000
"""Texts whose finds are remembered: greetings and system prompts come again."""


class Redacted(NamedTuple):
    """A session without what was found, and how often each kind was."""

    document: SessionDocument
    counts: Counter[str]


Redactor = Callable[[SessionDocument], Redacted]


def redactor(options: ExportOptions) -> Redactor | None:
    """The redactor that the options name; None leaves text as it is.

    Raises:
        InvalidInputError: No redactor has this name.
        MissingExtraError: It needs a package that is not installed.
    """
    finder = finder_of(options.redact)
    if finder is None:
        return None
    path = options.redaction_cache
    find = _Memory(finder, FindCache(path, finder) if path else None)
    return lambda document: _Session(find).document(document)


def finder_of(name: str | None) -> Finder | None:
    """The finder of this name; None for None.

    Raises:
        InvalidInputError: No finder has this name.
        MissingExtraError: It needs a package that is not installed.
    """
    if name is None:
        return None
    if name == "regex":
        return Finder(name, str(VERSION), KINDS, _regex)
    if name == "presidio":
        from convstore.export.privacy.presidio import presidio_finder

        return presidio_finder()
    raise InvalidInputError("redact", f"{name!a} is not known")


def _regex(text: str) -> Sequence[Found]:
    return [Found(*found) for found in find_patterns(text)]


class _Memory:
    """Finds what is personal in a text, unless that is known from another one.

    The texts met last are known by their hash, and those that the cache holds.
    """

    def __init__(self, finder: Finder, cache: FindCache | None) -> None:
        self._find, self._cache = finder.find, cache
        self._known: dict[bytes, Sequence[Found]] = {}
        told = "\0".join((finder.name, finder.version, *finder.kinds, ""))
        self._finder = hashlib.sha256(told.encode())

    def __call__(self, text: str) -> Sequence[Found]:
        sha = self._finder.copy()
        sha.update(text.encode())
        key = sha.digest()
        found = self._known.pop(key, None)
        if found is None:
            found = self._sought(key, text)
        self._known[key] = found
        if len(self._known) > CACHE_TEXTS:
            del self._known[next(iter(self._known))]
        return found

    def _sought(self, key: bytes, text: str) -> Sequence[Found]:
        if self._cache is None:
            return self._find(text)
        found = self._cache.get(key)
        if found is None:
            found = self._find(text)
            self._cache.put(key, found)
        return found


class _Session:
    """Redacts one session: knows which values it has met."""

    def __init__(self, find: _Memory) -> None:
        self._find = find
        self._names: dict[tuple[str, str], str] = {}
        self._numbers: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()

    def document(self, document: SessionDocument) -> Redacted:
        session = replace(
            document.session,
            title=self._text(document.session.title),
            metadata=self._json(document.session.metadata),
            current_slots=self._json(document.session.current_slots),
        )
        redacted = replace(
            document,
            session=session,
            turns=tuple(self._turn(turn) for turn in document.turns),
            interactions=tuple(self._act(act) for act in document.interactions),
            graph_states=tuple(self._state(s) for s in document.graph_states),
            adapter_state=self._json(document.adapter_state),
            items=tuple(self._item(item) for item in document.items),
            # As payloads: bytes in which nothing can be found or replaced.
            checkpoints=NO_CHECKPOINTS,
        )
        return Redacted(redacted, self.counts)

    def _turn(self, turn: Turn) -> Turn:
        return replace(
            turn,
            content=self._text(turn.content),
            parts=self._json(turn.parts),
            resolved_question=self._text(turn.resolved_question),
            slots=self._json(turn.slots),
            results=self._json(turn.results),
            metadata=self._json(turn.metadata),
            # Bytes of a framework, in which nothing can be found or replaced.
            payload=None,
            payload_format=None,
        )

    def _act(self, act: Interaction) -> Interaction:
        return replace(
            act,
            content=self._text(act.content),
            reason=self._text(act.reason),
            shown=self._json(act.shown),
            metadata=self._json(act.metadata),
        )

    def _state(self, state: GraphState) -> GraphState:
        return replace(
            state, state=self._json(state.state), metadata=self._json(state.metadata)
        )

    def _item(self, item: Item) -> Item:
        return replace(item, value=self._json(item.value))

    def _json(self, value: Json) -> Json:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self._json(item) for item in value]
        if isinstance(value, dict):
            if is_image(value):
                return value  # Bytes in Base64, in which digits mean nothing.
            return {key: self._json(item) for key, item in value.items()}
        return value

    def _text(self, text: Json) -> Json:
        found = self._find(text) if text else ()
        if not found:
            return text
        parts: list[str] = []
        at = 0
        for hit in found:
            parts += [
                text[at : hit.start],
                self._name(hit.kind, text[hit.start : hit.end]),
            ]
            at = hit.end
            self.counts[hit.kind] += 1
        return "".join([*parts, text[at:]])

    def _name(self, kind: str, value: str) -> str:
        key = (kind, value.casefold())
        if key not in self._names:
            self._numbers[kind] += 1
            self._names[key] = f"<{kind}_{self._numbers[kind]}>"
        return self._names[key]
