"""The Django example: its transactions, joined, on both databases.

Commit, rollback and savepoints are Django's; nothing of convstore's ends one early.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from convstore import (
    ConfigError,
    DatabaseUnavailableError,
    SessionNotFoundError,
    StoreConfig,
)
from convstore.blocking import Store, open_store
from tests.joined.hosts import bare_url
from tests.processes import Process
from tests.summary import needs

django = needs("django")
from django.conf import settings
from django.db import Error, IntegrityError, connection, connections, transaction

if not settings.configured:
    settings.configure(
        INSTALLED_APPS=["examples.django_shop"],
        ROOT_URLCONF="examples.django_shop.views",
        MIDDLEWARE=["examples.django_shop.views.refusing"],
        ALLOWED_HOSTS=["*"],
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()

from django.core.management import call_command
from django.test import Client

from examples.django_shop import views
from examples.django_shop.joining import joined
from examples.django_shop.models import Order
from examples.django_shop.settings import database_of

WORKER = Path(__file__).with_name("django_worker.py")
KILLS = int(os.environ.get("CONVSTORE_TEST_KILLS", "25"))
SEED = int(os.environ.get("CONVSTORE_TEST_SEED", "7"))


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def shop(database_url: str) -> Iterator[str]:
    """Django on the store's database, with its table of orders."""
    del_connection()
    named = {"default": database_of(database_url)}
    connections.settings = connections.configure_settings(named)
    call_command("migrate", verbosity=0)
    yield database_url
    connections.close_all()
    del_connection()


def del_connection() -> None:
    if hasattr(connections._connections, "default"):
        del connections["default"]


@pytest.fixture
def store(shop: str) -> Iterator[Store]:
    with open_store(StoreConfig(url=shop)) as store:
        store.sessions.get_or_create("s-1")
        yield store


def say(nouns: Any, content: str) -> None:
    nouns.turns.append("s-1", role="user", content=content)


def said(store: Store) -> list[str | None]:
    return [turn.content for turn in store.turns.window("s-1", limit=1000)]


def test_an_order_of_django_and_its_message_come_with_one_commit(store: Store) -> None:
    with joined(store) as tx:
        Order.objects.create(number=1, item="tea")
        say(tx, "één 'tea' is 100% %s \\ ")
        tx.graph_states.put("s-1", {"b": "%", "a": [1, None]}, expected_version=0)
        tx.conversation("s-2", user_id="ann").append(role="user", content="hi")
        assert said(store) == []

    assert said(store) == ["één 'tea' is 100% %s \\ "]
    assert list(store.graph_states.get("s-1").state) == ["b", "a"]
    assert store.sessions.get("s-2").user_id == "ann"
    assert Order.objects.count() == 1


def test_what_django_rolls_back_is_gone_from_both(store: Store) -> None:
    with pytest.raises(IntegrityError), joined(store) as tx:  # noqa: PT012
        say(tx, "gone")
        Order.objects.create(number=1, item="tea")
        Order.objects.create(number=1, item="tea")

    assert said(store) == []
    assert Order.objects.count() == 0


def test_nested_blocks_of_django_are_savepoints_for_both(store: Store) -> None:
    with joined(store) as tx:
        with pytest.raises(ZeroDivisionError), transaction.atomic():  # noqa: PT012
            say(tx, "undone")
            Order.objects.create(number=1, item="undone")
            raise ZeroDivisionError
        say(tx, "first")
        with transaction.atomic():
            say(tx, "second")
            Order.objects.create(number=2, item="tea")

    assert said(store) == ["first", "second"]
    assert [order.number for order in Order.objects.all()] == [2]


def test_a_refused_call_leaves_django_s_transaction_as_it_was(store: Store) -> None:
    with joined(store) as tx:
        Order.objects.create(number=1, item="tea")
        with pytest.raises(SessionNotFoundError):
            tx.turns.append("no such", role="user", content="x")
        say(tx, "kept")

    assert said(store) == ["kept"]
    assert Order.objects.count() == 1


