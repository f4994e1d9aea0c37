"""A write that remembers what became of its session: for the hot tier, after commit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from convstore.db.unit import Key, Operation, Unit
from convstore.vocabulary.records import Session

R = TypeVar("R")


@dataclass(slots=True)
class Tracked(Generic[R]):
    """Carries out `inner`; then `before` and `session` are the version before (0 where
    there was no session) and the record after. Only true once it is committed."""

    inner: Operation[R]
    before: int = 0
    session: Session | None = None

    @property
    def key(self) -> Key:
        return self.inner.key

    @property
    def size(self) -> int:
        return self.inner.size

    def apply(self, unit: Unit) -> R:
        head = unit.known(self.key)
        self.before = 0 if head is None else head.row["version"]
        result = unit.carry_out(self.inner)
        head = unit.known(self.key)
        self.session = None if head is None else head.record
        return result


def bare(operation: Operation[Any]) -> Operation[Any]:
    """The operation itself, tracked or not."""
    return operation.inner if isinstance(operation, Tracked) else operation
