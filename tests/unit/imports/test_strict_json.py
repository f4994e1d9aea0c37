"""JSON that the store could not keep exactly is refused before it is taken apart."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convstore.errors import InvalidInputError, LimitExceededError
from convstore.imports.strict_json import parse_json

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('ab\u2028é🎉\\"\n', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab"), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_what_can_be_kept_is_read_exactly(value: object) -> None:
    data = json.dumps(value).encode()

    assert json.dumps(parse_json(data, 64)) == json.dumps(value)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"a": 1, "b": 2, "a": 1}', "has an object with a repeated key"),
        (b'[{"x": {"a": 1, "a": 1}}]', "has an object with a repeated key"),
        (b"9223372036854775808", "holds an integer beyond 64 bits"),
        (b"-9223372036854775809", "holds an integer beyond 64 bits"),
        (b"9" * 1_000_000, "holds an integer beyond 64 bits"),
        (b"[1e400]", "holds a number beyond the range of floats"),
        (b"[-1e400]", "holds a number beyond the range of floats"),
        (b"NaN", "holds NaN or an infinity"),
        (b"-Infinity", "holds NaN or an infinity"),
        (b"[" * 65 + b"]" * 65, "is nested too deeply"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "is nested too deeply"),
        (b"[" * 1_000_000, "is nested too deeply"),
        (b'{"a": "\xff"}', "is not UTF-8 from byte 8 on"),
        (b'{"a": 1', "is not JSON from character 8 on"),
        (b"{} {}", "is not JSON from character 4 on"),
        (b"", "is not JSON from character 1 on"),
        (b"\xef\xbb\xbf{}", "is not JSON from character 1 on"),
        (b'{"a": "tab\there"}', "is not JSON from character 11 on"),
    ],
)
def test_what_cannot_be_kept_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_json(data, 64)

    assert str(caught.value) == f"record: {problem}"


@pytest.mark.parametrize(
    "data",
    [
        b"9223372036854775807",
        b"-9223372036854775808",
        b"[" * 64 + b"]" * 64,
        b"[1e308, -0.0, 1E-400]",
        b" \t\r\n{} \n",
        rb'"\ud83c\udf89"',
    ],
)
def test_the_edges_of_the_profile_are_inside(data: bytes) -> None:
    assert parse_json(data, 64) == json.loads(data)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    data = b"[" + b",".join([b"{}"] * 1_000) + b"]"

    assert parse_json(data, 2) == [{}] * 1_000


MANY: dict[str, bytes] = {
    "lists": b"[" + b"[]," * 300_000 + b"[]]",
    "keys": b"{" + b'"k":0,' * 200_000 + b'"k":0}',
    "strings": b"[" + b'"",' * 200_000 + b'""]',
    "strings and nothing else": b'"' * 400_000,
}


@pytest.mark.parametrize("what", MANY)
def test_values_are_counted_before_they_are_made(what: str) -> None:
    tracemalloc.start()

    with pytest.raises(LimitExceededError, match=r"max_pieces: .* is over"):
        parse_json(MANY[what], 64, max_pieces=100_000)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        b'["' + b"[{,," * 300_000 + b'"]',
        b'["' + rb"\"[" * 300_000 + b'"]',
        b'["' + rb"\\\"," * 1_000_000 + b'", "' + rb"\\" * 1_000 + b'"]',
    ],
)
def test_what_is_inside_strings_is_no_value(text: bytes) -> None:
    assert parse_json(text, 64, max_pieces=5) == json.loads(text)


def test_a_string_without_an_end_takes_no_longer_than_one_with() -> None:
    """Quadratic time would be hours."""
    with pytest.raises(InvalidInputError, match="is not JSON"):
        parse_json(b'["' + rb"\"" * 1_000_000, 64, max_pieces=5)


def test_an_error_never_quotes_the_record() -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_json(b'{"said": "MARKER', 64)

    assert "MARKER" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
