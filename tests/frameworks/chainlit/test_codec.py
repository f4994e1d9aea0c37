"""Steps become turns and items, and come back as they were."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from convstore.adapters.chainlit import codec
from convstore.messages import neutral
from convstore.messages.neutral import plain_text, unsaved
from convstore.vocabulary.codec import decode_json, encode_json
from convstore.vocabulary.records import TurnInput

text = st.text(st.characters(codec=None), max_size=20)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | text
values = st.recursive(
    leaves,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(text, each, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(text, values, max_size=4)
kinds = st.sampled_from(
    ["user_message", "assistant_message", "system_message", "tool", "run", "llm"]
)
times = st.none() | text | st.datetimes().map(lambda at: at.isoformat() + "Z")
steps = st.fixed_dictionaries(
    {"id": text, "threadId": text, "type": kinds, "output": text},
    optional={
        "createdAt": times,
        "generation": st.none() | objects,
        "input": text,
        "isError": st.booleans(),
        "metadata": objects,
        "name": text,
        "streaming": st.booleans(),
    },
)


def same(one: Any, other: Any) -> bool:
    """Equal as JSON text, where NaN is NaN."""
    return json.dumps(one) == json.dumps(other)


@given(steps | objects | st.fixed_dictionaries({"json": text}))
def test_a_document_is_kept_as_any_database_holds_it(document: dict[str, Any]) -> None:
    stored = decode_json(encode_json("value", codec.kept(document), 1 << 20, 64))

    assert same(codec.native(stored), document)


@given(steps)
def test_a_message_that_was_said_is_a_turn_and_the_turn_that_message(
    step: dict[str, Any],
) -> None:
    said = codec.turn_of(step)

    is_message = step["type"].endswith("_message") and not step.get("streaming")
    if said is None:
        assert not is_message or not step["output"]
        return
    assert is_message
    turn = unsaved(said)
    encode_json("metadata", turn.metadata, 1 << 16, 64)
    assert codec.says_the_same(turn, said)
    assert codec.step_id_of(turn) == neutral.fitting_id(step["id"])
    assert turn.content == plain_text(step["output"])
    # Nothing of ours is shown as what another said; without our mark it would be.
    assert codec.steps_of([turn], "t") == []
    foreign = unsaved(neutral.again(turn))
    foreign.metadata.clear()
    shown = codec.steps_of([foreign], "t")
    assert [(s["type"], s["output"]) for s in shown] == (
        [(step["type"], turn.content)] if turn.content else []
    )


@given(text, text)
def test_the_id_of_a_feedback_tells_what_it_is_on(thread_id: str, step_id: str) -> None:
    given_id = codec.feedback_id(thread_id, step_id)

    told = (thread_id, step_id) if thread_id and step_id else None
    assert codec.judged_by(given_id) == told


@given(text, text)
def test_two_ids_are_two_keys_and_every_key_can_be_stored(one: str, other: str) -> None:
    assert (neutral.fitting_id(one) == neutral.fitting_id(other)) == (one == other)
    assert 1 <= len(neutral.fitting_id(one)) <= 255
    neutral.fitting_id(one).encode()


@given(objects)
def test_metadata_is_patched_whole_value_by_whole_value(
    metadata: dict[str, Any],
) -> None:
    patch = codec.metadata_patch(metadata)

    encode_json("adapter_state", patch, 1 << 20, 64)
    for name, value in metadata.items():
        if list(map(plain_text, metadata)).count(plain_text(name)) == 1:
            found = patch[plain_text(name)]
            assert found is None if value is None else same(json.loads(found), value)


def test_a_step_of_another_application_is_not_taken_for_ours() -> None:
    ours = {"step_id": "s-1", "chainlit": True}
    before, others = {"step_id": "s-1", "error": True}, {"step_id": "3", "run": "r-1"}

    told = [
        unsaved(TurnInput("user", "Which?", metadata=metadata))
        for metadata in (ours, before, others)
    ]

    assert list(map(codec.is_ours, told)) == [True, True, False]
    assert [codec.step_id_of(turn) for turn in told] == ["s-1", "s-1", "turn-0"]
    assert [step["output"] for step in codec.steps_of(told, "t")] == ["Which?"]
