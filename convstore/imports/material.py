"""What a format is given to read: files with their records, or tables with their rows.

Protocols only. A format sees no path, opens nothing, and cannot tell a folder from a
zip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from convstore.imports.grouping import Record
from convstore.imports.model import ImportedSession, Rejected
from convstore.vocabulary.records import Json

Value: TypeAlias = str | bytes | int | float | None
Row: TypeAlias = dict[str, Value]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something of the source that belongs to no conversation of it, by kind."""

    kind: str
    count: int = 1


Found: TypeAlias = ImportedSession | Rejected | LeftOut


class Tables(Protocol):
    """The tables of a database file, read only."""

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """The columns of each table."""
        ...

    def rows(
        self,
        table: str,
        *,
        order: Sequence[str] = (),
        where: Mapping[str, Value] | None = None,
    ) -> Iterator[Row]:
        """The rows of a table, as many at a time as are asked for.

        By the columns of `order` that the table has, then as they were added. None at
        all where there is no such table, or a column of `where` is not in it.
        """
        ...


class Material(Protocol):
    """A file, a folder or a zip of files, or a database."""

    @property
    def name(self) -> str:
        """What the file or folder is called, without its ending."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """The files, by their paths inside the folder or zip, in order."""
        ...

    @property
    def tables(self) -> Tables | None:
        """The tables; None where it is no database."""
        ...

    def records(self, name: str) -> Iterator[Record | Rejected]:
        """The records of one file: lines, items of a list, or one object."""
        ...

    def rejected(self, name: str, number: int, reason: str, data: bytes) -> Rejected:
        """A record that is set aside, told with its file where there are several."""
        ...

    def told(self, rejected: Rejected, name: str) -> Rejected:
        """The same with the name of its file, where there are several."""
        ...

    def decoded(self, text: Value, *, field: str = "record") -> Json:
        """The value of JSON text in a column, under the bounds of a record.

        Raises:
            InvalidInputError: Not JSON; names the field.
        """
        ...
