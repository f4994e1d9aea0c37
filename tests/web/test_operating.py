"""What operators do from the page: all of a filter, files, data sets, warnings."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from convstore import Store
from convstore.types import ManualClock
from convstore.web import Actor
from tests.web.conftest import Visitor, talk

OPERATOR = Actor("op", ("operator",), ("default",))
READER = Actor("ann", ("reader",), ("default",))


async def test_all_of_a_filter_are_looked_at_before_anything_is_done(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    for number in range(3):
        await talk(store, f"s-{number}", f"u-{number % 2}")
    await store.holds.place("s-2", reason="audit")
    page, form = visitor(OPERATOR), {"do": "delete"}

    listed = await page.get("/", user="u-0")
    asked = await page.get("/bulk", user="u-0")
    looked = await page.post("/bulk", form, user="u-0")
    unsure = await page.post("/bulk", {**form, "confirm": "3"}, user="u-0")
    before = await store.sessions.count(state="active")
    done = await page.post("/bulk", {**form, "confirm": "2"}, user="u-0")
    tagged = await page.post(
        "/bulk", {"do": "tag", "text": "vip", "confirm": "1"}, user="u-1"
    )
    none = await page.get("/bulk")

    assert "/bulk?user=u-0" in listed.text
    assert "s-0" in asked.text
    assert "2 sessions meet the filter" in looked.text
    assert "Nothing was changed" in looked.text
    assert (unsure.status_code, before) == (422, 3)
    assert "done to 1 of 2 sessions" in done.text
    assert "1 left as they are: legal hold" in done.text
    assert "done to 1 of 1" in tagged.text
    assert (await store.sessions.get("s-1")).tags == ("vip",)
    assert "no filter is not all of them" in none.text
    for wrong in ({"do": "erase"}, {"do": "tag"}, {}):
        assert (await page.post("/bulk", wrong, user="u-1")).status_code == 422
    assert (await page.post("/bulk", form)).status_code == 422
    annotator = visitor()
    assert (await annotator.get("/bulk", user="u-0")).status_code == 403
    assert (await annotator.post("/bulk", form, user="u-1")).status_code == 403
    assert "/bulk" not in (await annotator.get("/", user="u-0")).text


async def test_what_is_exported_is_a_file_that_was_confirmed(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store, "s-1")
    await talk(store, "s-2")
    await talk(store, "s-3", "other")
    await store.run_retention(older_than_s=0)
    page = visitor(OPERATOR)

    person = await page.post("/export", {"confirm": "u-1"}, user="u-1")
    one = await page.post("/export", {"confirm": "s-1", "as": "html"}, id="s-1")
    all_of = await page.post("/bulk", {"do": "export", "confirm": "2"}, user="u-1")
    missing = await page.post("/export", {"confirm": "no"}, id="no")
    refused = [
        await page.post("/export", {"confirm": "x"}, user="u-1"),
        await page.post("/export", {}, id="s-1"),
        await page.post("/export", {"confirm": "s-1", "as": "pdf"}, id="s-1"),
        await page.post("/bulk", {"do": "export", "confirm": "1"}, user="u-1"),
    ]

    told = json.loads(person.text)
    assert person.headers["content-disposition"] == 'attachment; filename="user.json"'
    assert [one["session"]["id"] for one in told["sessions"]] == ["s-1", "s-2"]
    assert one.headers["content-disposition"].startswith("attachment")
    assert "default-src 'none'" in one.headers["content-security-policy"]
    assert "No, not today." in one.text
    lines = [json.loads(line) for line in all_of.text.splitlines()]
    assert [line["session"]["id"] for line in lines] == ["s-1", "s-2"]
    assert missing.status_code == 404
    assert {answer.status_code for answer in refused} == {422}
    for actor in (READER, Actor("a", ("annotator",), ("default",))):
        answer = await visitor(actor).post("/export", {"confirm": "s-1"}, id="s-1")
        assert answer.status_code == 403


async def test_a_person_is_erased_from_the_page_with_a_receipt(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store, "s-1")
    await talk(store, "s-2", "other")
    page = visitor(OPERATOR)

    shown = await page.get("/", user="u-1")
    wrong = await page.post("/erase", {"confirm": "other"}, user="u-1")
    done = await page.post("/erase", {"confirm": "u-1"}, user="u-1")

    assert 'action="/erase?user=u-1"' in shown.text
    assert (wrong.status_code, done.status_code) == (422, 303)
    (receipt,) = (await store.erasures.list()).items
    assert done.headers["location"] == f"/receipt?id={receipt.erasure_id}"
    assert receipt.session_ids == ("s-1",)
    assert (await store.sessions.get("s-2")).state == "active"


async def test_what_stands_still_is_told_where_people_look_first(
    store: Store, clock: ManualClock, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    page = visitor(READER)
    well = (await page.get("/")).text
    clock.advance(3 * 86_400)

    for path in ("/", "/retention", "/archive"):
        assert "it never ran" in (await page.get(path)).text, path
        (told,) = (await page.json(path))["warnings"]
        assert told["check"] == "last run of retention"
    assert "never ran" not in well


async def test_data_sets_are_written_and_told_by_their_manifests(
    store: Store, tmp_path: Path, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    await store.interactions.record(
        "s-1", action="feedback", turn_seq=3, feedback="thumbs_up", actor_id="a"
    )
    page = visitor(OPERATOR, data_sets=tmp_path / "sets")
    form = {"format": "kto", "name": "kto-1", "test": "10"}

    empty = await page.get("/datasets", format="kto")
    made = await page.post("/datasets", form)
    again = await page.post("/datasets", form)
    listed = await page.get("/datasets")
    shown = await page.client.get(made.headers["location"])
    told = (await page.json("/dataset", name="kto-1"))["data_set"]
    (drawing, _) = re.findall(r'<img src="([^"]+)"', shown.text)
    drawn = await page.client.get(drawing.replace("&amp;", "&"))

    assert 'action="/datasets"' in empty.text
    assert "only one label occurs" in empty.text.lower()
    assert (made.status_code, again.status_code) == (303, 409)
    assert "/dataset?name=kto-1" in listed.text
    assert (told["format"], told["rows"]) == ("kto", 1)
    assert sum(told["splits"].values()) == 1
    assert told["files"][0]["sha256"][:16] in shown.text
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert "default-src 'none'" in drawn.headers["content-security-policy"]
    assert drawn.text.startswith("<svg")
    assert (tmp_path / "sets" / "tenant=default" / "kto-1" / "manifest.json").exists()
    for name in ("../x", ".x", "a/b", "", "-x", "x" * 101, "ü"):
        answer = await page.post("/datasets", {**form, "name": name})
        assert answer.status_code == 422, name
    for query in ({"name": "../sets"}, {"name": "no"}, {}):
        assert (await page.get("/dataset", **query)).status_code == 422
    assert (
        await page.get("/dataset/plot", name="kto-1", plot="../x")
    ).status_code == 422


async def test_a_page_sees_its_tenants_data_sets_alone(
    store: Store, tmp_path: Path, visitor: Callable[..., Visitor]
) -> None:
    both = Actor("op", ("operator",), ("default", "../default"))
    folder = tmp_path / "sets"
    page = visitor(both, data_sets=folder)
    await talk(store)
    await page.post("/datasets", {"format": "messages", "name": "mine"})
    await page.post(
        "/datasets", {"format": "messages", "name": "other"}, tenant="../default"
    )
    reader = visitor(Actor("r", ("annotator",), ("default",)), data_sets=folder)

    own = await page.json("/datasets")
    there = await page.json("/datasets", tenant="../default")
    refused = await reader.post("/datasets", {"format": "messages", "name": "x"})
    without = await visitor(OPERATOR).post(
        "/datasets", {"format": "messages", "name": "x"}
    )

    assert [one["name"] for one in own["written"]] == ["mine"]
    assert [one["name"] for one in there["written"]] == ["other"]
    assert {path.name for path in folder.iterdir()} == {
        "tenant=default",
        "tenant=..%2Fdefault",
    }
    assert (refused.status_code, without.status_code) == (403, 422)
    assert "convstore export" in (await reader.get("/datasets")).text
