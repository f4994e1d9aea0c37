"""Rule R16: a rating of a session weighs its first prompt, and labels nothing."""

from __future__ import annotations

import hashlib

import pytest

from convstore.export.options import ExportOptions
from tests.unit.export.samples import STARS, Chat, exported, reasons, rows


def rated(**fields: object) -> Chat:
    chat = Chat()
    chat.turn("system", "Be brief.")
    chat.user("First?")
    chat.assistant("One.")
    chat.user("Second?")
    chat.assistant("Two.")
    chat.act("feedback", **{"metadata": STARS, **fields})
    return chat


@pytest.mark.parametrize(("score", "weight"), [(5.0, 1.0), (3.0, 0.5), (1.0, 0.0)])
def test_a_rating_is_the_weight_of_the_first_prompt(
    score: float, weight: float
) -> None:
    (row,) = rows(rated(score=score), "R16")

    assert row.kind == "prompt"
    assert [message["content"] for message in row.prompt] == ["Be brief.", "First?"]
    assert row.answer == ()
    assert row.origin.weight == weight


def test_a_rating_on_a_named_scale_is_brought_to_five_stars() -> None:
    chat = rated(score=10.0, metadata={"scale": [0, 10]})

    (row,) = rows(chat, "R16")

    assert row.origin.weight == 1.0


@pytest.mark.parametrize("name", ["kto", "preference", "prompt-completion"])
def test_a_rating_of_the_session_is_never_spread_over_its_turns(name: str) -> None:
    options = ExportOptions(rules=("R1", "R2", "R4", "R6", "R7", "R16", "R17"))

    assert exported([rated(score=5.0).document()], name, options) == []


def test_a_word_without_a_score_weighs_nothing_and_is_counted() -> None:
    chat = rated(feedback="thumbs_up")

    assert rows(chat, "R16") == []
    assert reasons(chat, "R16") == ["session-rating-without-score"]


def test_a_rating_of_a_turn_is_none_of_the_session() -> None:
    assert rows(rated(score=5.0, turn_seq=3), "R16") == []


def test_a_session_in_which_nobody_asked_has_no_prompt_to_weigh() -> None:
    chat = Chat()
    chat.assistant("Hello!")
    chat.act("feedback", score=5.0, metadata=STARS)

    assert reasons(chat, "R16") == ["session-rating-without-score"]


def test_a_reported_session_gives_no_rating() -> None:
    chat = rated(score=5.0)
    chat.act("report")

    assert reasons(chat, "R16") == ["reported"]


def test_a_copy_of_another_text_is_no_signal() -> None:
    chat = Chat()
    chat.user("Question?")
    answer = chat.assistant("Answer.")
    other = hashlib.sha256(b"Another answer.").hexdigest()
    chat.act("copy", turn_seq=answer, metadata={"text_sha256": other})

    assert rows(chat, "R9") == []
    assert reasons(chat, "R9") == ["stale-feedback"]
