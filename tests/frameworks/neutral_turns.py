"""Turns as applications and other frameworks write them, drawn at random, and what they
say, word by word: what an adapter that reads them must give."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from convstore.messages.neutral import plain_text, unsaved
from convstore.vocabulary.records import Turn, TurnInput

Word = tuple[Any, ...]

words = st.text(min_size=1, max_size=9).map(plain_text)
# As text: whoever decodes and encodes them again may change what they look like.
arguments = st.dictionaries(words, st.booleans() | words, max_size=2)


def _call(number: int, name: str, given: dict[str, Any]) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(given)}
    return {"id": f"c-{number}", "type": "function", "function": function}


_said = st.builds(TurnInput, st.sampled_from(["user", "assistant", "system"]), words)
_called = st.builds(
    lambda content, calls: TurnInput(
        "assistant",
        content,
        parts=[_call(number, *each) for number, each in enumerate(calls)],
    ),
    st.none() | words,
    st.lists(st.tuples(words, arguments), min_size=1, max_size=3),
)
# Not an object: some frameworks tell that from its text.
_given = st.builds(
    lambda content, number: TurnInput(
        "tool", f"- {content}", tool_call_id=f"c-{number}", name="f"
    ),
    words,
    st.integers(0, 3),
)
branches = st.lists(st.one_of(_said, _called, _given), max_size=6).map(
    lambda given: [stored(turn, seq) for seq, turn in enumerate(given, 1)]
)
"""Whole paths, as they are read back."""


# What an import, or anybody, may keep under the name of a framework. None has the form
# that an adapter writes.
_OF_OTHERS = [
    b"{",
    b"null",
    b"7",
    b'"text"',
    b"\xff\x00\xfe",
    b"msgpack\x00\xc1",
    b"nobody\x00knows",
    b"[" * 100_000,
    b"[]",
    b'["data"]',
    b'[{"type": "text", "text": "Hm."}]',
    b'[{"role": "user", "content": "Hm."}]',
]
_OBJECTS_OF_OTHERS = [
    b'{"id": ["langchain", "HumanMessage"], "kwargs": {"content": "Hm."}}',
    b'{"id": 7}',
    b'{"id": null}',
    b'{"id": "x"}',
    b'{"id":"x"}',
    b'{"convstore": 2, "id": "x"}',
    b'{"id": "x", "type": "human", "content": "Hm."}',
    b'{"type": "human"}',
    b'{"type": "nobody", "data": {"content": "Hm."}}',
    b'{"type": "human", "data": {}}',
    b'{"type": "human", "data": 7}',
    b'{"data": [1]}',
    b'{"turns": -1}',
    b'{"turns": "2"}',
    b'{"turns": 1, "event": {"author": []}}',
    b'{"turns": null, "event": {"author": "user"}}',
    b'{"message": "Hm."}',
    b'{"role": "user", "content": "Hm."}',
    b'{"role": "nobody", "blocks": []}',
    b'{"role": "user", "blocks": 7}',
    b'{"role": "user", "blocks": [{"text": "Hm."}]}',
    b'{"message": {"role": "user"}}',
    b'{"message": {"role": "user", "contents": [7]}}',
]
bytes_of_others = st.sampled_from(_OF_OTHERS) | st.binary(max_size=9).filter(
    lambda data: b"{" not in data
)
payloads_of_others = bytes_of_others | st.sampled_from(_OBJECTS_OF_OTHERS)


def named(turns: Iterable[Turn], payload: bytes, format_: str) -> list[Turn]:
    """The turns with a payload of others that has the name of a framework."""
    return [
        replace(turn, payload=payload, payload_format=format_, external_id=None)
        for turn in turns
    ]


def stored(given: TurnInput, seq: int) -> Turn:
    """A turn as it is read back, at a place of a straight path."""
    return replace(unsaved(given), session_id="s", seq=seq, parent_seq=seq - 1 or None)


def told(turns: Iterable[Turn]) -> list[Word]:
    """Who said, called and gave what, in order. Texts of neighbours of one side are one
    text: how they are cut is a framework's own."""
    found: list[Word] = []
    for turn in turns:
        if turn.role == "tool":
            found.append(("gave", turn.tool_call_id, turn.content))
            continue
        if turn.content:
            found.append(("said", turn.role, turn.content))
        for part in turn.parts or ():
            called: Any = part["function"]  # type: ignore[index,call-overload]
            given = json.loads(called["arguments"])
            found.append(("called", part["id"], called["name"], given))  # type: ignore[index,call-overload]
    return joined(found)


def joined(found: Iterable[Word]) -> list[Word]:
    whole: list[Word] = []
    for word in found:
        if whole and word[0] == "said" and whole[-1][:2] == word[:2]:
            whole[-1] = (*word[:2], whole[-1][2] + word[2])
        else:
            whole.append(word)
    return whole
