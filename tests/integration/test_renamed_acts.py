"""Whoever repeats what an erased user did, not knowing of it, finds it done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from convstore import Store
from convstore.errors import ConflictError
from tests.integration.archives import ERASED, document
from tests.integration.test_erased_actors import JAN, judged

EVENT: dict[str, Any] = {
    "turns": [{"role": "user", "content": "Hoeveel?", "external_id": "e-1"}],
    "interactions": [
        {
            "action": "feedback",
            "turn_seq": 1,
            "feedback": "up",
            "external_id": "i-1",
            "actor_id": JAN,
        }
    ],
}


async def test_a_step_of_an_adapter_is_repeated(store: Store) -> None:
    await store.sessions.apply("s-1", create=True, **EVENT)
    await store.erase(user_id=JAN)

    done = await store.sessions.apply("s-1", **EVENT)

    assert done.repeated
    assert ERASED.fullmatch(done.interactions[0].actor_id or "")
    (act,) = EVENT["interactions"]
    with pytest.raises(ConflictError):
        await store.sessions.apply(
            "s-1", **EVENT | {"interactions": [act | {"feedback": "down"}]}
        )


def duel(folder: Path) -> Path:
    """A file of an arena, of which a judge has compared two answers."""
    asked = {"role": "user", "content": "Hoeveel?"}
    row = {
        "question_id": "q-1",
        "model_a": "m-1",
        "model_b": "m-2",
        "winner": "model_a",
        "judge": JAN,
        "conversation_a": [asked, {"role": "assistant", "content": "Drie."}],
        "conversation_b": [asked, {"role": "assistant", "content": "Vier."}],
    }
    path = folder / "arena.jsonl"
    path.write_text(json.dumps(row) + "\n")
    return path


def rated(folder: Path) -> Path:
    path = folder / "rated.jsonl"
    path.write_text(json.dumps({"key": "s-1", "question": "Waar?", "good": "ja"}))
    (folder / "map.toml").write_text(
        '[session]\nid = "key"\n[[turn]]\nrole = "user"\ntext = "question"\n'
        '[[feedback]]\non = "session"\nfield = "good"\nlabels = {ja = "up"}\n'
        f'actor = "{JAN}"\n'
    )
    return path


@pytest.mark.parametrize("kind", ["arena", "map"])
async def test_an_import_is_repeated(store: Store, tmp_path: Path, kind: str) -> None:
    source = (duel if kind == "arena" else rated)(tmp_path)
    given: dict[str, Any] = (
        {} if kind == "arena" else {"mapping": tmp_path / "map.toml"}
    )
    assert (await store.import_(kind, source, **given)).interactions == 1
    assert (await store.erase(user_id=JAN)).renamed == {"interactions": 1}

    again = await store.import_(kind, source, **given)

    assert again.already_present == 1
    assert (again.rejected_total, again.interactions, again.changed) == (0, 0, 0)


async def test_a_document_of_before_is_the_session_that_is_there(
    store: Store, tmp_path: Path
) -> None:
    await judged(store, "s-1")
    await store.holds.place("s-1", reason="zaak", actor_id=JAN)
    await store.holds.release("s-1", actor_id=JAN)
    await store.export("convstore", to=tmp_path / "out")
    (exported,) = (tmp_path / "out").glob("**/*.jsonl")
    await store.erase(user_id=JAN)

    report = await store.import_("convstore", exported)

    assert (report.already_present, report.rejected_total) == (1, 0)
    acts = (await document(store, "s-1")).interactions
    assert JAN not in {act.actor_id for act in acts}
