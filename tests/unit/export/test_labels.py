"""Rules over one judged answer: R1, R2, R3, R4, R9, R10, and effective feedback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convstore.export.options import DEFAULT_RULES, ExportOptions, Filters, Judging
from convstore.export.stages.job import run_export
from tests.unit.export.samples import STARS, Chat, reasons, rows


def test_thumbs_up_gives_a_good_label_and_a_demonstration() -> None:
    chat = Chat()
    chat.turn("system", "Be brief.")
    chat.user("Hi?")
    chat.up(chat.assistant("Hello."))

    found = rows(chat, "R1")

    assert [row.kind for row in found] == ["label", "demonstration"]
    assert found[0].label is True
    assert [m["role"] for m in found[0].prompt] == ["system", "user"]
    assert found[0].answer == ({"role": "assistant", "content": "Hello."},)


def test_thumbs_down_gives_a_bad_label_and_nothing_to_imitate() -> None:
    chat = Chat()
    chat.user("Hi?")
    chat.down(chat.assistant("Go away."))

    found = rows(chat, "R2")

    assert [(row.kind, row.label) for row in found] == [("label", False)]


@pytest.mark.parametrize(
    ("score", "label"), [(5.0, True), (4.0, True), (3.0, None), (2.0, False)]
)
def test_scores_in_the_middle_band_give_no_label(
    score: float, label: bool | None
) -> None:
    chat = Chat()
    chat.user("Hi?")
    chat.act("feedback", turn_seq=chat.assistant("Hello."), score=score, metadata=STARS)

    found = rows(chat, "R4")

    assert [row.label for row in found] == ([] if label is None else [label])


def test_scores_on_a_named_scale_are_brought_to_five_stars() -> None:
    chat = Chat()
    chat.user("Hi?")
    answer = chat.assistant("Hello.")
    chat.act("feedback", turn_seq=answer, score=9.0, metadata={"scale": [1, 10]})

    assert [row.label for row in rows(chat, "R4")] == [True]


def test_partial_feedback_is_no_label_but_a_prompt_to_answer_again() -> None:
    chat = Chat()
    chat.user("Hi?")
    chat.act("feedback", turn_seq=chat.assistant("Hello."), feedback="partial")

    assert rows(chat, "R1") == rows(chat, "R2") == rows(chat, "R4") == []
    assert [row.kind for row in rows(chat, "R3")] == ["prompt"]


def test_weak_signals_are_off_unless_asked_for_and_weigh_less() -> None:
    chat = Chat()
    chat.user("Hi?")
    chat.act("copy", turn_seq=chat.assistant("Hello."))

    (row,) = rows(chat, "R9")

    assert (row.label, row.origin.weight) == (True, 0.3)
    assert not {"R3", "R8", "R9", "R10", "R15", "R16"} & set(DEFAULT_RULES)


def test_a_classified_reaction_labels_the_answer_before_it() -> None:
    chat = Chat()
    chat.user("Hi?")
    answer = chat.assistant("Hello.")
    reaction = chat.user("That is not what I asked.")
    chat.act("satisfaction", turn_seq=reaction, feedback="dissatisfied")

    (row,) = rows(chat, "R10")

    assert (row.label, row.origin.turn_ids) == (False, (answer,))


def test_a_retracted_judgement_gives_nothing() -> None:
    chat = Chat()
    chat.user("Hi?")
    liked = chat.up(chat.assistant("Hello."))
    chat.act("retract", supersedes=liked)

    assert rows(chat, "R1") == []


def test_the_last_judgement_of_an_actor_counts() -> None:
    chat = Chat()
    chat.user("Hi?")
    answer = chat.assistant("Hello.")
    chat.up(answer)
    chat.down(answer)
    chat.up(answer, actor_id="u-2")

    (good,) = (row for row in rows(chat, "R1") if row.kind == "label")
    (bad,) = rows(chat, "R2")

    assert good.origin.feedback_ids == (3,)
    assert bad.origin.feedback_ids == (2,)


def test_actors_who_agree_make_one_row_with_their_votes() -> None:
    chat = Chat()
    chat.user("Hi?")
    answer = chat.assistant("Hello.")
    chat.up(answer, actor_id="u-1")
    chat.up(answer, actor_id="u-2")

    label, _ = rows(chat, "R1")

    assert (label.origin.votes, label.origin.feedback_ids) == (2, (1, 2))


def test_feedback_on_a_user_turn_is_no_row() -> None:
    chat = Chat()
    chat.up(chat.user("Hi?"))

    assert rows(chat, "R1") == []
    assert reasons(chat, "R1") == ["not-an-answer"]


def test_a_completion_never_holds_a_user_turn() -> None:
    chat = Chat()
    chat.user("Hi?")
    chat.assistant("Hello.")
    chat.user("More?")
    chat.up(chat.assistant("More."))

    for row in rows(chat, "R1"):
        assert [m["role"] for m in row.answer] == ["assistant"]
        assert [m["role"] for m in row.prompt] == ["user", "assistant", "user"]


def test_filters_on_labels_models_scores_and_lengths_name_their_reason() -> None:
    chat = Chat()
    chat.user("Hi?")
    chat.up(chat.assistant("Hello.", model="m-a"))

    def why(**fields: object) -> list[str]:
        options = ExportOptions(filters=Filters(**fields))  # type: ignore[arg-type]
        return reasons(chat, "R1", options)

    assert why(labels=("correct",)) == ["filter-label"]
    assert why(models=("m-b",)) == ["filter-model"]
    assert why(min_chars=100) == ["filter-min-chars"]
    assert why(max_chars=3) == ["filter-max-chars"]
    assert why(finish_reasons=("stop",)) == ["filter-finish-reason"]
    assert why(languages=("nl",)) == ["filter-language"]
    assert why(languages=("en",)) == []


def test_other_words_can_be_told_to_mean_good() -> None:
    chat = Chat()
    chat.user("Hi?")
    chat.act("feedback", turn_seq=chat.assistant("Hello."), feedback="goed")
    options = ExportOptions(judging=Judging(positive=("goed",)))

    assert rows(chat, "R1") == []
    assert [row.label for row in rows(chat, "R1", options)][:1] == [True]


@pytest.mark.parametrize(("score", "label"), [(1.0, True), (0.0, False)])
def test_a_score_is_read_on_a_scale_of_nought_to_one(score: float, label: bool) -> None:
    chat = Chat()
    chat.user("Hi?")
    chat.act("feedback", turn_seq=chat.assistant("Hello."), score=score)

    assert [row.label for row in rows(chat, "R4")] == [label]


@pytest.mark.parametrize(
    ("where", "score", "label"),
    [
        ({"surface": "stars"}, 5.0, True),
        ({"surface": "stars"}, 1.0, False),
        ({"surface": "stars", "metadata": {"scale": [0, 10]}}, 1.0, False),
        ({"surface": "thumbs"}, -1.0, False),
        ({"surface": "thumbs"}, 1.0, True),
    ],
)
def test_a_surface_has_a_scale_of_its_own(
    where: dict[str, Any], score: float, label: bool
) -> None:
    scales = {"stars": (1.0, 5.0), "thumbs": (-1.0, 1.0)}
    options = ExportOptions(judging=Judging(scales=scales))
    chat = Chat()
    chat.user("Hi?")
    chat.act("feedback", turn_seq=chat.assistant("Hello."), score=score, **where)

    assert [row.label for row in rows(chat, "R4", options)] == [label]


@pytest.mark.parametrize(
    "label", ["thumbs-up", "👍🏽", "up", "like", "Positive", "good"]
)
def test_other_words_for_good_are_read(label: str) -> None:
    chat = Chat()
    chat.user("Hi?")
    chat.act("feedback", turn_seq=chat.assistant("Hello."), feedback=label)

    assert [row.label for row in rows(chat, "R1") if row.kind == "label"] == [True]


def test_feedback_that_says_nothing_is_counted_by_name(tmp_path: Path) -> None:
    chat = Chat()
    chat.user("Hi?")
    answer = chat.assistant("Hello.")
    chat.act("feedback", turn_seq=answer, feedback="banana", actor_id="a")
    chat.act("feedback", turn_seq=answer, feedback="banana", actor_id="b")
    chat.act("feedback", turn_seq=answer, score=4.0)
    chat.act("prune", node_id="n", feedback="irrelevant")

    report = run_export([chat.document()], ["kto", "rlhf-json"], tmp_path / "out")

    kto, whole = report.formats
    assert (kto.rows, kto.not_understood) == (
        0,
        {"label banana": 2, "score outside 0..1": 1},
    )
    assert whole.not_understood == {}
