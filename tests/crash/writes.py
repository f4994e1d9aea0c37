"""What a killed worker writes: turns on branches, judgements, costs, imports.

A write that has names can be repeated by them: its line in the log says all that it
takes, and what it was to leave behind.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any
from zlib import crc32

from convstore.errors import ConvstoreError
from convstore.store import Store
from convstore.types import CheckpointValue, Choice, ItemInput, Session
from tests.crash.oplog import CHARGE, TURN_COST, UNIT, slot_of
from tests.crash.trying import (
    IMPORTED,
    SPOKEN,
    Trying,
    content_of,
    fork_of,
    mark_of,
    owner_of,
    payload_of,
)

_LABELS = ("up", "down", "fine", None)
_PICTURE = b"\x89PNG of nobody\0"
_ACTORS = ("ann", "bob", None)


class Writes(Trying):
    """The operations that add to sessions."""

    # Turns

    async def _append(self, tenant: str, session_id: str, count: int = 1) -> None:
        charge = count == 1 and self._random.random() < 0.3
        await self._say(tenant, session_id, count, {"charge": charge})

    async def _append_many(self, tenant: str, session_id: str) -> None:
        await self._append(tenant, session_id, 4)

    async def _branch(self, tenant: str, session_id: str) -> None:
        """Append where a branch ends, or after any turn, if nobody was quicker."""
        session = await self._peek(tenant, session_id)
        count, head = _numbers(session)
        anywhere = self._random.randint(0, count)
        args = {
            "parent": self._random.choice((None, None, 0, anywhere)),
            "expected": self._random.choice((head, head, head, anywhere, None)),
        }
        await self._say(tenant, session_id, self._random.choice((1, 3)), args)

    async def _note(self, tenant: str, session_id: str) -> None:
        """A turn with what an adapter keeps of it, in one operation."""
        await self._say(tenant, session_id, 1, {"step": True})

    async def _claim(self, tenant: str, session_id: str) -> None:
        """Append as one of two users: the first has a session that was nobody's."""
        user = f"{self._random.choice('uv')}{slot_of(session_id)}"
        await self._say(tenant, session_id, 1, {"handle": user})

    async def _say(
        self, tenant: str, session_id: str, count: int, args: dict[str, Any]
    ) -> bool:
        names = [self._name() for _ in range(count)]
        return await self._write("append", tenant, session_id, names, args)

    async def _feedback(self, tenant: str, session_id: str) -> None:
        await self._write("feedback", tenant, session_id, [self._name()], {})

    async def _graph(self, tenant: str, session_id: str) -> None:
        await self._write("graph", tenant, session_id, [self._name()], {})

    async def _write(
        self,
        op: str,
        tenant: str,
        session_id: str,
        names: list[str],
        args: dict[str, Any],
        **more: Any,
    ) -> bool:
        write = getattr(self, f"_write_{op}")
        user = args.get("handle") or owner_of(session_id)

        async def call() -> Any:
            store = self._stores[tenant]
            if "handle" not in args:
                await self._ensure(store, tenant, session_id)
            return await write(store, tenant, session_id, names, args)

        more |= {"names": names, "args": args, "users": {session_id: user}}
        return await self._try(op, tenant, session_id, call, **more)

    async def _ensure(self, store: Store, tenant: str, session_id: str) -> None:
        mark = mark_of(tenant, session_id)
        await store.sessions.get_or_create(
            session_id, user_id=owner_of(session_id), metadata={"of": mark}
        )

    async def _write_append(
        self,
        store: Store,
        tenant: str,
        session_id: str,
        names: list[str],
        args: dict[str, Any],
    ) -> list[int]:
        turns = [
            _turn(tenant, session_id, name, place) for place, name in enumerate(names)
        ]
        if any("parts" in turn for turn in turns):
            await store.attachments.put(_PICTURE, media_type="image/png")
        if args.get("step"):
            return await self._apply(store, tenant, session_id, turns[0])
        if user := args.get("handle"):
            handle = store.conversation(session_id, user_id=user)
            return [(await handle.append(**turns[0])).seq]
        if args.get("once"):
            cost = {"cost_micros": TURN_COST, "charge": True}
            turn, new = await store.turns.append_once(session_id, **turns[0], **cost)
            if new and args.get("known"):
                self._log.write("error", text=f"I3 {names[0]} was called new again")
            return [turn.seq]
        if args.get("charge"):
            cost = {"cost_micros": TURN_COST, "charge": True}
            return [(await store.turns.append(session_id, **turns[0], **cost)).seq]
        added = await store.turns.append_many(
            session_id,
            turns,
            parent_seq=args.get("parent"),
            expected_head=args.get("expected"),
        )
        return [turn.seq for turn in added]

    async def _apply(
        self, store: Store, tenant: str, session_id: str, turn: dict[str, Any]
    ) -> list[int]:
        name = turn["external_id"]
        said = content_of(tenant, session_id, name)
        done = await store.sessions.apply(
            session_id,
            turns=[turn],
            adapter_state={"adk": {name: said}},
            items=[
                ItemInput("adk", name, {"said": said}, inside=True),
                ItemInput("user", name, {}, user_id=owner_of(session_id)),
            ],
        )
        return [done.turns[0].seq]

    async def _write_feedback(
        self,
        store: Store,
        tenant: str,
        session_id: str,
        names: list[str],
        _: dict[str, Any],
    ) -> list[int]:
        act = await store.interactions.record(
            session_id,
            action="feedback",
            feedback="correct",
            content=content_of(tenant, session_id, names[0]),
            external_id=names[0],
        )
        return [act.seq]

    async def _write_graph(
        self,
        store: Store,
        tenant: str,
        session_id: str,
        names: list[str],
        _: dict[str, Any],
    ) -> list[int]:
        state = {"node": content_of(tenant, session_id, names[0])}
        graph = await store.graph_states.put(session_id, state, external_id=names[0])
        return [graph.version]

    async def _checkpoint(self, tenant: str, session_id: str) -> None:
        await self._write("checkpoint", tenant, session_id, [self._name()], {})

    async def _write_checkpoint(
        self,
        store: Store,
        tenant: str,
        session_id: str,
        names: list[str],
        _: dict[str, Any],
    ) -> list[None]:
        said = CheckpointValue(
            "text", content_of(tenant, session_id, names[0]).encode()
        )
        last = await store.checkpoints.find(session_id)
        before = last.lists.get("said", ()) if last else ()
        # One without lists goes down as one statement to a server.
        plain = crc32(names[0].encode()) % 2
        await store.checkpoints.put(
            session_id,
            names[0],
            body=CheckpointValue("bytes", b"\0\xff"),
            values={"v": said, **({"said": said} if plain else {})},
            lists={} if plain else {"said": [*before, said]},
            parent_id=last.checkpoint_id if last else None,
        )
        return [None]

    # The head, and costs: these have no names, and are not repeated

    async def _pop(self, tenant: str, session_id: str) -> None:
        count, head = _numbers(await self._peek(tenant, session_id))
        anywhere = self._random.randint(0, count)
        expected = self._random.choice((None, head, anywhere))

        async def call() -> int | None:
            turns = self._stores[tenant].turns
            turn = await turns.pop(session_id, expected_head=expected)
            return None if turn is None else turn.seq

        await self._try("pop", tenant, session_id, call)

    async def _switch(self, tenant: str, session_id: str) -> None:
        count, head = _numbers(await self._peek(tenant, session_id))
        to = self._random.randint(0, count)
        action = self._random.choice((None, "clear", "compact"))
        expected = self._random.choice((None, head, head))

        async def call() -> None:
            turns = self._stores[tenant].turns
            await turns.switch(session_id, to, action=action, expected_head=expected)

        args = {"to": to, "action": action, "expected": expected}
        await self._try("switch", tenant, session_id, call, args=args)

    async def _fork(self, tenant: str, session_id: str) -> None:
        count, _ = _numbers(await self._peek(tenant, session_id))
        at = self._random.choice((None, self._random.randint(0, count)))
        target = fork_of(session_id)

        async def call() -> int | None:
            sessions = self._stores[tenant].sessions
            return (await sessions.fork(session_id, target, at)).forked_turns

        users = {target: owner_of(session_id)}
        await self._try(
            "fork", tenant, session_id, call, sessions=[target], users=users
        )

    async def _charge(self, tenant: str, session_id: str) -> None:
        async def call() -> int:
            store = self._stores[tenant]
            await self._ensure(store, tenant, session_id)
            entry = await store.ledger.add_cost(session_id, micros=CHARGE)
            return entry.cost_micros

        users = {session_id: owner_of(session_id)}
        await self._try("charge", tenant, session_id, call, users=users)

    # Judgements

    async def _judge(self, tenant: str, session_id: str) -> None:
        """Acts upon one session or two, given and taken back, all or none."""
        others = [session_id]
        if self._random.random() < 0.4:
            slot = self._random.choice((*range(6), *IMPORTED))
            others.append(self._session_in(tenant, slot))
        acts: dict[str, dict[str, Any]] = {}
        for other in dict.fromkeys(others):
            session = await self._peek(tenant, other)
            acts[other] = {
                self._name(): self._act(session)
                for _ in range(self._random.choice((1, 1, 2, 4)))
            }
        await self._write_acts(tenant, session_id, acts)

    def _act(self, session: Session | None) -> dict[str, Any]:
        count, _ = _numbers(session)
        done = 0 if session is None else session.interaction_count
        earlier = self._random.randint(1, done) if done else None
        target = self._random.randint(1, count) if count else None
        kind = self._random.choice(("feedback",) * 5 + ("inject", "choose", "retract"))
        # Users judge in the sessions of others, too.
        user = f"u{self._random.choice(SPOKEN)}"
        actor = self._random.choice((*_ACTORS, user, user))
        act: dict[str, Any] = {"action": kind, "actor_id": actor}
        if kind == "retract" and earlier is not None:
            return act | {"supersedes": earlier}
        if kind == "choose" and count > 1:
            return act | {"choice": self._random.sample(range(1, count + 1), 2)}
        act |= {"action": "feedback" if kind != "inject" else kind}
        act |= {"turn_seq": self._random.choice((None, target))}
        label = self._random.choice(_LABELS)
        act |= {"score": 0.5} if label is None else {"feedback": label}
        if earlier is not None and self._random.random() < 0.2:
            act["supersedes"] = earlier
        return act

    async def _write_acts(
        self,
        tenant: str,
        session_id: str,
        acts: dict[str, dict[str, Any]],
        **more: Any,
    ) -> None:
        given = [
            {
                **act,
                "session_id": of_session,
                "external_id": name,
                "content": content_of(tenant, of_session, name),
                "choice": _choice(act.get("choice")),
            }
            for of_session, named in acts.items()
            for name, act in named.items()
        ]

        async def call() -> dict[str, dict[str, list[int]]]:
            store = self._stores[tenant]
            for of_session in acts:
                await self._ensure(store, tenant, of_session)
            if len(given) == 1:
                (act,) = given
                recorded = [await store.interactions.record(**act)]
            else:
                recorded = list(await store.interactions.record_many(given))
            numbers: dict[str, dict[str, list[int]]] = {
                of_session: {"acts": []} for of_session in acts
            }
            for act in recorded:
                numbers[act.session_id]["acts"].append(act.seq)
            return numbers

        kept = {of_session: {"acts": list(named)} for of_session, named in acts.items()}
        users = {of_session: owner_of(of_session) for of_session in acts}
        more |= {"kept": kept, "users": users, "args": {"acts": acts}}
        await self._try("judge", tenant, session_id, call, **more)

    # Imports

    async def _import(self, tenant: str, *_: str) -> None:
        """A file of conversations, some of which have grown since the last one."""
        sizes = {
            self._session_in(tenant, slot): self._random.randint(1, 4)
            for slot in IMPORTED
        }
        await self._write_file(tenant, sizes)

    async def _write_file(
        self, tenant: str, sizes: dict[str, int], **more: Any
    ) -> None:
        kept = {session_id: _named(size) for session_id, size in sizes.items()}
        lines = [
            json.dumps(_record(tenant, session_id, kept[session_id]))
            for session_id in sizes
        ]
        path = self._orders.log.with_suffix(f".{self._name()}.jsonl")
        path.write_text("\n".join(lines), "utf-8")

        async def call() -> dict[str, dict[str, list[int | None]]]:
            store = self._stores[tenant]
            report = await store.import_("session-json", path)
            refused = set(report.rejected) - {"session_erased", "session_deleted"}
            if refused:
                self._log.write("error", text=f"import: {report.reasons}")
            if report.rejected_total:
                for session_id in sizes:
                    self._begin_anew(tenant, session_id)
                return {}
            # Interactions stand among those that others recorded.
            return {
                session_id: {
                    "turns": list(range(1, UNIT * size + 1)),
                    "acts": [None] * size,
                    "graphs": [None],
                }
                for session_id, size in sizes.items()
            }

        users = {session_id: owner_of(session_id) for session_id in sizes}
        more |= {"kept": kept, "users": users, "args": {"sizes": sizes}}
        await self._try("import", tenant, "", call, **more)

    async def _repeat(self, line: dict[str, Any]) -> None:
        tenant, session_id, args = line["tenant"], line["s"], line["args"]
        if line["op"] == "judge":
            await self._write_acts(tenant, session_id, args["acts"], again=True)
        elif line["op"] == "import":
            await self._write_file(tenant, args["sizes"], again=True)
        elif line["op"] == "keep":
            await self._write_kept(tenant, session_id, *line["names"], again=True)
        else:
            names = line["names"]
            await self._write(line["op"], tenant, session_id, names, args, again=True)

    async def _peek(self, tenant: str, session_id: str) -> Session | None:
        """The session as it is just now; others change it meanwhile."""
        try:
            return await self._stores[tenant].sessions.find(session_id)
        except ConvstoreError:
            return None


