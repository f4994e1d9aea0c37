"""A snippet reads no more of a text than it needs, and shows what it would of all."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from convstore.search.query import Query, parse
from convstore.search.snippets import _joined, shown, snippet
from convstore.search.words import placed_words

WORDS = st.sampled_from(
    "aa ab abc b1 C++ één EEN 天气 怎么样 _ x_y . \n ab-c ﬁ".split(" ")
)
TEXTS = st.lists(WORDS, max_size=120).map(" ".join)
QUERIES = st.lists(WORDS, min_size=1, max_size=3).flatmap(
    lambda words: st.sampled_from(
        [" ".join(words), f'"{" ".join(words)}"', f"{words[0]}*", f"-{words[0]} b1"]
    )
)


def of_all(text: str, query: Query) -> list[tuple[int, int]]:
    placed = list(placed_words(text))
    words = [word for word, _, _ in placed]
    found: set[tuple[int, int]] = set()
    for phrase in query.wanted:
        for at in phrase.places(words):
            found |= {placed[at + n][1:] for n in range(len(phrase.words))}
    return _joined(sorted(found))


@settings(max_examples=200, deadline=None)
@given(TEXTS, QUERIES)
def test_a_snippet_is_that_of_the_whole_text(text: str, asked: str) -> None:
    query = parse(asked)
    hits = of_all(text, query)
    if hits:
        assert snippet(text, query) == shown(text, hits)


def test_a_long_text_is_cut_into_words_around_the_first_hit_alone() -> None:
    rest = "woord " * 100_000
    text = f"{rest}enschede {rest}"

    spans = snippet(text, parse("enschede"))

    assert [span.text for span in spans if span.is_hit] == ["enschede"]
