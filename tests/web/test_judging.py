"""What is judged on the page is an ordinary judgement of the store."""

from __future__ import annotations

from collections.abc import Callable

from convstore import Store
from convstore.web import Actor
from tests.web.conftest import Visitor, acts_of, talk

OPERATOR = Actor("op", ("operator",), ("default",))


async def act(page: Visitor, path: str = "/conversation", **query: object) -> str:
    html = (await page.get(path, **query)).text
    return acts_of(html)[0]


async def test_a_label_is_stored_once_however_often_the_form_is_sent(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    page = visitor()
    form = {"act": await act(page, id="s-1"), "label": "thumbs_up"}

    first = await page.post("/judge", form, id="s-1", turn=3)
    again = await page.post("/judge", form, id="s-1", turn=3)

    assert (first.status_code, again.status_code) == (303, 303)
    assert first.headers["location"] == "/conversation?id=s-1&at=3#turn-3"
    (stored,) = (await store.interactions.list("s-1")).items
    assert (stored.action, stored.turn_seq) == ("feedback", 3)
    assert (stored.feedback, stored.actor_id) == ("thumbs_up", "ann")
    assert stored.surface == "convstore web"


async def test_the_other_button_of_a_form_replaces_the_first(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    page = visitor()
    one = await act(page, id="s-1")

    await page.post("/judge", {"act": one, "label": "thumbs_up"}, id="s-1", turn=3)
    await page.post("/judge", {"act": one, "label": "thumbs_down"}, id="s-1", turn=3)

    counts = (await store.sessions.get("s-1")).feedback_counts
    assert counts == {"thumbs_down": 1}


async def test_a_comment_and_a_correction_keep_their_lines(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    page = visitor()

    await page.post(
        "/judge",
        {
            "act": await act(page, id="s-1"),
            "label": "partial",
            "comment": "Zu kurz.\r\nUnd kühl.",
            "correction": "Heute nicht,\r\nmorgen \u202egern.",
        },
        id="s-1",
        turn=3,
    )

    said, edited = (await store.interactions.list("s-1")).items
    assert (said.feedback, said.content) == ("partial", "Zu kurz.\nUnd kühl.")
    assert (edited.action, edited.content) == (
        "edit",
        "Heute nicht,\nmorgen \u202egern.",
    )


async def test_a_judgement_is_in_the_rows_beside_it(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    page = visitor()
    before = await page.json("/conversation", id="s-1")

    compared = await page.json("/compare", id="s-1", one=2, other=3)
    form = {"act": await act(page, "/compare", id="s-1", one=2, other=3), "chosen": 2}
    await page.post("/choose", form, id="s-1", one=2, other=3)

    after = await page.json("/conversation", id="s-1")
    shown = await page.get("/conversation", id="s-1", at=2)
    assert before["previews"][0]["count"] == 0
    assert after["previews"][0]["rows"][0]["turns"] == [2, 3]
    assert "preference: chosen in 1 row" in shown.text
    (stored,) = (await store.interactions.list("s-1")).items
    assert stored.shown == {"order": compared["order"]}


async def test_neither_is_a_choice_too(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    page = visitor()
    form = {"act": await act(page, "/compare", id="s-1", one=2, other=3), "chosen": 0}

    await page.post("/choose", form, id="s-1", one=2, other=3)

    (stored,) = (await store.interactions.list("s-1")).items
    assert stored.choice is not None
    assert stored.choice.chosen is None
    assert set(stored.choice.rejected) == {2, 3}


async def test_sides_are_dealt_and_stay(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    orders = set()
    for number in range(24):
        page = visitor(Actor(f"rater {number}", ("reader",), ("default",)))
        one = await page.json("/compare", id="s-1", one=2, other=3)
        other = await page.json("/compare", id="s-1", one=3, other=2)
        assert one["order"] == other["order"]
        orders.add(tuple(one["order"]))

    assert orders == {(2, 3), (3, 2)}


async def test_one_takes_back_only_what_is_ones_own(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    for actor_id in ("ann", "bo"):
        await store.interactions.record(
            "s-1",
            action="feedback",
            turn_seq=3,
            feedback="thumbs_up",
            actor_id=actor_id,
        )
    page = visitor()

    own = await page.post("/retract", {}, id="s-1", interaction=1)
    again = await page.post("/retract", {}, id="s-1", interaction=1)
    other = await page.post("/retract", {}, id="s-1", interaction=2)

    assert (own.status_code, again.status_code, other.status_code) == (303, 404, 422)
    standing = await store.interactions.effective("s-1")
    assert [judged.actor_id for judged in standing] == ["bo"]


UNCLEAR: tuple[tuple[str, dict[str, object], dict[str, object]], ...] = (
    ("/judge", {"act": "abcdefgh"}, {"turn": 3}),
    ("/judge", {"act": "abcdefgh", "label": "  "}, {"turn": 3}),
    ("/judge", {"act": "short", "label": "x"}, {"turn": 3}),
    ("/judge", {"label": "x"}, {"turn": 3}),
    ("/judge", {"act": "abcdefgh", "correction": "x"}, {}),
    ("/judge", {"act": "abcdefgh", "label": "x"}, {"turn": -1}),
    ("/judge", {"act": "abcdefgh", "label": "x" * 300}, {"turn": 3}),
    ("/choose", {"act": "abcdefgh", "chosen": 1}, {"one": 2, "other": 3}),
    ("/choose", {"act": "abcdefgh"}, {"one": 2, "other": 3}),
    ("/choose", {"act": "abcdefgh", "chosen": 2}, {"one": 2}),
)


async def test_a_form_that_cannot_be_meant_changes_nothing(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    page = visitor()

    for path, form, query in UNCLEAR:
        answer = await page.post(path, form, id="s-1", **query)
        assert answer.status_code == 422, (path, form, query)
    assert (await store.sessions.get("s-1")).interaction_count == 0


async def test_a_judgement_of_an_archived_conversation_brings_it_back(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    await store.run_retention(older_than_s=0)
    page = visitor()

    shown = await page.get("/conversation", id="s-1")
    read = (await store.sessions.get("s-1")).state
    form = {"act": acts_of(shown.text)[0], "label": "thumbs_up"}
    await page.post("/judge", form, id="s-1", turn=3)

    assert "No, not today." in shown.text
    assert read == "archived"
    assert (await store.sessions.get("s-1")).state == "active"


async def test_what_destroys_asks_for_the_id(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    page = visitor(OPERATOR)

    for path in ("/delete", "/erase"):
        for typed in ("", "s-2", "S-1"):
            answer = await page.post(path, {"confirm": typed}, id="s-1")
            assert answer.status_code == 422
    assert (await store.sessions.get("s-1")).state == "active"


async def test_an_operator_names_holds_and_brings_back(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    page = visitor(OPERATOR)

    await page.post("/describe", {"title": "Files", "tags": "a, b"}, id="s-1")
    await page.post("/hold", {"reason": "audit"}, id="s-1")
    held = await page.post("/delete", {"confirm": "s-1"}, id="s-1")
    holds = await page.get("/retention")
    await page.post("/release", {"confirm": "s-1"}, id="s-1", number=1)
    deleted = await page.post("/delete", {"confirm": "s-1"}, id="s-1")
    bin_ = await page.json("/", state="deleted")
    restored = await page.post("/restore", {"confirm": "s-1"}, id="s-1")

    session = await store.sessions.get("s-1")
    assert (session.title, session.tags) == ("Files", ("a", "b"))
    assert held.status_code == 423
    assert "audit" in holds.text
    assert (deleted.status_code, restored.status_code) == (303, 303)
    assert [one["id"] for one in bin_["items"]] == ["s-1"]


async def test_a_receipt_is_shown_and_the_id_is_gone(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    page = visitor(OPERATOR)

    done = await page.post("/erase", {"confirm": "s-1"}, id="s-1")

    receipts = (await page.json("/retention"))["receipts"]
    assert done.status_code == 303
    assert len(receipts) == 1
    assert (await page.get("/conversation", id="s-1")).status_code == 410


async def test_a_rater_goes_through_a_queue_and_takes_one_back(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    for number in range(3):
        chat = store.conversation(f"s-{number}")
        await chat.append(role="user", content=f"Question {number}?")
        await chat.append(role="assistant", content=f"Answer {number}.")
    ann, op = visitor(), visitor(OPERATOR)
    refused = await ann.post("/queues", {"name": "q"})
    await op.post("/queues", {"name": "q", "question": "Good?", "raters": 1})

    judged = []
    for _ in range(3):
        shown = await ann.json("/judge", queue="q")
        session_id = shown["item"]["session"]["id"]
        form = {"act": await act(ann, "/judge", queue="q"), "label": "thumbs_up"}
        answer = await ann.post("/judge", form, id=session_id, turn=2, queue="q")
        judged.append(session_id)
        last = answer.headers["location"]
    end = await ann.client.get(last)
    await ann.post("/retract", {}, id=judged[-1], interaction=1, queue="q")
    again = await ann.json("/judge", queue="q")
    await ann.post("/skip", {}, id=judged[-1], queue="q")
    skipped = await ann.json("/judge", queue="q")

    assert refused.status_code == 403
    assert sorted(judged) == ["s-0", "s-1", "s-2"]
    assert "Nothing is left for you" in end.text
    assert "Take back" in end.text
    assert again["item"]["session"]["id"] == judged[-1]
    assert skipped["item"] is None


async def test_others_judgements_are_not_seen_before_ones_own(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    await store.queues.put("q", raters=2)
    await store.interactions.record(
        "s-1",
        action="feedback",
        turn_seq=3,
        feedback="thumbs_down",
        content="Far too curt",
        actor_id="bo",
    )

    shown = await visitor().get("/judge", queue="q")

    assert "No, not today." in shown.text
    assert "Yes, with pleasure." in shown.text
    assert "curt" not in shown.text
    assert "bo" not in shown.text.split()


async def test_a_queue_ends_when_its_name_is_typed(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await store.queues.put("q")
    page = visitor(OPERATOR)

    no = await page.post("/queues/end", {"confirm": "x"}, queue="q")
    yes = await page.post("/queues/end", {"confirm": "q"}, queue="q")

    assert (no.status_code, yes.status_code) == (422, 303)
    assert not (await store.queues.list()).items
    assert (await page.get("/judge", queue="q")).status_code == 404
