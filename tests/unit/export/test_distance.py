"""How far an edit went: exact up to a size, bounded above it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convstore.export.rules import distance
from convstore.export.rules.distance import edit_distance
from tests.unit.export.samples import Chat, exported

FEW_LETTERS = st.text("ab ñ🎉", max_size=40)
SOME_TEXT = FEW_LETTERS | st.text(max_size=40)


def by_table(before: str, after: str) -> int:
    """The plain dynamic programme: a row for each character."""
    row = list(range(len(after) + 1))
    for number, char in enumerate(before, 1):
        above, row = row, [number]
        for place, other in enumerate(after):
            changed = 1 + min(row[place], above[place + 1])
            row.append(above[place] if other == char else changed)
    return row[-1]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", "", 0),
        ("same", "same", 0),
        ("", "new", 3),
        ("The Hague.", "Amsterdam.", 14),
        ("colour", "color", 1),
        ("aXb", "aYb", 2),
        ("abab", "ab", 2),
        ("日本語", "日本", 1),
    ],
)
def test_a_distance_is_what_was_taken_out_and_put_in(
    before: str, after: str, expected: int
) -> None:
    assert edit_distance(before, after) == expected
    assert by_table(before, after) == expected


@given(SOME_TEXT, SOME_TEXT)
def test_a_distance_is_that_of_the_plain_dynamic_programme(
    before: str, after: str
) -> None:
    assert edit_distance(before, after) == by_table(before, after)


@given(FEW_LETTERS, FEW_LETTERS, SOME_TEXT, SOME_TEXT)
def test_what_both_texts_begin_and_end_with_does_not_count(
    before: str, after: str, start: str, end: str
) -> None:
    assert edit_distance(start + before + end, start + after + end) == by_table(
        before, after
    )


@given(FEW_LETTERS, FEW_LETTERS)
@settings(max_examples=80)
def test_above_the_stated_size_it_is_an_upper_bound_the_same_both_ways(
    before: str, after: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distance, "EXACT_CHARS", 5)
        bound = edit_distance(before, after)

        assert by_table(before, after) <= bound <= len(before) + len(after)
        assert bound == edit_distance(after, before)
        assert (bound == 0) == (before == after)


def test_a_megabyte_with_changes_here_and_there_keeps_them_near() -> None:
    before = "".join(f"Line {n} of a long text.\n" for n in range(2_000))
    after = before.replace("Line 77 ", "Example 77 ").replace(
        "1900 of a", "1900 of the"
    )

    assert 9 <= edit_distance(before, after) < 100


def edited() -> Chat:
    chat = Chat()
    chat.user("Capital of the Netherlands?")
    chat.act("edit", turn_seq=chat.assistant("The Hague."), content="Amsterdam.")
    return chat


@pytest.mark.parametrize("name", ["preference", "prompt-completion"])
def test_rows_of_an_edit_say_how_far_it_went(name: str) -> None:
    (row,) = exported([edited().document()], name)

    assert row["convstore"]["edit_distance"] == 14


def test_an_edit_that_made_a_turn_of_its_own_is_measured_too() -> None:
    chat = Chat()
    question = chat.user("Capital of the Netherlands?")
    one = chat.assistant("The Hague.")
    other = chat.assistant("Amsterdam.", parent_seq=question)
    chat.act("edit", turn_seq=one, chosen=other, rejected=(one,))

    (row,) = exported([chat.document()], "preference")

    assert row["convstore"]["edit_distance"] == 14


def test_rows_of_no_edit_have_gone_no_way() -> None:
    chat = Chat()
    question = chat.user("Capital of the Netherlands?")
    one = chat.assistant("The Hague.")
    other = chat.assistant("Amsterdam.", parent_seq=question)
    chat.act("choose", chosen=other, rejected=(one,))

    (row,) = exported([chat.document()], "preference")

    assert row["convstore"]["edit_distance"] == 0
