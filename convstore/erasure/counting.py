"""What an erasure has found and deleted so far, for its receipt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from convstore.db import erasures
from convstore.db.actors import Renamed
from convstore.db.engine import Connection
from convstore.db.erasures import StoredErasure
from convstore.db.unit import Head
from convstore.vocabulary.clock import from_micros
from convstore.vocabulary.reports import ErasureReceipt

ACTS_UNTIL = "acts_until"
"""In what is kept of an erasure: until when acts are the erased user's."""

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
    renamed: dict[str, int]
    acts_until: int = 0

    @classmethod
    def so_far(cls, erasure: StoredErasure) -> Count:
        kept = erasure.receipt
        return cls(
            erasure.tenant_id,
            erasure.erasure_id,
            dict(kept.get("rows_deleted", {})),
            dict(kept.get("found", dict.fromkeys(("sessions", *_COUNTED), 0))),
            dict(kept.get("renamed", {})),
            kept.get(ACTS_UNTIL, 0),
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

    def with_renamed(self, rows: Renamed) -> Count:
        """The count with rows of other people's sessions that have another name."""
        sums = Counter(self.renamed)
        sums.update(interactions=rows.interactions, legal_holds=rows.legal_holds)
        sums = +sums  # without what is none
        return replace(self, renamed=dict(sums))

    def with_copies(self, sessions: int) -> Count:
        """The count with sessions of others of which a copy names the user no more."""
        sums = Counter(self.renamed)
        sums.update({"archived_sessions": sessions} if sessions else {})
        return replace(self, renamed=dict(sums))

    def take(self, more: Count) -> None:
        """Count what `more` does, once it is committed."""
        self.rows, self.found, self.renamed = more.rows, more.found, more.renamed

    def receipt(
        self, erasure: StoredErasure, residue: tuple[str, ...]
    ) -> ErasureReceipt:
        """What is known once the rows are gone; `residue` as in the receipt."""
        return ErasureReceipt(
            erasure_id=erasure.erasure_id,
            tenant_id=erasure.tenant_id,
            subject=erasure.subject,
            requested_at=from_micros(erasure.requested_at),
            done_at=None,
            session_ids=erasure.session_ids,
            rows_deleted=self.rows,
            segments_rewritten=(),
            shards_rewritten=0,
            found=self.found,
            renamed=self.renamed,
            residue=residue,
        )

    def kept(self) -> dict[str, Any]:
        """What is kept of it, for whoever goes on."""
        return {
            "rows_deleted": self.rows,
            "found": self.found,
            "renamed": self.renamed,
            ACTS_UNTIL: self.acts_until,
        }

    def keep(self, connection: Connection) -> None:
        """Write it down, in the transaction that makes it true."""
        erasures.note(connection, self.tenant, self.erasure_id, self.kept())
