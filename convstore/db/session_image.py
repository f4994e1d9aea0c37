"""One session's rows in a private database in memory.

Whatever reads the rows of a live session reads those of an archived one with the same
statements, so that both give the same answer.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, bindparam, create_engine, insert
from sqlalchemy.dialects import sqlite
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from convstore.db import models
from convstore.db.codec.documents import document_rows, session_row
from convstore.db.statements import BOUND, Prepared
from convstore.vocabulary.records import SessionDocument

T = TypeVar("T")


class SessionImage:
    """The rows of one session as they were archived, to be read from any thread.

    The session itself reads as live. Rows of other sessions, and tables outside
    sessions, are not there. Its memory goes with it.
    """

    def __init__(self, document: SessionDocument) -> None:
        self._one_at_a_time = threading.Lock()
        raw = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._engine = create_engine(
            "sqlite://", creator=lambda: raw, poolclass=StaticPool
        )
        live = {"state": "active", "segment_id": None, "archived_at": None}
        session = session_row(document.session) | live
        with self._engine.connect() as connection:
            for table, rows in [(models.sessions, [session]), *document_rows(document)]:
                if table is models.attachments:
                    continue  # those are read in the database, which has them still
                for statement in _ddl(table):
                    raw.execute(statement)
                if rows:
                    _insert(table).many(connection, rows)

    def run(self, work: Callable[[Connection], T]) -> T:
        """Do work that reads, on the image's connection; one after the other."""
        with self._one_at_a_time, self._engine.connect() as connection:
            return work(connection)


@cache
def _ddl(table: Table) -> tuple[str, ...]:
    made: list[ExecutableDDLElement] = [CreateTable(table)]
    made += [CreateIndex(index) for index in table.indexes]
    return tuple(str(each.compile(dialect=sqlite.dialect())) for each in made)


@cache
def _insert(table: Table) -> Prepared:
    # What the database computes is not given to it.
    given = [column.name for column in table.c if column.computed is None]
    values: dict[str, Any] = {name: bindparam(BOUND + name) for name in given}
    return Prepared(lambda _: insert(table).values(values))
