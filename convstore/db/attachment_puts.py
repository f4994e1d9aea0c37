"""The write that keeps an attachment, for the lanes of group commit."""

from __future__ import annotations

from dataclasses import dataclass

from convstore.db.attachments import keep
from convstore.db.unit import Key, Row, Unit


@dataclass(slots=True)
class PutAttachment:
    """Keep bytes under their hash, if they are not kept already."""

    row: Row

    # No session is concerned.
    keys: tuple[Key, ...] = ()

    @property
    def key(self) -> Key:
        """Keeps the writes of one attachment in order. No session has such an id."""
        return self.row["tenant_id"], f"\0\0{self.row['hash']}"

    @property
    def size(self) -> int:
        return len(self.row["data"])

    def apply(self, unit: Unit) -> None:
        keep(unit.connection, [self.row])
