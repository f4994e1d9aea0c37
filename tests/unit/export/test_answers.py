"""What is looked for in the text of an answer before anything else."""

from __future__ import annotations

import pytest

from convstore.export.dataset.statistics import RowCounter, Stats
from convstore.export.rules import checks
from convstore.export.stages.entries import LEFT, LONGER, PAIR, Waiting

ERRORS = (*checks._ERROR_TEXTS, *checks._ERROR_STARTS)


@pytest.mark.parametrize("text", ERRORS)
def test_each_error_holds_a_word_that_is_looked_for_first(text: str) -> None:
    for told in (text, f" \u00a0{text.upper()}"):
        problem = checks.text_problem(told, None, True)
        assert problem is not None
        assert problem.reason == "error-text"


@pytest.mark.parametrize("text", checks._FEEDBACK_TEXTS)
def test_each_judgement_holds_a_word_that_is_looked_for_first(text: str) -> None:
    for told in (text, f"Oh: {text.capitalize()}!".replace("'", "\u2019")):
        problem = checks.text_problem(told, None, True)
        assert problem is not None
        assert problem.reason == "feedback-text"


def test_rows_counted_together_count_as_they_do_one_by_one() -> None:
    rows = [
        Waiting(
            b"%016d" % number,
            0,
            number % 3,
            (PAIR | LEFT * (number % 2) | LONGER * (number % 5 == 0))
            * (number % 7 > 0),
            number * 37,
            number * 11,
            ("en", "", "nl")[number % 3],
            b"x" * number,
            b"",
        )
        for number in range(500)
    ]
    one_by_one, together = Stats(), RowCounter()

    for row in rows:
        one_by_one.add(row, "train")
        together.add(row)

    assert together.stats("train") == one_by_one
    assert together.stats("train").sizes == {"train": sum(range(500))}
    assert (one_by_one.rows, one_by_one.pairs) == (500, 428)
    assert RowCounter().stats("train") == Stats()
