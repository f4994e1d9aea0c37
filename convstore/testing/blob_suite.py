"""The tests that every blob store passes: subclass, name your store, run pytest.

class TestMyBlobs(BlobStoreSuite):
    def make_store(self, folder, clock):
        return MyBlobs(folder, clock=clock)
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from convstore.blobs.base import BlobStore
from convstore.blobs.probe import probe
from convstore.vocabulary.clock import Clock, ManualClock, SystemClock
from convstore.vocabulary.errors import (
    AlreadyExistsError,
    ConfigError,
    InvalidInputError,
    SegmentNotFoundError,
)

KEY = "segments/2026/11/segment-one.jsonl.zst"
OTHER = "segments/2026/12/segment-two.jsonl.zst"
DATA = bytes(range(256)) * 40

BAD_KEYS = [
    "",
    "/etc/passwd",
    "../outside",
    "segments/../../outside",
    "segments/..",
    "segments/./x",
    "segments//x",
    "segments/x/",
    "tmp/x",
    "tmp",
    ".hidden",
    "segments/.hidden",
    "segments/x.",
    "segments/a b",
    "segments/a\nb",
    "segments/x\n",
    "segments/a\0b",
    "segments/é",
    "segments\\x",
    "C:/x",
    "~/x",
    "a/" * 8 + "x",
    "x" * 256,
]


def put(blobs: BlobStore, key: str, data: bytes) -> None:
    """Write and publish one blob."""
    staged = blobs.create(key)
    staged.write(data)
    staged.sync()
    staged.publish()


class BlobStoreSuite:
    """The contract of `BlobStore`, as tests."""

    def make_store(self, folder: Path, clock: Clock) -> BlobStore:
        """A store that is empty when first asked for `folder`.

        Asked again for the same folder it gives another handle of the same store;
        stores without a folder keep their handle.
        """
        raise NotImplementedError("name the store to be tested")

    @pytest.fixture
    def clock(self) -> ManualClock:
        """Starts now, because files carry the machine's time."""
        return ManualClock(SystemClock().now())

    @pytest.fixture
    def blobs(self, tmp_path: Path, clock: ManualClock) -> BlobStore:
        return self.make_store(tmp_path / "archive", clock)

    def test_an_empty_store_holds_nothing(self, blobs: BlobStore) -> None:
        assert blobs.keys() == []
        assert not blobs.exists(KEY)
        assert blobs.sweep(0) == []
        assert list(blobs.iterate()) == []
        blobs.delete(KEY)

    def test_a_published_blob_reads_back_exactly(self, blobs: BlobStore) -> None:
        put(blobs, KEY, DATA)

        assert blobs.read(KEY) == DATA
        assert blobs.size(KEY) == len(DATA)
        assert blobs.exists(KEY)

    def test_an_empty_blob_can_be_published(self, blobs: BlobStore) -> None:
        put(blobs, KEY, b"")

        assert blobs.read(KEY) == b""
        assert blobs.size(KEY) == 0

    def test_writes_are_joined_in_order(self, blobs: BlobStore) -> None:
        staged = blobs.create(KEY)
        for start in range(0, len(DATA), 1_000):
            staged.write(DATA[start : start + 1_000])
        size = staged.size_bytes
        staged.sync()
        staged.publish()

        assert size == len(DATA)
        assert blobs.read(KEY) == DATA

    @pytest.mark.parametrize(
        ("offset", "length"),
        [
            (0, 1),
            (5, 100),
            (0, 0),
            (10_239, 1),
            (10_000, 9_999),
            (10_240, 5),
            (1, None),
        ],
    )
    def test_a_range_ends_where_the_blob_ends(
        self, blobs: BlobStore, offset: int, length: int | None
    ) -> None:
        put(blobs, KEY, DATA)

        end = None if length is None else offset + length
        assert blobs.read(KEY, offset, length) == DATA[offset:end]

    def test_the_staged_bytes_are_read_back_before_publication(
        self, blobs: BlobStore
    ) -> None:
        staged = blobs.create(KEY)
        staged.write(DATA)
        staged.sync()

        assert staged.read(0, len(DATA)) == DATA
        assert staged.read(100, 50) == DATA[100:150]
        assert staged.read(len(DATA) - 1, 50) == DATA[-1:]
        staged.abort()

    def test_a_staged_blob_is_not_there_before_publication(
        self, blobs: BlobStore
    ) -> None:
        staged = blobs.create(KEY)
        staged.write(DATA)
        staged.sync()

        assert not blobs.exists(KEY)
        assert blobs.keys() == []
        staged.abort()

    def test_publication_needs_a_sync(self, blobs: BlobStore) -> None:
        staged = blobs.create(KEY)
        staged.write(DATA)

        with pytest.raises(ConfigError):
            staged.publish()
        with pytest.raises(ConfigError):
            staged.read(0, 1)
        staged.abort()

    def test_nothing_can_be_written_after_the_sync(self, blobs: BlobStore) -> None:
        staged = blobs.create(KEY)
        staged.sync()

        with pytest.raises(ConfigError):
            staged.write(DATA)
        with pytest.raises(ConfigError):
            staged.sync()
        staged.abort()

    def test_publication_never_overwrites(self, blobs: BlobStore) -> None:
        put(blobs, KEY, DATA)
        staged = blobs.create(KEY)
        staged.write(b"other")
        staged.sync()

        with pytest.raises(AlreadyExistsError):
            staged.publish()
        assert blobs.read(KEY) == DATA
        assert blobs.sweep(0) == []

    def test_a_blob_is_published_once(self, blobs: BlobStore) -> None:
        staged = blobs.create(KEY)
        staged.sync()
        staged.publish()

        with pytest.raises(ConfigError):
            staged.publish()

    def test_one_of_many_racing_publications_wins(self, blobs: BlobStore) -> None:
        def race(number: int) -> int | None:
            try:
                put(blobs, KEY, bytes([number]) * 1_000)
            except AlreadyExistsError:
                return None
            return number

        with ThreadPoolExecutor(8) as pool:
            winners = [n for n in pool.map(race, range(8)) if n is not None]

        assert len(winners) == 1
        assert blobs.read(KEY) == bytes(winners) * 1_000

    def test_publishing_and_deleting_neighbours_do_not_disturb_each_other(
        self, blobs: BlobStore
    ) -> None:
        def come_and_go(number: int) -> None:
            key = f"sessions/2026/11/neighbours/{number}.json"
            for _ in range(10):
                put(blobs, key, DATA)
                assert blobs.delete(key)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(come_and_go, range(4)))

        assert blobs.keys() == []

    def test_an_aborted_blob_leaves_nothing(self, blobs: BlobStore) -> None:
        staged = blobs.create(KEY)
        staged.write(DATA)
        staged.abort()
        staged.abort()

        assert blobs.keys() == []
        assert blobs.sweep(0) == []
        with pytest.raises(ConfigError):
            staged.write(DATA)

    def test_abort_after_publication_keeps_the_blob(self, blobs: BlobStore) -> None:
        staged = blobs.create(KEY)
        staged.write(DATA)
        staged.sync()
        staged.publish()
        staged.abort()

        assert blobs.read(KEY) == DATA

    def test_what_is_missing_is_not_found(self, blobs: BlobStore) -> None:
        put(blobs, OTHER, DATA)

        with pytest.raises(SegmentNotFoundError):
            blobs.read(KEY)
        with pytest.raises(SegmentNotFoundError):
            blobs.read(KEY, 5, 5)
        with pytest.raises(SegmentNotFoundError):
            blobs.size(KEY)

    def test_keys_are_sorted_and_chosen_by_prefix(self, blobs: BlobStore) -> None:
        names = ["b/2", "a-b/1", "a/2", "a/10", "a/sub/x.json", "a.b/1", "c"]
        for name in names:
            put(blobs, name, b"x")

        assert blobs.keys() == sorted(names)
        assert blobs.keys("a/") == ["a/10", "a/2", "a/sub/x.json"]
        assert blobs.keys("a") == ["a-b/1", "a.b/1", "a/10", "a/2", "a/sub/x.json"]
        assert blobs.keys("a/1") == ["a/10"]
        assert blobs.keys("absent/") == []

    def test_keys_are_met_in_order_and_from_any_of_them_on(
        self, blobs: BlobStore
    ) -> None:
        names = sorted(["b/2", "a-b/1", "a/2", "a/10", "a/sub/x.json", "a.b/1", "c"])
        for name in names:
            put(blobs, name, b"x")

        assert list(blobs.iterate()) == names
        for number, name in enumerate(names):
            assert list(blobs.iterate(after=name)) == names[number + 1 :]
        assert list(blobs.iterate("a/", after="a/10")) == ["a/2", "a/sub/x.json"]
        assert list(blobs.iterate("a/", after="a/3")) == ["a/sub/x.json"]
        assert list(blobs.iterate("a/", after="b")) == []

    def test_deleting_is_idempotent_and_frees_the_key(self, blobs: BlobStore) -> None:
        put(blobs, KEY, DATA)
        put(blobs, OTHER, DATA)

        assert blobs.delete(KEY) is True
        assert blobs.delete(KEY) in (True, False)
        assert blobs.keys() == [OTHER]
        put(blobs, KEY, b"again")
        assert blobs.read(KEY) == b"again"

    def test_deleting_what_is_missing_leaves_its_neighbour(
        self, blobs: BlobStore
    ) -> None:
        put(blobs, OTHER, DATA)

        blobs.delete(f"{OTHER}.more")
        assert blobs.read(OTHER) == DATA

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_a_key_that_the_library_did_not_make_is_refused(
        self, blobs: BlobStore, key: str
    ) -> None:
        for call in (
            blobs.create,
            blobs.read,
            blobs.size,
            blobs.exists,
            blobs.delete,
        ):
            with pytest.raises(InvalidInputError):
                call(key)

    @pytest.mark.parametrize("prefix", ["/", "..", "../", "a/../", "a//", ".x", "é"])
    def test_a_prefix_that_no_key_has_is_refused(
        self, blobs: BlobStore, prefix: str
    ) -> None:
        with pytest.raises(InvalidInputError):
            blobs.keys(prefix)

    def test_the_sweep_takes_only_what_is_old(
        self, blobs: BlobStore, clock: ManualClock
    ) -> None:
        old = blobs.create(KEY)
        old.write(DATA)
        clock.advance(3_600)

        assert blobs.sweep(7_200) == []
        listed = blobs.sweep(1_800, dry_run=True)
        assert [name.startswith("segment-one.jsonl.zst") for name in listed] == [True]
        assert blobs.sweep(1_800) == listed
        assert blobs.sweep(1_800) == []
        old.abort()

    def test_the_sweep_leaves_published_blobs_alone(
        self, blobs: BlobStore, clock: ManualClock
    ) -> None:
        put(blobs, KEY, DATA)
        clock.advance(1e6)

        assert blobs.sweep(0) == []
        assert blobs.read(KEY) == DATA

    def test_a_blob_swept_under_its_writer_is_never_published(
        self, blobs: BlobStore, clock: ManualClock
    ) -> None:
        staged = blobs.create(KEY)
        staged.write(DATA)
        staged.sync()
        clock.advance(3_600)
        blobs.sweep(1_800)

        with pytest.raises(SegmentNotFoundError):
            staged.publish()
        assert not blobs.exists(KEY)

    def test_steps_are_announced_in_order(self, blobs: BlobStore) -> None:
        steps: list[str] = []
        staged = blobs.create(KEY, on_step=steps.append)
        staged.write(DATA)
        staged.sync()
        staged.publish()

        assert steps[:3] == ["write.open", "fsync.file", "write.close"]
        assert set(steps[3:]) <= {
            "publish.mkdir",
            "publish.link",
            "publish.unlink_tmp",
            "publish.dirsync",
        }

    def test_what_one_handle_published_another_reads(
        self, blobs: BlobStore, tmp_path: Path, clock: ManualClock
    ) -> None:
        put(blobs, KEY, DATA)

        assert self.make_store(tmp_path / "archive", clock).read(KEY) == DATA

    def test_the_room_left_is_a_number_or_unknown(self, blobs: BlobStore) -> None:
        room = blobs.free_bytes()

        assert room is None or room > 0

    def test_the_probe_passes_and_leaves_nothing(self, blobs: BlobStore) -> None:
        probe(blobs)

        assert blobs.keys() == []
        assert blobs.sweep(0) == []
