"""What was imported, from any tool, leaves as our documents and comes in the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convstore import Store, open_store
from convstore.vocabulary.records import SessionDocument
from tests.integration.archives import documents
from tests.integration.test_imports_with_files import exported
from tests.unit.imports.tools.samples import SAMPLES, Sample
from tests.unit.imports.tools.test_expected_counts import _CASES, FOLDER, unpacked

PICTURE = {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,"}
PICTURE["url"] += "iVBOR" + "A" * 99_999
LARGE = Sample(
    "uimessage",
    2,
    records=(
        {
            "id": "c",
            "messages": [
                {"id": n, "role": "user", "parts": [PICTURE]} for n in ("1", "2")
            ],
        },
    ),
)


async def test_every_import_is_exported_and_imported_the_same(tmp_path: Path) -> None:
    sources = []
    for number, sample in enumerate((*SAMPLES, LARGE)):
        folder = tmp_path / f"sample-{number}"
        folder.mkdir()
        sources.append((sample.written(folder), folder))
    folder = tmp_path / "with-files"
    folder.mkdir()
    sources.append((exported(folder, "zip"), folder))
    await out_and_in(tmp_path, sources)


@pytest.mark.slow
async def test_so_is_every_file_of_a_tool(tmp_path: Path) -> None:
    sources = []
    for number, name in enumerate(_CASES):
        folder = tmp_path / f"file-{number}"
        folder.mkdir()
        sources.append((unpacked(FOLDER / name, folder), folder))
    await out_and_in(tmp_path, sources)


async def out_and_in(tmp_path: Path, sources: list[tuple[Path, Path]]) -> None:
    async with (
        open_store(f"sqlite:///{tmp_path}/one.db") as one,
        open_store(f"sqlite:///{tmp_path}/two.db") as two,
    ):
        for source, folder in sources:
            # A tenant each: many of them call their conversations alike.
            mine, theirs = (store.for_tenant(folder.name) for store in (one, two))
            await check(mine, theirs, source, folder)


async def check(here: Store, there: Store, source: Path, folder: Path) -> None:
    first = await here.import_("auto", source, batch="b")
    before = await documents(here)
    again = await here.import_("auto", source, batch="b")
    await here.export("convstore", to=folder / "out")
    (file,) = (folder / "out").rglob("*.jsonl")

    taken = await there.import_("auto", file)

    assert (again.turns, again.interactions, again.changed) == (0, 0, 0), source
    assert await documents(here) == before
    assert taken.format == "convstore"
    assert (taken.sessions, taken.rejected_total) == (len(before), 0)
    assert taken.turns == first.turns
    after = await documents(there)
    assert {name: content(after[name]) for name in after} == {
        name: content(before[name]) for name in before
    }


def content(document: SessionDocument) -> object:
    """All but when it was imported."""
    whole = document.to_dict()
    session = whole["session"]
    assert isinstance(session, dict)
    session.pop("imported_at", None)
    return json.dumps(whole, default=str, sort_keys=True)
