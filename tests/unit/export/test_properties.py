"""Whatever happened in a session, certain rows are never made."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convstore.export.example import Example
from convstore.export.options import ExportOptions, Judging
from convstore.export.reading.conversation import Conversation
from convstore.export.rules import RULES
from convstore.messages.sequence import NO_MESSAGES, followed, whole
from convstore.vocabulary.feedback import in_force
from tests.unit.export.samples import STARS, Chat, exported

ROLES = st.sampled_from(["user", "assistant", "assistant", "tool", "system"])
TURNS = st.lists(
    st.tuples(ROLES, st.integers(0, 3), st.sampled_from(["A", "B", "", "what?"])),
    max_size=9,
)
ACTIONS = st.sampled_from(
    "feedback edit choose rank regenerate copy report retract prune inject".split()
)
ACTS = st.lists(
    st.fixed_dictionaries(
        {
            "action": ACTIONS,
            "turn": st.integers(0, 9),
            "other": st.integers(1, 9),
            "word": st.sampled_from(["thumbs_up", "thumbs_down", "partial", None]),
            "score": st.sampled_from([None, 1.0, 3.0, 5.0]),
            "actor": st.sampled_from(["u-1", "u-2", None]),
            "supersedes": st.none() | st.integers(1, 8),
        }
    ),
    max_size=8,
)
OPTIONS = ExportOptions(rules=tuple(RULES), judging=Judging(all_pairs=True, min_gap=0))


def chat_of(turns: list[tuple[str, int, str]], acts: list[dict[str, object]]) -> Chat:
    chat = Chat()
    for place, (role, back, text) in enumerate(turns, 1):
        chat.turn(role, text, parent_seq=max(place - 1 - back, 0))
    for act in acts:
        action = str(act["action"])
        choice = (
            {"chosen": act["turn"] or None, "rejected": (act["other"],)}
            if action in ("choose", "rank")
            else {"turn_seq": act["turn"] or None}
        )
        chat.act(
            action,
            feedback=act["word"],
            score=act["score"],
            metadata=STARS,
            actor_id=act["actor"],
            supersedes=act["supersedes"],
            content="Corrected." if action in ("edit", "inject") else None,
            node_id="n" if action in ("prune", "inject") else None,
            **choice,
        )
    return chat


def made(chat: Chat) -> Iterator[tuple[str, Example]]:
    view = Conversation(chat.document(), OPTIONS)
    for rule in RULES.values():
        for row in rule.run(view, rule.id):
            if isinstance(row, Example):
                yield rule.name, row


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(TURNS, ACTS)
def test_no_history_makes_an_unsound_row(
    turns: list[tuple[str, int, str]], acts: list[dict[str, object]]
) -> None:
    chat = chat_of(turns, acts)
    document = chat.document()
    standing = {act.seq for act in in_force(document.interactions)}
    view = Conversation(document, OPTIONS)

    for name, row in made(chat):
        assert set(row.origin.feedback_ids) <= standing, name
        if row.kind in ("label", "demonstration", "pair"):
            assert row.prompt[-1]["role"] in ("user", "tool"), name
            for side in (row.answer, row.rejected or row.answer):
                said = reduce(followed, row.prompt + side, NO_MESSAGES)
                assert whole(said).fault is None, name
                assert {m["role"] for m in side} <= {"assistant", "tool"}, name
                assert (side[0]["role"], side[-1]["role"]) == ("assistant",) * 2
        if row.kind == "pair":
            assert row.answer != row.rejected, name
            contexts = {view.context(view.segment(s)[0]) for s in row.origin.turn_ids}
            assert len(contexts) == 1, name
        if row.kind not in ("whole", "tree"):
            assert not set(row.origin.turn_ids) & view.reported, name


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(TURNS, ACTS)
def test_no_history_makes_both_a_row_and_its_opposite(
    turns: list[tuple[str, int, str]], acts: list[dict[str, object]]
) -> None:
    document = chat_of(turns, acts).document()

    labels: dict[str, bool] = {}
    for row in exported([document], "kto", OPTIONS):
        judged = str([row["prompt"], row["completion"]])
        assert judged not in labels
        labels[judged] = row["label"]
    pairs = {
        (str(row["prompt"]), str(row["chosen"]), str(row["rejected"]))
        for row in exported([document], "preference", OPTIONS)
    }
    assert not pairs & {(prompt, bad, good) for prompt, good, bad in pairs}
