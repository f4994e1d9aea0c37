"""Rules that compare answers: R5, R6, R7, R8."""

from __future__ import annotations

import pytest

from convstore.export.options import ExportOptions, Judging
from tests.unit.export.samples import STARS, Chat, reasons, rows


def two_answers(one: str = "Hello.", other: str = "Good day.") -> tuple[Chat, int, int]:
    chat = Chat()
    question = chat.user("Hi?")
    return chat, chat.assistant(one), chat.assistant(other, parent_seq=question)


def test_an_edit_is_preferred_to_the_original_and_is_a_demonstration() -> None:
    chat = Chat()
    chat.user("Capital of the Netherlands?")
    chat.act("edit", turn_seq=chat.assistant("The Hague."), content="Amsterdam.")

    pair, demonstration = rows(chat, "R5")

    assert pair.answer[0]["content"] == "Amsterdam."
    assert pair.rejected[0]["content"] == "The Hague."
    assert (demonstration.kind, demonstration.rejected) == ("demonstration", ())


def test_an_edit_that_made_a_turn_of_its_own_is_read_from_the_choice() -> None:
    chat, original, edited = two_answers()
    chat.act("edit", turn_seq=original, chosen=edited, rejected=(original,))

    pair, demonstration = rows(chat, "R5")

    assert pair.origin.turn_ids == (edited, original)
    assert demonstration.answer[0]["content"] == "Good day."


@pytest.mark.parametrize(
    ("edited", "reason"),
    [
        ("The  Hague. ", "whitespace-edit"),
        ("   ", "empty-edit"),
        ("The Hague. Is that right?", "edit-asks-a-question"),
    ],
)
def test_edits_that_correct_nothing_are_dropped(edited: str, reason: str) -> None:
    chat = Chat()
    chat.user("Capital of the Netherlands?")
    chat.act("edit", turn_seq=chat.assistant("The Hague."), content=edited)

    assert reasons(chat, "R5") == [reason]


def test_people_editing_their_own_words_make_no_pair() -> None:
    chat = Chat()
    question = chat.user("Captial?")
    chat.act("edit", turn_seq=question, content="Capital?")

    assert rows(chat, "R5") == []
    assert reasons(chat, "R5") == []


def test_an_edit_after_a_tool_call_keeps_the_result_in_the_prompt() -> None:
    chat = Chat()
    tools = [{"name": "get_weather", "parameters": {"type": "object"}}]
    chat.user("Weather?", tools=tools)
    chat.call("get_weather", "{}", tools=tools)
    chat.turn("tool", "sunny", tool_call_id="c1")
    chat.act("edit", turn_seq=chat.assistant("Rain.", tools=tools), content="Sunny.")

    pair, _ = rows(chat, "R5")

    assert [m["role"] for m in pair.prompt] == ["user", "assistant", "tool"]
    assert pair.tools is not None


def test_a_choice_pairs_the_chosen_with_each_rejected() -> None:
    chat, one, other = two_answers()
    third = chat.assistant("Hey.", parent_seq=1)
    chat.act("choose", chosen=one, rejected=(other, third))

    found = rows(chat, "R6")

    assert [row.origin.turn_ids for row in found] == [(one, other), (one, third)]


def test_a_tie_is_no_row_and_both_bad_are_two_bad_labels() -> None:
    chat, one, other = two_answers()
    chat.act("choose", chosen=None, rejected=(one, other))
    assert reasons(chat, "R6") == ["tie"]

    chat.act("choose", chosen=None, rejected=(one, other), feedback="both_bad")

    found = rows(chat, "R6")
    assert [(row.kind, row.label) for row in found] == [("label", False)] * 2


def test_equal_answers_are_no_pair() -> None:
    chat, one, other = two_answers("Hello.", "Hello. ")
    chat.act("choose", chosen=one, rejected=(other,))

    assert reasons(chat, "R6") == ["equal-answers"]


def test_a_choice_of_a_turn_that_is_not_there_is_dropped() -> None:
    chat, one, _ = two_answers()
    chat.act("choose", chosen=one, rejected=(99,))

    assert reasons(chat, "R6") == ["unknown-turn"]


def test_ratings_pair_the_best_with_the_worst_at_their_gap() -> None:
    chat, one, other = two_answers()
    third = chat.assistant("Hey.", parent_seq=1)
    for turn, score in ((one, 3.0), (other, 5.0), (third, 1.0)):
        chat.act("feedback", turn_seq=turn, score=score, metadata=STARS)

    (row,) = rows(chat, "R7")

    assert (row.origin.turn_ids, row.margin) == ((other, third), 4.0)


def test_all_pairs_with_a_gap_can_be_asked_for() -> None:
    chat, one, other = two_answers()
    third = chat.assistant("Hey.", parent_seq=1)
    for turn, score in ((one, 3.0), (other, 5.0), (third, 2.5)):
        chat.act("feedback", turn_seq=turn, score=score, metadata=STARS)
    options = ExportOptions(judging=Judging(all_pairs=True, min_gap=1.0))

    found = rows(chat, "R7", options)

    assert {row.origin.turn_ids for row in found} == {(other, one), (other, third)}
    assert reasons(chat, "R7", options) == ["small-gap"]


def test_scores_are_means_over_people() -> None:
    chat, one, other = two_answers()
    for person, score in (("a", 5.0), ("b", 2.0)):
        chat.act("feedback", turn_seq=one, score=score, metadata=STARS, actor_id=person)
    chat.act("feedback", turn_seq=other, score=1.0, metadata=STARS, actor_id="a")

    (row,) = rows(chat, "R7")

    assert row.margin == 2.5
    assert row.origin.feedback_ids == (1, 2, 3)


def test_a_thumb_and_a_score_are_on_different_scales() -> None:
    chat, one, other = two_answers()
    chat.up(one)
    chat.act("feedback", turn_seq=other, score=1.0, metadata=STARS)

    assert rows(chat, "R7") == []


def test_thumbs_up_and_down_on_siblings_make_a_pair() -> None:
    chat, one, other = two_answers()
    chat.up(one)
    chat.down(other)

    (row,) = rows(chat, "R7")

    assert (row.origin.turn_ids, row.margin) == ((one, other), 2.0)


def test_regenerate_and_keep_is_a_weak_pair() -> None:
    chat = Chat()
    question = chat.user("Hi?")
    left = chat.assistant("What.")
    kept = chat.assistant("Hello.", parent_seq=question)
    chat.user("Thanks.")
    chat.act("regenerate", turn_seq=left)

    (row,) = rows(chat, "R8")

    assert (row.origin.turn_ids, row.origin.weight) == ((kept, left), 0.3)


@pytest.mark.parametrize("action", ["pop", "clear", "compact"])
def test_what_code_took_back_is_no_rejected_answer(action: str) -> None:
    chat = Chat()
    question = chat.user("Hi?")
    left = chat.assistant("What.")
    chat.assistant("Hello.", parent_seq=question)
    chat.user("Thanks.")
    chat.act("regenerate", turn_seq=left)
    chat.act(action, turn_seq=left, actor_kind="code")

    assert reasons(chat, "R8") == ["taken-back"]


def test_regenerate_alone_is_no_rejection() -> None:
    chat, left, _ = two_answers()
    chat.act("regenerate", turn_seq=left)

    assert reasons(chat, "R8") == ["not-kept"]
