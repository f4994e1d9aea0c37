"""A copy in the archive is believed only if it is of the tenant that asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from convstore import Store
from convstore.errors import SegmentCorruptError
from tests.integration.archives import archived, raw
from tests.integration.conversations import say


async def test_a_frame_of_another_tenant_is_never_taken_for_ones_own(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    """The index names another tenant's frame, of a session with the same id."""
    acme = store.for_tenant("acme")
    await say(acme, "s-1", "geheim van acme")
    await archived(store, "s-1")
    (theirs,) = raw(
        database_url,
        'SELECT "offset", length, raw_length, sha256, segment_id'
        " FROM archive_entries WHERE tenant_id = 'acme'",
    )
    offset, length, raw_length, sha256, segment_id = theirs
    raw(
        database_url,
        f'UPDATE archive_entries SET "offset" = {offset}, length = {length},'
        f" raw_length = {raw_length}, sha256 = '{sha256}',"
        f" segment_id = '{segment_id}' WHERE tenant_id = 'default'",
    )
    raw(
        database_url,
        f"UPDATE sessions SET segment_id = '{segment_id}' WHERE tenant_id = 'default'",
    )

    for call in (
        lambda: store.archive.read("s-1"),
        lambda: store.turns.window("s-1"),
        lambda: store.restore("s-1"),
        lambda: store.turns.append("s-1", role="user", content="x"),
    ):
        with pytest.raises(SegmentCorruptError, match="another tenant") as refused:
            await call()
        assert "geheim" not in str(refused.value)

    assert (await acme.turns.window("s-1"))[0].content == "geheim van acme"
    assert (await store.sessions.get("s-1")).state == "archived"
