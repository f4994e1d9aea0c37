"""An archive in a bucket, while the network and the server fail."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from convstore.blobs.base import BlobStore
from convstore.blobs.buckets import bucket_store
from convstore.blobs.object_staged import PART_BYTES
from convstore.blobs.probe import probe
from convstore.errors import (
    AlreadyExistsError,
    ArchiveAwayError,
    ConfigError,
    ConvstoreError,
    SegmentNotFoundError,
    UnavailableError,
)
from convstore.testing.blob_suite import put
from convstore.vocabulary.policy import ObjectStoragePolicy
from tests.faulty_proxy import FaultyProxy, faulty
from tests.servers import S3Server

KEY = "segments/2026/11/segment-one.jsonl.zst"
DATA = bytes(range(256)) * 40
TIMEOUT_S = 1.0


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[FaultyProxy]:
    with faulty(s3_server.url) as found:
        yield found


def store_at(url: str, server: str, **settings: object) -> BlobStore:
    return bucket_store(url, ObjectStoragePolicy(server, **settings))  # type: ignore[arg-type]


@pytest.fixture
def sound(bucket: str, s3_server: S3Server) -> BlobStore:
    """The same prefix, past the proxy."""
    return store_at(bucket, s3_server.url)


def known(way: str, server: S3Server) -> str:
    if way not in server.ways:
        pytest.skip(f"{server.told}: does not publish by {way}")
    return way


@pytest.mark.mostly_slow("lost-put", "cut-copy")
@pytest.mark.parametrize("way", ["copy", "put"])
@pytest.mark.parametrize("fault", ["unavailable", "cut", "lost"])
def test_one_fault_at_any_request_is_made_good(
    proxy: FaultyProxy,
    bucket: str,
    sound: BlobStore,
    way: str,
    fault: str,
    s3_server: S3Server,
) -> None:
    known(way, s3_server)
    blobs = store_at(bucket, proxy.url, publish=way)
    put(blobs, "probe/x", DATA)
    requests = len(proxy.requests)

    for number in range(1, requests + 1):
        key = f"segments/{number}"
        proxy.once(number, fault)
        put(blobs, key, DATA)

        assert len(proxy.requests) > requests or number == requests
        assert sound.read(key) == DATA


@pytest.mark.slow
@pytest.mark.parametrize("way", ["copy", "put"])
def test_a_server_that_hangs_leaves_a_whole_blob_or_none(
    proxy: FaultyProxy, bucket: str, sound: BlobStore, way: str, s3_server: S3Server
) -> None:
    known(way, s3_server)
    put(store_at(bucket, proxy.url, publish=way), "probe/x", DATA)
    blobs = store_at(bucket, proxy.url, publish=way, timeout_s=TIMEOUT_S)
    for number in range(1, len(proxy.requests) + 1):
        key = f"segments/{number}"
        proxy.once(number, "hang")
        try:
            put(blobs, key, DATA)
        except UnavailableError:
            assert not sound.exists(key) or sound.read(key) == DATA
        else:
            assert sound.read(key) == DATA


@pytest.mark.mostly_slow("copy")
@pytest.mark.parametrize("way", ["copy", "put"])
def test_a_server_that_stays_away_publishes_nothing_by_halves(
    proxy: FaultyProxy, bucket: str, sound: BlobStore, way: str, s3_server: S3Server
) -> None:
    known(way, s3_server)
    blobs = store_at(bucket, proxy.url, publish=way)
    staged = blobs.create(KEY)
    staged.write(DATA)
    staged.sync()
    proxy.fault = lambda *_: "cut"

    with pytest.raises(UnavailableError):
        staged.publish()
    assert not sound.exists(KEY)


def test_parts_are_put_together_although_the_answer_is_lost(
    proxy: FaultyProxy, bucket: str, sound: BlobStore, s3_server: S3Server
) -> None:
    data = bytes(PART_BYTES) + DATA + bytes(PART_BYTES)
    blobs = store_at(bucket, proxy.url, publish=s3_server.ways[0])
    proxy.fault = lambda _, method, path: (
        "lost"
        if method == "POST"
        and "uploadId" in path
        and proxy.requests.count(f"{method} {path}") == 1
        else None
    )
    staged = blobs.create(KEY)
    for start in range(0, len(data), 1_000_000):
        staged.write(data[start : start + 1_000_000])
    staged.sync()

    assert staged.size_bytes == len(data)
    assert staged.read(PART_BYTES, len(DATA)) == DATA
    staged.publish()
    assert sound.read(KEY) == data
    assert sound.sweep(0) == []


def test_a_bit_that_turned_on_the_way_is_not_published(
    proxy: FaultyProxy, bucket: str, sound: BlobStore, s3_server: S3Server
) -> None:
    blobs = store_at(bucket, proxy.url, publish=known("put", s3_server))
    staged = blobs.create(KEY)
    staged.write(DATA)
    staged.sync()
    proxy.fault = lambda _, method, __: "flip" if method == "GET" else None

    assert staged.read(0, 10) != DATA[:10]
    with pytest.raises(ConfigError):
        staged.publish()
    assert not sound.exists(KEY)


def test_a_bucket_that_is_not_there_is_no_missing_blob(s3_server: S3Server) -> None:
    blobs = store_at(f"{s3_server.scheme}://nowhere/archive", s3_server.url)

    for call in (
        lambda: blobs.read(KEY),
        lambda: blobs.size(KEY),
        lambda: blobs.exists(KEY),
        lambda: blobs.keys(),
        lambda: blobs.delete(KEY),
        lambda: blobs.create(KEY),
        lambda: blobs.sweep(0),
    ):
        with pytest.raises(ArchiveAwayError, match="no such bucket"):
            call()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_may_not_be_listed_or_deleted_is_told(
    proxy: FaultyProxy, bucket: str, method: str, s3_server: S3Server
) -> None:
    if s3_server.scheme != "s3":
        pytest.skip("other servers are asked otherwise")
    blobs = store_at(bucket, proxy.url)
    put(blobs, KEY, DATA)
    refused = "list-type" if method == "GET" else "delete"
    proxy.fault = lambda _, __, path: "denied" if f"?{refused}" in path else None

    with pytest.raises(ConfigError, match="list, read, write and delete"):
        probe(blobs)


def test_one_blob_is_read_in_one_request(
    proxy: FaultyProxy, bucket: str, sound: BlobStore
) -> None:
    put(sound, KEY, DATA)
    blobs = store_at(bucket, proxy.url)

    assert blobs.read(KEY, 10, 100) == DATA[10:110]
    assert len(proxy.requests) == 1
    assert blobs.read(KEY, len(DATA), 100) == b""
    assert len(proxy.requests) == 2


@pytest.mark.parametrize("hours", [-1, 1])
def test_the_clock_of_this_machine_may_be_an_hour_off(
    sound: BlobStore, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    staged = sound.create(KEY)
    now = datetime.now(UTC).timestamp() + hours * 3_600
    monkeypatch.setattr("time.time", lambda: now)

    assert sound.sweep(1_800) == []
    assert len(sound.sweep(0, dry_run=True)) == 1
    staged.abort()


def test_eight_publishers_at_once_give_one_blob(
    s3_server: S3Server, bucket: str
) -> None:
    def race(number: int) -> bool:
        blobs = store_at(bucket, s3_server.url)
        try:
            put(blobs, KEY, bytes([number]) * 1_000)
        except AlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(race, range(8))) == 1
    assert len(set(store_at(bucket, s3_server.url).read(KEY))) == 1


@pytest.mark.parametrize(("refused", "way"), [("nothing", "copy"), ("uploads", "put")])
def test_the_way_to_publish_is_found_by_trying(
    proxy: FaultyProxy, bucket: str, refused: str, way: str, s3_server: S3Server
) -> None:
    """A server that puts no copies together still has conditional puts."""
    known(way, s3_server)
    proxy.fault = lambda _, __, path: "denied" if f"?{refused}" in path else None
    blobs = store_at(bucket, proxy.url)
    put(blobs, KEY, DATA)

    assert blobs._way == way  # type: ignore[attr-defined]
    assert blobs.read(KEY) == DATA
    assert blobs.sweep(0) == []
    assert blobs.keys() == [KEY]


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///archive",
        "s3://b/../x",
        "s3://b/a b",
        "s3://u:p@b/x",
        "s3://b/a?x",
    ],
)
def test_an_odd_url_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(ConfigError, match="ARCHIVE_DIR") as refused:
        bucket_store(url, ObjectStoragePolicy())
    assert "u:p" not in str(refused.value)


def test_a_missing_blob_is_not_found(sound: BlobStore) -> None:
    with pytest.raises(SegmentNotFoundError):
        sound.read(KEY)


def test_no_error_quotes_what_the_server_said(proxy: FaultyProxy, bucket: str) -> None:
    proxy.fault = lambda *_: "denied"
    with pytest.raises(ConvstoreError) as refused:
        store_at(bucket, proxy.url).create(KEY)
    assert "<Code>" not in str(refused.value)
