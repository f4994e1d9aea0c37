"""What an export would make of some sessions: its very rows, and no files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convstore import InvalidInputError, Store
from convstore.types import Choice


async def ask(store: Store, session_id: str, question: str) -> tuple[int, int]:
    """A question with two answers; their numbers."""
    await store.sessions.get_or_create(session_id, user_id=f"of {session_id}")
    asked = await store.turns.append(session_id, role="user", content=question)
    one = await store.turns.append(
        session_id, role="assistant", content=f"{question} Yes, with pleasure."
    )
    other = await store.turns.append(
        session_id,
        role="assistant",
        content=f"{question} No, not today, I fear.",
        parent_seq=asked.seq,
    )
    return one.seq, other.seq


async def judged(store: Store) -> None:
    for number in range(6):
        one, other = await ask(store, f"s-{number}", f"May I have the file {number}?")
        await store.interactions.record(
            f"s-{number}", action="choose", choice=Choice(one, (other,)), actor_id="ann"
        )
        await store.interactions.record(
            f"s-{number}",
            action="feedback",
            turn_seq=one,
            feedback="thumbs_up",
            actor_id="ann",
        )
    # The same words in another session: a duplicate of the first one's row.
    one, _ = await ask(store, "s-again", "May I have the file 0?")
    await store.interactions.record(
        "s-again", action="feedback", turn_seq=one, feedback="thumbs_up", actor_id="bo"
    )


@pytest.mark.parametrize("format_", ["preference", "kto", "messages", "openai-dpo"])
async def test_a_preview_has_the_lines_that_an_export_writes(
    store: Store, tmp_path: Path, format_: str
) -> None:
    await judged(store)

    seen = await store.preview(format_, limit=100)

    report = (await store.export(format_, to=tmp_path / "out")).formats[0]
    files = sorted((tmp_path / "out" / "data").iterdir())
    lines = [json.loads(x) for f in files for x in f.read_text("utf-8").splitlines()]
    assert [row.row for row in seen.rows] == lines
    assert len(lines) == seen.row_count > 0
    assert seen.splits == report.splits
    assert seen.left_out == report.dropped
    assert seen.warnings == report.warnings
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert seen.rules == manifest["rules"]
    assert sum(seen.lengths.values()) == report.rows
    assert seen.complete


async def test_a_judgement_is_in_the_next_preview(store: Store) -> None:
    one, other = await ask(store, "s-1", "May I?")
    before = await store.preview("preference", session_ids=["s-1"])
    await store.interactions.record(
        "s-1", action="choose", choice=Choice(other, (one,)), actor_id="ann"
    )

    after = await store.preview("preference", session_ids=["s-1"])

    assert (before.rows, before.complete) == ((), True)
    assert [row.turn_seqs for row in after.rows] == [(other, one)]
    assert after.rows[0].session_id == "s-1"


async def test_an_archived_session_is_previewed_where_it_lies(store: Store) -> None:
    await judged(store)
    await store.run_retention(older_than_s=0)

    seen = await store.preview("kto", session_ids=["s-1"])

    assert seen.row_count == 1
    assert (await store.sessions.get("s-1")).state == "archived"


async def test_a_preview_that_stopped_early_says_so(store: Store) -> None:
    await judged(store)

    few_rows = await store.preview("kto", limit=2)
    few_sessions = await store.preview("kto", max_sessions=3)

    assert (len(few_rows.rows), few_rows.row_count, few_rows.complete) == (2, 6, False)
    assert (few_sessions.session_count, few_sessions.complete) == (3, False)


async def test_a_preview_of_no_sessions_reads_none(store: Store) -> None:
    await judged(store)

    seen = await store.preview("kto", session_ids=[])

    assert (seen.rows, seen.session_count, seen.complete) == ((), 0, True)


async def test_caps_hold_in_a_preview(store: Store, tmp_path: Path) -> None:
    await judged(store)

    seen = await store.preview("reward", limit=100, caps={"per_user": 1})

    report = await store.export("reward", to=tmp_path / "out", caps={"per_user": 1})
    assert seen.row_count == report.rows
    assert seen.left_out == report.formats[0].dropped


async def test_another_tenant_sees_none_of_it(store: Store) -> None:
    await judged(store)

    seen = await store.for_tenant("other").preview("kto", session_ids=["s-1"])

    assert (seen.rows, seen.session_count) == ((), 0)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("since", {"since": "out"}),
        ("near_duplicates", {"near_duplicates": 0.8}),
        ("max_length_bias", {"max_length_bias": 0.6}),
        ("file_type", {"file_type": "parquet"}),
        ("redaction_cache", {"redact": "regex", "redaction_cache": "finds"}),
        ("max_sessions", {"max_sessions": 0}),
        ("limit", {"limit": 0}),
        ("rules", {"rules": ["prompt"]}),
        ("session_ids", {"session_ids": [""]}),
    ],
)
async def test_what_a_preview_cannot_tell_is_refused(
    store: Store, field: str, given: dict[str, object]
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await store.preview("kto", **given)  # type: ignore[arg-type]

    assert caught.value.field == field
