"""Images that people sent: where they can go, and that they arrive as they were."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from convstore.export.options import ExportOptions
from convstore.export.report import FormatReport
from convstore.export.stages.job import run_export
from convstore.vocabulary.records import SessionDocument
from tests.summary import needs
from tests.unit.export.samples import Chat, one_exchange

datasets = needs("datasets")

PARQUET = ExportOptions(file_type="parquet")
FORMATS = ["messages", "prompt-completion", "preference", "kto"]


def png(red: int) -> bytes:
    """A picture of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(bytes([0, red, 20, 30]))
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def url_part(data: bytes) -> dict[str, Any]:
    text = base64.b64encode(data).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}}


def input_part(data: bytes) -> dict[str, Any]:
    return {"type": "input_image", "image_url": url_part(data)["image_url"]["url"]}


def source_part(data: bytes) -> dict[str, Any]:
    text = base64.b64encode(data).decode()
    source = {"type": "base64", "media_type": "image/png", "data": text}
    return {"type": "image", "source": source}


def asked(n: int, *parts: dict[str, Any]) -> SessionDocument:
    """A question with parts, a liked answer to it, and one that lost to that."""
    chat = Chat(f"picture-{n}")
    words = {"type": "text", "text": f"What is this, number {n}?"}
    question = chat.user("", parts=[words, *parts])
    good = chat.assistant(f"A pixel, and it is red {n}.")
    bad = chat.assistant(f"I see nothing there, {n}.", parent_seq=question)
    chat.up(good)
    chat.act("choose", chosen=good, rejected=(bad,))
    return chat.document()


def run(
    documents: list[SessionDocument], name: str, to: Path, options: ExportOptions
) -> FormatReport:
    (report,) = run_export(documents, [name], to, options).formats
    return report


def loaded(folder: Path) -> Any:
    cache = str(folder.parent / "cache")
    return datasets.load_dataset(str(folder), cache_dir=cache)["train"]


def undecoded(rows: Any) -> Any:
    """Files in place of pictures: to open those takes a package of its own."""
    return rows.cast_column("images", datasets.List(datasets.Image(decode=False)))


@pytest.mark.parametrize("part", [url_part, input_part, source_part])
@pytest.mark.parametrize("name", FORMATS)
def test_images_are_loaded_as_they_were_sent(
    tmp_path: Path, name: str, part: Any
) -> None:
    documents = [asked(n, part(png(n))) for n in range(3)]

    report = run(documents, name, tmp_path / "out", PARQUET)

    assert report.rows == 3
    rows = loaded(tmp_path / "out")
    assert rows.features["images"] == datasets.List(datasets.Image())
    found = {}
    for row in undecoded(rows):
        (message, *_) = row["messages" if name == "messages" else "prompt"]
        placeholder, text = message["content"]
        assert placeholder == {"type": "image"}
        (image,) = row["images"]
        found[text["text"]] = image["bytes"]
    assert found == {f"What is this, number {n}?": png(n) for n in range(3)}


def test_rows_without_images_have_an_empty_list_beside_those_with(
    tmp_path: Path,
) -> None:
    documents = [asked(1, url_part(png(1)), url_part(png(2))), one_exchange(1)]

    run(documents, "messages", tmp_path / "out", PARQUET)

    rows = undecoded(loaded(tmp_path / "out"))
    counts = sorted(len(row["images"]) for row in rows)
    assert counts == [0, 2]


@pytest.mark.parametrize("name", FORMATS)
def test_text_alone_has_no_column_of_images(tmp_path: Path, name: str) -> None:
    documents = [asked(n) for n in range(3)]

    run(documents, name, tmp_path / "out", PARQUET)

    assert "images" not in loaded(tmp_path / "out").features
    assert "images" not in (tmp_path / "out" / "README.md").read_text()


def test_rows_with_images_that_are_not_written_make_no_column(tmp_path: Path) -> None:
    first = [asked(1, url_part(png(1)))]
    run(first, "messages", tmp_path / "one", PARQUET)
    later = ExportOptions(file_type="parquet", since=tmp_path / "one")

    run([*first, one_exchange(1)], "messages", tmp_path / "two", later)

    rows = loaded(tmp_path / "two")
    assert len(rows) == 1
    assert "images" not in rows.features


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("messages", ExportOptions(), "images-need-parquet"),
        (
            "messages",
            ExportOptions(file_type="parquet", profile="text"),
            "needs-json-profile",
        ),
        ("sharegpt-kto", PARQUET, "images-are-lost"),
        ("openai-sft", ExportOptions(), "images-are-lost"),
        ("sharegpt", ExportOptions(), "images-are-lost"),
    ],
)
def test_where_bytes_cannot_go_the_row_is_left_out_and_counted(
    tmp_path: Path, name: str, options: ExportOptions, reason: str
) -> None:
    documents = [asked(1, url_part(png(1))), one_exchange(1)]

    report = run(documents, name, tmp_path / "out", options)

    assert report.rows == 1
    assert report.dropped == {reason: 1}


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
            "image-not-stored",
        ),
        ({"type": "image"}, "image-not-stored"),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,@@"}},
            "image-malformed",
        ),
        (source_part(b"no picture at all"), "image-malformed"),
    ],
)
def test_what_is_no_stored_image_is_left_out_and_counted(
    tmp_path: Path, part: dict[str, Any], reason: str
) -> None:
    report = run([asked(1, part)], "messages", tmp_path / "out", PARQUET)

    assert (report.rows, report.dropped) == (0, {reason: 1})


def test_redaction_leaves_the_bytes_of_an_image_alone(tmp_path: Path) -> None:
    options = ExportOptions(file_type="parquet", redact="regex")
    # Their Base64 holds what looks like the number of a payment card.
    picture = png(1) + base64.b64decode("/" + "4111111111111111" + "/AA")

    run([asked(1, url_part(picture))], "messages", tmp_path / "out", options)

    (row,) = undecoded(loaded(tmp_path / "out"))
    assert row["images"][0]["bytes"] == picture


def test_the_same_images_give_the_same_bytes(tmp_path: Path) -> None:
    documents = [asked(n, url_part(png(n))) for n in range(3)]

    run(documents, "preference", tmp_path / "one", PARQUET)
    run(documents[::-1], "preference", tmp_path / "two", PARQUET)

    for path in (tmp_path / "one").rglob("*"):
        if path.is_file():
            other = tmp_path / "two" / path.relative_to(tmp_path / "one")
            assert path.read_bytes() == other.read_bytes()
