"""A turn in pieces to be shown: text, thoughts, calls, results, files. All is text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from convstore.messages.parts import call_of, kind_of, result_of, text_of, thought_of
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import Json, Turn

_MOST_CHARS = 20_000
"""Of one piece: what a tool gave back may have megabytes."""
_FOLD_CHARS = 600


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a turn: `kind` is text, thought, call, result or file.

    `name` is what a folded one is called; `cut` how many characters are not shown.
    """

    kind: str
    text: str
    name: str = ""
    cut: int = 0

    @property
    def folded(self) -> bool:
        """Whether it is shown at a click."""
        return self.kind != "text"


def pieces_of(turn: Turn) -> tuple[Piece, ...]:
    """The pieces of a turn in their order; thoughts come first."""
    return tuple(_pieces(turn))


def _pieces(turn: Turn) -> Iterator[Piece]:
    parts = turn.parts or []
    in_parts = any(kind_of(part) == "text" for part in parts)
    for part in parts:
        if kind_of(part) == "thought":
            yield _piece("thought", thought_of(part) or "", "thought")
    if turn.content and not in_parts:
        long = len(turn.content) > _FOLD_CHARS
        if turn.role == "tool" and long:
            yield _piece("result", turn.content, f"result of {turn.name or 'a tool'}")
        elif turn.role in ("system", "developer") and long:
            yield _piece("result", turn.content, f"{turn.role} message")
        else:
            yield _piece("text", turn.content, "")
    for part in parts:
        if kind_of(part) != "thought":
            yield _part(part)


def _part(part: Json) -> Piece:
    kind = kind_of(part)
    if kind in ("text", "refusal"):
        return _piece("text", text_of(part) or "", "")
    if kind == "call":
        call = call_of(part)
        return _piece("call", _told(call.arguments), f"called {call.name}")
    if kind == "result":
        return _piece("result", _told(result_of(part).content), "result of a tool")
    # Pictures and files too: nothing is loaded, and their bytes are no text.
    return _piece("file", _told(part)[:200], kind if kind != "unknown" else "part")


def _piece(kind: str, text: str, name: str) -> Piece:
    return Piece(kind, text[:_MOST_CHARS], name, max(0, len(text) - _MOST_CHARS))


def _told(value: Json) -> str:
    return value if isinstance(value, str) else dumps(value).decode()
