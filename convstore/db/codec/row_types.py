"""The kinds of rows that a session has many of: their columns, checksums, records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Generic, TypeVar

from sqlalchemy import Table

from convstore.db import models
from convstore.db.codec.records import (
    GRAPH_STATE_COLUMNS,
    GRAPH_STATE_DIGEST,
    INTERACTION_COLUMNS,
    INTERACTION_DIGEST,
    ITEM_DIGEST,
    SESSION_ITEM_COLUMNS,
    STATE_COLUMNS,
    STATE_DIGEST,
    TURN_COLUMNS,
    TURN_DIGEST,
    TURN_DIGEST_LATER,
    SelectedRow,
    graph_state_from_row,
    interaction_from_row,
    session_item_from_row,
    state_from_row,
    turn_from_row,
)
from convstore.vocabulary.codec import digest
from convstore.vocabulary.errors import CorruptionError, RowCorruptError
from convstore.vocabulary.records import GraphState, Interaction, Item, JsonObject, Turn

T = TypeVar("T")


class RowType(Generic[T]):
    """One kind of row with a checksum.

    A row of it is selected as the session's id, `columns`, and the checksum. `later`
    are columns that are covered in rows which have a value in the first of them.
    """

    def __init__(
        self,
        what: str,
        table: Table,
        columns: Sequence[Any],
        covered: Sequence[str],
        build: Callable[[str, SelectedRow], T],
        later: Sequence[str] = (),
    ) -> None:
        names = [column.name for column in columns]
        self.table, self.columns = table, columns
        self.covered = tuple(covered)
        self._what, self._build = what, build
        self._covered = _picker([names.index(name) + 1 for name in covered])
        places = [names.index(name) + 1 for name in later]
        self._later = slice(places[0], places[-1] + 1) if places else slice(0, 0)
        self._said = itemgetter(*covered)
        self._said_later = itemgetter(*covered, *later)
        self._first_later = later[0] if later else None

    def digest(self, row: Mapping[str, Any]) -> bytes:
        """The checksum of a row that is to be stored: of what was said, and not of
        where it is put."""
        if self._first_later is not None and row[self._first_later] is not None:
            return digest(*self._said_later(row))
        return digest(*self._said(row))

    def records(self, session_id: str, rows: Sequence[SelectedRow]) -> tuple[T, ...]:
        """The records of the rows of one session.

        Raises:
            RowCorruptError: A row's checksum does not match, or it is no such row.
        """
        records = []
        for row in rows:
            try:
                covered = self._covered(row)
                if (later := row[self._later]) and later[0] is not None:
                    covered += tuple(later)
                if digest(*covered) != bytes(row[-1]):
                    raise RowCorruptError(session_id, f"{self._what} {row[1]}")
                records.append(self._build(session_id, row[1:-1]))
            except (CorruptionError, ValueError, TypeError):
                raise RowCorruptError(session_id, self._what) from None
        return tuple(records)


def _picker(places: list[int]) -> Callable[[SelectedRow], tuple[Any, ...]]:
    pick = itemgetter(*places)
    # Of one place it gives the value itself.
    return pick if len(places) > 1 else lambda row: (pick(row),)


TURNS: RowType[Turn] = RowType(
    "turn",
    models.turns,
    TURN_COLUMNS,
    TURN_DIGEST,
    turn_from_row,
    TURN_DIGEST_LATER,
)
INTERACTIONS: RowType[Interaction] = RowType(
    "interaction",
    models.interactions,
    INTERACTION_COLUMNS,
    INTERACTION_DIGEST,
    interaction_from_row,
)
GRAPH_STATES: RowType[GraphState] = RowType(
    "graph state",
    models.graph_states,
    GRAPH_STATE_COLUMNS,
    GRAPH_STATE_DIGEST,
    graph_state_from_row,
)
STATES: RowType[tuple[str, JsonObject]] = RowType(
    "adapter state", models.session_state, STATE_COLUMNS, STATE_DIGEST, state_from_row
)
ITEMS: RowType[Item] = RowType(
    "item",
    models.session_items,
    SESSION_ITEM_COLUMNS,
    ITEM_DIGEST,
    session_item_from_row,
)
