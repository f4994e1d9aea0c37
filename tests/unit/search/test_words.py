"""The words of a text are the same wherever and in whatever script they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convstore.search.contents import MOST_CHARS, MOST_WORDS, said, to_index
from convstore.search.words import LONGEST, folded, placed_words, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Welke archieven zijn er?", ["welke", "archieven", "zijn", "er"]),
        ("user_id 3.14 C++", ["user", "id", "3", "14", "c"]),
        ("Straße CAFÉ naïve", ["strasse", "cafe", "naive"]),
        ("İstanbul ıslak DIYARBAKIR", ["istanbul", "islak", "diyarbakir"]),
        ("Łódź Ærø", ["lodz", "ærø".replace("ø", "o")]),
        ("كَتَبَ كتب", ["كتب", "كتب"]),
        ("שָׁלוֹם", ["שלום"]),
        ("می\u200cخواهم", ["میخواهم"]),
        ("नमस्ते दुनिया।", ["नमस्ते", "दुनिया"]),
        ("今天天气", ["今天", "天天", "天气", "气"]),
        ("ｶﾞｷﾞ", ["ガギ", "ギ"]),
        ("한국어", ["한국", "국어", "어"]),
        ("สวัสดี", ["สว", "วั", "ัส", "สด", "ดี", "ี"]),
        ("天x今天y", ["天", "x", "今天", "天", "y"]),
        ("😀 ja", ["😀", "ja"]),
        ("", []),
    ],
)
def test_a_text_has_these_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.text(max_size=200))
def test_no_word_holds_what_an_index_would_cut_or_quote(text: str) -> None:
    for word in words_of(text):
        assert word
        assert len(word) <= LONGEST
        assert not any(char < "\x80" and not char.isalnum() for char in word)
        assert not any(char.isspace() for char in word)


@given(st.text(max_size=200))
def test_places_are_of_the_same_words_and_inside_the_text(text: str) -> None:
    placed = list(placed_words(text))

    assert [word for word, _, _ in placed] == words_of(text)
    assert all(0 <= start < end <= len(text) for _, start, end in placed)


@given(st.text(alphabet="aZ09 _-'é", max_size=120))
def test_a_text_in_ascii_has_the_words_that_it_has_beside_others(text: str) -> None:
    assert words_of(f"{text} é") == [*words_of(text), "e"]


def test_a_long_word_is_several() -> None:
    assert [len(piece) for piece in folded("x" * 150)] == [64, 64, 22]


def test_an_index_takes_so_much_of_a_text_and_says_so() -> None:
    short, many, long = (
        to_index("ja"),
        to_index("a b " * MOST_WORDS),
        to_index("a" * MOST_CHARS + " b"),
    )

    assert (short.cut, many.cut, long.cut) == (False, True, True)
    assert len(many.words) == MOST_WORDS
    assert to_index("ja " * 300).cut, "PostgreSQL keeps no more than 255 places"
    assert to_index("\U00020000" * 60_000 + " x").cut, "nor a megabyte of words"


def test_what_a_tool_gave_back_is_not_found() -> None:
    parts = [{"type": "text", "text": "ja"}, {"type": "tool_result", "content": "nee"}]

    assert said("tool", "nee", None, None) is None
    assert said("assistant", None, "echt?", parts) == "echt?\nja"
    assert said("user", "ja", "ja", None) == "ja"
    assert said("user", None, None, None) is None
