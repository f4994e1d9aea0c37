"""What a source said of a turn, kept as it was where the turn says less. Pure.

A turn has its source's own object as payload if that object holds anything that neither
the turn nor what was cut out of the same object tells: so nothing is lost, and nothing
is kept twice without need.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence

from convstore.imports.said import Said
from convstore.vocabulary.records import Json

MOST_BYTES = 4 * 1024 * 1024
"""Of the payload of one turn, which must fit the turn with all else."""

_LONG = 4096
"""Characters from which on text is looked at as the bytes of a file."""

_MOST_SEARCHED = 20_000_000
"""Characters of longer texts that are searched for the texts of one source."""

_SURE = 12
"""Characters of text that is taken for said if it stands in longer text."""

_TOLD = frozenset(
    "id uuid _id role type kind created_at createdAt create_time timestamp time date "
    "parent parentId parent_id parentUuid parent_message_uuid parentMessageId children "
    "childrenIds conversationId conversation_id session_id sessionId thread_id "
    "threadId part_kind content_type total_tokens total_token_count".split()
)
"""Keys whose values become ids, times, authors and places of turns."""

_TIMES = frozenset(
    "created_at createdAt create_time timestamp time date send_date "
    "datetime_utc".split()
)
"""Those that become the time of a turn, where they can be read."""

_USUAL = {
    "status": ("completed", "finished_successfully", "success", "COMPLETED"),
    "state": ("complete", "done", "output-available"),
}
"""What a tool says of a message that came to its end as it should."""


class Sources:
    """The objects that a conversation's turns were made of.

    Args:
        told: Keys that the format reads whole, besides those that all do.
    """

    def __init__(self, told: Iterable[str] = ()) -> None:
        self._told = _TOLD | frozenset(told)
        self._timeless = self._told - _TIMES
        self._noted: list[tuple[Sequence[Said], Json]] = []

    def note(self, steps: Sequence[Said], source: Json) -> None:
        """Note that steps were made of an object; the first of them may get it."""
        if steps and source:
            self._noted.append((steps, source))

    def payloads(self, around: Json) -> dict[int, list[Json]]:
        """The objects that say more than their steps and what is `around` them, by `id`
        of the first step; to be asked when the steps are as they will be."""
        found: dict[int, list[Json]] = {}
        more: set[int] = set()
        for steps, source in self._noted:
            first, said = id(steps[0]), _Told(steps, around)
            found.setdefault(first, []).append(_without_files(source, said))
            told = self._timeless if steps[0].at is None else self._told
            if first not in more and said.less_than(source, told):
                more.add(first)
        return {key: found[key] for key in more}


def as_payload(sources: list[Json], room: int = MOST_BYTES) -> bytes | None:
    """Objects as JSON, one by itself and several as a list; None for too much, or for
    more than there is room for.

    The bytes of files, which are in the parts, are told by their SHA-256.
    """
    value = sources[0] if len(sources) == 1 else sources
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return None
    try:
        data = text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        data = json.dumps(value, separators=(",", ":")).encode()
    return data if len(data) <= min(MOST_BYTES, room) else None


class _Told:
    """What steps say."""

    def __init__(self, steps: Sequence[Said], around: Json) -> None:
        self._room = _MOST_SEARCHED
        self._known: set[object] = set()
        self._texts: list[str] = []
        for told in (around, *map(_of_step, steps)):
            for key, value in _leaves(told, frozenset()):
                self._known.add(value if isinstance(value, str) else (key, value))
                if isinstance(value, str) and len(value) > _SURE:
                    self._texts.append(value)

    def has(self, text: str) -> bool:
        """Whether text stands by itself or, if it is long enough, in other text."""
        if text in self._known:
            return True
        if len(text) < _SURE:
            return False
        for longer in self._texts:
            # What is not looked for is kept twice, which costs less than time.
            self._room -= len(longer)
            if self._room < 0:
                return False
            if text in longer:
                return True
        return False

    def less_than(self, source: Json, passed_over: frozenset[str]) -> bool:
        """Whether a source says anything else."""
        return any(
            not self.has(value)
            if isinstance(value, str)
            else (key, value) not in self._known
            for key, value in _leaves(source, passed_over)
        )


def _without_files(value: Json, said: _Told) -> Json:
    if isinstance(value, str):
        is_file = len(value) > _LONG and value.isascii() and " " not in value[:_LONG]
        if not is_file or not said.has(value):
            return value
        return f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"
    if isinstance(value, list):
        return [_without_files(item, said) for item in value]
    if isinstance(value, dict):
        return {key: _without_files(item, said) for key, item in value.items()}
    return value


def _of_step(said: Said) -> Json:
    return {
        "content": _unpacked(said.content),
        "parts": [_with_arguments(part) for part in said.parts],
        "name": said.name,
        "tool_call_id": said.tool_call_id,
        "model": said.model,
        "finish_reason": said.finish_reason,
        "input_tokens": said.tokens_in,
        "output_tokens": said.tokens_out,
        "language": said.language,
        "metadata": said.metadata,
    }


def _with_arguments(part: Json) -> Json:
    """A part, and what the arguments of a call say."""
    call = part.get("function") if isinstance(part, dict) else None
    if not isinstance(call, dict):
        return part
    return [part, _unpacked(call.get("arguments"))]


def _unpacked(text: Json) -> Json:
    """Text, and what it says where it is JSON."""
    if not isinstance(text, str) or text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        return [text, json.loads(text)]
    except (ValueError, RecursionError):
        return text


def _leaves(value: Json, told: frozenset[str]) -> Iterator[tuple[str, Json]]:
    """What a value says, under which keys. Nothing, false, zero and empty text are
    what a tool writes where it has nothing to say."""
    waiting: list[tuple[str, Json]] = [("", value)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [pair for pair in value.items() if pair[0] not in told]
        elif isinstance(value, list):
            waiting += [(key, item) for item in value]
        elif value and value not in _USUAL.get(key, ()):
            yield key, value
