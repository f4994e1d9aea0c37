"""Every text is a query, and means what a person would mean by it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convstore import InvalidInputError
from convstore.search.query import Phrase, Query, parse
from convstore.search.snippets import CHARS, fitness, snippet
from convstore.search.words import words_of


def found(query: str, text: str) -> bool:
    return parse(query).matches(words_of(text), text)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("ENSCHEDE welke", "Welke archieven zijn er in Enschede?"),
        ('"zijn er"', "Welke archieven zijn er?"),
        ("user_id", "the user_id is 7"),
        ("3.14", "pi is 3.14"),
        ("archie*", "Welke archieven"),
        ("天", "今天"),
        ("天气", "今天天气怎么样"),
        ("ja -nee", "ja"),
        ("C++", "I like C++."),
        ("10%", "10% of it"),
        ("++", "I like C++."),
        ("(Enschede)", "in Enschede"),
        ("AND", "this and that"),
        ('"niet dicht', "niet dicht"),
        ("😀", "goed 😀"),
        ("don't", "I don’t know"),
    ],
)
def test_is_found(query: str, text: str) -> None:
    assert found(query, text)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("enschede hengelo", "in Enschede"),
        ('"er zijn"', "Welke archieven zijn er?"),
        ("ar*", "archieven"),
        ("ja -nee", "ja en nee"),
        ("C++", "in C"),
        ("10%", "10 of them"),
        ("天气", "天 气"),
        ("OR", "ja"),
    ],
)
def test_is_not_found(query: str, text: str) -> None:
    assert not found(query, text)


@pytest.mark.parametrize("text", ["", '"', "-", "*", "()", "' ;", "-nee", "   "])
def test_what_asks_for_nothing_is_empty(text: str) -> None:
    assert parse(text).is_empty


def test_a_query_has_an_end() -> None:
    assert len(parse("a " * 100).wanted) == 16
    with pytest.raises(InvalidInputError, match="256"):
        parse("a" * 257)


@given(st.text(max_size=256))
def test_any_text_is_a_query(text: str) -> None:
    query = parse(text)

    assert isinstance(query, Query)
    snippet(text, query)
    fitness(text, query)


def test_a_snippet_shows_what_was_found() -> None:
    text = "x " * 300 + "archieven in Enschede" + " y" * 300

    spans = snippet(text, parse("enschede"))

    assert [span.text for span in spans if span.is_hit] == ["Enschede"]
    assert sum(len(span.text) for span in spans) <= CHARS + 2
    assert (spans[0].text, spans[-1].text) == ("…", "…")


def test_a_snippet_of_pairs_is_one_hit() -> None:
    spans = snippet("今天天气怎么样", parse("天气怎么"))

    assert [span.text for span in spans if span.is_hit] == ["天气怎么"]


def test_a_snippet_is_one_line() -> None:
    spans = snippet("een\ntwee\r\ndrie", parse("drie"))

    assert "".join(span.text for span in spans) == "een twee drie"


def test_a_text_with_more_of_it_fits_better() -> None:
    query = parse("kaas brood")

    near = fitness("kaas brood kaas", query)
    far = fitness("kaas " + "en " * 60 + "brood", query)

    assert near > far
    assert Phrase(("a",)).places(["a", "b", "a"]) == [0, 2]
