"""What exports wrote below a folder is told by their manifests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convstore import InvalidInputError, Store
from tests.integration.test_preview import judged


async def test_data_sets_are_listed_by_their_manifests(
    store: Store, tmp_path: Path
) -> None:
    await judged(store)
    folder = tmp_path / "sets"
    none = await store.data_sets(folder)
    report = await store.export("kto", to=folder / "good")
    await store.export(["preference", "messages"], to=folder / "both")
    # What is written at the moment, and what is none of ours.
    (folder / "next.partial" / ".work").mkdir(parents=True)
    (folder / "notes").mkdir()
    (folder / "notes" / "manifest.json").write_text('{"name": "a web application"}')
    (folder / "elsewhere").symlink_to(folder / "good")

    found = {one.name: one for one in await store.data_sets(folder)}

    assert none == []
    assert found.keys() == {"good", "both/preference", "both/messages", "next"}
    assert found["next"].state == "partial"
    good, told = found["good"], report.formats[0]
    assert (good.format, good.rows, good.documents) == ("kto", told.rows, 7)
    assert (good.splits, good.dropped) == (told.splits, told.dropped)
    assert good.size_bytes == told.size_bytes
    assert sum(good.rules.values()) == told.rows
    manifest = json.loads((folder / "good" / "manifest.json").read_text("utf-8"))
    assert [file.sha256 for file in good.files] == [
        one["sha256"] for one in manifest["files"]
    ]
    assert len(await store.data_sets(folder, limit=2)) == 2
    with pytest.raises(InvalidInputError, match="folder"):
        await store.data_sets(folder / "notes" / "manifest.json")
