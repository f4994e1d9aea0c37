"""Segments of every format version ever released are read for ever.

The files beside this test were written once and are never written again. A new format
version adds a folder; it does not touch the old ones.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from convstore.blobs.local import LocalBlobs
from convstore.segments.reader import iterate_documents, read_document, read_manifest
from convstore.segments.segment import segment_id_of
from convstore.segments.verify import rebuild_manifest, verify_segment
from convstore.vocabulary.documents import encode_document

HERE = Path(__file__).parent
KEY = "segments/2026/01/segment-019c17d5-b17c-7d3e-8f6a-5b2c4d1e0f90.jsonl.zst"


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    """A copy, because a checkout may belong to another user."""
    return LocalBlobs(shutil.copytree(HERE / "v1", tmp_path / "archive"))


def test_version_1_reads_as_it_was_written(blobs: LocalBlobs) -> None:
    expected = (HERE / "v1" / "expected.jsonl").read_bytes().splitlines()
    manifest = read_manifest(blobs, KEY)
    documents = [document for _, document in iterate_documents(blobs, manifest)]

    assert [encode_document(document) for document in documents] == expected
    found = [read_document(blobs, manifest.key, e) for e in manifest.entries]
    assert found == documents
    assert verify_segment(blobs, KEY, deep=True) == []


def test_version_1_keeps_its_odd_values(blobs: LocalBlobs) -> None:
    manifest = read_manifest(blobs, KEY)
    branched, tools, texts, empty, long = (
        document for _, document in iterate_documents(blobs, manifest)
    )

    assert manifest.writer == "convstore 0.1.0"
    assert [turn.parent_seq for turn in branched.turns] == [None, 1, 1, None]
    assert branched.interactions[1].choice is not None
    assert branched.session.tags == ("klacht", "naïve", "🗂")
    assert branched.ledger is not None
    assert branched.ledger.cost_micros == 2**63 - 1
    assert tools.turns[1].content is None
    assert tools.turns[1].parts is not None
    assert tools.turns[1].parts[1:] == [[[[[]]]], None, 1e300, ""]
    assert list(tools.turns[2].metadata) == ["z", "a"]
    assert (texts.session.tenant_id, texts.session.id) == ("acme\n../..", "../../s 🗃")
    assert texts.turns[2].content == "line\nfeed\r\ntab\t\u2028\u2029\x1b[31m\x01\x7f"
    assert (len(empty.turns), len(long.turns)) == (0, 20)


def test_version_1_is_rebuilt_from_its_frames(blobs: LocalBlobs) -> None:
    manifest = read_manifest(blobs, KEY)
    rebuilt = rebuild_manifest(blobs, KEY, writer=manifest.writer)

    assert segment_id_of(KEY) == rebuilt.segment_id
    assert rebuilt.entries == manifest.entries
    assert rebuilt.sha256 == manifest.sha256
