"""All rows of one session as the database gives them, and what they say together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from convstore.db.codec.checkpoints import stored_checkpoints
from convstore.db.codec.records import (
    SelectedRow,
    hold_from_row,
    ledger_from_row,
)
from convstore.db.codec.row_types import (
    GRAPH_STATES,
    INTERACTIONS,
    ITEMS,
    STATES,
    TURNS,
)
from convstore.vocabulary.attachments import Attachment, rightly_named
from convstore.vocabulary.codec import decode_json, digest
from convstore.vocabulary.errors import CorruptionError, RowCorruptError
from convstore.vocabulary.records import (
    LedgerEntry,
    LegalHold,
    Session,
    SessionDocument,
)

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SessionRows:
    """A session, and its rows in the order of their keys, each led by the session's id.

    Rows with a checksum end with it.
    """

    session: Session
    turns: Sequence[SelectedRow]
    tools: Sequence[SelectedRow]
    interactions: Sequence[SelectedRow]
    graph_states: Sequence[SelectedRow]
    ledger: Sequence[SelectedRow]
    states: Sequence[SelectedRow]
    items: Sequence[SelectedRow]
    holds: Sequence[SelectedRow]
    checkpoints: Sequence[Sequence[SelectedRow]] = field(kw_only=True)
    attachments: Sequence[SelectedRow] = field(kw_only=True)

    def document(self) -> SessionDocument:
        """The session's document.

        Raises:
            RowCorruptError: A row's checksum does not match, or rows are missing.
        """
        sid = self.session.id
        if self.session.state == "active":
            self._check_counts()
        tool_sets = self._tool_sets()
        turns = TURNS.records(sid, self.turns)
        if {turn.tools_hash for turn in turns} - {None} - tool_sets.keys():
            raise RowCorruptError(sid, "the list of tool sets")
        return SessionDocument(
            session=self.session,
            turns=turns,
            tool_sets=tool_sets,
            interactions=INTERACTIONS.records(sid, self.interactions),
            graph_states=GRAPH_STATES.records(sid, self.graph_states),
            ledger=self._ledger(),
            holds=self._holds(),
            adapter_state=dict(STATES.records(sid, self.states)),
            items=ITEMS.records(sid, self.items),
            checkpoints=stored_checkpoints(sid, self.checkpoints),
            attachments=self._attachments(),
        )

    def fingerprint(self) -> bytes:
        """A checksum of every column of every row. That of a document with equal ones
        is `codec.documents.fingerprint_of`.

        Raises:
            RowCorruptError: A row without a checksum is no such row.
        """
        return digest(
            self.session,
            [row[1:-1] for row in self.turns],
            [row[1:] for row in self.tools],
            [row[1:-1] for row in self.interactions],
            [row[1:-1] for row in self.graph_states],
            self._ledger(),
            [row[1:-1] for row in self.states],
            [row[1:-1] for row in self.items],
            self._holds(),
            [[row[1:-1] for row in rows] for rows in self.checkpoints],
            [row[1:] for row in self.attachments],
        )

    def _ledger(self) -> LedgerEntry | None:
        if not self.ledger:
            return None
        try:
            return ledger_from_row(self.session.id, self.ledger[0][1:])
        except (CorruptionError, ValueError, TypeError):
            raise RowCorruptError(self.session.id, "ledger") from None

    def _attachments(self) -> tuple[Attachment, ...]:
        if not self.attachments:
            return ()
        try:
            return rightly_named(
                Attachment(name, kind, bytes(data))
                for _, name, kind, data in self.attachments
            )
        except ValueError:
            raise RowCorruptError(self.session.id, "attachment") from None

    def _holds(self) -> tuple[LegalHold, ...]:
        sid = self.session.id
        try:
            return tuple(hold_from_row(sid, row[1:]) for row in self.holds)
        except (ValueError, TypeError):
            raise RowCorruptError(sid, "hold") from None

    def _check_counts(self) -> None:
        """What is numbered has no gaps: a missing row is noticed by its number."""
        session = self.session
        for what, rows, count in (
            ("turns", self.turns, session.turn_count),
            ("interactions", self.interactions, session.interaction_count),
        ):
            numbers = (rows[0][1], rows[-1][1]) if rows else (1, count)
            if len(rows) != count or numbers != (1, count):
                raise RowCorruptError(session.id, f"the list of {what}")
        if len(self.graph_states) != session.graph_state_count:
            raise RowCorruptError(session.id, "the list of graph states")

    def _tool_sets(self) -> dict[str, Any]:
        for _, name, text in self.tools:
            # An imported document may name its sets otherwise: then no checksum.
            known = _SHA256.fullmatch(name) is not None
            if known and hashlib.sha256(text.encode()).hexdigest() != name:
                raise RowCorruptError(self.session.id, "tool set")
        return {name: decode_json(text) for _, name, text in self.tools}
