"""Redaction, language, tokens and near duplicates: what each does, and its absence."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from convstore.errors import InvalidInputError, MissingExtraError
from convstore.export.choosing.near import shingles
from convstore.export.options import ExportOptions, Filters
from convstore.export.privacy.patterns import find_patterns
from convstore.export.privacy.redaction import finder_of, redactor
from convstore.export.stages.job import run_export
from tests.summary import needs
from tests.unit.export.samples import Chat, documents, exported, read_rows, tree

REGEX = ExportOptions(redact="regex")


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Write to jan.de-vries+x@mail.example.org.", ["EMAIL"]),
        ("Card 4111 1111 1111 1111, please.", ["CARD"]),
        ("Card 4111 1111 1111 1112 has a wrong sum.", []),
        ("Pay to NL91 ABNA 0417 1643 00 today.", ["IBAN"]),
        ("NL92 ABNA 0417 1643 00 has a wrong sum.", []),
        ("SSN 078-05-1120", ["SSN"]),
        ("Host 192.168.0.1 is up, 999.1.1.1 is no host.", ["IP"]),
        ("Call +31 6 1234 5678 or 053-489 1234.", ["PHONE", "PHONE"]),
        ("In 2026 there were 1,234,567 of 10.5 in version 1.2.3.", []),
        ("3.14159265358979 and 2026-01-02 and 12345678", []),
        ("", []),
    ],
)
def test_patterns_find_what_has_the_shape_and_the_sum(
    text: str, kinds: list[str]
) -> None:
    assert [kind for _, _, kind in find_patterns(text)] == kinds


def test_overlapping_finds_are_of_the_first_kind() -> None:
    text = "12-34@10.0.0.1.nl 4111-1111-1111-1111, 10.0.0.1"

    assert find_patterns(text) == [
        (0, 17, "EMAIL"),
        (18, 37, "CARD"),
        (39, 47, "IP"),
    ]


@pytest.mark.parametrize(
    "finder", ["regex", pytest.param("presidio", marks=pytest.mark.trainers)]
)
def test_a_text_of_four_times_as_many_addresses_takes_four_times_as_long(
    finder: str,
) -> None:
    """In processor time, of which a quadratic search would take sixteen times."""
    if finder == "presidio":
        needs("presidio_analyzer")
    found = finder_of(finder)
    assert found is not None
    found.find("warm@example.org")

    def cost(addresses: int) -> float:
        text = " ".join(f"a{number}@example.org" for number in range(addresses))
        begun = time.thread_time()
        assert len(found.find(text)) >= addresses
        return time.thread_time() - begun

    assert min(cost(8_000) for _ in range(3)) < 8 * min(cost(2_000) for _ in range(3))


def personal() -> Chat:
    chat = Chat(title="Mail ann@example.org")
    chat.user("I am ann@example.org, my friend is bob@example.org.")
    chat.up(chat.assistant("Noted: ANN@example.org."))
    chat.act("edit", turn_seq=2, content="Noted, ann@example.org!")
    return chat


def test_one_value_has_one_stand_in_throughout_a_session() -> None:
    find = redactor(REGEX)
    assert find is not None

    told, counts = find(personal().document())

    assert told.session.title == "Mail <EMAIL_1>"
    assert told.turns[0].content == "I am <EMAIL_1>, my friend is <EMAIL_2>."
    assert told.turns[1].content == "Noted: <EMAIL_1>."
    assert counts["EMAIL"] == 5


def test_rows_hold_stand_ins_and_count_them() -> None:
    rows = exported([personal().document()], "preference", REGEX)

    text = json.dumps(rows)
    assert "example.org" not in text
    assert rows[0]["convstore"]["redactions"] == [{"kind": "EMAIL", "count": 5}]


def test_feedback_on_the_stored_text_is_not_stale_after_redaction() -> None:
    chat = Chat()
    chat.user("Mail?")
    digest = hashlib.sha256(b"ann@example.org").hexdigest()
    chat.up(chat.assistant("ann@example.org"), metadata={"text_sha256": digest})

    (row,) = exported([chat.document()], "kto", REGEX)

    assert row["completion"][0]["content"] == "<EMAIL_1>"


def test_redaction_changes_no_context_hash() -> None:
    (plain,) = exported([personal().document()], "kto")
    (told,) = exported([personal().document()], "kto", REGEX)

    assert plain["convstore"]["context_sha256"] == told["convstore"]["context_sha256"]


def test_a_lossless_copy_is_not_redacted_but_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="lossless"):
        run_export(documents(1), ["convstore"], tmp_path / "out", REGEX)


def test_languages_are_detected_where_none_is_stored() -> None:
    needs("py3langid")
    chat = Chat(language=None)
    chat.user("Waar is het archief?")
    chat.up(chat.assistant("Het archief staat in het centrum van de stad Enschede."))
    detect = ExportOptions(detect_language=True)
    dutch = ExportOptions(detect_language=True, filters=Filters(languages=("nl",)))

    (plain,) = exported([chat.document()], "kto")
    (told,) = exported([chat.document()], "kto", detect)

    assert plain["convstore"]["language"] == ""
    assert told["convstore"]["language"] == "nl"
    assert len(exported([chat.document()], "kto", dutch)) == 1


def test_tokens_are_counted_by_the_named_tokenizer(tmp_path: Path) -> None:
    tokenizers = needs("tokenizers")
    model = tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    chat = Chat()
    chat.user("word " * 1_500)
    chat.up(chat.assistant("Short."))
    options = ExportOptions(tokenizer=tmp_path / "tokenizer.json")

    run_export([chat.document()], ["kto"], tmp_path / "out", options)

    card = (tmp_path / "out" / "README.md").read_text()
    assert "| tokens over (counted) | rows |" in card
    assert "| 1,000 | 1 |\n| 2,000 | 0 |" in card


def test_of_a_pair_the_tokens_of_the_longer_side_count(tmp_path: Path) -> None:
    chat = Chat()
    asked = chat.user("Which?")
    good = chat.assistant("a" * 3_000, parent_seq=asked)
    bad = chat.assistant("b" * 3_900, parent_seq=asked)
    chat.act("choose", chosen=good, rejected=(bad,))

    run_export([chat.document()], ["preference"], tmp_path / "out")

    card = (tmp_path / "out" / "README.md").read_text()
    assert "| tokens over (estimated, 4 characters each) | rows |" in card
    assert "| 1,000 | 0 |" in card


def test_a_bad_tokenizer_file_is_refused(tmp_path: Path) -> None:
    needs("tokenizers")
    (tmp_path / "t.json").write_text("{}")
    options = ExportOptions(tokenizer=tmp_path / "t.json")

    with pytest.raises(InvalidInputError, match="tokenizer"):
        run_export(documents(1), ["kto"], tmp_path / "out", options)


def nearly_equal(count: int) -> list[Chat]:
    words = " ".join(f"word{n}" for n in range(200))
    chats = []
    for number in range(count):
        chat = Chat(f"s-{number}")
        chat.user(f"Tell me the words, variant {number}")
        chat.up(chat.assistant(f"{words} end{number}"))
        chats.append(chat)
    other = Chat("other")
    other.user("Tell me something else")
    other.up(other.assistant(" ".join(f"thing{n}" for n in range(200))))
    return [*chats, other]


def test_of_nearly_equal_rows_the_oldest_stays(tmp_path: Path) -> None:
    needs("rensa")
    found = [chat.document() for chat in nearly_equal(5)]
    options = ExportOptions(near_duplicates=0.8)

    report = run_export(found, ["kto"], tmp_path / "a", options).formats[0]

    run_export(reversed(found), ["kto"], tmp_path / "b", options)
    sessions = {row["convstore"]["session_id"] for row in read_rows(tmp_path / "a")}
    assert report.dropped == {"near-duplicate": 4}
    assert len(sessions) == 2
    assert "other" in sessions
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_bytes())
    assert manifest["libraries"] == {"rensa": version("rensa")}


def test_turns_of_one_conversation_are_no_near_duplicates_of_each_other(
    tmp_path: Path,
) -> None:
    needs("rensa")
    chat = Chat()
    for number in range(8):
        chat.user(f"Question {number} about {'abcdefgh'[number] * 9}?")
        chat.up(
            chat.assistant(f"Answer {number * 7919} with {'qrstuvwx'[number] * 9}.")
        )
    options = ExportOptions(near_duplicates=0.8)

    assert run_export([chat.document()], ["kto"], tmp_path / "out", options).rows == 8


def test_texts_without_spaces_are_cut_into_characters() -> None:
    assert len(shingles("这是一个没有空格的句子")) == 4
    assert shingles("") == [""]


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("presidio_analyzer", ExportOptions(redact="presidio")),
        ("py3langid", ExportOptions(detect_language=True)),
        ("tokenizers", ExportOptions(tokenizer=Path("tokenizer.json"))),
        ("rensa", ExportOptions(near_duplicates=0.8)),
        ("pyarrow", ExportOptions(file_type="parquet")),
    ],
)
def test_a_missing_extra_is_named_before_anything_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    options: ExportOptions,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(MissingExtraError, match=r"pip install 'convstore\["):
        run_export(documents(1), ["kto"], tmp_path / "out", options)

    assert not (tmp_path / "out").exists()
