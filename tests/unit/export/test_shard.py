"""One small data set in one stream, as retention writes it beside a segment."""

from __future__ import annotations

from io import BytesIO

import pytest

from convstore.errors import InvalidInputError
from convstore.export.options import ExportOptions
from convstore.export.stages.single_file import write_shard
from tests.unit.export.samples import archived, documents, exported


def shard(format_name: str, found: list, **more: object) -> bytes:  # type: ignore[type-arg]
    sink = BytesIO()
    write_shard(found, format_name, sink, **more)  # type: ignore[arg-type]
    return sink.getvalue()


def test_a_shard_holds_the_rows_of_an_export() -> None:
    data = shard("kto", documents(10))

    assert data.count(b"\n") == len(exported(documents(10), "kto")) == 10


def test_the_order_and_the_archive_do_not_change_a_byte() -> None:
    stored = [archived(document) for document in reversed(documents(10))]

    assert shard("kto", stored) == shard("kto", documents(10))


def test_without_a_session_it_is_as_if_it_had_never_been_there() -> None:
    left = [d for d in documents(10) if d.session.id not in ("s-3", "s-4")]

    erased = shard(
        "kto", documents(10), without=[("default", "s-3"), ("default", "s-4")]
    )

    assert erased == shard("kto", left)
    assert b"s-3" not in erased


def test_a_shard_of_a_provider_format_has_its_provenance_beside_it() -> None:
    provenance = BytesIO()

    data = shard("openai-sft", documents(10), provenance=provenance)

    assert data.count(b"\n") == provenance.getvalue().count(b"\n") > 0
    assert b"convstore" not in data


def test_a_shard_counts_what_it_left_out() -> None:
    report = write_shard(documents(4) * 2, "kto", BytesIO())

    assert (report.documents, report.rows) == (8, 4)
    assert report.dropped == {"duplicate": 4}


def test_a_shard_is_lines() -> None:
    with pytest.raises(InvalidInputError):
        shard("kto", documents(1), options=ExportOptions(file_type="parquet"))
