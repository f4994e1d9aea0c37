"""Whatever people write in whatever script is found, and whatever they type is a query;
on both databases the same."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path

import pytest

from convstore import InvalidInputError
from convstore.db.statements import Prepared
from tests.integration.archives import OpenAnother
from tests.integration.conversations import say
from tests.integration.test_search import mode, places

# What is said, what finds it, and what must not.
SCRIPTS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "Dutch": ("Één kopje thee in ’s-Gravenhage", ("een", "gravenhage"), ("haag",)),
    "German": ("Die Straßenbahn fährt über Köln", ("STRASSENBAHN", "koln"), ("bahn",)),
    "French": ("L’été à la plage, ça va", ("ete", "ÇA", "l'été"), ("plages",)),
    "Spanish": ("¿Qué mañana más fría?", ("manana", "fria"), ("fri",)),
    "Turkish": ("İstanbul’da ılık rüzgâr", ("istanbul", "ilik", "ruzgar"), ("stan",)),
    "Russian": ("Ёлка и ещё снег", ("елка", "СНЕГ"), ("сне",)),
    "Kazakh": ("Қазақ тілі әдемі", ("қазақ", "ТІЛІ"), ("тіл",)),
    "Serbian": ("Џеп и ђак, Đorđe", ("џеп", "dorde"), ("ђа",)),
    "Greek": ("Καλημέρα κόσμε", ("καλημερα", "ΚΌΣΜΕ"), ("κόσμος",)),
    "Arabic": ("كَتَبَ الدَّرْسَ", ("كتب", "الدرس"), ("درس",)),
    "Hebrew": ("שָׁלוֹם עֲלֵיכֶם", ("שלום", "עליכם"), ("לום",)),
    "Hindi": ("नमस्ते दुनिया", ("नमस्ते", "दुनिया"), ("नम",)),
    "Chinese": ("今天天气怎么样", ("气", "天气", "天气怎", "今天天气"), ("气天",)),
    "Japanese": ("東京タワーに行きました", ("東", "タワ", "に行き"), ("京東",)),
    "Korean": ("한국어를 배웁니다", ("어", "한국", "한국어"), ("어한",)),
    "Thai": ("สวัสดีครับ", ("สวัส", "ครับ"), ("ครูบ",)),
    "Burmese": ("မင်္ဂလာပါ", ("မင်္ဂ", "လာပါ"), ("ပါလာ",)),
    "code": ("def user_id(x): return 3.14", ("user_id", "3.14", "DEF"), ("14.3",)),
    "emoji": ("goed zo 👍", ("👍", "zo 👍"), ("👎",)),
}


@pytest.mark.parametrize("name", ["off", "deferred"])
async def test_what_is_said_in_any_script_is_found_by_its_words_and_parts(
    open_another: OpenAnother, name: str
) -> None:
    store = await open_another(search=mode(name))
    for script, (said, _, _) in SCRIPTS.items():
        await say(store, script, said)

    for script, (_, finds, does_not) in SCRIPTS.items():
        for text in finds:
            page = await store.search(text)
            assert (script, "turn", 1) in places(page), (script, text)
            assert any(span.is_hit for span in page.items[0].snippet), (script, text)
        for text in does_not:
            assert script not in {
                place[0] for place in places(await store.search(text))
            }


@pytest.mark.mostly_slow("sqlite")
async def test_every_naughty_string_is_a_query_that_finds_itself(
    open_another: OpenAnother, real_data: Path
) -> None:
    path = real_data / "naughty-strings/strings.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        strings = [json.loads(line)["string"] for line in lines]
    store = await open_another(search=mode("deferred"))
    await say(store, "s-1", *strings)
    await say(store.for_tenant("other"), "s-2", *strings)

    for number, text in enumerate(strings, 1):
        page = await store.search(text[:256], limit=500)
        assert {hit.session.id for hit in page.items} <= {"s-1"}, ascii(text)
        # Sixteen chunks count, and text of punctuation alone asks for nothing.
        turns = {hit.turn_seq for hit in page.items}
        assert not turns or number in turns or text.startswith("-"), ascii(text)


@pytest.mark.slow
async def test_a_turn_as_large_as_turns_may_be_is_found_by_its_end_and_its_words(
    open_another: OpenAnother,
) -> None:
    """With a word of a megabyte, and an escape of a NUL in its parts."""
    store = await open_another(search=mode("deferred"))
    word = "x" * 1_000_000
    escaped = [{"type": "text", "text": "een \\u0000 appel"}]
    await store.sessions.get_or_create("s-1")
    await store.turns.append_many(
        "s-1",
        [
            {"role": "user", "content": "begin " + "ja " * 5_000_000 + "einde"},
            {"role": "user", "content": f"{word} peer"},
            {"role": "user", "parts": escaped},
        ],
    )

    assert places(await store.search("begin")) == [("s-1", "turn", 1)]
    assert places(await store.search("einde")) == [("s-1", "turn", 1)]
    assert places(await store.search("peer")) == [("s-1", "turn", 2)]
    assert places(await store.search("xxxx*")) == [("s-1", "turn", 2)]
    assert places(await store.search("appel")) == [("s-1", "turn", 3)]


async def test_a_tenant_is_read_no_more_for_what_others_say(
    open_another: OpenAnother, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many numbers, entries and texts leave the database, beside a hundred times as
    many of another tenant: not its hits, and not how long they take."""
    store = await open_another(search=mode("deferred"))
    await say(store.for_tenant("small"), "s-1", *(f"appel {n}" for n in range(30)))
    read: list[int] = []
    all_ = Prepared.all

    def counted(*given: object) -> list[object]:
        rows = all_(*given)  # type: ignore[arg-type]
        read.append(len(rows))
        return rows

    counts = []
    for session in range(2):
        page = await store.for_tenant("small").search("appel", limit=5)
        with monkeypatch.context() as patch:
            patch.setattr(Prepared, "all", counted)
            again = await store.for_tenant("small").search("appel", limit=5)
        assert again.items == page.items
        counts.append(list(read))
        read.clear()
        await say(store, f"s-{session}", *(f"appel {n}" for n in range(3_000)))
        await store.search_index.run()

    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", ["off", "deferred"])
async def test_nothing_that_is_looked_for_is_logged_or_repeated_in_an_error(
    open_another: OpenAnother, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    store = await open_another(search=mode(name))
    asked = "kwartelkoning"
    for logger in (None, "convstore", "sqlalchemy.engine"):
        caplog.set_level(logging.DEBUG, logger=logger)
    await say(store, "s-1", "appel")
    await store.search(asked)
    await store.sessions.list(title=asked)
    for wrong in (
        {"text": asked * 30},
        {"text": asked, "cursor": asked},
        {"text": asked, "role": asked},
    ):
        with pytest.raises(InvalidInputError) as refused:
            await store.search(**wrong)
        assert asked not in str(refused.value)

    assert asked not in "\n".join(f"{vars(r)!r}" for r in caplog.records)
