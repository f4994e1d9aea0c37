"""Each page shows what is there, and says so where nothing is."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from convstore import Store
from convstore.vocabulary.clock import ManualClock, SystemClock
from convstore.web import Actor
from convstore.web.text import ago, duration, moment, size, visible
from convstore.web.views import FORMS, PAGES
from tests.web.conftest import OWN, Visitor, talk

IDS = (
    "../../etc/<b>x</b>?q=1&r#f", "..", ".", "a/b", "%2e%2e%2f", "//evil.example/x",
    "javascript:alert(1)", "a\nb", "\u202egnp", "🎉", "+ +", "tenant=acme",
    "'\"><script>alert(1)</script>", "{{ 7*7 }}", "x" * 255,
)  # fmt: skip


now = SystemClock().now

EMPTY = {
    "/": "There is no conversation yet.",
    "/?title=x": "No session meets these filters. Everything was looked at.",
    "/search": "Type words that were said.",
    "/search?q=x": "Nobody said that. Everything was looked at",
    "/disagreements": "Nobody disagrees",
    "/cost": "No conversation has a user yet.",
    "/people": "Nobody has judged anything",
    "/datasets": "No row of this format can be made",
    "/retention": "Nothing is under hold.",
    "/archive": "Nothing is archived yet.",
    "/judge?queue=q": "Nothing is left for you in this queue.",
    "/bulk": "no filter is not all of them",
    "/bulk?user=x": "What to do with them",
}


async def test_an_empty_page_says_why(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    page = visitor(Actor("op", ("operator",), ("default",)))
    assert "There is no queue yet." in (await page.get("/queues")).text
    await store.queues.put("q")

    for path, words in EMPTY.items():
        answer = await page.get(path)
        assert answer.status_code == 200
        assert words in answer.text
    shown = (await page.get("/retention")).text
    assert "Retention never ran" in shown
    assert "Nobody asked to be erased yet." in shown
    assert "None yet." in (await page.get("/datasets")).text


async def test_every_address_answers_with_json_where_it_is_asked_for(
    store: Store, tmp_path: Path, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    await store.queues.put("q")
    await store.export("messages", to=tmp_path / "tenant=default" / "m")
    await talk(store, "s-2", "u-2")
    receipt = await store.erase(session_id="s-2")
    page = visitor(
        Actor("op", ("operator",), ("default",)), data_sets=tmp_path, hosts=()
    )
    given: dict[str, dict[str, object]] = {
        "/conversation": {"id": "s-1"},
        "/compare": {"id": "s-1", "one": 2, "other": 3},
        "/judge": {"queue": "q"},
        "/dataset": {"name": "m"},
        "/receipt": {"id": receipt.erasure_id},
        "/bulk": {"user": "u-1"},
    }
    as_json = {"accept": "application/json", **OWN}

    for path in PAGES.keys() - {"/dataset/plot"}:
        assert isinstance(await page.json(path, **given.get(path, {})), dict), path
    for path in FORMS:
        answer = await page.client.post(path, data={}, headers=as_json)
        assert answer.headers["content-type"] == "application/json", path
        assert answer.status_code == 422, path
        assert answer.json()["code"] == "invalid_input", path


async def test_an_id_may_be_any_text(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    for session_id in IDS:
        await talk(store, session_id)
    page = visitor()

    listed = (await page.get("/")).text
    links = re.findall(r'href="([^"]*)" data-open', listed)

    assert len(links) == len(IDS)
    seen = set()
    for link in links:
        answer = await page.client.get(link.replace("&amp;", "&"))
        assert "May I have the file?" in answer.text
        assert "<script>alert" not in answer.text
        assert "<b>x" not in answer.text
        seen.add(answer.text.partition('<dd class="id">')[2].partition("</dd>")[0])
    assert {html.escape(visible(one), quote=True) for one in IDS} == {
        one.replace("&#34;", "&quot;").replace("&#39;", "&#x27;") for one in seen
    }


async def test_sessions_are_found_by_their_filters(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    await talk(store, "s-2", "u-2")
    await store.sessions.patch("s-2", title="Kaart", add_tags=["vip"])
    await store.interactions.record(
        "s-2", action="feedback", turn_seq=3, feedback="correct", actor_id="a"
    )
    page = visitor()

    async def ids(**query: object) -> list[str]:
        return [one["id"] for one in (await page.json("/", **query))["items"]]

    assert sorted(await ids()) == ["s-1", "s-2"]
    for asked in (
        {"title": "kaar"},
        {"user": "u-2"},
        {"tag": "vip"},
        {"label": "correct"},
    ):
        assert await ids(**asked) == ["s-2"], asked
    assert await ids(state="archived") == []
    assert (await page.get("/", state="x")).status_code == 422
    assert (await page.get("/", since="1y")).status_code == 422
    assert (await page.get("/", cursor="x")).status_code == 422


async def test_a_long_list_is_paged(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    for number in range(55):
        await store.conversation(f"s-{number:02}").append(role="user", content="x")
    page = visitor()

    first = await page.json("/")
    second = await page.json("/", cursor=first["next_cursor"])

    assert (len(first["items"]), len(second["items"])) == (50, 5)
    assert "Older" in (await page.get("/")).text
    html = (await page.get("/", cursor=first["next_cursor"])).text
    assert "Newest" in html
    assert 'rel="prev"' in html
    again = await page.json("/", cursor=second["previous_cursor"])
    assert (again["items"], again["previous_cursor"]) == (first["items"], None)


async def test_sessions_are_filtered_by_judgement_disagreement_and_hold(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    for number in range(3):
        await talk(store, f"s-{number}")
    for session_id, labels in (("s-1", ["up"]), ("s-2", ["up", "down"])):
        for label in labels:
            await store.interactions.record(
                session_id,
                action="feedback",
                turn_seq=3,
                feedback=label,
                actor_id=label,
            )
    await store.holds.place("s-0", reason="audit")
    page = visitor()

    async def ids(only: str) -> set[str]:
        return {one["id"] for one in (await page.json("/", only=only))["items"]}

    assert await ids("judged") == {"s-1", "s-2"}
    assert await ids("unjudged") == await ids("held") == {"s-0"}
    assert await ids("disagreed") == {"s-2"}
    assert (await page.get("/", only="x")).status_code == 422


async def test_the_bin_leads_to_what_was_deleted_and_back(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    await store.sessions.delete("s-1")
    page = visitor(Actor("op", ("operator",), ("default",)))

    listed = (await page.get("/", state="deleted")).text
    shown = await page.get("/conversation", id="s-1")
    wrong = await page.post("/restore", {"confirm": "s-2"}, id="s-1")
    back = await page.post("/restore", {"confirm": "s-1"}, id="s-1")

    assert "until it is erased" in listed
    assert "/conversation?id=s-1" in listed
    assert "In the bin" in shown.text
    assert "pleasure" not in shown.text
    assert (wrong.status_code, back.status_code) == (422, 303)
    assert (await store.sessions.get("s-1")).state == "active"


async def test_a_receipt_is_told_whole(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    receipt = await store.erase(session_id="s-1")
    page = visitor()

    listed = (await page.get("/retention")).text
    told = (await page.json("/receipt", id=receipt.erasure_id))["receipt"]
    html = (await page.get("/receipt", id=receipt.erasure_id)).text

    assert f"/receipt?id={receipt.erasure_id}" in listed
    assert told["rows_deleted"] == receipt.rows_deleted
    assert "<code>s-1</code>" in html
    assert "<dt>turns</dt>" in html
    assert (await page.get("/receipt", id="nope")).status_code == 404


async def test_a_long_conversation_is_read_from_its_end(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    said = [
        {"role": ("user", "assistant")[n % 2], "content": f"said {n + 1}"}
        for n in range(300)
    ]
    await store.sessions.get_or_create("s-1")
    await store.turns.append_many("s-1", said)
    page = visitor()

    newest = await page.json("/conversation", id="s-1")
    older = await page.json("/conversation", id="s-1", before=newest["turns"][0]["seq"])
    there = await page.json("/conversation", id="s-1", at=100)

    assert [one["seq"] for one in newest["turns"]] == list(range(241, 301))
    assert [one["seq"] for one in older["turns"]] == list(range(181, 241))
    assert 100 in [one["seq"] for one in there["turns"]]


async def test_a_branch_that_was_left_is_shown_to_its_end(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    await store.turns.append("s-1", role="user", content="Thanks!", parent_seq=2)
    await store.turns.switch("s-1", 3)
    page = visitor()

    active = await page.json("/conversation", id="s-1")
    left = await page.json("/conversation", id="s-1", at=2)
    html = (await page.get("/conversation", id="s-1")).text

    assert [one["seq"] for one in active["turns"]] == [1, 3]
    assert [one["seq"] for one in left["turns"]] == [1, 2, 4]
    assert "2 of 2" in html
    assert "/compare?id=s-1&amp;one=3&amp;other=2" in html


async def test_where_raters_differ_it_is_said(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    for actor_id, label in (("ann", "thumbs_up"), ("bo", "wrong")):
        await store.interactions.record(
            "s-1", action="feedback", turn_seq=3, feedback=label, actor_id=actor_id
        )
    page = visitor()

    assert "disagreement" in (await page.get("/")).text
    assert "disagreement" in (await page.get("/conversation", id="s-1")).text


async def test_people_are_told_with_how_far_they_agree(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    for number in range(4):
        await talk(store, f"s-{number}")
        for actor_id in ("ann", "bo"):
            label = "thumbs_up" if number or actor_id == "ann" else "thumbs_down"
            await store.interactions.record(
                f"s-{number}",
                action="feedback",
                turn_seq=3,
                feedback=label,
                actor_id=actor_id,
                created_at=now(),
            )
    page = visitor()

    told = await page.json("/people")

    assert [(one["name"], one["judgements"]) for one in told["people"]] == [
        ("ann", 4),
        ("bo", 4),
    ]
    assert told["agreement"]["units"] == 4
    assert told["agreement"]["percent"] == 0.75
    assert [one["kappa"] for one in told["pairs"]] == [0.0]
    differing = await page.json("/disagreements")
    assert [one["id"] for one in differing["items"]] == ["s-0"]
    assert (await page.get("/people")).status_code == 200


async def test_cost_is_told_user_by_user(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    await talk(store, "s-2", "u-2")
    await store.ledger.pin("s-1", model="m")
    await store.ledger.add_cost("s-1", micros=1_250_000)
    page = visitor()

    told = await page.json("/cost")

    assert told["total_micros"] == 1_250_000
    costs = {one["user"]["user_id"]: one["cost_micros"] for one in told["items"]}
    assert costs == {"u-1": 1_250_000, "u-2": 0}
    assert [row["cost_micros"] for row in told["days"]["rows"]] == [1_250_000]
    assert [row["name"] for row in told["models"]["rows"]] == ["m"]
    assert "$1.2500" in (await page.get("/cost")).text


async def test_hits_lead_to_their_turn(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    await store.run_retention(older_than_s=0)

    answer = await visitor().get("/search", q="not today")

    assert "<mark>not</mark>" in answer.text or "<mark>not today</mark>" in answer.text
    assert "id=s-1&amp;at=3#turn-3" in answer.text
    assert "archived" in answer.text


async def test_the_archive_tells_of_its_files_and_runs(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    await store.run_retention(older_than_s=0)
    page = visitor()

    told = await page.json("/archive")

    assert [one["session_count"] for one in told["segments"]] == [1]
    assert [one["archived"] for one in told["runs"]] == [1]
    assert "in order" in (await page.get("/archive")).text


async def test_rows_of_a_data_set_are_shown_with_what_is_left_out(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    await store.interactions.record(
        "s-1", action="feedback", turn_seq=3, feedback="thumbs_up", actor_id="a"
    )
    page = visitor()

    seen = (await page.json("/datasets", format="kto"))["preview"]
    html = (await page.get("/datasets", format="kto")).text

    assert seen["row_count"] == 1
    assert "No, not today." in html
    assert (await page.get("/datasets", format="nope")).status_code == 422


async def test_a_page_under_a_path_keeps_to_it(store: Store) -> None:
    import httpx
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from convstore.web import app
    from tests.web.conftest import ANN, BASE, OWN

    await talk(store)
    outer = Starlette(routes=[Mount("/chats", app(store, lambda request: ANN))])
    transport = httpx.ASGITransport(outer)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as browser:
        listed = await browser.get("/chats/")
        judged = await browser.post(
            "/chats/judge?id=s-1&turn=3",
            data={"act": "abcdefgh", "label": "x"},
            headers=OWN,
        )
        sheet = listed.text.partition('rel="stylesheet" href="')[2].partition('"')[0]
        style = await browser.get(sheet)

    assert 'href="/chats/conversation?id=s-1"' in listed.text
    assert judged.headers["location"].startswith("/chats/conversation?id=s-1")
    assert style.headers["content-type"].startswith("text/css")


async def test_a_session_held_and_idle_is_told_with_its_reason(
    store: Store, clock: ManualClock, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    await talk(store, "s-2")
    await store.holds.place("s-2", reason="audit")
    clock.advance(3 * 86_400)

    plan = (await visitor().json("/retention"))["plan"]

    told = {(one["action"], one["reason"]): one["count"] for one in plan}
    assert told == {("archive", "idle"): 1, ("keep", "held"): 1}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("a\x1b[31m", "a⟦001B⟧[31m"),
        ("\u202eevil", "⟦202E⟧evil"),
        ("a\u200bb", "a⟦200B⟧b"),
        ("\U000e0041", "⟦E0041⟧"),
        ("a\r\nb\x00", "a\nb⟦0000⟧"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("عربي 中文", "عربي 中文"),
    ],
)
def test_what_cannot_be_seen_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_times_and_sizes_are_short() -> None:
    now = ManualClock().now()

    told = [
        ago(now - timedelta(seconds=s), now) for s in (5, 130, 7_200, 90_000, 300_000)
    ]

    assert told == ["just now", "2 min ago", "2 h ago", "yesterday", "3 days ago"]
    assert ago(now - timedelta(days=800), now)[-4:].isdecimal()
    assert moment(now)[4] == "-"
    assert [size(n) for n in (12, 1_500, 2_300_000)] == ["12 B", "1.5 kB", "2.3 MB"]
    assert [duration(s) for s in (86_400, 7_200, 90, 5_400)] == [
        "1 day",
        "2 hours",
        "90 seconds",
        "90 minutes",
    ]
