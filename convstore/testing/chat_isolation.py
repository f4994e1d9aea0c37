"""Whether one user, or one tenant, gets at what is another's: with the same ids, with
ids that look alike, and after a deletion."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from typing import Any, Final

from convstore.testing.chat_store import ChatKey, ChatStore, Opener

OWNER: Final = ChatKey("t-1", "ann", "s-1")
OTHERS: Final = {
    "user": OWNER._replace(user_id="ben"),
    "tenant": OWNER._replace(tenant_id="t-2"),
}
"""Who is not the owner, and names the same session."""

ALIKE: Final = (
    "a", "A", "a ", " a", "a%", "a_", "ab", "a*", "a?", "a\\", "a'", 'a"', "a:b",
    "a/b", "a/../b", "á", "a\u0301", "а", "ａ", "a" * 120, "a" * 120 + "b", "1", "01",
)  # fmt: skip
"""Ids of sessions that somebody might take for one another: by case, space, pattern,
path, the form of a letter, the alphabet, the length, the number."""

TEXTS: Final = (
    "", " ", "\n", "a\x00b", "\ud83d", "🙂\u200d🙂", "e\u0301", "\ufeffx", "a\r\nb",
    "{}", "null", "'; DROP TABLE turns; --", "%s {0} \\u0000", "\x1b[31m",
    "x" * 100_000,
)  # fmt: skip
"""What people can say; a store may refuse it, but not say something else later."""

_SECRET = "Only Ann may read this."


@dataclass(frozen=True, slots=True)
class IsolationReport:
    """What was got at, and what came back other than it was.

    Attributes:
        leaks: Who did what to a session that is another's: `user reads`, `tenant
            deletes`, … .
        mixed: Ids under which another session's messages were found.
        altered: Numbers of `TEXTS` that came back otherwise, and were not refused.
        refused: How many ids and texts were refused: no fault by itself.
        returned: A deleted session could be read, or came back with the next message.
    """

    leaks: tuple[str, ...]
    mixed: tuple[str, ...]
    altered: tuple[int, ...]
    refused: int
    returned: bool

    def faults(self) -> list[str]:
        """What should not be, a sentence each; empty when all is well."""
        said = [f"another {leak} where it has no business" for leak in self.leaks]
        if self.mixed:
            said.append(f"sessions are mixed up: {', '.join(map(ascii, self.mixed))}")
        if self.altered:
            said.append(f"{len(self.altered)} texts came back otherwise")
        if self.returned:
            said.append("a deleted session came back")
        return said

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return asdict(self) | {"faults": self.faults()}


def isolation(opener: Opener, where: str) -> IsolationReport:
    """Try it on a place that is empty."""

    async def tried() -> IsolationReport:
        async with opener(where) as store:
            leaks = [found for each in OTHERS for found in await _leaks(store, each)]
            mixed, refused_ids = await _mixed(store)
            altered, refused_texts = await _altered(store)
            return IsolationReport(
                tuple(leaks),
                tuple(mixed),
                tuple(altered),
                refused_ids + refused_texts,
                await _returned(store),
            )

    return asyncio.run(tried())


async def _leaks(store: ChatStore, who: str) -> list[str]:
    """What somebody can do who names a session that is another's."""
    leaks = []
    for verb in ("reads", "writes", "deletes"):
        session = f"{who}-{verb}"
        owner = OWNER._replace(session_id=session)
        other = OTHERS[who]._replace(session_id=session)
        await store.append(owner, [_SECRET])
        if verb == "reads":
            read = await _allowed(store.history(other))
            leaked = _SECRET in (read or [])
        elif verb == "deletes":
            await _allowed(store.delete(other))
            leaked = await store.history(owner) != [_SECRET]
        else:
            await _allowed(store.append(other, ["Mine."]))
            leaked = await store.history(owner) != [_SECRET]
        if leaked:
            leaks.append(f"{who} {verb}")
    return leaks


async def _allowed(call: Awaitable[Any]) -> Any:
    """What a call gives; None where the store refuses, by whatever it raises."""
    try:
        return await call
    except Exception:  # noqa: BLE001 - a refusal is what is hoped for
        return None


async def _mixed(store: ChatStore) -> tuple[list[str], int]:
    keys = {id_: OWNER._replace(session_id=id_) for id_ in ALIKE}
    kept = [
        id_
        for id_, key in keys.items()
        if await _kept(store, key, f"I am {ALIKE.index(id_)}.")
    ]
    mixed = [
        id_
        for id_ in kept
        if await _allowed(store.history(keys[id_])) != [f"I am {ALIKE.index(id_)}."]
    ]
    return mixed, len(ALIKE) - len(kept)


async def _kept(store: ChatStore, key: ChatKey, text: str) -> bool:
    try:
        await store.append(key, [text])
    except Exception:  # noqa: BLE001 - an id or a text may be refused
        return False
    return True


async def _altered(store: ChatStore) -> tuple[list[int], int]:
    altered, refused = [], 0
    for number, text in enumerate(TEXTS):
        key = OWNER._replace(session_id=f"text-{number}")
        if not await _kept(store, key, text):
            refused += 1
        elif await _allowed(store.history(key)) != [text]:
            altered.append(number)
    return altered, refused


async def _returned(store: ChatStore) -> bool:
    key = OWNER._replace(session_id="deleted")
    await store.append(key, [_SECRET])
    await store.delete(key)
    at_once = await _allowed(store.history(key))
    await _kept(store, key, "Anew.")
    later = await _allowed(store.history(key))
    return _SECRET in (at_once or []) or _SECRET in (later or [])
