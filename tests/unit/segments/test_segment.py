"""Names of segments: made from ids of the library alone, and read back strictly."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from convstore.blobs.base import is_key
from convstore.errors import InvalidInputError
from convstore.segments.segment import (
    is_segment_key,
    manifest_key,
    readable_prefix,
    segment_id_of,
    segment_key,
)
from convstore.vocabulary.ids import new_id
from tests.unit.segments.made import AT

ID = "01990a2b-0000-7000-8000-0123456789ab"
KEY = f"segments/2026/01/segment-{ID}.jsonl.zst"


def test_keys_follow_from_id_and_month() -> None:
    assert segment_key(ID, AT) == KEY
    assert segment_id_of(KEY) == ID
    assert manifest_key(KEY) == f"segments/2026/01/segment-{ID}.manifest.json"
    assert readable_prefix(KEY) == f"sessions/2026/01/{ID}/"


def test_the_month_is_that_of_utc() -> None:
    east = timezone(timedelta(hours=9))

    assert "/2025/12/" in segment_key(ID, datetime(2026, 1, 1, 8, tzinfo=east))


def test_fresh_ids_make_keys_that_blob_stores_take() -> None:
    key = segment_key(new_id(), AT)

    assert is_segment_key(key)
    assert is_key(key)
    assert is_key(manifest_key(key))


@pytest.mark.parametrize(
    "segment_id", ["", "x", "../" + ID, ID.upper(), ID + "\n", ID[:-1], ID + "0"]
)
def test_an_id_that_the_library_did_not_make_is_refused(segment_id: str) -> None:
    with pytest.raises(InvalidInputError):
        segment_key(segment_id, AT)


@pytest.mark.parametrize(
    "key",
    [
        "",
        KEY + "\n",
        "/" + KEY,
        KEY.replace("segments/", "segments//"),
        KEY.replace("/01/", "/13/"),
        KEY.replace("/01/", "/00/"),
        KEY.replace("/2026/", "/../"),
        KEY.replace(".jsonl.zst", ".manifest.json"),
        KEY.removeprefix("segments/"),
    ],
)
def test_a_key_that_is_not_a_segments_is_refused(key: str) -> None:
    assert not is_segment_key(key)
    for reads in (segment_id_of, manifest_key):
        with pytest.raises(InvalidInputError):
            reads(key)


def test_a_time_without_zone_names_no_folder() -> None:
    with pytest.raises(InvalidInputError):
        segment_key(ID, AT.replace(tzinfo=None))
