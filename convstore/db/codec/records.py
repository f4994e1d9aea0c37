"""Between rows and records: the columns of each record, in order, and both ways.

A row is what the database holds: JSON as text, times as integers. `*_COLUMNS` are
selected in the order that the `*_from_row` functions unpack.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from convstore.db import models
from convstore.vocabulary.attachments import Attachment
from convstore.vocabulary.clock import from_micros
from convstore.vocabulary.codec import decode_json, digest
from convstore.vocabulary.feedback import offered
from convstore.vocabulary.records import (
    NEW_CHAT,
    Choice,
    GraphState,
    Interaction,
    Item,
    JsonObject,
    LedgerEntry,
    LegalHold,
    Session,
    Turn,
)

SelectedRow = Sequence[Any]
"""Values in the order of some columns, as a statement gives them."""
StoredRow = dict[str, Any]
"""Values by column, as an insert takes them."""

SESSION_COLUMNS = [
    c for c in models.sessions.c if c.name not in ("problem", "activity_bucket")
]
TURN_COLUMNS = [
    c for c in models.turns.c if c.name not in ("tenant_id", "session_id", "digest")
]
# What a model is shown: payloads are for the framework that made them, and large.
WINDOW_COLUMNS = [c for c in TURN_COLUMNS if not c.name.startswith("payload")]
INTERACTION_COLUMNS = [
    c
    for c in models.interactions.c
    if c.name not in ("tenant_id", "session_id", "target_hash", "digest")
]
SESSION_ITEM_COLUMNS = [
    c
    for c in models.session_items.c
    if c.name not in ("tenant_id", "session_id", "digest")
]
GRAPH_STATE_COLUMNS = [
    c
    for c in models.graph_states.c
    if c.name not in ("tenant_id", "session_id", "digest")
]
HOLD_COLUMNS = [
    c for c in models.legal_holds.c if c.name not in ("tenant_id", "session_id")
]
STATE_COLUMNS = [models.session_state.c.name, models.session_state.c.state]
LEDGER_COLUMNS = [
    c
    for c in models.session_ledger.c
    if c.name not in ("tenant_id", "session_id", "user_id")
]

# The columns that a digest covers, in the order of its input: what the caller said,
# not where it was put. A column added later must not be put in here; what covers it
# takes effect only where it has a value, as that of payloads does.
TURN_DIGEST = (
    "role content parts name tool_call_id model finish_reason tokens_in tokens_out "
    "cost_micros language resolved_question template_id slots results tools_hash "
    "metadata"
).split()
TURN_DIGEST_LATER = ("payload_format", "payload")
INTERACTION_DIGEST = (
    "action turn_seq node_id choice actor_id actor_kind feedback score reason content "
    "shown surface supersedes metadata"
).split()
GRAPH_STATE_DIGEST = "namespace state turn_seq metadata".split()
STATE_DIGEST = "name state".split()
ITEM_DIGEST = "namespace key value".split()


_NO_PAYLOAD = (None, None)


def target_hash(row: StoredRow) -> bytes:
    """Names actor, action and target; acts that replace one another have one hash."""
    choice = row["choice"]
    between = None if choice is None else offered(choice_from_text(choice))
    return digest(
        row["actor_id"], row["action"], row["turn_seq"], row["node_id"], between
    )


def session_from_row(row: SelectedRow) -> Session:
    """The record of a row of SESSION_COLUMNS."""
    (
        tenant_id, session_id, state, version, user_id, title, language, tags,
        metadata, created_at, updated_at, last_activity_at, expires_at, head_seq,
        branched, turn_count, interaction_count, graph_state_count, feedback_counts,
        current_slots, current_template_id, hold_count, archived_at, segment_id,
        imported_at, *fork,
    ) = row  # fmt: skip
    return Session(
        tenant_id,
        session_id,
        state,
        version,
        user_id,
        NEW_CHAT if title is None else title,
        language,
        () if tags == "[]" else tuple(decode_json(tags)),
        {} if metadata == "{}" else decode_json(metadata),
        from_micros(created_at),
        from_micros(updated_at),
        from_micros(last_activity_at),
        None if expires_at is None else from_micros(expires_at),
        head_seq,
        bool(branched),
        turn_count,
        interaction_count,
        graph_state_count,
        {} if feedback_counts == "{}" else decode_json(feedback_counts),
        {} if current_slots == "{}" else decode_json(current_slots),
        current_template_id,
        hold_count,
        None if archived_at is None else from_micros(archived_at),
        segment_id,
        None if imported_at is None else from_micros(imported_at),
        *fork,
    )


def turn_from_row(session_id: str, row: SelectedRow) -> Turn:
    """The record of a row of TURN_COLUMNS, or of WINDOW_COLUMNS."""
    (
        seq, parent_seq, role, content, parts, name, tool_call_id, model,
        finish_reason, tokens_in, tokens_out, cost_micros, language,
        resolved_question, template_id, slots, results, tools_hash, metadata,
        external_id, created_at, *native,
    ) = row  # fmt: skip
    payload_format, payload = native or _NO_PAYLOAD
    return Turn(
        session_id,
        seq,
        parent_seq,
        role,
        content,
        parts and decode_json(parts),
        name,
        tool_call_id,
        model,
        finish_reason,
        tokens_in,
        tokens_out,
        cost_micros,
        language,
        resolved_question,
        template_id,
        slots and decode_json(slots),
        results and decode_json(results),
        tools_hash,
        {} if metadata == "{}" else decode_json(metadata),
        external_id,
        from_micros(created_at),
        None if payload is None else bytes(payload),
        payload_format,
    )


def window_from_rows(session_id: str, rows: Iterable[SelectedRow]) -> list[Turn]:
    """The records of rows that have four columns of the session before WINDOW_COLUMNS.

    As `turn_from_row`, which would need a slice and a call for each: most of what a
    window costs beside its statement.
    """
    return [
        Turn(
            session_id,
            seq,
            parent_seq,
            role,
            content,
            parts and decode_json(parts),
            name,
            tool_call_id,
            model,
            finish_reason,
            tokens_in,
            tokens_out,
            cost_micros,
            language,
            resolved_question,
            template_id,
            slots and decode_json(slots),
            results and decode_json(results),
            tools_hash,
            {} if metadata == "{}" else decode_json(metadata),
            external_id,
            from_micros(created_at),
        )
        for (
            _, _, _, _, seq, parent_seq, role, content, parts, name, tool_call_id,
            model, finish_reason, tokens_in, tokens_out, cost_micros, language,
            resolved_question, template_id, slots, results, tools_hash, metadata,
            external_id, created_at,
        ) in rows
    ]  # fmt: skip


def interaction_from_row(session_id: str, row: SelectedRow) -> Interaction:
    """The record of a row of INTERACTION_COLUMNS."""
    (
        seq, action, turn_seq, node_id, choice, actor_id, actor_kind, feedback,
        score, reason, content, shown, surface, supersedes, metadata, external_id,
        created_at,
    ) = row  # fmt: skip
    return Interaction(
        session_id,
        seq,
        action,
        turn_seq,
        node_id,
        choice and choice_from_text(choice),
        actor_id,
        actor_kind,
        feedback,
        score,
        reason,
        content,
        shown and decode_json(shown),
        surface,
        supersedes,
        {} if metadata == "{}" else decode_json(metadata),
        external_id,
        from_micros(created_at),
    )


def choice_from_text(text: str) -> Choice:
    """The choice kept as JSON text."""
    data = decode_json(text)
    return Choice(data["chosen"], tuple(data["rejected"]))


def graph_state_from_row(session_id: str, row: SelectedRow) -> GraphState:
    """The record of a row of GRAPH_STATE_COLUMNS."""
    namespace, version, state, turn_seq, metadata, external_id, created_at = row
    return GraphState(
        session_id,
        namespace,
        version,
        decode_json(state),
        turn_seq,
        {} if metadata == "{}" else decode_json(metadata),
        external_id,
        from_micros(created_at),
    )


def session_item_from_row(session_id: str, row: SelectedRow) -> Item:
    """The record of a row of SESSION_ITEM_COLUMNS."""
    named = dict(zip(_SESSION_ITEM_NAMES, row, strict=True))
    return item_from_row({**named, "session_id": session_id})


_SESSION_ITEM_NAMES = [column.name for column in SESSION_ITEM_COLUMNS]


def item_from_row(row: Mapping[str, Any]) -> Item:
    """The record of a row by its columns, outside sessions or in one."""
    expires_at, ttl_s = row["expires_at"], row["ttl_s"]
    return Item(
        row["namespace"],
        row["key"],
        decode_json(row["value"]),
        row["version"],
        row.get("user_id"),
        from_micros(row["created_at"]),
        from_micros(row["updated_at"]),
        None if expires_at is None else from_micros(expires_at),
        None if ttl_s is None else float(ttl_s),
        row.get("session_id"),
    )


def state_from_row(_: str, row: SelectedRow) -> tuple[str, JsonObject]:
    """The name and the state of a row of STATE_COLUMNS."""
    name, state = row
    return name, decode_json(state)


def hold_from_row(session_id: str, row: SelectedRow) -> LegalHold:
    """The record of a row of HOLD_COLUMNS."""
    number, reason, placed_by, placed_at, released_by, released_at = row
    return LegalHold(
        session_id,
        number,
        reason,
        placed_by,
        from_micros(placed_at),
        released_by,
        None if released_at is None else from_micros(released_at),
    )


def ledger_from_row(session_id: str, row: SelectedRow) -> LedgerEntry:
    """The record of a row of LEDGER_COLUMNS."""
    (
        model, tier, user_explicit, request_count, strikes, recent_hashes,
        cost_micros, cache_provider, cache_sticky_until, created_at, last_used_at,
    ) = row  # fmt: skip
    return LedgerEntry(
        session_id,
        model,
        tier,
        bool(user_explicit),
        request_count,
        strikes,
        tuple(decode_json(recent_hashes)),
        cost_micros,
        cache_provider,
        None if cache_sticky_until is None else from_micros(cache_sticky_until),
        from_micros(created_at),
        from_micros(last_used_at),
    )


def attachment_row(tenant: str, kept: Attachment, waits_since: int) -> StoredRow:
    """The row of an attachment that waits to be named."""
    return {
        "tenant_id": tenant,
        "hash": kept.hash,
        "media_type": kept.media_type,
        "waits_since": waits_since,
        "data": kept.data,
    }