def _numbers(session: Session | None) -> tuple[int, int]:
    """How many turns, and the head."""
    return (0, 0) if session is None else (session.turn_count, session.head_seq or 0)


def _turn(tenant: str, session_id: str, name: str, place: int) -> dict[str, Any]:
    said: dict[str, Any] = {
        "role": ("user", "assistant")[place % 2],
        "content": content_of(tenant, session_id, name),
        "external_id": name,
    }
    payload = payload_of(tenant, session_id, name)
    if payload is not None:
        said |= {"payload": payload, "payload_format": "openai-agents"}
    luck = sum(map(ord, name))
    if luck % 2:
        value = f"{mark_of(tenant, session_id)}{name}»"
        said["slots"] = {f"slot-{luck % 3}": value}
    if luck % 4 == 0:
        url = f"attachment:sha256:{hashlib.sha256(_PICTURE).hexdigest()}"
        said["parts"] = [{"type": "image_url", "image_url": {"url": url}}]
    if luck % 3 == 0:
        said["template_id"] = f"t-{luck % 5}"
    return said


def _choice(given: list[int] | None) -> Choice | None:
    return None if given is None else Choice(given[0], (given[1],))


def _named(size: int) -> dict[str, list[str]]:
    """The external ids that an import of so many units gives."""
    return {
        "turns": [f"import:{number}" for number in range(1, UNIT * size + 1)],
        "acts": [f"import:{number}" for number in range(1, size + 1)],
        "graphs": ["import:1"],
    }


def _record(tenant: str, session_id: str, kept: dict[str, list[str]]) -> dict[str, Any]:
    def said(name: str) -> str:
        return content_of(tenant, session_id, name)

    return {
        "session_id": session_id,
        "user_id": owner_of(session_id),
        "metadata": {"of": mark_of(tenant, session_id)},
        "chat_history": [
            {"role": ("user", "assistant")[place % 2], "content": said(name)}
            for place, name in enumerate(kept["turns"])
        ],
        "interactions": [
            {"action_type": "feedback", "feedback": "up", "content": said(name)}
            for name in kept["acts"]
        ],
        "graph_state": {"node": said(kept["graphs"][0])},
    }
