"""Whatever a record holds, it is refused by name or comes back equal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convstore.errors import CorruptionError, InvalidInputError
from convstore.imports.registry import load_format
from tests.unit.imports.inverse.formats import to_record

TEXT = st.text("aé🎉\n{", max_size=6)
LEAF = st.none() | st.booleans() | st.integers(-2, 5) | st.floats(0, 2) | TEXT
ANY = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abi"), inner, max_size=2)
    ),
    max_leaves=5,
)
ROLES = st.sampled_from(
    "user assistant system tool developer human gpt Chair function_call observation "
    "prompter function".split()
)
CALL = st.fixed_dictionaries(
    {},
    optional={
        "id": TEXT,
        "type": st.sampled_from(["function", "custom"]),
        "function": ANY,
    },
)
PART = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image_url", "function"])},
    optional={"text": TEXT},
)
MESSAGE = st.fixed_dictionaries(
    {"role": ROLES},
    optional={
        "content": TEXT | st.none() | st.lists(PART | TEXT, max_size=2),
        "tool_calls": st.lists(CALL, max_size=2) | st.none(),
        "function_call": st.dictionaries(st.just("name"), TEXT) | st.none(),
        "tool_call_id": TEXT | st.none(),
        "name": TEXT | st.integers(),
        "timestamp": st.just("2026-01-01T00:00:00") | ANY,
        "language": TEXT,
        "import": ANY,
        "weight": ANY,
        "reasoning_content": TEXT | st.none(),
        "thinking": ANY,
    },
)
CALL_TEXT = st.sampled_from(
    [
        '{"name": "f", "arguments": {"a": 1}}',
        '{"name":"f","arguments":"{}"}',
        '[{"name": "f"}, {"name": "g"}]',
        '{"no": "call"}',
        "not json",
        "[]",
    ]
)
SAYING = st.fixed_dictionaries(
    {"from": ROLES, "value": TEXT | CALL_TEXT},
    optional={"import": ANY, "weight": ANY},
)
TALK = st.lists(MESSAGE, max_size=4)
SAYINGS = st.lists(SAYING, max_size=4)
NODE = st.recursive(
    st.fixed_dictionaries(
        {
            "message_id": st.uuids().map(str),
            "text": TEXT,
            "role": st.sampled_from(["prompter", "assistant", "user"]),
        },
        optional={
            "rank": st.integers(0, 3) | ANY,
            "emojis": ANY | st.dictionaries(st.sampled_from(["+1", "-1"]), ANY),
            "labels": ANY | st.just({"name": ["quality"], "value": [0.5]}),
            "deleted": st.booleans(),
            "user_id": ANY,
            "import": ANY,
        },
    ),
    lambda node: st.builds(
        lambda one, replies: {**one, "replies": replies},
        node,
        st.lists(node, max_size=3),
    ),
    max_leaves=8,
)
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "session_id": TEXT,
    "tools": ANY
    | st.just([{"type": "function", "function": {"name": "f"}}])
    | st.just('[{"name": "f"}]'),
    "system": TEXT | st.none(),
    "tags": ANY,
    "title": TEXT,
    "import": ANY,
    "reward": ANY,
    "input": ANY,
}


def rows(*shapes: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Records of these shapes, with any of the common fields, and anything at all."""
    known = [
        st.fixed_dictionaries(
            shape, optional={key: COMMON[key] for key in COMMON.keys() - shape.keys()}
        )
        for shape in shapes
    ]
    return st.one_of(*known, *known, ANY)


ANSWER = TALK | MESSAGE | TEXT
SAID = SAYINGS | SAYING | TEXT
TRANSCRIPT = st.lists(st.sampled_from(["Human", "Assistant"]), max_size=4).flatmap(
    lambda who: st.just("".join(f"\n\n{name}: hm" for name in who))
)
ACT = st.fixed_dictionaries(
    {"action_type": TEXT},
    optional={"node_id": ANY, "content": TEXT, "metadata": ANY, "timestamp": ANY},
)
RECORDS: dict[str, st.SearchStrategy[Any]] = {
    "convstore": rows({"format": st.just("convstore.session")}),
    "messages": rows(
        {"messages": TALK},
        {"traj": TALK},
        {"messages": ANY, "conversation": TALK},
        {"prompt": ANSWER, "completion": ANSWER},
    ),
    "sharegpt": rows({"conversations": SAYINGS}),
    "preference": rows(
        {"prompt": TALK | TEXT, "chosen": ANSWER, "rejected": ANSWER},
        {"chosen": TALK, "rejected": TALK},
        {"messages": TALK, "chosen": ANSWER, "rejected": ANSWER},
        {"conversations": SAYINGS, "chosen": SAID, "rejected": SAID},
        {"chosen": TRANSCRIPT, "rejected": TRANSCRIPT},
        {
            "input": st.fixed_dictionaries({"messages": TALK}, optional={"tools": ANY}),
            "preferred_output": ANSWER,
            "non_preferred_output": ANSWER,
        },
    ),
    "kto": rows(
        {"prompt": TALK | TEXT, "completion": ANSWER, "label": st.booleans()},
        {"messages": TALK, "label": st.booleans()},
        {"conversations": SAYINGS, "kto_tag": st.booleans()},
    ),
    "alpaca": rows(
        {"instruction": TEXT, "output": TEXT | st.lists(TEXT, max_size=3)},
        {
            "instruction": TEXT,
            "input": TEXT | st.none(),
            "output": TEXT,
            "history": st.lists(st.lists(TEXT, min_size=2, max_size=2), max_size=2),
        },
    ),
    "oasst": rows({"prompt": NODE}) | st.lists(NODE, max_size=3),
    "session-json": rows(
        {"session_id": TEXT},
        {
            "session_id": TEXT,
            "chat_history": TALK,
            "interactions": st.lists(ACT, max_size=3),
            "graph_state": ANY,
            "metadata": ANY,
        },
    ),
}


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1, 1.0 and true are three things."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@pytest.mark.parametrize("name", RECORDS)
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_a_record_is_refused_or_comes_back_equal(
    name: str, data: st.DataObject
) -> None:
    record = data.draw(RECORDS[name])
    before = json.dumps(record)
    format_ = load_format(name)

    try:
        session = format_.parse(record)
    except (InvalidInputError, CorruptionError):
        return

    assert same(to_record(format_, session), record)
    assert json.dumps(record) == before, "a format must not change its record"


@pytest.mark.parametrize("name", sorted(set(RECORDS) - {"convstore"}))
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_what_a_session_refers_to_is_there(name: str, data: st.DataObject) -> None:
    record = data.draw(RECORDS[name])
    try:
        session = load_format(name).parse(record)
    except InvalidInputError:
        return

    numbers = range(1, len(session.turns) + 1)
    for seq, turn in enumerate(session.turns, 1):
        assert turn.parent_seq is None or 0 <= turn.parent_seq < seq
    for act in session.interactions:
        assert act.turn_seq is None or act.turn_seq in numbers
        if act.choice is not None:
            assert {act.choice.chosen, *act.choice.rejected} <= set(numbers)
    assert session.head_seq is None or session.head_seq in numbers
    for given_ in (session.turns, session.interactions):
        ids = [item.external_id for item in given_]
        assert None not in ids
        assert len(set(ids)) == len(ids)
