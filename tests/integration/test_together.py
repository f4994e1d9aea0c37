"""Work of many callers in few statements: the same outcomes, and fewer journeys."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from convstore import SessionNotFoundError, Store, VersionConflictError
from convstore.db.batch import run_batch
from convstore.db.dialects.base import BackendOptions
from convstore.db.engine import open_backend
from convstore.db.renewal import RenewSession
from convstore.db.sessions import EnsureSession, UpdateSession
from convstore.db.statements import Prepared
from convstore.vocabulary.limits import Limits

COUNT = 40


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often each prepared statement was sent, by its words."""
    counts: Counter[str] = Counter()
    bound = Prepared.bound

    def noted(self: Prepared, *given: Any) -> Any:
        found = bound(self, *given)
        counts[" ".join(found[0].split())] += 1
        return found

    monkeypatch.setattr(Prepared, "bound", noted)
    return counts


async def test_sessions_that_are_made_at_once_are_each_made_once(store: Store) -> None:
    ids = [f"s-{number}" for number in range(COUNT)]

    found = await asyncio.gather(
        *(
            store.sessions.get_or_create(name, tags=[name, "made"], user_id="u")
            for name in ids * 2
        )
    )

    assert Counter(s.id for s, created in found if created) == Counter(ids)
    assert all(session.version == 1 for session, _ in found)
    assert (await store.stats()).sessions == {"active": COUNT}
    for name in ids[:3]:
        page = await store.sessions.list(tag=name)
        assert [session.id for session in page.items] == [name]


async def test_many_sessions_are_made_with_one_statement_of_a_server(
    store: Store, database_url: str, sent: Counter[str]
) -> None:
    await asyncio.gather(
        *(store.sessions.get_or_create(f"s-{number}") for number in range(COUNT))
    )

    made = sum(n for words, n in sent.items() if words.startswith("INSERT INTO sess"))
    # The first goes alone, while the others gather behind it.
    assert made <= 3 if "postgres" in database_url else made == COUNT


async def test_of_two_who_make_a_session_in_one_batch_the_first_does(
    store: Store, database_url: str
) -> None:
    """However it makes it: sessions are inserted before a batch is carried out."""
    keys = [("default", f"s-{number}") for number in range(4)]
    update = UpdateSession(keys[0], {"language": "nl"}, 1)
    renew = RenewSession(EnsureSession(keys[1], {"title": "First"}, 1))
    ensure = [EnsureSession(key, {"title": "Second"}, 1) for key in keys]
    asked = [update, renew, *ensure, update]
    backend = await open_backend(BackendOptions(database_url, 1, "none", Limits()))
    try:
        early, *made, late = await backend.write(lambda c: run_batch(c, asked))
    finally:
        await backend.close()

    assert isinstance(early.error, SessionNotFoundError)
    assert [made_it.value[1] for made_it in made] == [True, True, False, True, True]
    assert late.value.language == "nl"
    titles = [(await store.sessions.get(key[1])).title for key in keys]
    assert titles == ["Second", "First", "Second", "Second"]


async def test_a_refusal_among_those_that_are_made_leaves_them_whole(
    store: Store,
) -> None:
    await store.sessions.get_or_create("there")

    found = await asyncio.gather(
        *(store.sessions.get_or_create(f"s-{number}") for number in range(COUNT)),
        store.sessions.update("there", title="No", expected_version=9),
        *(store.sessions.get_or_create(f"t-{number}") for number in range(COUNT)),
        return_exceptions=True,
    )

    assert isinstance(found[COUNT], VersionConflictError)
    assert (await store.stats()).sessions == {"active": 2 * COUNT + 1}


async def test_an_archive_asks_no_table_that_has_nothing_of_its_sessions(
    store: Store, sent: Counter[str]
) -> None:
    ids = [f"s-{number}" for number in range(COUNT)]
    await asyncio.gather(
        *(store.conversation(name).append(role="user", content="x") for name in ids)
    )
    sent.clear()

    report = await store.run_retention(older_than_s=0)

    assert report.purged == COUNT
    plain = (words.replace("public.", "") for words in sent)
    read = [words for words in plain if words.startswith("SELECT")]
    assert any(" FROM turns " in words for words in read)
    for table in ("graph_states", "session_items", "checkpoint_writes"):
        # But for the one look at all of them.
        of_it = [w for w in read if f" FROM {table} " in w and "UNION" not in w]
        alone = [w for w in of_it if " FROM turns " not in w]
        assert not alone, alone
