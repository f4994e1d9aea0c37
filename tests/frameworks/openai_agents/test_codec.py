"""Items of the SDK become turns, and come back as they were; turns of others are items
that say the same."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from convstore.adapters.openai_agents import (
    FORMAT,
    _items,
    _plain_turn,
    _turn,
    _whole_turn,
)
from convstore.db.codec.inputs import encode_turn
from convstore.messages.neutral import unsaved
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.records import Turn
from tests.frameworks.neutral_turns import (
    Word,
    branches,
    joined,
    named,
    payloads_of_others,
    told,
)
from tests.unit.messages.test_responses import SAME, items

plain = st.sampled_from(SAME)


def text_of(item: Any) -> str:
    """Equal as JSON, whatever the order of keys; NaN is NaN, and 1 is not true."""
    return json.dumps(item, sort_keys=True)


@given(items | plain)
def test_an_item_comes_back_as_it_was(item: dict[str, Any]) -> None:
    turn = _turn(item)

    encode_turn(Limits(), turn, 0)
    (back,) = _items(unsaved(turn))
    assert text_of(back) == text_of(item)


@given(items | plain)
def test_the_short_way_to_a_turn_is_the_long_way(item: dict[str, Any]) -> None:
    assert _plain_turn(item) in (None, _whole_turn(item))
    assert _plain_turn({"role": "user", "content": "Which?"}) is not None


@given(branches)
def test_what_others_said_is_in_the_items(turns: list[Turn]) -> None:
    found: list[Word] = []
    for item in [item for turn in turns for item in _items(turn)]:
        kind = item.get("type")
        if kind == "function_call":
            given_to = json.loads(str(item["arguments"]))
            found.append(("called", item["call_id"], item["name"], given_to))
        elif kind == "function_call_output":
            found.append(("gave", item["call_id"], item["output"]))
        else:
            found.append(("said", item["role"], item["content"]))

    assert joined(found) == told(turns)


@given(branches, payloads_of_others)
def test_a_payload_of_others_is_not_taken_for_an_item(
    turns: list[Turn], payload: bytes
) -> None:
    if payload.startswith(b'{"role": "user"'):  # it may be an item of a user's
        turns = [turn for turn in turns if turn.role != "user"]
    read = [_items(turn) for turn in named(turns, payload, FORMAT)]

    assert read == [_items(turn) for turn in turns]
