"""What differs between the databases in the index of words; this class is all of it.

Both hold the same words at the same places, and so find the same. Neither is ever given
what a caller typed: only words that `convstore.search` has made of it, in quotes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select

from convstore.search.query import Query


@dataclass(frozen=True, slots=True)
class WordRow:
    """The words of one entry, and those that say whom it is for."""

    id: int
    tenant_id: str
    session_id: str
    kind: str
    seq: int
    scope: Sequence[str]
    words: Sequence[str]


class WordIndex(ABC):
    """Puts words into an index and finds them, within the caller's transaction."""

    # Whether words must be told again to be taken out.
    forgets_by_words = False

    @abstractmethod
    def is_there(self, connection: Connection) -> bool:
        """Whether the database has what the index needs."""

    @abstractmethod
    def add(self, connection: Connection, rows: Sequence[WordRow]) -> Sequence[WordRow]:
        """Add entries with their words, in ascending order of ids.

        Returns:
            Those that were not added, because another transaction took the id.
        """

    @abstractmethod
    def take_out(self, connection: Connection, rows: Sequence[WordRow]) -> None:
        """Take words out: exactly those that were put in. The entries go otherwise."""

    @abstractmethod
    def clear(self, connection: Connection) -> None:
        """Take out all words of all entries."""

    @abstractmethod
    def matching(
        self, query: Query, scope: Sequence[str]
    ) -> tuple[Select[Any], ColumnElement[int]]:
        """The SELECT of the ids of entries that have the words of a query and of a
        scope, and its column, by which it can be bounded and put in order."""

    @abstractmethod
    def fetch(
        self, connection: Connection, statement: Select[Any], budget_s: float
    ) -> list[int] | None:
        """The numbers that a SELECT of `matching` gives; None if it takes longer. The
        transaction is good for nothing else then."""

    @abstractmethod
    def tidy(self, connection: Connection, *, begins: bool) -> bool:
        """Do a step of what makes words that were taken out unreadable in the files of
        the index, `begins` with the first; whether another is needed.

        Called in a transaction of its own for each step, or outside of any where the
        database wants that.
        """
