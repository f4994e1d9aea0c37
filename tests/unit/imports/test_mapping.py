"""Mapping files: what they can say, and what becomes of a record by them."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convstore.errors import ConfigError, InvalidInputError
from convstore.imports.mapping.file import load_mapping, read_mapping
from convstore.imports.mapping.paths import find, locate, take
from convstore.imports.registry import Format
from convstore.vocabulary.records import Choice, InteractionInput, TurnInput
from tests.unit.imports.inverse.formats import mapped, to_record
from tests.unit.imports.inverse.mapping import put


def format_of(toml: str) -> Format:
    return mapped(read_mapping(tomllib.loads(toml)))


MEETING = format_of(
    """
    session = { id = ["domain", "number"], user_id = "owner", language = "lang" }
    [turns]
    path = "minutes.lines"
    text = "said"
    role = "who"
    name = "who"
    created_at = "at"
    roles = { Clerk = "system", "*" = "user" }
    [[feedback]]
    field = "grade"
    scores = { good = 2, bad = 1 }
    labels = { bad = "incorrect" }
    scale = [1, 2]
    kind = "model"
    actor = "judge"
    """
)


def test_a_list_of_turns_is_read_by_its_fields() -> None:
    record = {
        "domain": "board",
        "number": 7,
        "owner": "u-1",
        "lang": "nl",
        "grade": "bad",
        "minutes": {
            "room": 4,
            "lines": [
                {"who": "Clerk", "said": "Open.", "at": "2026-01-01T00:00:00Z"},
                {"who": "Ann", "said": "Hoi", "noise": True},
            ],
        },
    }

    session = MEETING.parse(record)

    assert session.session_id == "board/7"
    assert (session.user_id, session.language) == ("u-1", "nl")
    first, second = session.turns
    assert (first.role, first.content, first.name) == ("system", "Open.", "Clerk")
    assert first.created_at is not None
    assert second.metadata == {"who": "Ann", "noise": True}
    assert session.metadata["minutes"] == {"room": 4}
    assert session.interactions == (
        InteractionInput(
            "feedback",
            feedback="incorrect",
            score=1.0,
            actor_id="judge",
            actor_kind="model",
            metadata={"scale": [1.0, 2.0]},
            external_id="import:1",
        ),
    )
    assert to_record(MEETING, session) == record


CONTEST = format_of(
    """
    [[turn]]
    role = "system"
    text = "rules"
    [[turn]]
    role = "user"
    text = ["ask", "more"]
    [answers]
    text = ["one", "two", "three"]
    [[votes]]
    field = "best"
    [[votes]]
    field = "final"
    between = [1, 3]
    values = { first = 1, last = 2, tie = 0 }
    actor = "jury"
    [[feedback]]
    on = "answer"
    answer = 2
    field = "ok"
    labels = { true = "thumbs_up", false = "thumbs_down" }
    [[edits]]
    field = "better"
    answer = 3
    """
)
ENTRY = {"ask": "Q", "more": "M", "one": "A", "two": "B", "three": "C"}


def test_answers_branch_and_are_judged() -> None:
    record = {**ENTRY, "best": 2, "final": "last", "ok": False, "better": "D"}

    session = CONTEST.parse(record)

    assert session.turns == (
        TurnInput("user", "Q\n\nM", external_id="import:1"),
        TurnInput("assistant", "A", external_id="import:2"),
        TurnInput("assistant", "B", external_id="import:3", parent_seq=1),
        TurnInput("assistant", "C", external_id="import:4", parent_seq=1),
    )
    assert session.head_seq == 2
    assert session.interactions == (
        InteractionInput("choose", choice=Choice(3, (2, 4)), external_id="import:1"),
        InteractionInput(
            "choose",
            choice=Choice(4, (2,)),
            actor_id="jury",
            external_id="import:2",
        ),
        InteractionInput(
            "feedback", turn_seq=3, feedback="thumbs_down", external_id="import:3"
        ),
        InteractionInput("edit", turn_seq=4, content="D", external_id="import:4"),
    )
    assert to_record(CONTEST, session) == record


def test_a_tie_chooses_nobody_and_an_unknown_vote_says_nothing() -> None:
    session = CONTEST.parse({**ENTRY, "rules": "", "best": 9, "final": "tie"})

    (act,) = session.interactions
    assert act.choice == Choice(None, (3, 5))
    assert session.turns[0] == TurnInput("system", "", external_id="import:1")


def test_texts_without_roles_take_turns() -> None:
    pairs = format_of('[turns]\npath = "d"\nspeakers = ["user", "assistant"]')
    record = {"d": ["a", ["b", "c"], "d"]}

    session = pairs.parse(record)

    said = [(turn.role, turn.content) for turn in session.turns]
    assert said == [
        ("user", "a"),
        ("user", "b"),
        ("assistant", "c"),
        ("assistant", "d"),
    ]
    assert to_record(pairs, session) == record


def test_steps_become_a_chain_that_is_judged_up_to_the_first_wrong_one() -> None:
    traces = format_of(
        """
        turn = [{ role = "user", text = "q" }]
        steps = { path = "steps", first_wrong = "wrong" }
        """
    )
    record = {"q": "Q", "steps": ["a", "b", "c"], "wrong": 1}

    session = traces.parse(record)

    (state,) = session.graph_states
    assert state.turn_seq == 1
    assert [node["parent"] for node in state.state["nodes"]] == [
        None,
        "step-1",
        "step-2",
    ]
    judged = [(act.node_id, act.feedback) for act in session.interactions]
    assert judged == [("step-1", "correct"), ("step-2", "incorrect")]
    assert to_record(traces, session) == record


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (None, ["correct", "correct"]),
        (0, ["incorrect"]),
        (7, ["correct", "correct"]),
        (-1, []),
        ("1", []),
        (True, []),
    ],
)
def test_a_place_that_is_none_judges_nothing(wrong: Any, words: list[str]) -> None:
    traces = format_of(
        """
        turn = [{ role = "user", text = "q" }]
        steps = { path = "steps", first_wrong = "wrong" }
        """
    )

    session = traces.parse({"q": "Q", "steps": ["a", "b"], "wrong": wrong})

    assert [act.feedback for act in session.interactions] == words


def test_steps_need_not_be_judged() -> None:
    traces = format_of(
        """
        turn = [{ role = "user", text = "q" }]
        steps = { path = "s" }
        """
    )

    assert traces.parse({"q": "Q", "s": ["a"]}).interactions == ()


def test_an_answer_that_is_not_there_cannot_be_judged() -> None:
    rated = format_of(
        """
        turn = [{ role = "user", text = "q" }]
        answers = { text = "a" }
        feedback = [{ on = "answer", answer = 3, field = "score" }]
        """
    )

    with pytest.raises(InvalidInputError, match="answers: there is no answer 3"):
        rated.parse({"q": "Q", "a": ["A"], "score": 1})


def test_an_id_that_is_too_long_is_refused() -> None:
    long = format_of('session = { id = "i" }\nturn = [{ role = "user", text = "q" }]')

    with pytest.raises(InvalidInputError, match=r"session.id: cannot be an id"):
        long.parse({"q": "Q", "i": "x" * 256})


def test_graphs_are_found_again_in_the_order_of_a_store() -> None:
    graphs = format_of(
        """
        turn = [{ role = "user", text = "q" }]
        graphs = [
          { path = "z", namespace = "z" },
          { path = "a", namespace = "b" },
          { path = "c", namespace = "b" },
        ]
        """
    )
    record = {"q": "Q", "z": [1], "a": {"k": 2}, "c": {"k": 3}}

    session = graphs.parse(record)

    ordered = tuple(sorted(session.graph_states, key=lambda state: state.namespace))
    assert to_record(graphs, replace(session, graph_states=ordered)) == record


def test_ranked_answers_are_choices() -> None:
    ranked = format_of(
        """
        turn = [{ role = "user", text = "q" }]
        answers = { text = "a", ranked = true }
        """
    )

    session = ranked.parse({"q": "Q", "a": ["best", "worst"]})

    assert [act.choice for act in session.interactions] == [Choice(2, (3,))]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "session.id: is not in the record"),
        ({"minutes": {"lines": []}}, "minutes.lines: is empty"),
        (
            {"minutes": {"lines": [1]}},
            "minutes.lines[0]: must be an object, not a number",
        ),
        (
            {"minutes": {"lines": [{"who": "a", "said": None}]}},
            "minutes.lines[0].said: must be text, not null",
        ),
    ],
)
def test_a_record_that_the_mapping_does_not_fit_is_refused(
    record: dict[str, Any], message: str
) -> None:
    if "minutes" not in record:
        record = {"minutes": {"lines": [{"said": "x"}]}}

    with pytest.raises(InvalidInputError) as caught:
        MEETING.parse(record)

    assert str(caught.value) == message


def test_a_record_without_turns_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="has no turns where the mapping has"):
        format_of('turn = [{ role = "user", text = "q" }]').parse({"other": 1})


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("", "file: Value error, needs [[turn]], [turns] or [messages]"),
        ("[turns]\npath = 'x'", "turns: Value error, needs either text or speakers"),
        (
            "turn = [{ role = 'user', text = 'q' }]\nvotes = [{ field = 'v' }]",
            "file: Value error, judges answers: needs [answers]",
        ),
        (
            "turn = [{ role = 'user', text = 'q', txet = 'q' }]",
            "turn.0.txet: Extra inputs are not permitted",
        ),
        ("turn = [{ role = 'user' }]", "turn.0.text: Field required"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused_by_key(
    tmp_path: Path, toml: str, message: str
) -> None:
    path = tmp_path / "map.toml"
    path.write_text(toml)

    with pytest.raises(ConfigError) as caught:
        load_mapping(path)

    assert str(caught.value) == f"{path}: {message}"


def test_a_mapping_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "map.toml"
    broken.write_bytes(b"= nothing")

    with pytest.raises(ConfigError, match="is not TOML"):
        load_mapping(broken)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_mapping(tmp_path / "absent.toml")


TEXT = st.text("aé🎉\n", max_size=4)
LEAF = st.none() | st.booleans() | st.integers(-1, 3) | TEXT
ITEM = st.dictionaries(st.sampled_from(["said", "who", "at", "import"]), LEAF) | LEAF
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "domain": LEAF,
        "number": st.integers(0, 3),
        "q": TEXT,
        "rules": LEAF,
        "ask": TEXT,
        "more": LEAF,
        "one": TEXT,
        "two": TEXT,
        "three": TEXT,
        "best": LEAF,
        "final": LEAF,
        "a": st.lists(LEAF, max_size=3),
        "d": st.lists(st.lists(TEXT, max_size=2) | TEXT, max_size=3),
        "steps": st.lists(TEXT, max_size=3),
        "wrong": LEAF,
        "minutes": st.dictionaries(
            st.sampled_from(["lines", "room"]),
            st.lists(
                st.fixed_dictionaries({"said": TEXT}, optional={"who": LEAF}) | ITEM,
                max_size=3,
            ),
        ),
        "minutes.lines": st.lists(
            st.fixed_dictionaries({"said": TEXT}, optional={"import": LEAF}), max_size=2
        ),
        "import": LEAF,
        "g": st.dictionaries(st.sampled_from(["x", "y"]), LEAF),
    },
)
FORMATS = [
    MEETING,
    CONTEST,
    format_of(
        """
        turn = [{ role = "user", text = "q" }, { role = "user", text = "g.x" }]
        turns = { path = "d", speakers = ["user", "assistant"] }
        answers = { text = "a", ranked = true }
        steps = { path = "steps", first_wrong = "wrong" }
        graphs = [{ path = "g" }, { path = "g.y", namespace = "y" }]
        """
    ),
    format_of(
        """
        turn = [{ role = "user", text = "g.x" }]
        turns = { path = "minutes.lines", text = "said" }
        graphs = [{ path = "g" }, { path = "minutes" }]
        """
    ),
]


@pytest.mark.parametrize("format_", FORMATS, ids=["list", "answers", "all", "nested"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(record=RECORDS)
def test_a_mapped_record_is_refused_or_comes_back_equal(
    format_: Format, record: dict[str, Any]
) -> None:
    before = json.dumps(record)
    try:
        session = format_.parse(record)
    except InvalidInputError:
        return

    again = to_record(format_, session)

    assert json.dumps(again, sort_keys=True) == json.dumps(record, sort_keys=True)
    assert json.dumps(record) == before


def test_paths_go_down_by_dots_and_places() -> None:
    record = {"a": {"b": [{"c": 1}, 2]}, "a.b": 3, "x.y": {"z": 4}}

    assert find(record, "a.b") == 3
    assert find(record, "a.b.0.c") == 1
    assert locate(record, "a.b.1") == ["a", "b", 1]
    for path in ("a.b.2", "a.b.x", "a.c", "x.y.z", "a.b.1.d", "", "a.b.²"):
        assert locate(record, path) is None


def test_what_is_taken_can_be_put_back() -> None:
    record = {"a": {"b": 1, "c": 2}, "d": 3}

    left = take(record, ["a", "b"])

    assert left == {"a": {"c": 2}, "d": 3}
    assert record == put(left, ["a", "b"], 1) == {"a": {"b": 1, "c": 2}, "d": 3}


def test_paths_that_no_record_had_are_told() -> None:
    contest = format_of(
        """
        session = { id = "no.id", user_id = "by" }
        [[turn]]
        role = "user"
        text = ["ask", "more"]
        [turns]
        path = "talk"
        text = "said"
        [answers]
        text = ["one", "two"]
        [[votes]]
        field = "best"
        [[feedback]]
        on = "turns"
        field = "of the item"
        [[feedback]]
        field = "grade"
        [[edits]]
        field = "bettr"
        [steps]
        path = "steps"
        first_wrong = "wrong"
        [[graphs]]
        path = "graph"
        """
    )
    record = {"ask": "Q", "one": "A", "two": "B", "best": None, "steps": ["s"]}
    assert contest.absent is not None

    for more in ({}, {"by": "u-1"}, {"no": {"id": 1}}):
        contest.parse({**record, "no": {"id": 2}, **more})

    assert contest.absent() == "more talk wrong bettr grade graph".split()
