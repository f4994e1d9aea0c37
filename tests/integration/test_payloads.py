"""What a framework keeps with a turn: byte for byte, and out of everybody's way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from convstore import ConflictError, InvalidInputError, Store, TurnInput, open_store
from convstore.db import migrate, models
from convstore.db.statements import Prepared
from convstore.errors import RefusedError
from convstore.vocabulary.clock import ManualClock
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.limits import Limits
from tests.integration.archives import (
    archived,
    document,
    documents,
    fill,
    segment_files,
    timeless,
)
from tests.integration.conversations import every_page, say

Open = Callable[..., Awaitable[Store]]
FORMAT = "openai-agents"
TEXT = b'{"type":"message","content":"nul \\u0000 and \\ud83d"}'
BYTES = b"\x00\xff\xfe no text at all"
NATIVE: dict[str, Any] = {"payload": BYTES, "payload_format": FORMAT}


async def keep(store: Store, session_id: str, *payloads: Any) -> None:
    await store.sessions.get_or_create(session_id)
    for payload in payloads:
        await store.turns.append(
            session_id, role="assistant", payload=payload, payload_format=FORMAT
        )


@pytest.mark.parametrize("payload", [TEXT, BYTES, b"", "ünï".encode()])
async def test_a_payload_comes_back_byte_for_byte(store: Store, payload: bytes) -> None:
    await store.sessions.get_or_create("s-1")

    turn = await store.turns.append(
        "s-1",
        role="assistant",
        external_id="m-1",
        payload=payload,
        payload_format=FORMAT,
    )

    assert (turn.payload, turn.payload_format) == (payload, FORMAT)
    assert await store.turns.get("s-1", 1) == turn
    assert await store.turns.find("s-1", external_id="m-1") == turn
    assert await every_page(store.turns.list, "s-1") == [turn]
    assert await store.turns.branch("s-1") == [turn]
    assert (await store.turns.siblings("s-1", [1]))[1] == (turn,)
    assert await store.turns.pop("s-1") == turn


async def test_every_way_to_append_takes_payloads(store: Store) -> None:
    many = [TurnInput("user", **NATIVE), {"role": "user", **NATIVE}]
    await store.sessions.get_or_create("s-1")

    await store.turns.append_many("s-1", many)
    await store.conversation("s-1").append(role="user", **NATIVE)
    async with store.transaction() as tx:
        await tx.turns.append("s-1", role="user", **NATIVE)
    # At once, of which those of other sessions share a statement.
    for name in ("s-2", "s-3"):
        await store.sessions.get_or_create(name)
    await asyncio.gather(
        *(
            store.turns.append(name, role="user", **NATIVE)
            for name in ("s-1", "s-2", "s-3") * 5
        )
    )

    for name, count in (("s-1", 9), ("s-2", 5), ("s-3", 5)):
        turns = await store.turns.branch(name)
        assert [t.payload for t in turns] == [BYTES] * count


async def test_json_is_kept_as_its_text_whatever_it_holds(store: Store) -> None:
    odd = {"n": 2**70, "nan": float("nan"), "s": "\ud83d \0 é", "deep": [[[None]]]}
    plain = {"b": "é", "a": [1, True]}

    await keep(store, "s-1", odd, plain, "text", [])

    payloads = [turn.payload or b"" for turn in await store.turns.branch("s-1")]
    assert repr(json.loads(payloads[0])) == repr(odd)
    assert payloads[1:] == ['{"b":"é","a":[1,true]}'.encode(), b'"text"', b"[]"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"payload": b"x"}, "payload_format"),
        ({"payload_format": FORMAT}, "payload_format"),
        ({"payload": b"x", "payload_format": ""}, "payload_format"),
        ({"payload": object(), "payload_format": FORMAT}, "payload"),
        ({"payload": {1: 2}, "payload_format": FORMAT}, "payload"),
        ({"payload": {"a": {2}}, "payload_format": FORMAT}, "payload"),
    ],
)
async def test_what_is_no_payload_is_refused_and_changes_nothing(
    store: Store, given: dict[str, Any], field: str
) -> None:
    await store.sessions.get_or_create("s-1")

    with pytest.raises(InvalidInputError) as refused:
        await store.turns.append("s-1", role="user", **given)

    assert refused.value.field == field
    assert (await store.sessions.get("s-1")).turn_count == 0


async def test_a_payload_without_an_end_is_refused(store: Store) -> None:
    endless: list[Any] = []
    endless.append(endless)
    await store.sessions.get_or_create("s-1")

    with pytest.raises(InvalidInputError):
        await store.turns.append(
            "s-1", role="user", payload=endless, payload_format=FORMAT
        )


async def test_a_payload_counts_in_the_size_of_its_turn(open_another: Open) -> None:
    store = await open_another(limits=Limits(max_turn_bytes=100))
    await keep(store, "s-1", b"x" * (100 - len("assistant{}" + FORMAT)))

    with pytest.raises(InvalidInputError) as refused:
        await keep(store, "s-1", b"x" * (101 - len("assistant{}" + FORMAT)))

    assert str(refused.value) == "turn: has 101 bytes; at most 100 fit"


async def test_windows_leave_payloads_out_unless_they_are_asked_for(
    store: Store,
) -> None:
    await say(store, "s-1", "Q", "A")
    await keep(store, "s-1", TEXT)
    branched = [None, None, TEXT]
    for _ in range(2):  # a straight session, and one with branches
        window = await store.turns.window("s-1")
        assert [t.payload for t in window] == [None] * 3
        assert [t.payload_format for t in window] == [None] * 3

        window = await store.turns.window("s-1", payload=True)
        assert [t.payload for t in window] == branched
        await store.turns.append("s-1", role="user", content="B", parent_seq=1)
        await store.turns.switch("s-1", 3)


async def test_payloads_do_not_count_in_windows_by_size(store: Store) -> None:
    await say(store, "s-1", "12345", "12345")
    await keep(store, "s-1", b"x" * 1_000)

    window = await store.turns.window("s-1", max_chars=10, payload=True)

    assert [t.seq for t in window] == [1, 2, 3]


async def test_a_warm_window_is_the_cold_one(open_another: Open) -> None:
    store = await open_another(cache={"kind": "memory"})
    await keep(store, "s-1", TEXT)
    await store.turns.window("s-1")
    await keep(store, "s-1", TEXT)

    warm = await store.turns.window("s-1")

    assert [t.payload for t in warm] == [None, None]
    whole = await store.turns.window("s-1", payload=True)
    assert [t.payload for t in whole] == [TEXT, TEXT]


async def test_windows_do_not_read_payloads(store: Store) -> None:
    read: list[str] = []
    async with store.transaction() as tx:
        await tx.sessions.get_or_create("s-1")
        await tx.turns.append("s-1", role="user", **NATIVE)
    whole = Prepared.all

    def seen(self: Prepared, connection: Any, values: Any) -> Any:
        read.append(self.bound(connection, values)[0])
        return whole(self, connection, values)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Prepared, "all", seen)
        await store.turns.window("s-1")
        await store.turns.history("s-1", keep_system=True)

    assert read
    assert not any("payload" in statement for statement in read)


async def test_the_same_external_id_with_another_payload_is_a_conflict(
    store: Store,
) -> None:
    await store.sessions.get_or_create("s-1")
    first = await store.turns.append("s-1", role="user", external_id="m-1", **NATIVE)

    again = await store.turns.append("s-1", role="user", external_id="m-1", **NATIVE)

    assert again == first
    for other in (
        {"payload": TEXT, "payload_format": FORMAT},
        {"payload": BYTES, "payload_format": "pydantic-ai"},
        {},
    ):
        with pytest.raises(ConflictError):
            await store.turns.append("s-1", role="user", external_id="m-1", **other)


async def test_an_archived_session_gives_its_payloads_and_gets_them_back(
    store: Store, clock: ManualClock
) -> None:
    await keep(store, "s-1", TEXT, BYTES, b"")
    live = await document(store, "s-1")
    clock.advance(5)
    report = await store.run_retention(older_than_s=0)
    assert (report.purged, report.problems) == (1, ())

    # Read where it lies, then brought back.
    assert [t.payload for t in await store.turns.branch("s-1")] == [TEXT, BYTES, b""]
    window = await store.turns.window("s-1", payload=True)
    assert [t.payload for t in window] == [TEXT, BYTES, b""]
    assert await document(store, "s-1") == live
    await store.restore("s-1")

    assert timeless(await document(store, "s-1")) == timeless(live)
    again = await store.run_retention(older_than_s=0)
    assert (again.purged, again.problems) == (1, ())


async def test_a_line_says_text_as_text_and_the_rest_in_base64(store: Store) -> None:
    await keep(store, "s-1", TEXT, BYTES)
    await store.turns.append("s-1", role="user")

    turns = json.loads(encode_document(await document(store, "s-1")))["turns"]

    assert turns[0]["payload"] == TEXT.decode()
    assert turns[1]["payload"] == {"base64": "AP/+IG5vIHRleHQgYXQgYWxs"}
    assert list(turns[0])[-2:] == ["payload", "payload_format"]
    assert not {"payload", "payload_format"} & turns[2].keys()


async def test_a_payload_that_was_changed_beside_us_is_never_archived(
    store: Store,
) -> None:
    await keep(store, "s-1", BYTES)
    turns = models.turns

    async def falsify(**values: Any) -> None:
        await store._parts.backend.write(
            lambda c: c.execute(turns.update().values(**values))
        )

    for wrong in ({"payload": TEXT}, {"payload": None, "payload_format": None}):
        await falsify(**wrong)
        report = await store.run_retention(older_than_s=0)
        assert report.purged == 0
        assert report.problems

    await falsify(payload=BYTES, payload_format=FORMAT)
    assert (await store.run_retention(older_than_s=0)).purged == 1


async def test_erasure_leaves_no_payload(store: Store, archive_dir: Path) -> None:
    await archived(store, "s-1")
    assert segment_files(archive_dir)
    await fill(store, "s-2")

    await store.erase(user_id="u-1")

    held = await store._parts.backend.read(
        lambda c: c.execute(text("SELECT count(*) FROM turns")).scalar_one()
    )
    assert held == 0
    assert segment_files(archive_dir) == []


async def test_payloads_travel_with_the_lossless_export_alone(
    store: Store, tmp_path: Path
) -> None:
    secret = b"only the framework reads this"
    await say(store, "s-1", "Q")
    await store.turns.append(
        "s-1", role="assistant", content="A", payload=secret, payload_format=FORMAT
    )
    before = await documents(store)

    for name in ("convstore", "rlhf-json", "messages", "oasst", "prompt"):
        await store.export(name, to=tmp_path / name)

    told = {
        name
        for name in ("convstore", "rlhf-json", "messages", "oasst", "prompt")
        for path in (tmp_path / name).rglob("*")
        if path.is_file() and secret in path.read_bytes()
    }
    assert told == {"convstore"}
    (data,) = (tmp_path / "convstore").rglob("*.jsonl")
    async with open_store(f"sqlite:///{tmp_path}/other.db") as other:
        await other.import_("convstore", data)
        assert (await documents(other))["s-1"].turns == before["s-1"].turns


async def test_rlhf_json_tells_payloads_on_request_unless_it_redacts(
    store: Store, tmp_path: Path
) -> None:
    await keep(store, "s-1", b"mail me: jan@example.org", BYTES)

    async def told(name: str, **options: Any) -> list[Any]:
        await store.export("rlhf-json", to=tmp_path / name, **options)
        (data,) = (tmp_path / name / "data").iterdir()
        (line,) = data.read_text("utf-8").splitlines()
        return [turn.get("payload") for turn in json.loads(line)["chat_history"]]

    assert await told("without") == [None, None]
    assert await told("with", payloads=True) == [
        "mail me: jan@example.org",
        {"base64": "AP/+IG5vIHRleHQgYXQgYWxs"},
    ]
    assert await told("redacted", payloads=True, redact="regex") == [None, None]


def test_nobody_sees_a_payload_in_the_repr_of_its_turn() -> None:
    assert "secret" not in repr(TurnInput("user", payload="secret"))


def test_payloads_are_not_lost_by_going_back_a_revision(database_url: str) -> None:
    async def filled() -> None:
        async with open_store(database_url) as store:
            await keep(store, "s-1", BYTES)

    asyncio.run(filled())

    with pytest.raises(RefusedError):
        migrate.downgrade(database_url, "convstore_0007")

    assert migrate.current(database_url) == migrate.head()
