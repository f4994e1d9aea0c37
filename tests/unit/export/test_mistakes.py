"""The fourteen known ways to make an unsound row, and that none of them is made."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from convstore.export.dataset.card import warnings_of
from convstore.export.dataset.statistics import Stats
from convstore.export.example import Example
from convstore.export.formats import FORMATS
from convstore.export.options import Caps, ExportOptions, Judging
from convstore.export.stages.job import run_export
from tests.unit.export.samples import STARS, Chat, exported, one_exchange, reasons, rows


def test_1_answers_to_different_contexts_are_never_paired() -> None:
    chat = Chat()
    first = chat.user("Question A?")
    good = chat.assistant("Answer to A.")
    chat.user("Question B?", parent_seq=0)
    bad = chat.assistant("Answer to B.")
    chat.act("choose", chosen=good, rejected=(bad,))
    chat.up(good)
    chat.down(bad)

    assert first == 1
    assert rows(chat, "R6") == rows(chat, "R7") == []
    assert reasons(chat, "R6") == ["unequal-context"]


def test_1_answers_offered_different_tools_are_never_paired() -> None:
    chat = Chat()
    question = chat.user("Weather?")
    good = chat.assistant("Sunny.", tools=[{"name": "get_weather"}])
    bad = chat.assistant("No idea.", parent_seq=question)
    chat.act("choose", chosen=good, rejected=(bad,))

    assert reasons(chat, "R6") == ["unequal-context"]


def test_2_an_edit_is_compared_in_the_context_before_it() -> None:
    chat = Chat()
    chat.user("Name a colour?")
    original = chat.assistant("Red.")
    chat.user("Why red?")
    later = chat.assistant("Because.")
    chat.act("edit", turn_seq=original, content="Blue.")
    chat.up(later)

    edit, _ = rows(chat, "R5")
    judged = rows(chat, "R1")[0]

    assert [m["content"] for m in edit.prompt] == ["Name a colour?"]
    assert [m["content"] for m in judged.prompt][1] == "Red."
    assert edit.origin.context_sha256 != judged.origin.context_sha256


def test_3_a_disliked_answer_is_never_under_the_loss() -> None:
    chat = Chat()
    chat.user("One?")
    chat.assistant("First, fine.")
    chat.user("Two?")
    chat.down(chat.assistant("Second, disliked."))
    chat.user("Three?")
    chat.up(chat.assistant("Third, liked."))

    (sft,) = exported([chat.document()], "messages")
    (openai,) = exported([chat.document()], "openai-sft")
    (single,) = exported([chat.document()], "prompt-completion")
    (sharegpt,) = exported([chat.document()], "sharegpt")

    said = [m["value"] for m in sharegpt["conversations"]]
    assert said == [m["content"] for m in sft["messages"]]
    assert [m["content"] for m in sft["messages"]] == ["One?", "First, fine."]
    weights = [m.get("weight") for m in openai["messages"]]
    assert weights == [None, 1, None, 0, None, 1]
    assert [m["content"] for m in single["completion"]] == ["Third, liked."]


@pytest.mark.parametrize(
    ("shown", "side"),
    [
        ([2, 3], "left"),
        ({"order": [3, 2]}, "right"),
        ({"left": 2, "right": 3}, "left"),
        (None, ""),
        (["x"], ""),
    ],
)
def test_4_the_side_of_the_chosen_answer_is_recorded(shown: object, side: str) -> None:
    chat = Chat()
    question = chat.user("Hi?")
    good = chat.assistant("Hello.")
    bad = chat.assistant("What.", parent_seq=question)
    chat.act("choose", chosen=good, rejected=(bad,), shown=shown)

    (row,) = rows(chat, "R6")

    assert row.origin.side == side


def test_5_a_one_sided_length_is_told_in_the_report() -> None:
    stats = Stats(rows=40, pairs=40, longer=36)

    told = warnings_of(FORMATS["preference"], stats)

    assert told == ["length bias: chosen is longer in 90 % of the pairs"]


@pytest.mark.parametrize(
    "text",
    [
        "$MODERATION$ YOUR INPUT VIOLATES OUR CONTENT MODERATION GUIDELINES.",
        "Internal Server Error",
        "The answer is 4▌",
        "It is 4. Thanks, that’s right!",
        "It is 4.\n\nRegenerate response",
        "As a large language model trained by somebody, I cannot.",
        "I am ChatGPT and happy to help.",
    ],
)
def test_6_error_pages_cut_streams_and_name_tags_are_no_answers(text: str) -> None:
    chat = Chat()
    chat.user("Hi?")
    chat.up(chat.assistant(text))

    assert rows(chat, "R1") == []


def test_6_an_answer_that_names_its_own_model_is_dropped_unless_asked_for() -> None:
    chat = Chat()
    chat.user("Who are you?")
    chat.up(chat.assistant("This is Parrot-7B.", model="parrot-7b"))
    lenient = ExportOptions(judging=Judging(drop_identity=False))

    assert reasons(chat, "R1") == ["identity"]
    assert len(rows(chat, "R1", lenient)) == 2


def test_6_a_correction_that_the_prompt_quotes_is_dropped() -> None:
    chat = Chat()
    chat.user("The answer is Amsterdam. What is the capital of the Netherlands?")
    chat.act(
        "edit",
        turn_seq=chat.assistant("The Hague."),
        content="The answer is Amsterdam.",
    )

    assert reasons(chat, "R5") == ["correction-in-prompt"]


def test_7_rows_of_one_user_session_and_prompt_can_be_capped() -> None:
    documents = [one_exchange(n, user_id="busy") for n in range(9)]
    documents += [one_exchange(99, user_id="calm")]

    found = exported(documents, "kto", ExportOptions(caps=Caps(per_user=2)))

    sessions = sorted(row["convstore"]["session_id"] for row in found)
    assert len(sessions) == 3
    assert "s-99" in sessions


def test_8_the_missing_class_is_never_invented() -> None:
    documents = [one_exchange(n) for n in range(5)]

    labels = [row["label"] for row in exported(documents, "kto")]

    assert labels == [True] * 5
    assert exported(documents, "preference") == []


def test_9_even_votes_drop_both_labels_and_a_majority_keeps_one() -> None:
    even, odd = Chat("even"), Chat("odd")
    for chat, fans in ((even, 1), (odd, 2)):
        chat.user(f"Hi from {fans}?")
        answer = chat.assistant("Hello.")
        chat.down(answer, actor_id="critic")
        for fan in range(fans):
            chat.up(answer, actor_id=f"fan-{fan}")

    found = exported([even.document(), odd.document()], "kto")

    assert [(r["convstore"]["session_id"], r["label"]) for r in found] == [
        ("odd", True)
    ]


def test_9_a_pair_and_its_reverse_are_not_both_exported() -> None:
    chat = Chat()
    question = chat.user("Hi?")
    one = chat.assistant("Hello.")
    other = chat.assistant("Good day.", parent_seq=question)
    chat.act("choose", chosen=one, rejected=(other,), actor_id="u-1")
    chat.act("choose", chosen=other, rejected=(one,), actor_id="u-2")

    assert exported([chat.document()], "preference") == []


def test_10_pairs_are_never_unpaired_into_labels() -> None:
    chat = Chat()
    question = chat.user("Hi?")
    good = chat.assistant("Hello.")
    bad = chat.assistant("What.", parent_seq=question)
    chat.act("choose", chosen=good, rejected=(bad,))

    assert len(exported([chat.document()], "preference")) == 1
    assert exported([chat.document()], "kto") == []


@pytest.mark.parametrize("field", ["text_sha256", "context_sha256"])
def test_11_feedback_on_another_version_of_the_text_is_dropped(field: str) -> None:
    chat = Chat()
    chat.user("Hi?")
    answer = chat.assistant("Hello.")
    chat.up(answer, metadata={field: hashlib.sha256(b"other").hexdigest()})

    assert rows(chat, "R1") == []
    assert reasons(chat, "R1") == ["stale-feedback"]


def test_11_feedback_on_the_stored_text_is_kept() -> None:
    chat = Chat()
    chat.user("Hi?")
    digest = hashlib.sha256("Hállo.".encode()).hexdigest()
    chat.up(chat.assistant("Hállo."), metadata={"text_sha256": digest})

    assert len(rows(chat, "R1")) == 2


@pytest.mark.parametrize("finish", ["length", "error", "content_filter"])
def test_12_failed_generations_are_never_chosen(finish: str) -> None:
    chat = Chat()
    question = chat.user("Hi?")
    cut = chat.assistant("Hel", finish_reason=finish)
    whole = chat.assistant("Hello.", parent_seq=question)
    chat.up(cut)
    chat.act("choose", chosen=cut, rejected=(whole,))
    allowing = ExportOptions(judging=Judging(failed_as_rejected=True))

    assert reasons(chat, "R1") == reasons(chat, "R6") == ["failed-generation"]
    assert rows(chat, "R1", allowing) == rows(chat, "R6", allowing) == []


def test_12_a_failed_generation_may_be_the_rejected_one_if_asked_for() -> None:
    chat = Chat()
    question = chat.user("Hi?")
    cut = chat.assistant("Hel", finish_reason="length")
    whole = chat.assistant("Hello.", parent_seq=question)
    chat.act("choose", chosen=whole, rejected=(cut,))
    allowing = ExportOptions(judging=Judging(failed_as_rejected=True))

    assert rows(chat, "R6") == []
    assert len(rows(chat, "R6", allowing)) == 1


def test_13_both_models_of_a_pair_are_recorded() -> None:
    chat = Chat()
    question = chat.user("Hi?")
    good = chat.assistant("Hello.", model="m-a")
    bad = chat.assistant("What.", model="m-b", parent_seq=question)
    chat.act("choose", chosen=good, rejected=(bad,))

    (row,) = exported([chat.document()], "preference")

    assert row["convstore"]["model_chosen"] == "m-a"
    assert row["convstore"]["model_rejected"] == "m-b"


def test_14_tool_trajectories_are_compared_whole() -> None:
    chat = Chat()
    tools = [{"name": "get_weather", "parameters": {"type": "object"}}]
    question = chat.user("Weather in Paris?", tools=tools)
    chat.call("get_weather", '{"city": "Paris"}', "c1", tools=tools)
    chat.turn("tool", "sunny", tool_call_id="c1", name="get_weather")
    good = chat.assistant("Sunny.", tools=tools)
    chat.call("get_weather", '{"city": "Lyon"}', "c2", tools=tools, parent_seq=question)
    chat.turn("tool", "rain", tool_call_id="c2", name="get_weather")
    bad = chat.assistant("Rain.", tools=tools)
    chat.up(good)
    chat.down(bad)

    (row,) = rows(chat, "R7")

    shape = ["assistant", "tool", "assistant"]
    assert [m["role"] for m in row.prompt] == ["user"]
    assert [m["role"] for m in row.answer] == shape
    assert [m["role"] for m in row.rejected] == shape
    call = row.answer[0]["tool_calls"][0]["function"]
    assert call["arguments"] == {"city": "Paris"}


def test_reported_turns_go_nowhere_with_all_that_follows_them() -> None:
    chat = Chat()
    chat.user("Hi?")
    chat.up(chat.assistant("Hello."))
    chat.user("More?")
    reported = chat.assistant("Harmful.")
    chat.up(reported)
    chat.act("report", turn_seq=reported)

    found: list[Example] = rows(chat, "R1")

    assert {row.origin.turn_ids for row in found} == {(2,)}
    assert "reported" in reasons(chat, "R1")


@pytest.mark.parametrize("on", [{"turn_seq": 2}, {}])
def test_a_session_with_a_report_is_told_whole_only_in_a_copy(
    on: dict[str, int],
) -> None:
    chat = Chat()
    chat.user("Hi?")
    chat.assistant("Harmful.")
    chat.act("report", **on)

    assert exported([chat.document()], "rlhf-json") == []
    assert len(exported([chat.document()], "convstore")) == 1


def test_3_the_branch_that_was_preferred_is_imitated_not_the_one_it_beat() -> None:
    chat = Chat()
    question = chat.user("Capital of the Netherlands?")
    right = chat.assistant("Amsterdam.")
    wrong = chat.assistant("The Hague.", parent_seq=question)
    chat.act("choose", chosen=right, rejected=(wrong,))

    (row,) = exported([chat.document()], "messages")

    assert row["messages"][-1]["content"] == "Amsterdam."


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"feedback": "thumbs_up"}, {"feedback": "thumbs_down"}),
        (
            {"score": 5.0, "metadata": STARS},
            {"score": 1.0, "metadata": STARS},
        ),
    ],
)
def test_3_beside_a_disliked_answer_the_liked_one_is_imitated(
    good: dict[str, Any], bad: dict[str, Any]
) -> None:
    chat = Chat()
    question = chat.user("Capital of the Netherlands?")
    right = chat.assistant("Amsterdam.")
    wrong = chat.assistant("The Hague.", parent_seq=question)
    chat.act("feedback", turn_seq=right, **good)
    chat.act("feedback", turn_seq=wrong, **bad)

    (row,) = exported([chat.document()], "messages")

    assert row["messages"][-1]["content"] == "Amsterdam."


def test_3_an_answer_that_was_corrected_is_not_imitated() -> None:
    chat = Chat()
    chat.user("Capital of the Netherlands?")
    chat.act("edit", turn_seq=chat.assistant("The Hague."), content="Amsterdam.")

    assert exported([chat.document()], "messages") == []
    assert len(exported([chat.document()], "prompt-completion")) == 1


def imitated(rows: list[dict[str, Any]]) -> list[str]:
    """What the assistant says in the rows and is under the loss."""
    keys = ("completion", "messages", "conversations")
    said = [m for row in rows for key in keys for m in row.get(key, ())]
    return [m.get("content", m.get("value")) for m in said if m.get("weight", 1)]


@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("down", {"feedback": "thumbs_down"}),
        ("rated", {"score": 1.0, "metadata": STARS}),
        ("rated of ten", {"score": 3.0, "metadata": {"scale": [1, 10]}}),
        ("both bad", {"rejected": (2, 3), "feedback": "both_bad"}),
    ],
)
def test_3_an_answer_that_somebody_disapproved_of_is_imitated_nowhere(
    name: str, act: dict[str, Any]
) -> None:
    chat = Chat()
    question = chat.user("Capital of the Netherlands?")
    answer = chat.assistant("The Hague.")
    chat.assistant("Amsterdam.", parent_seq=question)
    chat.up(answer, actor_id="fan")
    action = "choose" if "rejected" in act else "feedback"
    on = {} if "rejected" in act else {"turn_seq": answer}
    chat.act(action, **on, **act, actor_id="critic")

    for format_name in ("messages", "prompt-completion", "openai-sft", "sharegpt"):
        found = exported([chat.document()], format_name)
        assert "The Hague." not in imitated(found), (name, format_name)
    (prompt,) = exported([chat.document()], "prompt")
    assert prompt["reference"] == ""


def test_3_an_answer_that_was_liked_is_imitated_though_another_was_preferred() -> None:
    chat = Chat()
    question = chat.user("Capital of the Netherlands?")
    chat.up(chat.assistant("Amsterdam."), actor_id="fan")
    chat.assistant("It is Amsterdam.", parent_seq=question)
    chat.act("choose", chosen=3, rejected=(2,), actor_id="critic")

    (single,) = exported([chat.document()], "prompt-completion")
    (whole,) = exported([chat.document()], "messages")

    assert single["completion"][0]["content"] == "Amsterdam."
    assert whole["messages"][-1]["content"] == "It is Amsterdam."


def test_3_what_nobody_imitates_is_counted_where_it_would_have_been(
    tmp_path: Path,
) -> None:
    chat = Chat()
    chat.user("Capital of the Netherlands?")
    answer = chat.assistant("The Hague.")
    chat.up(answer, actor_id="fan")
    chat.down(answer, actor_id="critic")

    names = ["kto", "prompt-completion"]
    report = run_export([chat.document()], names, tmp_path / "out")

    kto, single = (told.dropped for told in report.formats)
    assert kto == {"contradiction": 2}
    assert single == {"contradiction": 1}


def test_9_one_person_in_many_sessions_is_one_voice() -> None:
    chats = []
    for number, (user, good) in enumerate(
        [("busy", False), ("busy", False), ("busy", False), ("a", True), ("b", True)]
    ):
        chat = Chat(f"s-{number}", user_id=user)
        chat.user("Hi?")
        judge = chat.up if good else chat.down
        judge(chat.assistant("Hello."), actor_id=user)
        chats.append(chat.document())

    (row,) = exported(chats, "kto")

    assert row["label"] is True
