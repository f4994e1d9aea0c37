"""Judged conversations to export, as many as asked for, and a store filled with them.

Each session is four questions with two answers each, of which a person chose one: four
preference rows of about 1.9 KB. No two texts are alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from random import Random
from typing import Any

from convstore.vocabulary.records import (
    Choice,
    Interaction,
    Session,
    SessionDocument,
    Turn,
)

ROWS_A_SESSION = 4
_START = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_WORDS = (
    "the a of to in for with archive session answer question store turn model memory "
    "feedback context window segment manifest quiet blue river under bright seven fast "
    "slow écluse straße naïve Zürich 北京 keeps reads writes finds gives takes shows"
).split()
_SESSIONS_AT_ONCE = 500


def judged_documents(count: int) -> Iterator[SessionDocument]:
    """So many sessions; the same ones each time."""
    random = Random(7)
    for number in range(count):
        yield _document(f"s-{number:08}", number, random)


def _document(session_id: str, number: int, random: Random) -> SessionDocument:
    turns: list[Turn] = []
    acts: list[Interaction] = []
    head: int | None = None
    for _ in range(ROWS_A_SESSION):
        asked = _turn(turns, session_id, head, "user", _text(random, 115))
        one, other = (
            _turn(turns, session_id, asked, "assistant", _text(random, 260))
            for _ in range(2)
        )
        head = one if random.random() < 0.5 else other
        acts.append(_chosen(session_id, len(acts) + 1, one, other, head))
    session = Session(
        "default", session_id, "active", 1 + len(turns), f"u-{number % 5_000}",
        "A judged session", "en", (), {}, _START, _START, _START, None, head, True,
        len(turns), len(acts), 0, {}, {}, None, 0, None, None,
    )  # fmt: skip
    return SessionDocument(session, tuple(turns), {}, tuple(acts), (), None, ())


def _turn(
    turns: list[Turn], session_id: str, parent: int | None, role: str, text: str
) -> int:
    seq = len(turns) + 1
    model = "model-7" if role == "assistant" else None
    stop = "stop" if model else None
    turn = Turn(
        session_id, seq, parent, role, text, None, None, None, model, stop, 100, 50, 20,
        None, None, None, None, None, None, {}, f"m-{seq}", _START + seq * _SECOND,
    )  # fmt: skip
    turns.append(turn)
    return seq


def _chosen(session_id: str, seq: int, one: int, other: int, best: int) -> Interaction:
    worst = one + other - best
    return Interaction(
        session_id, seq, "choose", None, None, Choice(best, (worst,)), "u-1", "human",
        None, None, None, None, {"order": [one, other]}, "web", None, {}, f"i-{seq}",
        _START + (20 + seq) * _SECOND,
    )  # fmt: skip


_PROSE = " ".join(Random(11).choices(_WORDS, k=40_000))


def _text(random: Random, chars: int) -> str:
    begin = random.randrange(len(_PROSE) - chars)
    return f"{_PROSE[begin : begin + chars]} {random.getrandbits(40):x}"


def fill(url: str, sessions: int) -> None:
    """Make the database and put the sessions into it, past the store.

    The rows are those that an import of the same documents writes; a million of them
    through group commit would take longer than what is measured.
    """
    from sqlalchemy import create_engine

    from convstore.db import models
    from convstore.db.codec.documents import document_rows, session_row
    from convstore.db.migrate import upgrade
    from convstore.db.statements import Prepared

    upgrade(url)
    engine = create_engine(url)
    into = {
        table: Prepared(partial(_insert, table))
        for table in (models.sessions, models.turns, models.interactions)
    }
    for batch in _batches(judged_documents(sessions)):
        tables: dict[Any, list[dict[str, Any]]] = {models.sessions: []}
        for document in batch:
            row = session_row(document.session)
            tables[models.sessions].append({"problem": None, **row})
            for table, rows in document_rows(document):
                tables.setdefault(table, []).extend(rows)
        with engine.begin() as connection:
            for table, rows in tables.items():
                if rows:
                    into[table].many(connection, rows)
    engine.dispose()


def _insert(table: Any, _: object) -> Any:
    from sqlalchemy import bindparam, insert

    # What the database computes is not given.
    given = [column for column in table.c if column.computed is None]
    return insert(table).values({each: bindparam(each.name) for each in given})


def _batches(
    documents: Iterable[SessionDocument],
) -> Iterator[list[SessionDocument]]:
    given = iter(documents)
    while batch := list(islice(given, _SESSIONS_AT_ONCE)):
        yield batch
