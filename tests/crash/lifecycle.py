"""What a killed worker does to whole sessions: archives, restores, holds, destroys."""

from __future__ import annotations

from typing import Any

from convstore.types import ErasureReceipt
from tests.crash.oplog import slot_of
from tests.crash.trying import OWNERLESS, SPOKEN, TENANTS, Trying, fork_of


class Lifecycle(Trying):
    """The operations that announce steps."""

    async def _retention(self, tenant: str, _: str) -> None:
        async def call() -> int:
            report = await self._stores[tenant].run_retention(older_than_s=0, batch=3)
            assert not report.problems, report.problems
            return report.purged

        await self._try("retention", tenant, "", call)

    async def _recover(self, *_: str) -> dict[str, int]:
        report = await self._stores[TENANTS[0]].archive.recover(
            alone=self._orders.alone
        )
        return {"kept": len(report.segments_kept)}

    async def _recover_now(self, tenant: str, _: str) -> None:
        async def call() -> int:
            report = await self._stores[tenant].archive.recover()
            return len(report.segments_kept)

        await self._try("recover", tenant, "", call)

    async def _index(self, tenant: str, _: str) -> None:
        async def call() -> int:
            return (await self._stores[tenant].search_index.run()).entries

        await self._try("index", tenant, "", call)

    async def _compact(self, tenant: str, _: str) -> None:
        async def call() -> int:
            return (await self._stores[tenant].archive.compact()).joined

        await self._try("compact", tenant, "", call)

    async def _restore(self, tenant: str, session_id: str) -> None:
        async def call() -> int:
            return (await self._stores[tenant].restore(session_id)).version

        await self._try("restore", tenant, session_id, call)

    async def _delete(self, tenant: str, session_id: str) -> None:
        async def call() -> None:
            await self._stores[tenant].sessions.delete(session_id)

        await self._try("delete", tenant, session_id, call)

    async def _destroy(self, tenant: str, session_id: str) -> None:
        async def call() -> None:
            await self._stores[tenant].sessions.delete(session_id, archive=False)

        await self._try("destroy", tenant, session_id, call)

    async def _hold(self, tenant: str, session_id: str) -> None:
        actor = self._holder()

        async def call() -> int:
            holds = self._stores[tenant].holds
            hold = await holds.place(session_id, reason="case 7", actor_id=actor)
            return hold.number

        await self._try("hold", tenant, session_id, call, actor=actor)

    def _holder(self) -> str | None:
        """Mostly nobody: while a hold is in force, who placed it cannot be erased."""
        slot = self._random.choice(SPOKEN)
        return f"u{slot}" if self._random.random() < 0.4 else None

    async def _release(self, tenant: str, session_id: str) -> None:
        actor = self._holder()

        async def call() -> int:
            holds = self._stores[tenant].holds
            return len(await holds.release(session_id, actor_id=actor))

        await self._try("release", tenant, session_id, call, actor=actor)

    async def _erase(self, tenant: str, session_id: str) -> None:
        async def call() -> dict[str, Any]:
            return self._told(await self._stores[tenant].erase(session_id=session_id))

        await self._try("erase", tenant, session_id, call, sessions=[session_id])

    async def _erase_user(self, tenant: str, session_id: str) -> None:
        slot = slot_of(session_id)
        user = f"{self._random.choice('uv') if slot in OWNERLESS else 'u'}{slot}"
        mine = [f"s{slot}.{generation}" for generation in range(200)]
        mine += [fork_of(session_id) for session_id in mine]

        async def call() -> dict[str, Any]:
            store = self._stores[tenant]
            await store.items.put("app", user, "theirs", user_id=user)
            return self._told(await store.erase(user_id=user))

        await self._try("erase", tenant, session_id, call, sessions=mine, user=user)

    def _told(self, receipt: ErasureReceipt) -> dict[str, Any]:
        if receipt.segments_missing:
            # Nobody takes files away here.
            missing = receipt.segments_missing
            self._log.write("error", text=f"erase: {missing} called missing")
        done = receipt.done_at is not None
        return {"sessions": list(receipt.session_ids), "done": done}