def test_what_runs_on_commit_has_the_whole_store(store: Store) -> None:
    with joined(store) as tx:
        say(tx, "in the block")
        transaction.on_commit(lambda: say(store, "afterwards"))

    assert said(store) == ["in the block", "afterwards"]


def test_nouns_are_over_with_the_block_and_write_nothing_late(store: Store) -> None:
    with joined(store) as tx:
        say(tx, "in time")

    with pytest.raises(ConfigError, match="over"):
        say(tx, "late")
    assert said(store) == ["in time"]


def test_a_block_inside_another_is_refused_before_anything_is_written(
    store: Store,
) -> None:
    refused = pytest.raises(RuntimeError, match="durable")
    with transaction.atomic(), refused, joined(store):
        pass

    assert said(store) == []


def test_django_s_commit_fails_where_its_connection_was_lost(
    store: Store, shop: str
) -> None:
    if shop.startswith("sqlite"):
        return  # a file has no server to lose

    with pytest.raises(Error), joined(store) as tx:  # noqa: PT012
        Order.objects.create(number=1, item="tea")
        say(tx, "lost")
        engine = create_engine(bare_url(shop, "postgresql+psycopg"))
        with engine.connect() as other:
            pid = connection.connection.info.backend_pid
            other.execute(text(f"SELECT pg_terminate_backend({int(pid)})"))
        engine.dispose()
        with pytest.raises(DatabaseUnavailableError):
            say(tx, "lost too")

    assert said(store) == []
    assert Order.objects.count() == 0


def test_many_blocks_leave_nothing_on_django_s_connection(store: Store) -> None:
    Order.objects.count()
    driver = connection.connection
    for number in range(5):
        with joined(store) as tx:
            Order.objects.create(number=number, item="tea")
            say(tx, str(number))

    assert connection.connection is driver
    assert connection.get_autocommit()
    if connection.vendor == "postgresql":
        assert driver._notice_handlers == []
        assert driver.info.transaction_status == 0
    else:
        assert not driver.in_transaction


def test_the_shop_answers_a_repeated_order_with_409_and_one_message(
    shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(StoreConfig(url=shop)) as store:
        monkeypatch.setattr(views, "store", lambda: store)
        client = Client(headers={"X-User-ID": "ann"})
        placed = client.post("/orders/1", {"item": "tea"})
        again = client.post("/orders/1", {"item": "milk"})
        heard = client.get("/conversation")
        wrong = client.get("/conversation", headers={"X-User-ID": "a\x00b"})

    assert (placed.status_code, placed.json()) == (201, {"turn": 1})
    assert again.status_code == 409
    assert heard.json() == {"said": ["Ordered: tea"]}
    assert wrong.status_code == 422


@pytest.mark.crash
@pytest.mark.slow
def test_a_killed_django_leaves_as_many_orders_as_messages(
    shop: str, start_process: Callable[..., Process]
) -> None:
    dice = random.Random(f"{SEED} django {shop.partition(':')[0]}")
    with open_store(StoreConfig(url=shop)) as store:
        store.sessions.get_or_create("s-1")
    acknowledged: list[int] = []
    for life in range(max(KILLS // 5, 1)):
        project = start_process(WORKER, shop, 100_000 * life, 100_000)
        project.wait_until_waiting()
        project.release()
        killer = threading.Timer(dice.uniform(0.01, 0.25), project.kill)
        killer.start()
        acknowledged += project.reports()
        killer.join()
        project.close()

    ordered = {f"order-{order.number}" for order in Order.objects.all()}
    with open_store(StoreConfig(url=shop)) as store:
        turns = store.turns.list("s-1", limit=1000).items
        session = store.sessions.get("s-1")
    assert {turn.external_id for turn in turns} == ordered
    assert {f"order-{number}" for number in acknowledged} <= ordered
    assert session.turn_count == session.interaction_count == len(ordered)
