"""`oasst`, `session-json` and `convstore`: trees, old files and our own documents."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from convstore.errors import CorruptionError, InvalidInputError
from convstore.imports.model import GraphStateInput, from_document
from convstore.imports.registry import load_format
from convstore.vocabulary.clock import EPOCH
from convstore.vocabulary.codec import decode_json
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.records import (
    Choice,
    GraphState,
    Interaction,
    InteractionInput,
    Session,
    SessionDocument,
    Turn,
    TurnInput,
)
from tests.unit.imports.inverse.formats import to_record

OASST = load_format("oasst")
SESSION_JSON = load_format("session-json")
CONVSTORE = load_format("convstore")


def node(message_id: str, role: str, **fields: Any) -> dict[str, Any]:
    return {
        "message_id": message_id,
        "parent_id": None,
        "role": role,
        "text": f"text of {message_id}",
        "rank": None,
        **fields,
    }


def tree(message: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "message_tree_id": "t-1",
        "tree_state": "growing",
        "prompt": message,
        **fields,
    }


def test_a_nested_tree_becomes_branches_with_the_best_active() -> None:
    late = node("m5", "assistant", rank=0, replies=[])
    answers = [
        node("m2", "assistant", rank=1, replies=[node("m3", "prompter", replies=[])]),
        node(
            "m4", "assistant", rank=0, replies=[node("m6", "prompter", replies=[late])]
        ),
    ]
    root = node("m1", "prompter", lang="nl", user_id="u-1", replies=answers)

    session = OASST.parse(tree(root))

    assert session.session_id == "t-1"
    assert (session.language, session.user_id) == ("nl", "u-1")
    assert [turn.external_id for turn in session.turns] == [
        "m1",
        "m2",
        "m3",
        "m4",
        "m6",
        "m5",
    ]
    parents = [turn.parent_seq for turn in session.turns]
    assert parents == [None, None, None, 1, None, None]
    assert session.head_seq is None, "the best branch ends with the last turn"


def test_flat_rows_are_the_same_tree_and_orphans_begin_anew() -> None:
    rows = [
        node("m1", "prompter", message_tree_id="t-1"),
        node("m2", "assistant", parent_id="m1", rank=1),
        node("m3", "assistant", parent_id="m1", rank=0),
        node("m4", "prompter", parent_id="m2"),
        node("m5", "prompter", parent_id="gone"),
    ]

    session = OASST.parse(rows)

    parents = [turn.parent_seq for turn in session.turns]
    assert parents == [None, None, 1, 2, 0]
    assert session.head_seq == 3
    assert OASST.group_key is not None
    assert [OASST.group_key(row) for row in rows[:2]] == ["t-1", None]


def test_what_reviewers_said_becomes_interactions() -> None:
    message = node(
        "m1",
        "prompter",
        emojis={"+1": 3, "-1": 1, "_skip_reply": 2},
        labels={"spam": {"value": 0.0, "count": 3}, "quality": {"value": 0.75}},
        deleted=True,
        review_result=False,
    )

    session = OASST.parse(tree(message))

    def act(number: int, action: str, **fields: Any) -> InteractionInput:
        return InteractionInput(
            action, turn_seq=1, external_id=f"import:{number}", **fields
        )

    reactions = {"+1": 3, "-1": 1, "_skip_reply": 2}
    labels = {"spam": 0.0, "quality": 0.75}
    scale = [0, 1]
    assert session.interactions == (
        act(
            1,
            "feedback",
            feedback="thumbs_up",
            score=0.75,
            metadata={"reactions": reactions, "scale": scale},
        ),
        act(2, "label", score=0.75, metadata={"labels": labels, "scale": scale}),
        act(3, "report", reason="deleted"),
        act(4, "report", reason="failed review"),
    )


def test_ranks_among_siblings_become_choices_unless_two_are_equal() -> None:
    def answers(parent: str, *ranks: int | None) -> list[dict[str, Any]]:
        return [
            node(f"{parent}{n}", "assistant", parent_id=parent, rank=rank)
            for n, rank in enumerate(ranks)
        ]

    rows = [
        node("a", "prompter"),
        *answers("a", 2, 0, None, 1),
        *answers("a0", 0, 0),
        *answers("a1", 0),
    ]

    session = OASST.parse(rows)

    assert [(act.action, act.choice) for act in session.interactions] == [
        ("rank", Choice(3, (5, 2))),
        ("rank", Choice(5, (2,))),
    ]
    assert session.head_seq is None


def test_parallel_lists_say_the_same_as_objects() -> None:
    flat = node("m1", "prompter", emojis={"name": ["+1", "-1"], "count": [1, 1]})

    (act,) = OASST.parse([flat]).interactions

    assert (act.feedback, act.score) == (None, 0.5)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([], "record: is empty"),
        ({}, "prompt: must be an object, not null"),
        (tree({"role": "prompter", "text": "x"}), "prompt.message_id: is no id"),
        (
            tree(node("m", "prompter", replies=[node("m", "assistant")])),
            "prompt.replies[0].message_id: repeats an earlier one",
        ),
        (tree(node("m", "prompter", text=None)), "prompt.text: must be text, not null"),
        (tree(node("m", "")), "prompt.role: is empty"),
        (
            tree(node("m", "prompter", replies="x")),
            "prompt.replies: must be a list, not text",
        ),
    ],
)
def test_a_broken_tree_is_refused_by_field(record: Any, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        OASST.parse(record)

    assert str(caught.value) == message


def test_a_deep_tree_is_no_trouble() -> None:
    leaf = node("m0", "prompter", replies=[])
    for number in range(1, 3_000):
        leaf = node(f"m{number}", "assistant", replies=[leaf])

    assert len(OASST.parse(tree(leaf)).turns) == 3_000


OLD = {
    "session_id": "a1b2c3d4e5f6",
    "created_at": "2026-01-01T10:00:00.123456",
    "updated_at": "2026-01-01T10:05:00",
    "language": "nl",
    "chat_history": [
        {
            "role": "user",
            "content": "Hoi",
            "timestamp": "2026-01-01T10:00:01",
            "language": "nl",
        },
        {
            "role": "assistant",
            "content": "Dag",
            "timestamp": "2026-01-01T10:00:02",
            "language": "nl",
        },
    ],
    "interactions": [
        {
            "timestamp": "2026-01-01T10:01:00",
            "action_type": "feedback",
            "node_id": "n-1",
            "content": None,
            "feedback": "hallucinated",
            "metadata": {"surface": "map"},
        },
        {
            "timestamp": "2026-01-01T10:02:00",
            "action_type": "inject",
            "node_id": "n-2",
            "content": "a step",
            "feedback": None,
            "metadata": {},
        },
    ],
    "graph_state": {"nodes": [{"id": "n-1"}], "edges": []},
    "metadata": {"user_id": "u-1", "channel": "web"},
    "feedback_summary": {"correct": 0, "incorrect": 0},
}


def test_a_file_of_the_earlier_manager_comes_in_whole() -> None:
    session = SESSION_JSON.parse(OLD)

    at = datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert session.session_id == "a1b2c3d4e5f6"
    assert (session.user_id, session.language) == ("u-1", "nl")
    assert session.created_at == at.replace(microsecond=123_456)
    assert session.metadata["channel"] == "web"
    assert [turn.content for turn in session.turns] == ["Hoi", "Dag"]
    assert session.turns[0].created_at == at.replace(second=1)
    assert session.turns[0].language == "nl"
    first, second = session.interactions
    assert (first.action, first.node_id, first.feedback) == (
        "feedback",
        "n-1",
        "hallucinated",
    )
    assert first.created_at == at.replace(minute=1)
    assert first.metadata["surface"] == "map"
    assert (second.action, second.content) == ("inject", "a step")
    assert session.graph_states == (
        GraphStateInput(
            OLD["graph_state"], external_id="import:1", created_at=at.replace(minute=5)
        ),
    )
    assert to_record(SESSION_JSON, session) == OLD


def test_an_empty_session_of_the_earlier_manager_is_a_session() -> None:
    record: dict[str, Any] = {
        "session_id": "x",
        "chat_history": [],
        "graph_state": None,
    }

    session = SESSION_JSON.parse(record)

    assert session.turns == ()
    assert to_record(SESSION_JSON, session) == record


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "session_id: is not an id"),
        ({"session_id": "s" * 256}, "session_id: is not an id"),
        ({"session_id": "x", "messages": []}, "chat_history: is missing"),
        (
            {"session_id": "x", "interactions": 1},
            "interactions: must be a list, not a number",
        ),
        (
            {"session_id": "x", "interactions": [{"action_type": ""}]},
            "interactions[0].action_type: is empty",
        ),
    ],
)
def test_a_broken_file_is_refused_by_field(record: Any, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        SESSION_JSON.parse(record)

    assert str(caught.value) == message


def turn(seq: int, parent_seq: int | None, **fields: Any) -> Turn:
    names = [name for name in Turn.__dataclass_fields__ if name not in fields]
    blank = dict.fromkeys(names)
    given = {"session_id": "s", "seq": seq, "parent_seq": parent_seq, "role": "user"}
    return Turn(**{**blank, "metadata": {}, "created_at": EPOCH, **given, **fields})


TOOLS = [{"name": "f"}]
DOCUMENT = SessionDocument(
    session=Session(
        tenant_id="t",
        id="s",
        state="active",
        version=7,
        user_id="u",
        title="New Chat",
        language="nl",
        tags=("a",),
        metadata={"k": 1},
        created_at=EPOCH,
        updated_at=EPOCH,
        last_activity_at=EPOCH,
        expires_at=None,
        head_seq=3,
        branched=True,
        turn_count=4,
        interaction_count=1,
        graph_state_count=1,
        feedback_counts={},
        current_slots={},
        current_template_id=None,
        hold_count=0,
        archived_at=None,
        segment_id=None,
    ),
    turns=(
        turn(1, None, content="a", external_id="e"),
        turn(2, 1, content="b", tools_hash="h"),
        turn(3, 1, content="c"),
        turn(4, None, content="d"),
    ),
    tool_sets={"h": TOOLS},
    interactions=(
        Interaction(
            session_id="s",
            seq=1,
            action="choose",
            turn_seq=None,
            node_id=None,
            choice=Choice(3, (2,)),
            actor_id="u",
            actor_kind="human",
            feedback=None,
            score=None,
            reason=None,
            content=None,
            shown=None,
            surface=None,
            supersedes=None,
            metadata={},
            external_id=None,
            created_at=EPOCH,
        ),
    ),
    graph_states=(
        GraphState(
            session_id="s",
            namespace="n",
            version=1,
            state={"x": 1},
            turn_seq=None,
            metadata={},
            external_id=None,
            created_at=EPOCH,
        ),
    ),
    ledger=None,
    holds=(),
)


def test_a_document_comes_in_as_it_is() -> None:
    record = decode_json(encode_document(DOCUMENT))

    session = CONVSTORE.parse(record)

    assert session.document == DOCUMENT
    assert session.session_id == "s"
    assert to_record(CONVSTORE, session) == record


def test_a_stored_session_is_told_as_it_would_be_imported() -> None:
    session = from_document(DOCUMENT)

    assert session.turns[0] == TurnInput(
        "user", "a", external_id="e", created_at=EPOCH, parent_seq=None
    )
    assert [turn.parent_seq for turn in session.turns] == [None, None, 1, 0]
    assert [turn.tools for turn in session.turns] == [None, TOOLS, None, None]
    assert session.interactions[0].choice == Choice(3, (2,))
    assert session.graph_states[0].namespace == "n"
    assert session.head_seq == 3


def test_what_is_no_document_is_refused() -> None:
    with pytest.raises(CorruptionError):
        CONVSTORE.parse({"format": "convstore.session"})
    with pytest.raises(InvalidInputError):
        to_record(
            CONVSTORE,
            load_format("kto").parse({"prompt": "Q", "completion": "A", "label": True}),
        )
