"""Pictures and files that parts name by hash: kept once, and gone with the last."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from convstore import (
    AttachmentNotFoundError,
    InvalidInputError,
    LimitExceededError,
    Store,
    open_store,
)
from convstore.db import models
from convstore.vocabulary.clock import ManualClock
from convstore.vocabulary.limits import Limits
from tests.integration.archives import DAY_S, documents, everything_under, timeless
from tests.summary import needs

Open = Callable[..., Awaitable[Store]]
PNG = b"\x89PNG\r\n\x1a\n\0 a picture"
PDF = b"%PDF- a file"


def picture(ref: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": ref}}


async def show(store: Any, session_id: str, *refs: str, **more: Any) -> Any:
    await store.sessions.get_or_create(session_id, user_id=f"of-{session_id}")
    parts = [picture(ref) for ref in refs]
    return await store.turns.append(session_id, role="user", parts=parts, **more)


async def kept(store: Store) -> list[str]:
    rows = await store._parts.backend.read(
        lambda c: c.execute(models.attachments.select()).all()
    )
    return [f"attachment:sha256:{row.hash}" for row in rows]


async def test_bytes_are_kept_once_and_come_back(store: Store) -> None:
    ref = await store.attachments.put(PNG, media_type="image/png")
    again = await store.attachments.put(PNG, media_type="image/gif")

    assert ref == again == f"attachment:sha256:{hashlib.sha256(PNG).hexdigest()}"
    found = await store.attachments.get(ref)
    assert (found.data, found.media_type, found.ref) == (PNG, "image/png", ref)
    assert "picture" not in repr(found)
    assert found.hash in repr(found)
    assert await kept(store) == [ref]
    assert await store.for_tenant("other").attachments.find(ref) is None
    with pytest.raises(AttachmentNotFoundError):
        await store.for_tenant("other").attachments.get(ref)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"data": "text"}, "data"),
        ({"data": PNG, "media_type": "png"}, "media_type"),
        ({"data": PNG, "media_type": "a/b;c=\n"}, "media_type"),
    ],
)
async def test_what_is_no_attachment_is_refused(
    store: Store, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await store.attachments.put(**given)
    assert refused.value.field == field
    for ref in ("", "attachment:sha256:0", PNG, "attachment:sha256:" + "A" * 64):
        with pytest.raises(InvalidInputError):
            await store.attachments.find(ref)  # type: ignore[arg-type]
    assert await kept(store) == []


async def test_an_attachment_has_a_bound(open_another: Open) -> None:
    store = await open_another(limits=Limits(max_attachment_bytes=4))
    await store.attachments.put(b"1234")
    with pytest.raises(LimitExceededError):
        await store.attachments.put(b"12345")


async def test_a_turn_cannot_name_what_is_not_kept(store: Store) -> None:
    ref = f"attachment:sha256:{'0' * 64}"
    elsewhere = await store.for_tenant("other").attachments.put(PNG)

    for missing in (ref, elsewhere, f"{ref};base64"):
        with pytest.raises(InvalidInputError) as refused:
            await show(store, "s-1", missing)
        assert refused.value.field == "parts"

    assert (await store.sessions.get("s-1")).turn_count == 0


async def test_text_that_looks_like_a_name_is_text(store: Store) -> None:
    said = f"attachment:sha256:{'0' * 64}"
    parts = [{"type": "text", "text": said}, said, {"type": "x", "list": [said]}]
    await store.sessions.get_or_create("s-1")

    await store.turns.append("s-1", role="user", content=said, parts=parts)

    assert (await store.turns.get("s-1", 1)).parts == parts
    (message,) = await store.turns.history("s-1")
    assert said in str(message)


async def test_a_history_has_the_bytes_and_a_turn_has_the_name(store: Store) -> None:
    ref = await store.attachments.put(PNG, media_type="image/png")
    data = base64.b64encode(PNG).decode()
    turn = await show(store, "s-1", ref)

    assert turn.parts == [picture(ref)]
    (message,) = await store.turns.history("s-1")
    assert message["content"] == [picture(f"data:image/png;base64,{data}")]
    told = await store.attachments.inlined({"data": f"{ref};base64", "n": [1, None]})
    assert told == {"data": data, "n": [1, None]}
    page = await store.render("s-1", "html", attachments=True)
    assert f'src="data:image/png;base64,{data}"' in page


async def test_it_travels_through_archive_restore_and_fork(store: Store) -> None:
    one = await store.attachments.put(PNG, media_type="image/png")
    two = await store.attachments.put(PDF, media_type="application/pdf")
    await show(store, "s-1", one)
    await show(store, "s-1", two)
    await store.sessions.fork("s-1", "fork", 1)
    live = await documents(store)
    assert [a.ref for a in live["fork"].attachments] == [one]
    assert {a.ref for a in live["s-1"].attachments} == {one, two}

    report = await store.run_retention(older_than_s=0)

    assert (report.purged, report.problems) == (2, ())
    assert await documents(store) == live
    assert (await store.attachments.get(one)).data == PNG
    assert str(await store.turns.history("s-1")).count("base64,") == 2
    await store.restore("s-1")
    assert timeless((await documents(store))["s-1"]) == timeless(live["s-1"])


async def test_a_rebuilt_index_has_the_attachments_of_the_archive(
    store: Store, open_another: Open, new_database: Callable[[str], str]
) -> None:
    ref = await store.attachments.put(PNG, media_type="image/png")
    await show(store, "s-1", ref)
    await store.run_retention(older_than_s=0)
    fresh = await open_another(url=new_database("sqlite"))

    assert (await fresh.archive.rebuild()).faults == ()

    assert (await fresh.attachments.get(ref)).data == PNG
    await fresh.restore("s-1")
    assert (await fresh.turns.get("s-1", 1)).parts == [picture(ref)]
    await fresh.erase(session_id="s-1")
    assert await kept(fresh) == []


async def test_it_goes_with_the_last_session_that_names_it(
    store: Store, archive_dir: Path
) -> None:
    ref = await store.attachments.put(PNG)
    for name in ("s-1", "s-2", "s-3"):
        await show(store, name, ref)
    await store.run_retention(older_than_s=0)
    await store.restore("s-2")
    await store.holds.place("s-3", reason="case 7")

    await store.erase(user_id="of-s-1")
    receipt = await store.erase(session_id="s-2")
    assert receipt.rows_deleted["attachments"] == 0
    assert await kept(store) == [ref]
    await store.holds.release("s-3")
    receipt = await store.erase(session_id="s-3")

    assert receipt.rows_deleted["attachments"] == 1
    assert await kept(store) == []
    assert base64.b64encode(PNG) not in everything_under(archive_dir)


async def test_a_deleted_session_keeps_it_until_its_copy_is_destroyed(
    store: Store,
) -> None:
    ref = await store.attachments.put(PNG)
    await show(store, "s-1", ref)
    await store.sessions.delete("s-1")
    assert await kept(store) == [ref]
    await store.restore("s-1")
    assert (await store.turns.history("s-1"))[0]["content"] != [picture(ref)]

    await store.sessions.delete("s-1", archive=False)

    assert await kept(store) == []


async def test_what_nobody_names_goes_after_a_day(
    store: Store, clock: ManualClock
) -> None:
    named, unnamed, again = [await store.attachments.put(bytes([n])) for n in range(3)]
    await show(store, "s-1", named)
    clock.advance(DAY_S / 2)
    await store.attachments.put(bytes([2]))
    await store.maintain()
    assert len(await kept(store)) == 3

    clock.advance(DAY_S / 2 + 1)
    done = await store.maintain()

    assert done["attachments_removed"] == 1
    assert set(await kept(store)) == {named, again}
    assert await store.attachments.find(unnamed) is None
    # Put again while it is named, and forgotten: the session still has it.
    await store.attachments.put(bytes([0]))
    clock.advance(DAY_S + 1)
    await store.maintain()
    assert await kept(store) == [named]


async def test_bytes_beyond_a_bound_go_there_by_themselves(open_another: Open) -> None:
    store = await open_another(limits=Limits(max_inline_bytes=64))
    data = base64.b64encode(PNG * 9).decode()
    small = picture("data:image/png;base64," + base64.b64encode(PNG).decode())
    message = {
        "role": "user",
        "content": [
            {"type": "text", "text": "data:image/png;base64," + data},
            picture(f"data:image/png;base64,{data}"),
            picture(f"data:image/jpeg;base64,{data}"),
            small,
            picture("https://example.org/" + "x" * 99),
            picture("data:image/png;base64," + "!" * 99),
        ],
    }
    chat = store.conversation("s-1")

    await chat.append_message(message, external_id="m-1")
    await chat.append_message(message, external_id="m-1")

    (turn,) = await store.turns.branch("s-1")
    assert str(turn.parts).count(data) == 1  # what is said is text
    (ref,) = await kept(store)
    assert turn.parts is not None
    assert turn.parts[1] == picture(f"{ref};type=image/png")
    assert await chat.history() == [message]
    await chat.append(role="user", parts=[{"source": {"data": data}}])
    (*_, last) = await chat.history()
    assert {"source": {"data": data}} in last["content"]


async def test_a_refused_append_leaves_what_it_brought_to_the_clock(
    open_another: Open,
) -> None:
    store = await open_another(limits=Limits(max_inline_bytes=8))
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()

    with pytest.raises(InvalidInputError):
        await show(store, "s-1", url, f"attachment:sha256:{'0' * 64}")

    assert (await store.sessions.get("s-1")).turn_count == 0


async def test_an_open_transaction_can_be_taken_back(store: Store) -> None:
    async def undone() -> None:
        async with store.transaction() as tx:
            await show(tx, "s-1", await tx.attachments.put(PNG))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await undone()
    assert await kept(store) == []
    async with store.transaction() as tx:
        ref = await tx.attachments.put(PNG)
        await show(tx, "s-1", ref)
    assert await kept(store) == [ref]


async def test_exports_hold_bytes_and_documents_come_in_with_them(
    store: Store, tmp_path: Path
) -> None:
    parquet = needs("pyarrow.parquet")
    ref = await store.attachments.put(PNG, media_type="image/png")
    await show(store, "s-1", ref)
    await store.turns.append("s-1", role="assistant", content="A picture.")
    # Pictures are a column of Parquet: JSONL of training rows leaves them out.
    await store.export("messages", to=tmp_path / "rows", file_type="parquet")
    (rows,) = (tmp_path / "rows").rglob("*.parquet")
    (row,) = parquet.read_table(rows).to_pylist()
    assert [image["bytes"] for image in row["images"]] == [PNG]
    assert ref not in str(row)
    await store.export("convstore", to=tmp_path / "whole")
    (file,) = (tmp_path / "whole").rglob("*.jsonl")
    assert base64.b64encode(PNG) in file.read_bytes()
    assert ref.encode() in file.read_bytes()

    async with open_store(f"sqlite:///{tmp_path}/other.db") as other:
        for _ in range(2):
            report = await other.import_("convstore", file)
            assert not report.rejected
        assert (await other.attachments.get(ref)).data == PNG
        assert (await documents(other))["s-1"].turns == (await documents(store))[
            "s-1"
        ].turns


async def test_many_at_once_name_and_erase_the_same(store: Store) -> None:
    ref = await store.attachments.put(PNG)
    names = [f"s-{n}" for n in range(8)]
    await asyncio.gather(*(show(store, name, ref) for name in names))
    await asyncio.gather(*(store.erase(session_id=name) for name in names))

    assert await kept(store) == []
