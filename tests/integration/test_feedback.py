"""Judgements in force, acts across sessions, many acts at once, sessions by label."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from convstore import (
    Choice,
    ConflictError,
    InvalidInputError,
    ManualClock,
    SessionNotFoundError,
    Store,
    TurnNotFoundError,
)
from convstore.db import interactions
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.policy import FeedbackPolicy
from convstore.vocabulary.records import InteractionInput
from tests.integration.archives import fill
from tests.integration.conversations import every_page, say
from tests.integration.sent_statements import counting

Open = Callable[..., Awaitable[Store]]


@pytest.fixture(name="store")
async def store_with_turns(store: Store) -> Store:
    await say(store, "s-1", "q", "a", "b")
    await say(store, "s-2", "q", "a")
    return store


async def _archive(store: Store) -> None:
    report = await store.run_retention(older_than_s=0)
    assert report.purged


async def _labels(store: Store, session_id: str = "s-1") -> list[str | None]:
    return [act.feedback for act in await store.interactions.effective(session_id)]


async def test_a_choice_turned_round_replaces_the_one_before(store: Store) -> None:
    record = store.interactions.record
    await record("s-1", action="choose", choice=Choice(2, (3,)), feedback="better")
    await record("s-1", action="choose", choice=Choice(3, (2,)), feedback="worse")

    assert await _labels(store) == ["worse"]
    assert (await store.sessions.get("s-1")).feedback_counts == {"worse": 1}


async def test_a_score_alone_replaces_the_label_before_it(store: Store) -> None:
    record = store.interactions.record
    await record("s-1", action="feedback", turn_seq=2, feedback="correct")
    await record("s-1", action="feedback", turn_seq=2, score=0.0)

    assert [a.score for a in await store.interactions.effective("s-1")] == [0.0]
    assert (await store.sessions.get("s-1")).feedback_counts == {}
    assert (await store.interactions.summary("s-1")).by_label == {}


async def test_a_person_and_a_model_without_name_are_two_actors(store: Store) -> None:
    record = store.interactions.record
    await record("s-1", action="feedback", turn_seq=2, feedback="up")
    await record(
        "s-1", action="feedback", turn_seq=2, feedback="up", actor_kind="model"
    )

    assert (await store.sessions.get("s-1")).feedback_counts == {"up": 2}


async def test_a_retraction_that_is_taken_back_brings_nothing_back(
    store: Store,
) -> None:
    record = store.interactions.record
    await record("s-1", action="feedback", turn_seq=2, feedback="up")
    await record("s-1", action="retract", supersedes=1, feedback="oops")
    await record("s-1", action="retract", supersedes=2)

    assert await _labels(store) == []
    assert (await store.sessions.get("s-1")).feedback_counts == {}


async def test_judgements_of_a_turn_are_those_upon_it_and_choices_of_it(
    store: Store,
) -> None:
    record = store.interactions.record
    await record("s-1", action="feedback", turn_seq=2, feedback="up")
    await record("s-1", action="feedback", turn_seq=3, feedback="down")
    await record("s-1", action="choose", choice=Choice(3, (2,)))
    await record("s-1", action="copy", turn_seq=2)
    await record("s-1", action="feedback", node_id="n", feedback="correct")
    await record("s-1", action="feedback", turn_seq=2, feedback="up", actor_id="ann")
    await record("s-1", action="retract", supersedes=6)

    found = await store.interactions.effective("s-1", turn_seq=2)

    assert [act.seq for act in found] == [1, 3]
    assert [a.seq for a in await store.interactions.effective("s-1", 3)] == [2, 3]
    with pytest.raises(SessionNotFoundError):
        await store.interactions.effective("absent")
    with pytest.raises(InvalidInputError):
        await store.interactions.effective("s-1", turn_seq="2")  # type: ignore[arg-type]


async def test_judgements_of_an_archived_session_are_read_where_it_lies(
    store: Store,
) -> None:
    await fill(store, "s-3")
    before = await store.interactions.effective("s-3")
    summary = await store.interactions.summary("s-3")
    await _archive(store)

    assert await store.interactions.effective("s-3") == before != ()
    assert await store.interactions.summary("s-3") == summary
    assert (await store.sessions.get("s-3")).state == "archived"


async def test_acts_of_all_sessions_are_found_newest_first(
    store: Store, clock: ManualClock
) -> None:
    for number in range(7):
        clock.advance(1)
        await store.interactions.record(
            f"s-{1 + number % 2}",
            action="feedback" if number % 3 else "copy",
            turn_seq=2,
            feedback="down" if number % 2 else None,
            actor_id=f"u-{number}",
        )
    search = store.interactions.search

    found = await every_page(search, limit=2)
    assert [act.actor_id for act in found] == [f"u-{n}" for n in range(6, -1, -1)]
    assert [a.actor_id for a in (await search(label="down")).items] == [
        "u-5",
        "u-3",
        "u-1",
    ]
    assert [a.actor_id for a in (await search(action="copy")).items] == [
        "u-6",
        "u-3",
        "u-0",
    ]
    assert [a.session_id for a in (await search(actor_id="u-4")).items] == ["s-1"]
    since = clock.now() - timedelta(seconds=1)
    assert [a.actor_id for a in (await search(since=since)).items] == ["u-6", "u-5"]
    assert (await search(label="down", action="copy")).items == (found[3],)
    page = await store.for_tenant("acme").interactions.search()
    assert (page.items, page.complete) == ((), True)


async def test_acts_of_one_moment_are_paged_without_loss(
    store: Store, clock: ManualClock
) -> None:
    for number in range(6):
        await store.interactions.record(f"s-{1 + number % 2}", action="copy")

    found = await every_page(store.interactions.search, limit=1)

    assert [(a.session_id, a.seq) for a in found] == [
        (session_id, seq) for session_id in ("s-2", "s-1") for seq in (3, 2, 1)
    ]


async def test_a_search_reads_archived_sessions_in_their_place(
    store: Store, clock: ManualClock
) -> None:
    for number in range(6):
        clock.advance(1)
        await store.interactions.add_feedback(
            f"s-{1 + number % 2}", turn_seq=2, feedback="up", actor_id=f"u-{number}"
        )
    live = await every_page(store.interactions.search, label="up", limit=2)
    clock.advance(10)
    await store.sessions.touch("s-2")
    await store.run_retention(older_than_s=5)
    assert (await store.sessions.get("s-1")).state == "archived"

    found = await every_page(store.interactions.search, label="up", limit=2)

    assert found == live
    assert (await store.interactions.search(label="up")).complete
    assert (await store.sessions.get("s-1")).state == "archived"


async def test_a_search_that_ends_early_says_so_and_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interactions, "_EXAMINED", 4)
    await store.interactions.record("s-1", action="prune")
    for _ in range(9):
        await store.interactions.record("s-2", action="copy")
    search = store.interactions.search

    first = await search(action="prune")
    assert (first.items, first.complete) == ((), False)
    second = await search(action="prune", cursor=first.next_cursor)
    third = await search(action="prune", cursor=second.next_cursor)

    assert [act.action for act in third.items] == ["prune"]
    assert (third.next_cursor, third.complete) == (None, True)
    assert len(await every_page(search, action="copy", limit=3)) == 9


async def test_a_search_says_when_archived_sessions_were_left_out(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from convstore.repositories import act_search

    monkeypatch.setattr(act_search, "MOST_ARCHIVED", 1)
    for session_id in ("s-1", "s-2"):
        await store.interactions.record(session_id, action="copy")
    await _archive(store)

    page = await store.interactions.search()

    assert (len(page.items), page.complete) == (1, False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("action", ""),
        ("label", "x" * 256),
        ("actor_id", 7),
        ("since", datetime(2025, 1, 1)),  # noqa: DTZ001
        ("limit", 0),
        ("cursor", "x"),
    ],
)
async def test_a_search_that_cannot_be_meant_is_refused(
    store: Store, field: str, value: Any
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await store.interactions.search(**{field: value})

    assert caught.value.field == field


async def test_many_acts_are_recorded_in_the_order_given(store: Store) -> None:
    given = [
        {"action": "feedback", "turn_seq": 2, "feedback": "up", "session_id": "s-2"},
        InteractionInput("feedback", turn_seq=2, feedback="up", actor_id="ann"),
        {"action": "feedback", "turn_seq": 2, "feedback": "down", "actor_id": "ann"},
        InteractionInput("retract", supersedes=2),
    ]

    recorded = await store.interactions.record_many(given, session_id="s-1")

    assert [(a.session_id, a.seq) for a in recorded] == [
        ("s-2", 1),
        ("s-1", 1),
        ("s-1", 2),
        ("s-1", 3),
    ]
    assert (await store.interactions.list("s-1")).items == recorded[1:]
    assert (await store.sessions.get("s-1")).feedback_counts == {"up": 1}
    assert (await store.sessions.get("s-2")).feedback_counts == {"up": 1}
    assert await store.interactions.record_many([]) == ()


async def test_repeats_among_many_give_the_first_ones_back(store: Store) -> None:
    first = await store.interactions.record("s-1", action="copy", external_id="f-1")
    given = [
        {"action": "copy", "external_id": "f-2"},
        {"action": "copy", "external_id": "f-1"},
        {"action": "copy", "external_id": "f-2"},
    ]

    one, two, three = await store.interactions.record_many(given, session_id="s-1")
    again = await store.interactions.record_many(given, session_id="s-1")

    assert (one, two, three) == (three, first, one)
    assert again == (one, two, three)
    assert (await store.sessions.get("s-1")).interaction_count == 2


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"action": "copy", "turn_seq": 9}, TurnNotFoundError),
        ({"action": "copy", "external_id": "f-1"}, ConflictError),
        ({"action": "copy", "session_id": "absent"}, SessionNotFoundError),
        ({"action": "copy", "score": float("nan")}, InvalidInputError),
        ({"turn_seq": 1}, InvalidInputError),
        ({"action": "copy", "colour": "red"}, InvalidInputError),
        ({"action": "copy", "session_id": ""}, InvalidInputError),
        ("copy", InvalidInputError),
    ],
)
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in_transaction"])
async def test_of_many_acts_all_are_recorded_or_none(
    store: Store, wrong: Any, error: type[Exception], inside: bool
) -> None:
    await store.interactions.record(
        "s-1", action="share", turn_seq=1, external_id="f-1"
    )
    given = [{"action": "copy"}, {"action": "copy", "session_id": "s-2"}, wrong]

    async with store.transaction() as tx:
        verb = (tx if inside else store).interactions.record_many
        if inside:
            with pytest.raises(error):
                await verb(given, session_id="s-1")
    if not inside:
        with pytest.raises(error) as caught:
            await verb(given, session_id="s-1")
        if isinstance(caught.value, InvalidInputError):
            assert caught.value.field.startswith("interactions[2]")

    assert (await store.sessions.get("s-1")).interaction_count == 1
    assert (await store.sessions.get("s-2")).interaction_count == 0


async def test_many_acts_upon_archived_sessions_restore_them(store: Store) -> None:
    await _archive(store)

    await store.interactions.record_many(
        [{"action": "copy", "session_id": name} for name in ("s-1", "s-2", "s-1")]
    )

    assert (await store.sessions.get("s-1")).interaction_count == 2
    assert (await store.sessions.get("s-2")).state == "active"


async def test_a_commit_sends_no_more_statements_for_more_acts(
    open_another: Open, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    store = await open_another(lanes=1)
    names = [f"s-{number}" for number in range(40)]
    for name in names:
        await say(store, name, "q", "a")
    sent = counting(monkeypatch)

    async def statements_for(some: list[str], label: str) -> int:
        commits = store.commit_stats().commits
        sent.clear()
        add = store.interactions.add_feedback
        await asyncio.gather(
            *(
                add(name, turn_seq=2, feedback=label, external_id=f"{label} of {name}")
                for name in some
            )
        )
        assert store.commit_stats().commits == commits + 1
        return len(sent)

    one, many = await statements_for(names[:1], "a"), await statements_for(names, "b")
    # On SQLite a look at one target more is a call in this process, and no way to go.
    assert many <= one + (0 if database_url.startswith("postgresql") else 39)


@pytest.mark.mostly_slow("sqlite")
async def test_eight_thousand_acts_take_a_few_statements(
    store: Store, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    given = [
        {
            "action": "feedback",
            "turn_seq": 1 + number % 2,
            "feedback": "up" if number % 3 else "down",
            "actor_id": f"u-{number}",
            "external_id": f"f-{number}",
        }
        for number in range(8_000)
    ]
    sent = counting(monkeypatch)

    await store.interactions.record_many(given, session_id="s-1")

    if database_url.startswith("postgresql"):
        assert len(sent) < 12
    assert (await store.sessions.get("s-1")).feedback_counts == {
        "up": 5_333,
        "down": 2_667,
    }


async def _with_label(store: Store, label: str) -> list[str]:
    page = await store.sessions.list(label=label)
    assert await store.sessions.count(label=label) == len(page.items)
    return [session.id for session in page.items]


async def test_sessions_are_listed_by_a_label_in_force(store: Store) -> None:
    add = store.interactions.add_feedback
    await add("s-1", turn_seq=2, feedback="up")
    await add("s-2", turn_seq=2, feedback="down")
    assert (await _with_label(store, "up"), await _with_label(store, "down")) == (
        ["s-1"],
        ["s-2"],
    )

    await add("s-1", turn_seq=2, feedback="down")

    assert await _with_label(store, "up") == []
    assert sorted(await _with_label(store, "down")) == ["s-1", "s-2"]
    assert await _with_label(store.for_tenant("acme"), "down") == []


async def test_labels_stay_with_an_archived_session_and_go_with_a_deleted_one(
    store: Store,
) -> None:
    await store.interactions.add_feedback("s-1", turn_seq=2, feedback="up")
    await _archive(store)
    assert await _with_label(store, "up") == ["s-1"]

    await store.restore("s-1")
    assert await _with_label(store, "up") == ["s-1"]

    await store.sessions.delete("s-1")
    assert (await store.sessions.list(label="up", state="deleted")).items == ()
    await store.restore("s-1")
    assert await _with_label(store, "up") == ["s-1"]

    await _archive(store)
    await store.sessions.delete("s-1")
    assert (await store.sessions.list(label="up", state="deleted")).items == ()


async def test_labels_go_with_an_erased_user(store: Store, database_url: str) -> None:
    from tests.crash.invariants import read_rows

    await store.sessions.get_or_create("s-3", user_id="u-1")
    await store.interactions.record("s-3", action="feedback", feedback="up")

    receipt = await store.erase(user_id="u-1")

    assert receipt.rows_deleted["session_labels"] == 1
    rows = await asyncio.to_thread(read_rows, database_url)
    assert rows["session_labels"] == []


async def test_an_imported_session_is_found_by_its_labels(
    store: Store, open_another: Open, tmp_path: Path, new_database: Any
) -> None:
    await store.interactions.add_feedback("s-1", turn_seq=2, feedback="up")
    (document,) = [d async for d in store.documents(session_ids=["s-1"])]
    file = tmp_path / "sessions.jsonl"
    file.write_bytes(encode_document(document) + b"\n")
    other = await open_another(
        url=new_database("sqlite"), archive_dir=tmp_path / "other"
    )

    await other.import_("convstore", file)

    assert await _with_label(other, "up") == ["s-1"]


async def test_a_time_without_zone_is_not_guessed(store: Store) -> None:
    at = datetime(2025, 1, 1, tzinfo=UTC)
    await store.interactions.record("s-1", action="copy", created_at=at)

    assert len((await store.interactions.search(since=at)).items) == 1


async def test_judgements_say_what_their_labels_and_scores_mean(
    open_another: Open,
) -> None:
    policy = FeedbackPolicy(scales={"stars": (1.0, 5.0)})
    store = await open_another(feedback=policy)
    await say(store, "s-1", "q", "a")
    record = store.interactions.record
    await record("s-1", action="feedback", turn_seq=2, feedback="👍")
    await record(
        "s-1", action="feedback", turn_seq=2, score=4.0, surface="stars", actor_id="ann"
    )
    await record("s-1", action="feedback", turn_seq=2, score=4.0, actor_id="bob")

    found = await store.interactions.effective("s-1")

    assert [(act.feedback, act.score) for act in found] == [
        ("👍", None),
        (None, 4.0),
        (None, 4.0),
    ]
    assert [(act.meaning, act.rating) for act in found] == [
        ("good", None),
        (None, 0.75),
        (None, None),
    ]


async def test_an_import_tells_what_of_the_feedback_says_nothing(
    store: Store, tmp_path: Path
) -> None:
    session = {
        "session_id": "s-9",
        "chat_history": [
            {"role": "user", "content": "q", "timestamp": "2025-01-01T00:00:00"}
        ],
        "interactions": [
            {
                "action_type": "feedback",
                "node_id": "n",
                "feedback": label,
                "timestamp": "2025-01-01T00:00:00",
            }
            for label in ("banana", "correct")
        ],
    }
    file = tmp_path / "session.json"
    file.write_text(json.dumps(session))

    report = await store.import_("session-json", file)

    assert dict(report.not_understood) == {"label banana": 1}
    again = await store.import_("session-json", file)
    assert dict(again.not_understood) == {}


async def test_an_export_reads_feedback_as_the_settings_say(
    open_another: Open, tmp_path: Path
) -> None:
    store = await open_another(feedback=FeedbackPolicy(positive=("goed",)))
    await say(store, "s-1", "q", "a")
    await store.interactions.add_feedback("s-1", turn_seq=2, feedback="goed")

    report = await store.export("kto", to=tmp_path / "ours")
    other = await store.export(
        "kto", to=tmp_path / "other", judging={"positive": ["anders"]}
    )

    assert (report.rows, other.rows) == (1, 0)
    assert other.formats[0].not_understood == {"label goed": 1}
