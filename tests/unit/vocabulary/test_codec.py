"""Text and JSON at the border; both databases are asked in tests/integration."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convstore.errors import CorruptionError, InvalidInputError
from convstore.vocabulary.codec import (
    INT64_MAX,
    INT64_MIN,
    check_int,
    check_text,
    decode_json,
    digest,
    dumps,
    encode_json,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(INT64_MIN, INT64_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@given(JSON)
def test_json_comes_back_equal_and_in_order(value: Any) -> None:
    text = encode_json("field", value, 10**6, 64)

    assert json.dumps(decode_json(text)) == json.dumps(value)
    assert json.dumps(json.loads(text)) == json.dumps(value), "any parser reads it"


@given(st.text())
def test_text_passes_or_is_refused_and_is_never_changed(text: str) -> None:
    try:
        text.encode()
        storable = "\0" not in text
    except UnicodeEncodeError:
        storable = False

    if storable:
        assert check_text("field", text, 10**6) is text
    else:
        with pytest.raises(InvalidInputError):
            check_text("field", text, 10**6)


@pytest.mark.parametrize(("text", "size"), [("abc", 3), ("é", 2), ("🎉", 4)])
def test_text_is_measured_in_bytes(text: str, size: int) -> None:
    assert check_text("field", text, size) == text
    with pytest.raises(InvalidInputError, match=f"has {size} bytes"):
        check_text("field", text, size - 1)


@pytest.mark.parametrize("value", [0, 1, INT64_MAX])
def test_a_count_is_from_zero_to_64_bits(value: int) -> None:
    assert check_int("field", value) == value


@pytest.mark.parametrize("value", [-1, INT64_MAX + 1, True, 1.0, "1", None])
def test_anything_else_is_no_count(value: object) -> None:
    with pytest.raises(InvalidInputError):
        check_int("field", value)


@pytest.mark.parametrize("value", [[], {}, [{}], {"a": [1]}, "deep"])
def test_depth_is_counted_in_lists_and_objects(value: Any) -> None:
    levels = str(value).count("[") + str(value).count("{")

    encode_json("field", value, 100, levels)
    if levels:
        with pytest.raises(InvalidInputError, match="nested"):
            encode_json("field", value, 100, levels - 1)


def test_a_refusal_names_the_field_and_not_the_content() -> None:
    with pytest.raises(InvalidInputError) as caught:
        encode_json("metadata", {"secret": {"secret": {1}}}, 100, 64)

    assert caught.value.field == "metadata"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1,]", "NaN", "{'a':1}", b"\xff", "1 2"])
def test_bytes_that_are_no_json_are_corruption_and_not_quoted(
    text: str | bytes,
) -> None:
    with pytest.raises(CorruptionError) as caught:
        decode_json(text)

    assert caught.value.__cause__ is None
    assert str(caught.value) == "bytes are not valid JSON"


def test_columns_of_a_digest_cannot_be_shifted_into_one_another() -> None:
    assert digest("a", "b") == digest("a", "b")
    others = [("ab", ""), ("a", "b", None), ("a,b",), ('a","b',), ("b", "a")]
    assert digest("a", "b") not in {digest(*columns) for columns in others}


def test_stored_json_is_compact_and_utf8() -> None:
    assert encode_json("f", {"b": [1, "é"], "a": None}, 100, 9) == (
        '{"b":[1,"é"],"a":null}'
    )
    assert dumps({"a": 1}, indent=True) == b'{\n  "a": 1\n}'
