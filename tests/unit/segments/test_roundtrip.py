"""Any documents, written to a segment and read back, are the same documents."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings

from convstore.blobs.local import LocalBlobs
from convstore.blobs.memory import MemoryBlobs
from convstore.errors import ConvstoreError, CorruptionError, NewerFormatError
from convstore.segments.reader import iterate_documents, read_document, read_manifest
from convstore.segments.verify import rebuild_manifest, verify_segment
from convstore.vocabulary.documents import decode_document, encode_document
from convstore.vocabulary.records import SessionDocument
from tests.unit.segments.made import WRITER, any_documents, odd, write

DOCS = Path(__file__).parents[3] / "docs"


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((DOCS / name).read_text("utf-8"))
    return jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


DOCUMENT_SCHEMA = validator("session-document.schema.json")
MANIFEST_SCHEMA = validator("manifest.schema.json")


@given(any_documents())
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_documents_come_back_the_same(documents: list[SessionDocument]) -> None:
    blobs = MemoryBlobs()
    manifest = write(blobs, documents)
    back = list(iterate_documents(blobs, manifest))

    assert [document for _, document in back] == documents
    assert [entry for entry, _ in back] == list(manifest.entries)
    assert [encode_document(document) for _, document in back] == [
        encode_document(document) for document in documents
    ]
    assert verify_segment(blobs, manifest.key, deep=True) == []


@given(any_documents())
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_document_and_manifest_fit_the_published_schemas(
    documents: list[SessionDocument],
) -> None:
    blobs = MemoryBlobs()
    manifest = write(blobs, documents)

    for document in documents:
        DOCUMENT_SCHEMA.validate(json.loads(encode_document(document)))
    manifest_key = manifest.key.replace(".jsonl.zst", ".manifest.json")
    MANIFEST_SCHEMA.validate(json.loads(blobs.read(manifest_key)))


@given(any_documents())
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_manifest_is_rebuilt_from_frames_alone(
    documents: list[SessionDocument],
) -> None:
    blobs = MemoryBlobs()
    manifest = write(blobs, documents)
    rebuilt = rebuild_manifest(blobs, manifest.key, writer=WRITER)

    assert rebuilt.entries == manifest.entries
    assert rebuilt.sha256 == manifest.sha256
    assert rebuilt.size_bytes == manifest.size_bytes


def test_odd_documents_come_back_from_disk_one_by_one(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "archive")
    documents = odd()
    written = write(blobs, documents)
    manifest = read_manifest(blobs, written.key)

    assert manifest == written
    found = [read_document(blobs, manifest.key, e) for e in manifest.entries]
    assert found == documents
    for document in documents:
        DOCUMENT_SCHEMA.validate(json.loads(encode_document(document)))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"extra": 1}, NewerFormatError),
        ({"turns": {}}, CorruptionError),
        ({"ledger": 0}, CorruptionError),
        ({"tool_sets": []}, CorruptionError),
        ({"session": None}, CorruptionError),
        ({"format_version": 2}, NewerFormatError),
    ],
)
def test_the_schema_and_the_reader_refuse_alike(
    change: dict[str, object], error: type[ConvstoreError]
) -> None:
    data = json.loads(encode_document(odd()[0]))
    data.update(change)

    assert not DOCUMENT_SCHEMA.is_valid(data)
    with pytest.raises(error):
        decode_document(json.dumps(data))


def test_the_schema_refuses_a_field_that_no_record_has() -> None:
    data = json.loads(encode_document(odd()[0]))
    data["turns"][0]["extra"] = None

    assert not DOCUMENT_SCHEMA.is_valid(data)
