"""Rows that form one session together, gathered while they stream past."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from convstore.imports.model import Rejected
from convstore.imports.source import SourceLimits
from convstore.vocabulary.records import Json


@dataclass(frozen=True, slots=True)
class Record:
    """A parsed record, where it stood, and its bytes."""

    number: int
    value: Json
    data: bytes


@dataclass(slots=True)
class _Group:
    """The rows gathered so far; `bad` says why they cannot be a session."""

    key: str
    number: int
    bad: tuple[str, str] | None = None
    rows: list[Record] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, row: Record, limits: SourceLimits) -> None:
        self.size_bytes += len(row.data) + 1
        if len(self.rows) >= limits.max_group or (
            self.size_bytes > limits.max_line_bytes
        ):
            self.bad = ("too_long", "group: has too many rows or bytes")
            # Only what was gathered so far can be set aside; memory stays bounded.
            return
        self.rows.append(row)

    def close(self) -> Record | Rejected:
        data = b"\n".join(row.data for row in self.rows)
        if self.bad is not None:
            return Rejected(self.number, *self.bad, data)
        return Record(self.number, [row.value for row in self.rows], data)


def grouped(
    rows: Iterator[Record | Rejected],
    group_key: Callable[[Json], str | None],
    limits: SourceLimits,
) -> Iterator[Record | Rejected]:
    """Rows next to each other with one key as one record: the list of their values.

    A row without a key stays as it is. An unreadable row may have belonged to the group
    before it or after it: both are set aside, for a tree that lacks a message must not
    be imported by half.
    """
    group: _Group | None = None
    broken = False
    for row in rows:
        if isinstance(row, Rejected):
            broken = True
            if group is not None:
                group.bad = _BROKEN
            yield row
            continue
        key = group_key(row.value)
        if group is not None and key != group.key:
            yield group.close()
            group = None
        if key is None:
            yield row
        else:
            group = group or _Group(key, row.number, _BROKEN if broken else None)
            group.add(row, limits)
        broken = False
    if group is not None:
        yield group.close()


_BROKEN = ("broken_group", "group: a row next to it cannot be read")
