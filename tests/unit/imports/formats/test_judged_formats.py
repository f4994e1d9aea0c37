"""`preference`, `kto` and `alpaca`: branches, choices, labels and ranks."""

from __future__ import annotations

from typing import Any

import pytest

from convstore.errors import InvalidInputError
from convstore.imports.model import ImportedSession
from convstore.imports.registry import load_format
from convstore.vocabulary.records import Choice, InteractionInput, TurnInput
from tests.unit.imports.inverse.formats import to_record

PREFERENCE = load_format("preference")
KTO = load_format("kto")
ALPACA = load_format("alpaca")
ASK = {"role": "user", "content": "Q"}
GOOD = {"role": "assistant", "content": "A"}
BAD = {"role": "assistant", "content": "B"}

TURNS = (
    TurnInput("user", "Q", external_id="import:1"),
    TurnInput("assistant", "A", external_id="import:2"),
    TurnInput("assistant", "B", external_id="import:3", parent_seq=1),
)
CHOSEN = InteractionInput("choose", choice=Choice(2, (3,)), external_id="import:1")

SHAPES: list[dict[str, Any]] = [
    {"prompt": [ASK], "chosen": [GOOD], "rejected": [BAD]},
    {"prompt": "Q", "chosen": "A", "rejected": "B"},
    {"prompt": "Q", "chosen": [GOOD], "rejected": [BAD]},
    {"prompt": "Q", "chosen": [ASK, GOOD], "rejected": [ASK, BAD]},
    {"chosen": [ASK, GOOD], "rejected": [ASK, BAD]},
    {"messages": [ASK], "chosen": GOOD, "rejected": BAD},
    {
        "input": {"messages": [ASK], "tools": [], "parallel_tool_calls": True},
        "preferred_output": [GOOD],
        "non_preferred_output": [BAD],
    },
    {
        "chosen": "\n\nHuman: Q\n\nAssistant: A",
        "rejected": "\n\nHuman: Q\n\nAssistant: B",
    },
    {
        "conversations": [{"from": "human", "value": "Q"}],
        "chosen": {"from": "gpt", "value": "A"},
        "rejected": {"from": "gpt", "value": "B"},
    },
]


@pytest.mark.parametrize("record", SHAPES, ids=lambda r: "+".join(r))
def test_every_shape_of_a_preference_becomes_the_same_branches(
    record: dict[str, Any],
) -> None:
    session = PREFERENCE.parse(record)

    assert session.turns == TURNS
    assert session.interactions == (CHOSEN,)
    assert session.head_seq == 2
    assert to_record(PREFERENCE, session) == record


def test_answers_of_several_messages_stay_whole() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f"}}
    record = {
        "prompt": [{"role": "system", "content": "S"}, ASK],
        "chosen": [
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "5"},
            GOOD,
        ],
        "rejected": [BAD, ASK, BAD],
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }

    session = PREFERENCE.parse(record)

    parents = [turn.parent_seq for turn in session.turns]
    assert parents == [None, None, None, None, None, 2, None, None]
    assert session.interactions[0].choice == Choice(5, (8,))
    assert session.head_seq == 5
    assert all(
        (turn.tools is not None) == (turn.role == "assistant") for turn in session.turns
    )


def test_conversations_that_differ_from_the_start_are_two_first_turns() -> None:
    session = PREFERENCE.parse({"chosen": [ASK, GOOD], "rejected": [GOOD, BAD]})

    assert [turn.parent_seq for turn in session.turns] == [None, None, 0, None]
    assert session.interactions[0].choice == Choice(2, (4,))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"chosen": "A", "rejected": "B"}, "prompt: is missing"),
        ({"chosen": GOOD, "rejected": BAD}, "prompt: is missing"),
        (
            {"prompt": "Q", "chosen": "A"},
            "rejected: must be messages or text, not null",
        ),
        ({"prompt": "Q", "chosen": [], "rejected": "B"}, "chosen: is empty"),
        (
            {
                "prompt": "Q",
                "chosen": [{"role": "assistant", "content": None}, 3],
                "rejected": "B",
            },
            "chosen[1]: must be an object, not a number",
        ),
    ],
)
def test_a_preference_without_its_parts_is_refused(
    record: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        PREFERENCE.parse(record)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": [ASK], "completion": [GOOD], "label": True},
        {"prompt": "Q", "completion": "A", "label": True},
        {"messages": [ASK, GOOD], "label": True},
        {
            "conversations": [
                {"from": "human", "value": "Q"},
                {"from": "gpt", "value": "A"},
            ],
            "kto_tag": True,
        },
    ],
    ids=lambda r: "+".join(r),
)
@pytest.mark.parametrize(
    ("label", "feedback"), [(True, "thumbs_up"), (False, "thumbs_down")]
)
def test_a_label_becomes_thumbs_on_the_answer(
    record: dict[str, Any], label: bool, feedback: str
) -> None:
    key = "kto_tag" if "kto_tag" in record else "label"
    labelled = {**record, key: label}

    session = KTO.parse(labelled)

    act = InteractionInput(
        "feedback", turn_seq=2, feedback=feedback, external_id="import:1"
    )
    assert session.turns == TURNS[:2]
    assert session.interactions == (act,)
    assert to_record(KTO, session) == labelled


@pytest.mark.parametrize("label", [1, 0, -1, 0.5, "true", None])
def test_a_label_that_tools_read_differently_is_refused(label: Any) -> None:
    record = {"prompt": "Q", "completion": "A", "label": label}

    with pytest.raises(InvalidInputError, match="label: must be true or false"):
        KTO.parse(record)


def contents(session: ImportedSession) -> list[tuple[str, str | None]]:
    return [(turn.role, turn.content) for turn in session.turns]


def test_an_instruction_with_history_becomes_turns() -> None:
    record = {
        "system": "S",
        "history": [["q1", "a1"]],
        "instruction": "Translate.",
        "input": "Hoi",
        "output": "Hi",
    }

    session = ALPACA.parse(record)

    assert contents(session) == [
        ("system", "S"),
        ("user", "q1"),
        ("assistant", "a1"),
        ("user", "Translate.\nHoi"),
        ("assistant", "Hi"),
    ]
    assert session.interactions == ()
    assert to_record(ALPACA, session) == record


def test_ranked_outputs_become_branches_and_choices() -> None:
    record = {"instruction": "Q", "input": "", "output": ["best", "good", "best"]}

    session = ALPACA.parse(record)

    assert [turn.parent_seq for turn in session.turns] == [None, None, 1, 1]
    assert [(act.action, act.choice) for act in session.interactions] == [
        ("rank", Choice(2, (3, 4))),
        ("rank", Choice(3, (4,))),
    ]
    assert session.head_seq == 2


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"output": "A"}, "instruction: must be text, not null"),
        ({"instruction": "Q"}, "output: must be text, not null"),
        ({"instruction": "Q", "output": []}, "output: is empty"),
        (
            {"instruction": "Q", "output": ["A", 1]},
            "output[1]: must be text, not a number",
        ),
        (
            {"instruction": "Q", "output": "A", "history": "x"},
            "history: must be a list, not text",
        ),
        (
            {"instruction": "Q", "output": "A", "history": [["q"]]},
            "history[0]: must have a question and an answer",
        ),
    ],
)
def test_an_instruction_without_its_parts_is_refused(
    record: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        ALPACA.parse(record)

    assert str(caught.value) == message
