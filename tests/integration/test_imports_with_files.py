"""An export with its pictures and files: they come in with what was said, and go."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from convstore import InvalidInputError, Store
from convstore.db import models
from convstore.imports.model import ImportedSession, SourceFile
from convstore.repositories.imported import write_imported
from convstore.vocabulary.records import TurnInput
from tests.unit.imports.tools.samples import Sample

PNG = b"\x89PNG\r\n\x1a\n the map"
PDF = b"%PDF- the inventory"
SOUND = b"RIFF0000WAVEfmt what was said"
FILES = {
    "file_00000000aa-0b1c.png": PNG,
    "file-Abcdefgh12-inventory.pdf": PDF,
    "c-1/audio/file_00000000bb-2d3e.wav": SOUND,
    "file_00000000zz-of-nobody.png": b"\x89PNG\r\n\x1a\n of nobody",
    "chat.html": b"<html></html>",
}


def message(name: str, parent: str, *parts: Any, **metadata: Any) -> dict[str, Any]:
    content = {"content_type": "multimodal_text", "parts": list(parts)}
    author = {"role": "user"}
    said = {"author": author, "content": content, "metadata": metadata}
    return {"id": name, "parent": parent, "message": said}


def pointer(kind: str, asset: str) -> dict[str, Any]:
    return {"content_type": kind, "asset_pointer": f"sediment://{asset}"}


TALK = {
    "id": "c-1",
    "mapping": {
        "r": {"id": "r", "parent": None, "message": None},
        "1": message(
            "1",
            "r",
            pointer("image_asset_pointer", "file_00000000aa"),
            "Wat staat hier?",
            attachments=[{"id": "file-Abcdefgh12", "name": "inventory.pdf"}],
        ),
        "2": message("2", "1", pointer("audio_asset_pointer", "file_00000000bb")),
        "3": message("3", "2", pointer("image_asset_pointer", "file_00000000aa")),
        "4": message("4", "3", pointer("image_asset_pointer", "file_00000000gone")),
    },
}


def exported(to: Path, form: str) -> Path:
    contents = {"conversations.json": json.dumps([TALK]).encode(), **FILES}
    if form == "zip":
        path = to / "export.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, data in contents.items():
                packed.writestr(name, data)
        return path
    for name, data in contents.items():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (to / name).write_bytes(data)
    return to


async def kept(store: Store) -> dict[bytes, str]:
    rows = await store._parts.backend.read(
        lambda c: c.execute(models.attachments.select()).all()
    )
    return {row.data: row.media_type for row in rows}


@pytest.mark.parametrize("form", ["folder", "zip"])
async def test_pictures_and_files_of_an_export_come_in_once_and_go_with_it(
    form: str, store: Store, tmp_path: Path
) -> None:
    source = exported(tmp_path, form)

    rehearsed = await store.import_("auto", source, dry_run=True)
    assert await kept(store) == {}
    report = await store.import_("auto", source)
    again = await store.import_("auto", source)

    counts = (report.turns, report.attachments, report.without_bytes)
    assert counts == (4, 3, 1)
    assert (rehearsed.attachments, rehearsed.without_bytes) == (3, 1)
    assert (again.turns, again.changed, again.already_present) == (0, 0, 1)
    assert await kept(store) == {
        PNG: "image/png",
        PDF: "application/pdf",
        SOUND: "audio/wav",
    }
    said = str(await store.turns.history("c-1"))
    for data in (PNG, PDF, SOUND):
        assert said.count(base64.b64encode(data).decode()) == 1 + (data == PNG)
    for page_form in ("html", "markdown"):
        page = await store.render("c-1", page_form, attachments=True)
        assert page.count(base64.b64encode(PNG).decode()) == 2
        assert "inventory.pdf" in page
    await store.erase(session_id="c-1")
    assert await kept(store) == {}


async def test_a_folder_that_a_program_keeps_is_its_database_with_its_files(
    store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    for below in ("uploads", "cache"):
        (folder / below).mkdir(parents=True)
    name = "0b1c2d3e-0000-4000-8000-000000000001"
    (folder / "uploads" / f"{name}_kaart.png").write_bytes(PNG)
    (folder / "cache" / "config.json").write_text("{}")
    said: dict[str, Any] = {"id": "u1", "role": "user", "content": "Wat staat hier?"}
    said["files"] = [{"type": "file", "id": name, "name": "kaart.png"}]
    chat = {"history": {"messages": {"u1": said}, "currentId": "u1"}}
    row = {"id": "c-1", "user_id": "u-1", "title": "Kaart", "chat": chat}
    Sample("open-webui", 0, tables={"chat": [row]}).written(folder)

    report = await store.import_("auto", folder)

    assert (report.format, report.turns, report.attachments) == ("open-webui", 1, 1)
    assert await kept(store) == {PNG: "image/png"}


async def test_a_file_that_changed_since_it_was_read_refuses_its_conversation(
    store: Store,
) -> None:
    name = hashlib.sha256(PNG).hexdigest()
    file = SourceFile(name, "image/png", len(PNG), lambda: PNG + b", drawn anew")
    part = {"type": "image_url", "image_url": {"url": f"attachment:sha256:{name}"}}
    turn = TurnInput(role="user", parts=[part])

    with pytest.raises(InvalidInputError, match="not kept"):
        await write_imported(
            store._scope, ImportedSession("c-1", (turn,), own_ids=True, files=(file,))
        )

    assert await store.sessions.find("c-1") is None
