"""Personal data out of the text of a session, before any row is made of it.

The same value has the same stand-in throughout one session, and none across sessions.
Which values are found is a matter of patterns: this lowers a risk, and removes none.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from convstore.errors import InvalidInputError
from convstore.export.options import ExportOptions
from convstore.export.patterns import find_patterns
from convstore.export.pictures import is_image
from convstore.records import GraphState, Interaction, Json, SessionDocument, Turn

CACHE_TEXTS = 50_000
"""Texts whose finds are remembered: greetings and system prompts come again."""


@dataclass(frozen=True, slots=True)
class Found:
    """A stretch of text that is personal: from `start` up to `end`, exclusive."""

    start: int
    end: int
    kind: str


class Finder(Protocol):
    """Finds personal data. Pure: the same text gives the same answer."""

    def __call__(self, text: str) -> Sequence[Found]:
        """What is personal in the text, in order, without overlaps."""
        ...


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
    if options.redact is None:
        return None
    if options.redact == "regex":
        finder: Finder = _regex
    elif options.redact == "presidio":
        from convstore.export.presidio import presidio_finder

        finder = presidio_finder()
    else:
        raise InvalidInputError("redact", f"{options.redact!a} is not known")
    cached = _Cached(finder)
    return lambda document: _Session(cached).document(document)


def _regex(text: str) -> Sequence[Found]:
    return [Found(*found) for found in find_patterns(text)]


class _Cached:
    """Remembers the finds of the texts met last, by their hash."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._known: dict[bytes, Sequence[Found]] = {}

    def __call__(self, text: str) -> Sequence[Found]:
        key = hashlib.sha256(text.encode()).digest()
        found = self._known.pop(key, None)
        if found is None:
            found = self._finder(text)
        self._known[key] = found
        if len(self._known) > CACHE_TEXTS:
            del self._known[next(iter(self._known))]
        return found


class _Session:
    """Redacts one session: knows which values it has met."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
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
        found = self._finder(text) if text else ()
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
