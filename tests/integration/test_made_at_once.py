"""Whatever has a name of its own can be made by several callers at once: all of them
have it then, or those who asked to be the first are told that they were not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from convstore import (
    AlreadyExistsError,
    CheckpointValue,
    CheckpointWrite,
    ConvstoreError,
    Store,
    VersionConflictError,
)
from convstore.store.repositories import Repositories
from tests.integration.archives import OpenAnother, fill, sound

Make = Callable[[Repositories, str], Awaitable[Any]]
SAID = {"role": "user", "content": "x"}
VALUE = CheckpointValue("json", b"1")
WRITE = CheckpointWrite("t", 0, "c", VALUE, "")

MADE: dict[str, tuple[Make, type[ConvstoreError] | None]] = {
    "a session": (
        lambda s, k: s.sessions.get_or_create(k, user_id="u-1", tags=["a"]),
        None,
    ),
    "a session by its first step": (
        lambda s, k: s.sessions.apply(
            k, create=True, user_id="u-1", turns=[SAID], adapter_state={"f": {"a": 1}}
        ),
        None,
    ),
    "a session by its first checkpoint": (
        lambda s, k: s.checkpoints.put(k, "c", body=VALUE, create=True),
        None,
    ),
    "a fork": (lambda s, k: s.sessions.fork("base", k), AlreadyExistsError),
    "a turn with an id": (
        lambda s, k: s.turns.append("base", **SAID, external_id=k),  # type: ignore[arg-type]
        None,
    ),
    "a turn that is appended once": (
        lambda s, k: s.turns.append_once("base", role="user", external_id=k),
        None,
    ),
    "an exchange with an id": (
        lambda s, k: s.turns.add_exchange("base", "?", "!", external_id=k),
        None,
    ),
    "a set of tools": (
        lambda s, k: s.turns.append("base", role="user", tools=[{"name": k}]),
        None,
    ),
    "an item": (lambda s, k: s.items.put("n", k, 1, user_id="u-1"), None),
    "an item that is patched": (lambda s, k: s.items.patch("n", k, {"a": 1}), None),
    "an item that is to be new": (
        lambda s, k: s.items.put("n", k, 1, expected_version=0),
        VersionConflictError,
    ),
    "an item of a session": (
        lambda s, k: s.items.put("n", k, 1, session_id="base"),
        None,
    ),
    "what an adapter keeps": (
        lambda s, k: s.sessions.patch("base", adapter_state={k: {"a": 1}}),
        None,
    ),
    "a checkpoint": (
        lambda s, k: s.checkpoints.put(
            "base",
            k,
            body=VALUE,
            values={"small": VALUE, "large": CheckpointValue("json", k.encode() * 99)},
            lists={"l": [VALUE, CheckpointValue("json", k.encode())]},
        ),
        None,
    ),
    "what a task has written": (
        lambda s, k: s.checkpoints.put_writes("base", k, [WRITE]),
        None,
    ),
    "the end of checkpoints": (lambda s, k: s.checkpoints.end("base", through=k), None),
    "feedback with an id": (
        lambda s, k: s.interactions.add_feedback("base", feedback=k, external_id=k),
        None,
    ),
    "a state of a graph": (
        lambda s, k: s.graph_states.put("base", {}, external_id=k),
        None,
    ),
    "a state that is to be the first": (
        lambda s, k: s.graph_states.put("base", {}, namespace=k, expected_version=0),
        VersionConflictError,
    ),
    "an attachment": (
        lambda s, k: s.attachments.put(k.encode(), media_type="image/png"),
        None,
    ),
    "a hold": (lambda s, k: s.holds.place("base", reason=k), None),
    "an entry of the ledger": (lambda s, k: s.ledger.pin("bare", model=k), None),
    "a cost": (lambda s, k: s.ledger.add_cost("bare", micros=1), None),
    "an owner's totals": (
        lambda s, k: s.sessions.transfer("charged", user_id=k),
        None,
    ),
}


@pytest.mark.parametrize("ends", ["well", "badly"])
async def test_what_several_make_at_once_is_made_once(
    store: Store,
    open_another: OpenAnother,
    database_url: str,
    archive_dir: Path,
    ends: str,
) -> None:
    """By two stores, with nobody else; and behind a transaction that makes it too, and
    commits or not."""
    other = await open_another()
    await fill(store, "base")
    for name in ("bare", "charged"):
        await store.sessions.get_or_create(name, user_id="u-1")
    await store.ledger.add_cost("charged", micros=7)

    for number, (name, (make, allowed)) in enumerate(MADE.items()):
        free = [make(each, f"free-{number}") for each in (store, other) * 3]
        told = await asyncio.gather(*free, return_exceptions=True)
        behind = await _behind_a_transaction(
            make, store, other, f"behind-{number}", ends=ends
        )

        for results in (told, behind):
            errors = [one for one in results if isinstance(one, BaseException)]
            if allowed is None:
                assert errors == [], name
            else:
                assert {type(error) for error in errors} == {allowed}, name
                assert len(errors) == len(results) - 1, name
    assert (await store.ledger.get("bare")).cost_micros == 6 + 4 + (ends == "well")
    sound(database_url, archive_dir, settled=False)


class _Left(Exception):  # noqa: N818 - no error
    """Ends a transaction without a commit."""


async def _behind_a_transaction(
    make: Make, store: Store, other: Store, key: str, *, ends: str
) -> list[Any]:
    """What those are told that are there, the transaction if it commits too."""
    told: list[Any] = []
    making: list[asyncio.Future[Any]] = []
    try:
        async with store.transaction() as tx:
            first = await make(tx, key)
            # One task each: whoever holds the transaction would wait for itself.
            making = [
                asyncio.create_task(_made(make, each, key)) for each in (other,) * 4
            ]
            for _ in range(20):
                await asyncio.sleep(0)
            if ends == "badly":
                raise _Left
            told = [first]
    except _Left:
        pass
    return told + await asyncio.gather(*making, return_exceptions=True)


async def _made(make: Make, store: Store, key: str) -> Any:
    return await make(store, key)
