"""Pictures and files of other tools: kept once, as attachments, where large."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from convstore import Store
from convstore.db import models
from convstore.messages.attached import attachment_of

LARGE = bytes(range(256)) * 300
SMALL = b"\x89PNG"


def url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def message(name: str, data: bytes) -> dict[str, object]:
    file = {"type": "file", "mediaType": "image/png", "url": url(data)}
    return {"id": name, "role": "user", "parts": [file]}


async def test_a_large_picture_of_many_messages_is_kept_once(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "chats.jsonl"
    chats = [
        {"id": "c-1", "messages": [message("1", LARGE), message("2", LARGE)]},
        {"id": "c-2", "messages": [message("1", LARGE), message("2", SMALL)]},
    ]
    path.write_text("".join(json.dumps(chat) + "\n" for chat in chats))

    for turns in (4, 0):
        report = await store.import_("auto", path)
        assert (report.turns, report.changed, report.rejected_total) == (turns, 0, 0)

    rows = await store._parts.backend.read(
        lambda c: c.execute(models.attachments.select()).all()
    )
    assert [(row.data, row.media_type) for row in rows] == [(LARGE, "image/png")]
    assert f"attachment:sha256:{rows[0].hash}" in str(await store.turns.get("c-1", 1))
    assert url(SMALL) in str((await store.turns.get("c-2", 2)).parts)
    for name in ("c-1", "c-2"):
        assert url(LARGE) in str(await store.turns.history(name))
    page = await store.render("c-1", "html", attachments=True)
    assert page.count(url(LARGE)) == 2
    await store.erase(session_id="c-1")
    await store.erase(session_id="c-2")
    kept = await store._parts.backend.read(
        lambda c: c.execute(models.attachments.select()).all()
    )
    assert kept == []


@pytest.mark.mostly_slow("sqlite")
async def test_pictures_that_are_more_together_than_a_turn_takes_come_in(
    store: Store, tmp_path: Path
) -> None:
    pictures = [SMALL + bytes([n]) * 4_500_000 for n in range(3)]
    parts = [
        {"type": "file", "mediaType": "image/png", "url": url(data)}
        for data in pictures
    ]
    path = tmp_path / "chat.json"
    said = {"id": "1", "role": "user", "parts": parts}
    path.write_text(json.dumps({"id": "c-1", "messages": [said]}))

    for turns in (1, 0):
        report = await store.import_("auto", path)
        assert (report.turns, report.changed, report.rejected_total) == (turns, 0, 0)

    named = str((await store.turns.get("c-1", 1)).parts)
    for data in pictures:
        kept = await store.attachments.get(attachment_of(data, "").ref)
        assert kept.ref in named
        assert kept.data == data
