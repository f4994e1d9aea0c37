"""What differs between the databases in the index of words; this class is all of it.

Both hold the same words at the same places, and so find the same. Neither is ever given
what a caller typed: only words that `convstore.search` has made of it, in quotes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    bindparam,
)

from convstore.search.query import Query
from convstore.vocabulary.record import Value

T = TypeVar("T")


class WordRow(Value, frozen=True):
    """The words of one entry, and those that say whom it is for."""

    id: int
    tenant_id: str
    session_id: str
    kind: str
    seq: int
    scope: Sequence[str]
    words: Sequence[str]


class Bounds(NamedTuple):
    """Whether ids are asked for from `lowest` on, and below `highest`."""

    lowest: bool
    highest: bool


class WordIndex(ABC):
    """Puts words into an index and finds them, within the caller's transaction."""

    # Whether words must be told again to be taken out.
    forgets_by_words = False
    # Whether a beginning costs what all the words do that begin so, in every tenant.
    merges_beginnings = False

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
    def matching(self, bounds: Bounds) -> Select[Any]:
        """The SELECT of the ids of entries that match `query`, which `worded` words:
        within those bounds that there are, the highest first, `limit` at most."""

    @abstractmethod
    def worded(self, query: Query | None, scope: Sequence[str]) -> str:
        """What is bound to find entries that have the words of a query and those of a
        scope; without a query all of the scope."""

    @abstractmethod
    def within(
        self, connection: Connection, budget_s: float, ask: Callable[[], T]
    ) -> T | None:
        """What a question to the index gives; None if it takes longer. The transaction
        is good for nothing else then."""

    @abstractmethod
    def tidy(self, connection: Connection, *, begins: bool) -> bool:
        """Do a step of what makes words that were taken out unreadable in the files of
        the index, `begins` with the first; whether another is needed.

        Called in a transaction of its own for each step, or outside of any where the
        database wants that.
        """


LIMIT: ColumnElement[int] = bindparam("limit", type_=BigInteger)


def within_bounds(
    number: ColumnElement[int], bounds: Bounds
) -> list[ColumnElement[bool]]:
    """The conditions on the column of the ids."""
    # None where there is none: PostgreSQL takes any bound for a narrow one until it has
    # counted the table, and goes through all that is within it.
    found: list[ColumnElement[bool]] = []
    if bounds.lowest:
        found.append(number >= bindparam("lowest", type_=BigInteger))
    if bounds.highest:
        found.append(number < bindparam("highest", type_=BigInteger))
    return found
