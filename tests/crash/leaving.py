"""What a killed worker takes away again: items, checkpoints, and a session that it
deletes at a version and begins anew.

Only what it knows to be there it takes away, and nobody else does. A session that is
begun anew is its own: what others say at the same time might belong to either of two.
"""

from __future__ import annotations

from typing import Any

from convstore.store import Store
from convstore.types import ItemInput
from tests.crash.oplog import OWN
from tests.crash.trying import content_of
from tests.crash.writes import Writes

Kept = tuple[str, str, str]


class Leaving(Writes):
    """The operations that make something and take it away."""

    def _begin(self) -> None:
        self._known: dict[str, list[Kept]] = {"once": [], "keep": []}

    # Turns that are said twice

    async def _once(self, tenant: str, session_id: str) -> None:
        """A turn that was not said before, or one that was: then it is not new, and
        costs nothing."""
        known = self._known["once"]
        if known and self._random.random() < 0.5:
            tenant, session_id, name = self._random.choice(known)
            args = {"once": True, "charge": True, "known": True}
            await self._write("append", tenant, session_id, [name], args, again=True)
            return
        name = self._name()
        args = {"once": True, "charge": True}
        if await self._write("append", tenant, session_id, [name], args):
            known.append((tenant, session_id, name))

    # Items

    async def _keep(self, tenant: str, session_id: str) -> None:
        """An item in the session and one outside, in one commit."""
        name = self._name()
        if await self._write_kept(tenant, session_id, name):
            self._known["keep"].append((tenant, session_id, name))

    async def _write_kept(
        self, tenant: str, session_id: str, name: str, **more: Any
    ) -> bool:
        more["kept"] = {session_id: {"items": [name], "outside": [name]}}
        return await self._write("keep", tenant, session_id, [name], {}, **more)

    async def _write_keep(
        self,
        store: Store,
        tenant: str,
        session_id: str,
        names: list[str],
        _: dict[str, Any],
    ) -> dict[str, dict[str, list[None]]]:
        (name,) = names
        said = content_of(tenant, session_id, name)
        await store.sessions.apply(
            session_id,
            items=[
                ItemInput("kept", name, {"said": said}, inside=True),
                ItemInput("kept", name, {"of": session_id}),
            ],
        )
        return {session_id: {"items": [None], "outside": [None]}}

    async def _forget(self, tenant: str, session_id: str) -> None:
        """Both items go, in one commit."""
        known = self._known["keep"]
        if not known:
            await self._keep(tenant, session_id)
            return
        tenant, session_id, name = known.pop(self._random.randrange(len(known)))
        at_once = self._random.random() < 0.5

        async def call() -> None:
            store = self._stores[tenant]
            if at_once:
                both = [
                    ItemInput("kept", name, delete=True, inside=inside)
                    for inside in (True, False)
                ]
                await store.sessions.apply(session_id, items=both)
                return
            async with store.transaction() as tx:
                await tx.items.delete("kept", name, session_id=session_id)
                await tx.items.delete("kept", name)

        gone = {"items": [name], "outside": [name]}
        await self._try("forget", tenant, session_id, call, gone=gone)

    # Checkpoints

    async def _prune(self, tenant: str, _: str) -> None:
        """Some checkpoints of a session go, those that are named or all but the newest;
        what the others share with them stays."""
        session_id, names = self._own(), list[str]()
        for _number in range(4):
            name = self._name()
            if not await self._write("checkpoint", tenant, session_id, [name], {}):
                return  # which is the newest is not known
            names.append(name)
        keep = self._random.choice((0, 1, 2))
        by_name = self._random.sample(names, 2)
        gone = sorted(names)[:-keep] if keep else by_name

        async def call() -> int:
            checkpoints = self._stores[tenant].checkpoints
            if keep:
                went = await checkpoints.prune(session_id, keep=keep)
            else:
                places = [("", name) for name in gone]
                went = await checkpoints.delete(session_id, places)
            if went != len(gone):
                self._tell(f"I30 {went} checkpoints went, not {len(gone)}")
            return went

        told = {"checkpoints": gone}
        await self._try("prune", tenant, session_id, call, gone=told)

    # A session

    async def _renew(self, tenant: str, _: str) -> None:
        """Delete a session at the version that it is at, and begin it anew."""
        session_id = self._own()
        if not await self._say(tenant, session_id, 2, {}):
            return
        session = await self._peek(tenant, session_id)
        if session is None:
            return
        if await self._delete_at(tenant, session_id, session.version - 1):
            self._tell(f"I30 {session_id} was deleted at a version that it had left")
        if not await self._delete_at(tenant, session_id, session.version):
            return

        async def call() -> bool:
            sessions = self._stores[tenant].sessions
            _, created = await sessions.get_or_create(session_id, renew=True)
            if not created:
                self._tell(f"I30 {session_id} was deleted, and did not begin anew")
            return created

        if await self._try("renew", tenant, session_id, call):
            await self._say(tenant, session_id, 1, {})

    async def _delete_at(self, tenant: str, session_id: str, version: int) -> bool:
        async def call() -> None:
            sessions = self._stores[tenant].sessions
            await sessions.delete(session_id, expected_version=version)

        return await self._try(
            "delete", tenant, session_id, call, args={"version": version}
        )

    def _tell(self, text: str) -> None:
        self._log.write("error", text=text)

    def _own(self) -> str:
        """A session that no other task writes to."""
        self._count += 1
        return f"s{OWN}.{self._orders.seed}{self._count:06}"
