"""Records that wait on disk: all of them come back, in order, in little memory."""

from __future__ import annotations

import hashlib
import pathlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from convstore.errors import CorruptionError
from convstore.export.choosing.settlement import ids_of
from convstore.export.stages.entries import Waiting, cut_waiting, pack_waiting
from convstore.export.stages.spool import Spool


def ids(count: int) -> list[bytes]:
    return [hashlib.sha256(str(n).encode()).digest()[:16] for n in range(count)]


def row(row_id: bytes, size: int) -> bytes:
    return pack_waiting(Waiting(row_id, 0, 1, 0, 3, 0, "en", b"x" * size, b""))


def filled(folder: Path, count: int, size: int) -> Spool:
    spool = Spool(folder)
    for row_id in ids(count):
        spool.add(row_id, row(row_id, size))
    spool.flush()
    return spool


def small(monkeypatch: pytest.MonkeyPatch, size_bytes: int, piece: int) -> None:
    monkeypatch.setattr("convstore.export.stages.spool.PART_BYTES", size_bytes)
    monkeypatch.setattr("convstore.export.stages.spool._PIECE_BYTES", piece)


def test_records_come_in_order_of_their_keys(tmp_path: Path) -> None:
    spool = filled(tmp_path / "s", 1_000, 50)

    found = list(spool.sorted(cut_waiting))

    assert found == [(row_id, row(row_id, 50)) for row_id in sorted(ids(1_000))]


def test_records_of_one_key_come_in_their_own_order(tmp_path: Path) -> None:
    (key,) = ids(1)
    spool = Spool(tmp_path / "s")
    for size in (7, 3, 5):
        spool.add(key, row(key, size))

    found = [record for _, record in spool.sorted(cut_waiting)]

    assert found == sorted(row(key, size) for size in (3, 5, 7))


@pytest.mark.parametrize("piece", [30, 1_000, 1 << 20])
def test_parts_that_have_grown_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    small(monkeypatch, 500, piece)
    spool = filled(tmp_path / "s", 700, 50)

    found = list(spool.sorted(cut_waiting))

    assert found == [(row_id, row(row_id, 50)) for row_id in sorted(ids(700))]


def test_rows_that_go_are_still_gone_when_there_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch, 100, 100)
    gone = Spool(tmp_path / "gone")
    for row_id in ids(900):
        gone.add(row_id, row_id)

    assert list(ids_of(gone)) == sorted(ids(900))


def peak_of(rows: Iterator[tuple[bytes, bytes]]) -> int:
    tracemalloc.start()
    for _ in rows:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    # The interpreter's own table of names, of which paths make some, may have grown.
    of_paths = [tracemalloc.Filter(True, pathlib.__file__)]
    kept = tracemalloc.take_snapshot().filter_traces(of_paths)
    tracemalloc.stop()
    return peak - sum(trace.size for trace in kept.traces)


def test_reading_takes_one_part_and_little_more(tmp_path: Path) -> None:
    spool = filled(tmp_path / "s", 3_200, 5_000)
    part = max(spool.lengths)

    assert peak_of(spool.sorted(cut_waiting)) < 1.2 * part


def test_parting_again_takes_less_than_the_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = filled(tmp_path / "s", 6_400, 5_000)
    small(monkeypatch, 200_000, 20_000)
    monkeypatch.setattr("convstore.export.stages.spool.BUFFER_BYTES", 20_000)

    assert peak_of(spool.sorted(cut_waiting)) < min(spool.lengths) / 2


@pytest.mark.parametrize("limit", [100, 1 << 20])
def test_a_part_that_is_cut_off_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    small(monkeypatch, limit, 1_000)
    spool = filled(tmp_path / "s", 100, 50)
    path = max((tmp_path / "s").iterdir())
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(CorruptionError, match="cut off"):
        list(spool.sorted(cut_waiting))
