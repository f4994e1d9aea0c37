"""What imports bring along that lies outside sessions, and taking it back.

An import is told by the metadata of its sessions; an item has none. So beside each item
that an import puts stands a note of the import, of the version that it made and of what
was there before. It is written first: an import that ends in between has noted what it
did not do, which the version tells.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from convstore.repositories.items import Items
from convstore.repositories.scope import Scope
from convstore.vocabulary.errors import VersionConflictError
from convstore.vocabulary.records import Item, ItemInput, JsonObject, Unset
from convstore.vocabulary.reports import UndoReport

NOTES: Final = "convstore.imported"
"""The namespace of the notes. The value names the import, the item and its version."""
BEFORE: Final = "convstore.imported.before"
"""The namespace of what an item was before, under the key of its note."""

_PAGE = 100


async def keep_beside(scope: Scope, given: Sequence[ItemInput], batch: str) -> None:
    """Keep items that are not there, or say something else; each session of a user may
    bring the same ones.

    Args:
        batch: The import, so that it can be undone; empty for none.
    """
    for item in given:
        while True:
            # Of two imports that bring the same item one is first.
            with suppress(VersionConflictError):
                await _keep(Items(scope), item, batch)
                break


async def _keep(items: Items, item: ItemInput, batch: str) -> None:
    assert not isinstance(item.value, Unset)
    place, key = (item.namespace, item.key), _key(item.namespace, item.key)
    found = await items.find_many([place, (NOTES, key)])
    known, note = found.get(place), found.get((NOTES, key))
    if known is not None and known.user_id != item.user_id:
        return
    mine = note is not None and note.value["batch"] == batch
    if known is not None and known.value == item.value:
        if note is not None and not mine:
            # Two imports brought it: neither takes it away from the other's sessions.
            await _forget(items, key)
        return
    version = 0 if known is None else known.version
    if batch:
        if not (mine and note is not None and note.value["version"] == version):
            await _note_before(items, key, known)
        told = {"batch": batch, "item": [*place], "version": version + 1}
        await items.put(NOTES, key, told, user_id=item.user_id)
    elif note is not None:
        await _forget(items, key)
    await items.put(*place, item.value, user_id=item.user_id, expected_version=version)


async def _note_before(items: Items, key: str, known: Item | None) -> None:
    if known is None:
        await items.delete(BEFORE, key)
    else:
        await items.put(BEFORE, key, known.value, user_id=known.user_id)


async def take_back(
    items: Items, batch: str, report: UndoReport, stays: Callable[[str | None], bool]
) -> None:
    """Put back what was there before an import, where nobody changed it since.

    Args:
        report: Told what became of each item.
        stays: Whether sessions of the import stay that the items of this owner are of.
    """
    cursor: str | None = None
    while True:
        page = await items.list(NOTES, limit=_PAGE, cursor=cursor)
        for note in page.items:
            if note.value["batch"] == batch:
                kept = stays(note.user_id) or not await _undone(items, note)
                _tell(report, note.value, kept=kept)
        cursor = page.next_cursor
        if cursor is None:
            return


def _tell(report: UndoReport, told: JsonObject, *, kept: bool) -> None:
    if not kept:
        report.items += 1
        return
    report.items_left += 1
    if len(report.left) < _PAGE:
        report.left.append("/".join(told["item"]))


async def _undone(items: Items, note: Item) -> bool:
    """Whether the item is as it was before the import."""
    namespace, key = note.value["item"]
    found = await items.find_many([(namespace, key), (BEFORE, note.key)])
    known, before = found.get((namespace, key)), found.get((BEFORE, note.key))
    version = note.value["version"]
    if known is not None and known.version == version:
        try:
            if before is None:
                await items.delete(namespace, key, expected_version=version)
            else:
                await items.put(
                    *(namespace, key, before.value),
                    user_id=before.user_id,
                    expected_version=version,
                )
        except VersionConflictError:
            return False
    elif known is not None and known.version > version:
        return False
    await _forget(items, note.key)
    return True


async def _forget(items: Items, key: str) -> None:
    # The note last: without it nobody looks for the other.
    await items.delete(BEFORE, key)
    await items.delete(NOTES, key)


def _key(namespace: str, key: str) -> str:
    return hashlib.sha256(f"{namespace}\0{key}".encode()).hexdigest()
