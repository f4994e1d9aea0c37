"""Ids: fresh ones, and what any id may be."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convstore.errors import InvalidInputError
from convstore.vocabulary.ids import MAX_ID_CHARS, check_id, check_optional_id, new_id


def test_a_fresh_id_is_a_uuid_of_version_seven() -> None:
    made = uuid.UUID(new_id())

    assert made.version == 7
    assert made.variant == uuid.RFC_4122


def test_fresh_ids_never_meet_and_are_ordered_by_milliseconds() -> None:
    made = [new_id() for _ in range(5000)]

    assert len(set(made)) == 5000
    assert [i[:13] for i in made] == sorted(i[:13] for i in made)


def test_fresh_ids_differ_in_every_random_bit() -> None:
    seen = [uuid.UUID(new_id()).int for _ in range(500)]
    ones = zeros = 0
    for value in seen:
        ones |= value
        zeros |= ~value

    fixed = (0xF << 76) | (0x3 << 62)
    random_bits = ((1 << 80) - 1) & ~fixed
    assert ones & zeros & random_bits == random_bits


@given(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        min_size=1,
        max_size=MAX_ID_CHARS,
    )
)
def test_any_storable_text_of_up_to_255_characters_is_an_id(text: str) -> None:
    assert check_id("field", text) is text


@pytest.mark.parametrize("value", ["", "x" * 256, "a\0", "\ud800", 5, None, b"x"])
def test_anything_else_is_refused_by_name(value: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_id("session_id", value)

    assert caught.value.field == "session_id"


def test_an_optional_id_may_be_absent_but_not_empty() -> None:
    assert check_optional_id("user_id", None) is None
    with pytest.raises(InvalidInputError):
        check_optional_id("user_id", "")
