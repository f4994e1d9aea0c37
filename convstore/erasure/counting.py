"""What an erasure has found and deleted so far, for its receipt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from convstore.db import erasures
from convstore.db.engine import Connection
from convstore.db.erasures import StoredErasure
from convstore.db.unit import Head

# What a session's row, or its stub, counts.
_COUNTED = {
    "turns": "turn_count",
    "interactions": "interaction_count",
    "graph_states": "graph_state_count",
}


@dataclass(slots=True)
class Count:
    """What an erasure has found and deleted; kept with it, so that a crash on the way
    takes nothing from the receipt."""

    tenant: str
    erasure_id: str
    rows: dict[str, int]
    found: dict[str, int]

    @classmethod
    def so_far(cls, erasure: StoredErasure) -> Count:
        kept = erasure.receipt
        return cls(
            erasure.tenant_id,
            erasure.erasure_id,
            dict(kept.get("rows_deleted", {})),
            dict(kept.get("found", dict.fromkeys(("sessions", *_COUNTED), 0))),
        )

    def with_(self, rows: Mapping[str, int], heads: Sequence[Head]) -> Count:
        """The count with rows that were deleted, and sessions that go with them."""
        sums = Counter(self.rows)
        sums.update(rows)
        found = dict(self.found)
        for row in (head.row for head in heads):
            if row["state"] == "deleted" and row["segment_id"] is None:
                continue  # it left nothing to be found
            found["sessions"] += 1
            for kind, column in _COUNTED.items():
                found[kind] += row[column]
        return replace(self, rows=dict(sums), found=found)

    def with_items(self, gone: int) -> Count:
        """The count with items of a user, outside sessions, that were deleted."""
        rows, found = Counter(self.rows), Counter(self.found)
        for counts in (rows, found):
            counts["items"] += gone
        return replace(self, rows=dict(rows), found=dict(found))

    def keep(self, connection: Connection) -> None:
        """Write it down, in the transaction that makes it true."""
        kept = {"rows_deleted": self.rows, "found": self.found}
        erasures.note(connection, self.tenant, self.erasure_id, kept)
