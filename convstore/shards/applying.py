"""`sessions.apply` over several databases: the session's part, then the home's items.

They are two commits. The second is marked by the ids of the first one's turns and
interactions, so that a call that was cut short between them does the rest when it is
repeated, and one that was not changes nothing again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, cast

from convstore.repositories.item_changes import item_inputs
from convstore.shards.reach import Reach
from convstore.vocabulary.errors import ConflictError, VersionConflictError
from convstore.vocabulary.records import UNSET, Applied, Item, ItemInput
from convstore.vocabulary.sharding import HOME

_NAMESPACE = "convstore/applied"
_REMEMBERED_S = 7 * 86_400.0
"""How long a repeat is known for one."""

Call = Callable[..., Awaitable[Applied]]


async def apply(
    reach: Reach, session_id: str, call: Callable[[Any], Call], given: dict[str, Any]
) -> Applied:
    """Do what `given` says of a session, and change the items outside of it.

    Args:
        reach: The databases.
        session_id: Of the session.
        call: The verb, of the face of one database.
        given: The arguments of `sessions.apply`.
    """
    turns, acts = [*given.pop("turns", ())], [*given.pop("interactions", ())]
    items = item_inputs(reach.scope.limits, given.pop("items", ()))
    outside = [item for item in items if not item.inside]
    inside = [item for item in items if item.inside]
    await _refuse_late(reach, outside)
    done = await reach.on(
        session_id,
        lambda face: call(face)(turns=turns, interactions=acts, items=inside, **given),
    )
    if not outside:
        return done
    ids = [_external_id(each) for each in (*turns, *acts)]
    marker = None if not ids or None in ids else _marker(session_id, ids)
    changed = await reach.at(HOME, lambda face: _change(face, outside, marker))
    if done.repeated:
        return done
    told = dict(zip(map(id, inside), done.items, strict=True))
    told |= zip(map(id, outside), changed, strict=False)
    return Applied(
        session=done.session,
        created=done.created,
        turns=done.turns,
        interactions=done.interactions,
        items=tuple(told.get(id(item)) for item in items),
        repeated=False,
    )


async def _refuse_late(reach: Reach, items: list[ItemInput]) -> None:
    """Refuse what will be refused, before the session's part is committed."""
    asked = [
        item
        for item in items
        if item.expected_version is not None or item.user_id is not None
    ]
    if not asked:
        return
    names = [(item.namespace, item.key) for item in asked]
    there = await reach.at(HOME, lambda face: face.items.find_many(names))
    for item, name in zip(asked, names, strict=True):
        found, expected = there.get(name), item.expected_version
        version = 0 if found is None else found.version
        if expected is not None and version != expected:
            raise VersionConflictError(f"item {name[1]!a}", expected, version)
        owner = None if found is None else found.user_id
        if owner is not None and item.user_id not in (None, owner):
            raise ConflictError(f"item {name[1]!a} has another owner")


async def _change(
    face: Any, items: list[ItemInput], marker: str | None
) -> list[Item | None]:
    changed: list[Item | None] = []
    try:
        async with face.transaction() as tx:
            if marker is not None:
                await tx.items.put(
                    _NAMESPACE, marker, {}, ttl_s=_REMEMBERED_S, expected_version=0
                )
            for item in items:
                changed.append(await _change_one(tx.items, item))
    except VersionConflictError:
        if marker is None or await face.items.find(_NAMESPACE, marker) is None:
            raise
        return []  # done before
    return changed


async def _change_one(items: Any, item: ItemInput) -> Item | None:
    name = item.namespace, item.key
    if item.delete:
        await items.delete(*name, expected_version=item.expected_version)
        return None
    given: dict[str, Any] = {
        "user_id": item.user_id,
        "ttl_s": item.ttl_s,
        "expected_version": item.expected_version,
    }
    if item.expires_at is not None:
        given["expires_at"] = item.expires_at
    if item.patch is not None:
        return cast(Item, await items.patch(*name, item.patch, **given))
    value = None if item.value is UNSET else item.value
    return cast(Item, await items.put(*name, value, **given))


def _external_id(given: Any) -> str | None:
    if isinstance(given, Mapping):
        return given.get("external_id")
    return getattr(given, "external_id", None)


def _marker(session_id: str, ids: Iterable[str | None]) -> str:
    """A key that names nobody."""
    told = "\0".join(f"{len(each or '')} {each}" for each in (session_id, *ids))
    return hashlib.sha256(told.encode()).hexdigest()
