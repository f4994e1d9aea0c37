"""What a commit does for the index of words: a mark for each session, or the words."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import CTE, Connection, FromClause, insert, select

from convstore.db import models, search_indexing, search_marks
from convstore.db.dialects.base import search_mode_of
from convstore.db.flushed import Flushed


class SearchHook:
    """Keeps the index of words of a store that has one."""

    about = ("rows", "cold")

    def flush(self, connection: Connection, flushed: Flushed) -> None:
        """Mark live sessions in which something was said, or that have another title or
        owner; with the mode `inline`, index them.

        Those that went have been taken out before their rows were.
        """
        said = {
            (row["tenant_id"], row["session_id"])
            for name in ("turns", "interactions")
            for row in flushed.rows.get(name, ())
        }
        marks = [
            (*key, row["version"])
            for heads in (flushed.hot, flushed.cold)
            for key, row in heads.items()
            if (key in said or heads is flushed.cold)
            and row["state"] == "active"
            and (row["turn_count"] or row["interaction_count"] or row["title"])
        ]
        if not marks:
            return
        if search_mode_of(connection) == "inline":
            search_indexing.index_now(connection, marks)
        else:
            search_marks.add(connection, marks)

    def at_once(self, turns: FromClause, changed: CTE) -> Sequence[CTE]:
        """A mark for each session, by the version that it came to."""
        marks = select(changed.c.tenant_id, changed.c.session_id, changed.c.version)
        names = ["tenant_id", "session_id", "number"]
        added = insert(models.search_marks).from_select(names, marks)
        return [added.cte("marked")]
