"""What a purge compares: every column of every row, with what a restore would make."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from convstore import Store
from convstore.db import documents
from convstore.db.codec.documents import fingerprint_of
from convstore.db.session_rows import SessionRows
from convstore.errors import CorruptionError
from convstore.vocabulary.documents import decode_document, encode_document
from tests.integration.archives import fill

# How many columns of each part are not compared: the session's id, and a checksum that
# was checked when the row was read.
PARTS = {
    "turns": 2,
    "tools": 1,
    "interactions": 2,
    "graph_states": 2,
    "ledger": 1,
    "holds": 1,
}


async def rows_of(store: Store, session_id: str) -> SessionRows:
    await store.ledger.pin(session_id, model="m-large")
    (rows,) = await store._parts.backend.read(
        lambda c: documents.read_rows(c, "default", [session_id]), snapshot=True
    )
    return rows


async def test_a_document_read_back_has_the_fingerprint_of_its_rows(
    store: Store,
) -> None:
    await fill(store, "s-1")
    rows = await rows_of(store, "s-1")

    line = encode_document(rows.document())

    assert fingerprint_of(decode_document(line)) == rows.fingerprint()


@pytest.mark.parametrize("part", PARTS)
async def test_no_column_can_change_unseen(store: Store, part: str) -> None:
    await fill(store, "s-1")
    rows = await rows_of(store, "s-1")
    kept = rows.fingerprint()
    one, *others = getattr(rows, part)

    for place in range(1, len(one) + 1 - PARTS[part]):
        changed = list(one)
        changed[place] = _another(changed[place])
        other = replace(rows, **{part: [tuple(changed), *others]})
        assert _fingerprint(other) != kept, place
    assert replace(rows, **{part: others}).fingerprint() != kept


def _fingerprint(rows: SessionRows) -> bytes | None:
    try:
        return rows.fingerprint()
    except CorruptionError:
        return None


def _another(value: Any) -> Any:
    """A value that could stand in its place."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        return '["another"]'
    if isinstance(value, int | float):
        return 1 - value
    return "another" if value != "another" else None
