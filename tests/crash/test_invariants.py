"""The checker is checked: a sound store passes, and each kind of harm is seen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from convstore import Store
from convstore.policy import SearchPolicy
from tests.crash.invariants import Memory, check
from tests.crash.oplog import OpLog, read_history
from tests.integration.archives import (
    OpenAnother,
    archived,
    damage,
    fill,
    raw,
    segment_files,
)


def wrong(url: str, archive: Path, **more: object) -> str:
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(check, url, archive, settled=True, **more)  # type: ignore[arg-type]
        return "\n".join(found.result())


HARM = {
    "I4 head of": "UPDATE sessions SET head_seq = 99 WHERE session_id = 'live'",
    "I4 a parent": "UPDATE turns SET parent_seq = 9 WHERE session_id = 'live'",
    "I4 turns": "DELETE FROM turns WHERE session_id = 'live' AND seq = 2",
    "I4 interactions": "DELETE FROM interactions WHERE session_id = 'live' AND seq = 2",
    "I4 graph": "DELETE FROM graph_states WHERE session_id = 'live' AND version = 2",
    "I6 archived nowhere": "UPDATE sessions SET segment_id = NULL",
    "I6 entries": "UPDATE archive_entries SET state = 'stale'",
    "I6 active names": "UPDATE sessions SET state = 'active'",
    "I7 no sealed segment": "UPDATE archive_segments SET state = 'deleting'",
    "I7 file differs": "UPDATE archive_segments SET size_bytes = 7",
    "I8": "UPDATE archive_entries SET sha256 = 'x'",
    "I11": "UPDATE sessions SET hold_count = 3",
    "I14": "UPDATE archive_segments SET state = 'writing'",
    "I18 counts of": "UPDATE interactions SET feedback = 'up'",
    "I18 labels": "UPDATE session_labels SET count = 7",
    "I19 total of": "UPDATE cost_totals SET cost_micros = 4",
    "I20 slots": "UPDATE sessions SET current_slots = '{}' WHERE session_id = 'live'",
    "I20 template": "UPDATE sessions SET current_template_id = NULL",
    "I24 fork default says": "UPDATE turns SET content = 'x' WHERE session_id = 'fork'",
    "I24 root of": "UPDATE sessions SET root_session_id = 'x'"
    " WHERE session_id = 'fork'",
    "I20 called straight": "UPDATE sessions SET branched = false",
    "I28 named and noted": "DELETE FROM session_attachments WHERE session_id = 'live'",
    "I28 noted and not kept": "DELETE FROM attachments",
    "I27": "DELETE FROM session_metadata WHERE session_id = 'live'",
    "I29": "DELETE FROM session_title_words WHERE session_id = 'live'",
    "I31": "DELETE FROM archived_actors",
    "I23": "UPDATE session_counts SET turns = turns + 1",
}


@pytest.mark.mostly_slow("sqlite-*", "postgres-I4 *")
@pytest.mark.parametrize("rule", HARM)
async def test_each_harm_to_the_database_is_seen(
    store: Store, database_url: str, archive_dir: Path, rule: str
) -> None:
    await archived(store, "s-1")
    await fill(store, "live")
    await store.ledger.add_cost("live", micros=5)
    await store.sessions.fork("live", "fork", at_seq=2)
    before = wrong(database_url, archive_dir)

    raw(database_url, HARM[rule])

    assert before == ""
    assert rule in wrong(database_url, archive_dir)


UNFOUND = {
    "I25 not in the index": "DELETE FROM search_entries WHERE session_id = 'live'"
    " AND seq = 1 AND kind = 'turn'",
    "I25 twice": "UPDATE search_entries SET seq = 1 WHERE session_id = 's-1'",
    "I25 words of": "UPDATE search_entries SET session_id = 's-1'"
    " WHERE session_id = 'live'",
    "I25 of: erased": "UPDATE sessions SET state = 'erased' WHERE session_id = 'live'",
    "I25 no mark": "DELETE FROM search_marks",
    "I25 nobody holds": "DELETE FROM search_sessions",
}


@pytest.mark.mostly_slow("sqlite-*", "postgres-I25 twice")
@pytest.mark.parametrize("rule", UNFOUND)
async def test_each_harm_to_the_index_of_words_is_seen(
    open_another: OpenAnother, database_url: str, archive_dir: Path, rule: str
) -> None:
    store = await open_another(search=SearchPolicy("deferred", 600.0))
    await archived(store, "s-1")
    await fill(store, "live")
    await store.search("enschede")
    await store.turns.append("live", role="user", content="en nu?")
    before = wrong(database_url, archive_dir)

    raw(database_url, UNFOUND[rule])

    assert before == ""
    assert rule in wrong(database_url, archive_dir)


async def test_harm_to_files_is_seen(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    await archived(store, "s-1")
    memory = Memory()
    wrong(database_url, archive_dir, memory=memory)
    (path,) = segment_files(archive_dir)

    damage(path)

    found = wrong(database_url, archive_dir, memory=memory)
    assert "I9" in found
    assert "I7" in found
    path.unlink()
    assert "I7 no file" in wrong(database_url, archive_dir)
    (archive_dir / "segments" / "stray.json").write_text("{}")
    assert "I14 file of no segment" in wrong(database_url, archive_dir)


async def test_a_version_that_falls_is_seen(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    await fill(store, "s-1")
    memory = Memory()
    wrong(database_url, archive_dir, memory=memory)

    raw(database_url, "UPDATE sessions SET version = 1")

    assert "I13" in wrong(database_url, archive_dir, memory=memory)


@pytest.mark.parametrize(
    ("kind", "names", "rule"),
    [
        ("ok", ["m-1", "lost"], "I1 lost"),
        ("no", ["m-1"], "I15 refused"),
        ("ok", [], "I15 nobody wrote"),
    ],
)
async def test_what_was_acknowledged_is_compared_with_what_is_there(
    store: Store,
    database_url: str,
    archive_dir: Path,
    tmp_path: Path,
    kind: str,
    names: list[str],
    rule: str,
) -> None:
    await store.sessions.get_or_create("s-1")
    await store.turns.append("s-1", role="user", content="x", external_id="m-1")
    log = OpLog(tmp_path / "w.log")
    told = {"id": "1", "op": "append", "tenant": "default", "s": "s-1", "names": names}
    log.write("try", **told)
    log.write(kind, id="1", answer=list(range(1, len(names) + 1)))

    history = read_history(tmp_path)

    assert rule in wrong(database_url, archive_dir, history=history)


async def test_an_erasure_that_said_too_much_is_seen(
    store: Store, database_url: str, archive_dir: Path, tmp_path: Path
) -> None:
    await archived(store, "s-1", "s-2")
    log = OpLog(tmp_path / "w.log")
    log.write("try", id="1", op="erase", tenant="default", s="s-1", sessions=["s-1"])
    log.write("ok", id="1", answer={"sessions": ["s-1"], "done": True})

    history = read_history(tmp_path)

    found = wrong(database_url, archive_dir, history=history)
    assert "I10 said to be done, and a copy of: default s-1" in found


def test_what_another_erasure_stores_first_is_not_held_against_the_first(
    tmp_path: Path,
) -> None:
    log = OpLog(tmp_path / "w.log")
    for number in ("1", "2"):
        log.write("try", id=number, op="erase", tenant="default", s="s-1",
                  sessions=["s-1"], user="ann")  # fmt: skip
    log.write("unknown", id="2", code="cancelled")
    log.write("ok", id="1", answer={"sessions": ["s-1"], "done": True})
    assert read_history(tmp_path).erased_users == set()

    log.write("round")
    log.write("try", id="3", op="erase", tenant="default", s="s-1",
              sessions=["s-1"], user="ann")  # fmt: skip
    log.write("ok", id="3", answer={"sessions": ["s-1"], "done": True})

    assert read_history(tmp_path).erased_users == {("default", "ann")}


ACT = {"m-1": {"actor_id": "ann"}}


def test_what_a_user_writes_while_they_are_erased_is_theirs_again(
    tmp_path: Path,
) -> None:
    log = OpLog(tmp_path / "w.log")
    log.write("try", id="1", op="erase", tenant="default", s="s-1",
              sessions=["s-1"], user="ann")  # fmt: skip
    log.write("try", id="2", op="append", tenant="default", s="s-1", names=["m-1"],
              args={"step": True}, users={"s-1": "ann"})  # fmt: skip
    log.write("ok", id="2", answer=[1])
    log.write("ok", id="1", answer={"sessions": ["s-1"], "done": True})

    assert read_history(tmp_path).erased_users == set()


def test_what_is_done_in_the_name_of_an_erased_user_is_theirs_again(
    tmp_path: Path,
) -> None:
    log = OpLog(tmp_path / "w.log")
    erase = {"op": "erase", "tenant": "default", "s": "s-1", "sessions": ["s-1"]}
    judge = {"op": "judge", "tenant": "default", "s": "s-2", "kept": {},
             "args": {"acts": {"s-2": ACT}}}  # fmt: skip
    done = {"sessions": ["s-1"], "done": True}
    log.write("try", id="1", **erase, user="ann")
    log.write("try", id="2", **judge)
    log.write("ok", id="2", answer={})
    log.write("ok", id="1", answer=done)
    assert read_history(tmp_path).erased_users == set()

    log.write("try", id="3", **judge)
    log.write("unknown", id="3", code="cancelled")
    log.write("try", id="4", **erase, user="ann")
    log.write("ok", id="4", answer=done)
    assert read_history(tmp_path).erased_users == set()

    log.write("round")
    log.write("try", id="5", **erase, user="ann")
    log.write("ok", id="5", answer=done)
    assert read_history(tmp_path).erased_users == {("default", "ann")}

    log.write("try", id="6", op="hold", tenant="default", s="s-2", actor="ann")
    assert read_history(tmp_path).erased_users == set()


@pytest.mark.parametrize("where", ["row", "copy"])
async def test_an_erased_user_who_is_named_is_seen(
    store: Store, database_url: str, archive_dir: Path, tmp_path: Path, where: str
) -> None:
    await fill(store, "s-1", user_id="u-9")
    if where == "copy":
        await store.run_retention(older_than_s=0)
    log = OpLog(tmp_path / "w.log")
    log.write("try", id="1", op="erase", tenant="default", s="s-8", user="u-1",
              sessions=["s-8"])  # fmt: skip
    log.write("ok", id="1", answer={"sessions": [], "done": True})

    found = wrong(database_url, archive_dir, history=read_history(tmp_path))

    table = "user in: interactions" if where == "row" else "user in a copy of: s-1"
    assert f"I10 {table}" in found


TOLD: dict[str, tuple[dict[str, object], object]] = {
    "I15 half": ({"op": "append", "names": ["m-1", "gone"]}, None),
    "I19 cost": ({"op": "charge"}, 9),
    "I21 owner": (
        {"op": "append", "names": ["m-1"], "users": {"s-1": "jan"}},
        [1],
    ),
    "I1 pop of 1": ({"op": "pop"}, 1),
    "I1 clear of 1": (
        {"op": "switch", "args": {"to": 0, "action": "clear", "expected": 1}},
        None,
    ),
    "I20 m-1 follows": ({"op": "append", "names": ["m-1"], "args": {"parent": 4}}, [1]),
    "I26 items": (
        {"op": "append", "names": ["m-1"], "args": {"step": True}},
        [1],
    ),
    "I1 lost: f-9": ({"op": "judge", "kept": {"s-1": {"acts": ["f-9"]}}}, None),
}


@pytest.mark.mostly_slow("sqlite-*", "postgres-I1 *")
@pytest.mark.parametrize("rule", TOLD)
async def test_what_callers_were_told_is_compared_with_what_is_there(
    store: Store, database_url: str, archive_dir: Path, tmp_path: Path, rule: str
) -> None:
    await store.sessions.get_or_create("s-1", user_id="ann")
    await store.turns.append("s-1", role="user", content="x", external_id="m-1")
    log = OpLog(tmp_path / "w.log")
    line, answer = TOLD[rule]
    log.write("try", id="0", op="append", tenant="default", s="s-1", names=["m-1"])
    log.write("try", id="1", tenant="default", s="s-1", **line)
    if rule.startswith("I1 lost"):
        answer = {"s-1": {"acts": [1]}}
    if not rule.startswith("I15"):
        log.write("ok", id="1", answer=answer)

    history = read_history(tmp_path)

    assert rule in wrong(database_url, archive_dir, history=history)


async def test_what_was_taken_away_and_is_there_is_seen(
    store: Store, database_url: str, archive_dir: Path, tmp_path: Path
) -> None:
    log = OpLog(tmp_path / "w.log")
    kept = {"s-1": {"items": ["n-1"], "outside": ["n-1"]}}
    told = {"tenant": "default", "s": "s-1", "names": ["n-1"]}
    log.write("try", id="1", op="keep", kept=kept, **told)
    log.write("ok", id="1", answer={"s-1": {"items": [None], "outside": [None]}})
    await store.sessions.get_or_create("s-1")
    await store.items.put("kept", "n-1", {"said": "x"}, session_id="s-1")
    await store.items.put("kept", "n-1", {"of": "s-1"})
    there = wrong(database_url, archive_dir, history=read_history(tmp_path))
    log.write("try", id="2", op="forget", gone=kept["s-1"], **told)
    await store.items.delete("kept", "n-1")
    half = wrong(database_url, archive_dir, history=read_history(tmp_path))
    log.write("ok", id="2", answer=None)
    left = wrong(database_url, archive_dir, history=read_history(tmp_path))

    assert there == ""
    assert "I15 half of the call of n-1" in half
    assert "I30 taken away, and there: n-1" in left


async def test_a_session_that_is_not_of_its_generation_is_seen(
    store: Store, database_url: str, archive_dir: Path, tmp_path: Path
) -> None:
    log = OpLog(tmp_path / "w.log")
    told = {"tenant": "default", "s": "s-1"}
    log.write("try", id="1", op="append", names=["m-1"], **told)
    await store.sessions.get_or_create("s-1")
    await store.turns.append("s-1", role="user", content="x", external_id="m-1")
    log.write("ok", id="1", answer=[1])
    log.write("try", id="2", op="renew", **told)
    before = wrong(database_url, archive_dir, history=read_history(tmp_path))
    raw(database_url, "UPDATE sessions SET generation = 2")
    half = wrong(database_url, archive_dir, history=read_history(tmp_path))
    log.write("ok", id="2", answer=True)
    still = wrong(database_url, archive_dir, history=read_history(tmp_path))

    assert before == ""
    assert "I30 begun anew with: default s-1 m-1" in half
    assert "I15 nobody wrote: m-1" in still


async def test_what_code_did_to_the_head_is_there_no_oftener_than_it_was_asked(
    store: Store, database_url: str, archive_dir: Path, tmp_path: Path
) -> None:
    await store.sessions.get_or_create("s-1")
    for name in ("m-1", "m-2"):
        await store.turns.append("s-1", role="user", content="x", external_id=name)
    log = OpLog(tmp_path / "w.log")
    names = ["m-1", "m-2"]
    log.write("try", id="1", op="append", tenant="default", s="s-1", names=names)
    log.write("try", id="2", op="pop", tenant="default", s="s-1")
    history = read_history(tmp_path)
    await store.turns.pop("s-1")
    once = wrong(database_url, archive_dir, history=history)

    await store.turns.pop("s-1")

    assert once == ""
    assert "I15 nobody did pop" in wrong(database_url, archive_dir, history=history)


async def test_a_tenant_has_cost_what_was_charged_and_no_more(
    store: Store, database_url: str, archive_dir: Path, tmp_path: Path
) -> None:
    """Also for sessions that are gone."""
    await store.sessions.get_or_create("s-1")
    log = OpLog(tmp_path / "w.log")
    for number in range(2):
        log.write("try", id=f"{number}", op="charge", tenant="default", s="s-1")
        await store.ledger.add_cost("s-1", micros=1)
    log.write("ok", id="0", answer=1)
    log.write("try", id="gone", op="destroy", tenant="default", s="s-1")
    await store.sessions.delete("s-1", archive=False)
    log.write("ok", id="gone")
    history = read_history(tmp_path)
    before = wrong(database_url, archive_dir, history=history)

    raw(database_url, "UPDATE cost_totals SET cost_micros = 3")
    raw(database_url, "DELETE FROM cost_days")

    found = wrong(database_url, archive_dir, history=history)
    assert before == ""
    assert "I19 total of default: 3, 1 to 2" in found
    assert "I19 days of default: 0, 1 to 2" in found


def test_the_last_line_of_a_killed_worker_may_be_torn(tmp_path: Path) -> None:
    log = OpLog(tmp_path / "w.log")
    log.write("step", step="seal.begin")
    with (tmp_path / "w.log").open("ab") as file:
        file.write(b'{"at": 5, "kind": "st')

    history = read_history(tmp_path)

    assert history.steps == {"seal.begin"}


ERASED = {
    "a text of another table": (
        'UPDATE erasures SET receipt = \'{"said": "«default|s-1|m-1»"}\'',
        "I10 found in: erasures receipt",
    ),
    "a total": (
        "INSERT INTO cost_totals VALUES ('default', 'jan', 5)",
        "I10 user in: cost_totals",
    ),
}


@pytest.mark.parametrize("place", ERASED)
async def test_what_an_erasure_leaves_in_any_table_is_seen(
    store: Store, database_url: str, archive_dir: Path, tmp_path: Path, place: str
) -> None:
    await store.sessions.get_or_create("s-1", user_id="jan")
    await store.turns.append("s-1", role="user", content="«default|s-1|m-1»")
    log = OpLog(tmp_path / "w.log")
    told = {"id": "1", "op": "erase", "tenant": "default", "s": "s-1"}
    log.write("try", **told, sessions=["s-1"], user="jan")
    await store.erase(user_id="jan")
    log.write("ok", id="1", answer={"sessions": ["s-1"], "done": True})
    history = read_history(tmp_path)
    before = wrong(database_url, archive_dir, history=history)
    statement, rule = ERASED[place]

    raw(database_url, statement)

    assert before == ""
    assert rule in wrong(database_url, archive_dir, history=history)
