"""How the databases of a store over several are named, and where a session lies."""

from __future__ import annotations

from collections import Counter

import pytest

from convstore import ConfigError, StoreConfig
from convstore.vocabulary.settings import load_config
from convstore.vocabulary.sharding import shard_of, shard_urls


def test_urls_are_parted_by_the_commas_between_them() -> None:
    told = "postgresql://a,b/chat?target_session_attrs=any, sqlite:///x.db"

    assert shard_urls(told) == (
        "postgresql://a,b/chat?target_session_attrs=any",
        "sqlite:///x.db",
    )


def test_a_range_stands_for_as_many_urls() -> None:
    assert shard_urls("postgresql://c/chat?schema=s{0..2}") == tuple(
        f"postgresql://c/chat?schema=s{number}" for number in range(3)
    )
    assert shard_urls(["sqlite:///s{08..10}.db"]) == (
        "sqlite:///s08.db",
        "sqlite:///s09.db",
        "sqlite:///s10.db",
    )


@pytest.mark.parametrize(
    "told",
    [
        "sqlite:///a.db,sqlite:///a.db",
        "sqlite://,sqlite:///a.db",
        "sqlite:///s{3..1}.db",
        "sqlite:///s{0..2}-{0..2}.db",
        "sqlite:///s{0..999}.db",
    ],
)
def test_what_cannot_be_meant_is_refused_without_the_urls(told: str) -> None:
    with pytest.raises(ConfigError, match="SHARDS") as refused:
        shard_urls(told)

    assert "sqlite" not in str(refused.value)


def test_the_environment_names_them_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVSTORE_SHARDS", "sqlite:///a.db,sqlite:///b.db")

    assert load_config().shards == ("sqlite:///a.db", "sqlite:///b.db")
    assert "sqlite" not in repr(load_config()), "it may hold a password"


def test_a_replica_is_refused_beside_shards() -> None:
    with pytest.raises(ConfigError, match="REPLICA_URL"):
        StoreConfig(shards=["sqlite:///a.db"], replica_url="postgresql://replica/chat")


def test_a_session_stays_in_its_shard_in_every_release() -> None:
    # Written down: who computes another number cannot find what is stored.
    assert shard_of("default", "s-1", 16) == 9
    assert shard_of("acme", "s-1", 16) == 7
    assert shard_of("default", "Zürich-😀", 7) == 2


def test_sessions_are_spread_evenly() -> None:
    found = Counter(shard_of("default", f"session-{n}", 8) for n in range(8_000))

    assert min(found.values()) > 850
    assert max(found.values()) < 1_150
