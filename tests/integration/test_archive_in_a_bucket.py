"""The whole life of conversations whose archive is in a bucket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from convstore import StoreConfig, open_store
from convstore.errors import ArchiveAwayError, ConfigError, MissingExtraError
from convstore.policy import ObjectStoragePolicy
from convstore.vocabulary.clock import ManualClock
from tests.bucket_mirror import mirrored
from tests.faulty_proxy import faulty
from tests.integration.archives import (
    DAY_S,
    Steps,
    archived,
    die_at,
    documents,
    everything_under,
    fill,
    ids,
    policy,
    timeless,
)
from tests.servers import S3Server


@pytest.fixture
def settings(s3_server: S3Server) -> ObjectStoragePolicy:
    return ObjectStoragePolicy(endpoint=s3_server.url)


@pytest.mark.mostly_slow("sqlite")
async def test_sessions_live_in_a_bucket_as_in_a_folder(
    database_url: str,
    new_database: Callable[[str], str],
    settings: ObjectStoragePolicy,
    bucket: str,
    tmp_path: Path,
    clock: ManualClock,
) -> None:
    """Archived, verified, restored, erased, recovered, rebuilt and expired."""
    rules = policy(exports=("messages",), readable_json=True)
    config = StoreConfig(
        url=database_url,
        archive_dir=bucket,
        object_storage=settings,
        retention=rules,
    )
    async with open_store(config, clock=clock) as store:
        for name in ("s-1", "s-2", "secret"):
            await fill(store, name, f"u-{name}")
        before = {n: timeless(d) for n, d in (await documents(store)).items()}
        await store.run_retention(older_than_s=0)
        assert {n: timeless(d) for n, d in (await documents(store)).items()} == before
        assert (await store.archive.verify(deep=True)).ok

        await store.restore("s-1")
        assert (await store.sessions.get("s-1")).state == "active"
        await store.erase(session_id="secret")
        await store.archive.recover(alone=True)
        left = everything_under(mirrored(bucket, tmp_path / "left", settings))
        assert b"in secret?" not in left
        assert b"in s-2?" in left
        assert (await store.archive.agreement()).ok
        assert await store.probe_archive() == []
        await store.run_retention(older_than_s=0)

    url = new_database(database_url.partition(":")[0].removesuffix("ql"))
    expiring = config.model_copy(
        update={"url": url, "retention": policy(keep_archive_for_s=DAY_S)}
    )
    async with open_store(expiring, clock=clock) as fresh:
        report = await fresh.archive.rebuild()
        assert report.faults == ()
        found = {n: timeless(d) for n, d in (await documents(fresh)).items()}
        assert found == {name: before[name] for name in ("s-1", "s-2")}
        clock.advance(3 * DAY_S)
        await fresh.run_retention()
        clock.advance(3 * DAY_S)
        await fresh.archive.recover(alone=True)
        assert await documents(fresh) == {}
    gone = everything_under(mirrored(bucket, tmp_path / "gone", settings))
    assert b"Welke archieven" not in gone


async def test_a_restore_is_one_request(
    sqlite_url: str, s3_server: S3Server, bucket: str
) -> None:
    with faulty(s3_server.url) as proxy:
        config = StoreConfig(
            url=sqlite_url,
            archive_dir=bucket,
            object_storage=ObjectStoragePolicy(endpoint=proxy.url),
        )
        async with open_store(config) as store:
            await archived(store, *ids("s", 3))
            proxy.requests.clear()
            await store.restore("s-1")

        assert [r.partition(" ")[0] for r in proxy.requests] == ["GET"]


async def test_a_bucket_that_is_not_there_is_a_wrong_setting_first_and_away_later(
    database_url: str, s3_server: S3Server, bucket: str, settings: ObjectStoragePolicy
) -> None:
    wrong = StoreConfig(
        url=database_url,
        archive_dir=f"{s3_server.scheme}://nowhere/x",
        object_storage=settings,
    )
    async with open_store(wrong) as store:
        await fill(store, "s-1")
        with pytest.raises(ConfigError, match="no such bucket"):
            await store.run_retention(older_than_s=0)
    right = wrong.model_copy(update={"archive_dir": bucket})
    async with open_store(right) as store:
        await store.run_retention(older_than_s=0)
    async with open_store(wrong) as store:
        await fill(store, "s-2")
        for call in (
            lambda: store.run_retention(older_than_s=0),
            lambda: store.restore("s-1"),
            lambda: store.archive.verify(),
        ):
            with pytest.raises(ArchiveAwayError):
                await call()
        assert (await store.sessions.get("s-2")).state == "active"
    async with open_store(right) as store:
        assert (await store.archive.verify()).ok


async def test_a_bucket_is_a_wrong_setting_until_a_worker_has_begun_in_one(
    database_url: str, s3_server: S3Server, bucket: str, settings: ObjectStoragePolicy
) -> None:
    """Also to who adopts an archive, and where a first worker died before its mark."""
    right = StoreConfig(url=database_url, archive_dir=bucket, object_storage=settings)
    nowhere = f"{s3_server.scheme}://nowhere/x"
    wrong = right.model_copy(update={"archive_dir": nowhere})

    async def refused(error: type[Exception]) -> None:
        async with open_store(wrong) as store:
            for call in (
                lambda: store.run_retention(older_than_s=0),
                store.archive.adopt,
                lambda: store.archive.adopt(dry_run=True),
            ):
                with pytest.raises(error, match=r": there is no such bucket\b") as told:
                    await call()
                assert str(told.value).count("away") <= 1

    await refused(ConfigError)
    hook = Steps()
    async with open_store(right, on_step=hook) as store:
        await fill(store, "s-1")
        await die_at(hook, "folder.bound", store.run_retention(older_than_s=0))
    await refused(ConfigError)
    async with open_store(right) as store:
        assert (await store.run_retention(older_than_s=0)).purged == 1
    await refused(ArchiveAwayError)


async def test_versions_that_a_bucket_keeps_are_told(
    sqlite_url: str, s3_server: S3Server
) -> None:
    if s3_server.scheme != "s3":
        pytest.skip("is a setting of the account there")
    config = StoreConfig(
        url=sqlite_url,
        archive_dir="s3://versions/archive",
        object_storage=ObjectStoragePolicy(endpoint=s3_server.url),
    )
    async with open_store(config) as store:
        if not s3_server.conditions_beside_versions:
            await fill(store, "s-1")
            with pytest.raises(ConfigError, match="a bucket that keeps versions"):
                await store.run_retention(older_than_s=0)
            return
        await archived(store, "s-1")
        (told,) = await store.probe_archive()

    assert "versioning" in told


async def test_without_the_extra_it_is_named(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    monkeypatch.delitem(
        __import__("sys").modules, "convstore.blobs.object_store", raising=False
    )
    with pytest.raises(MissingExtraError, match="object-storage"):
        async with open_store(StoreConfig(url=sqlite_url, archive_dir="s3://b/x")):
            pass
