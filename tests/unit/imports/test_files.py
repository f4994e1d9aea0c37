"""Files that lie beside conversations: found by what points to them, and no others."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from convstore.imports.files import with_files
from convstore.imports.members import Beside, Member
from convstore.imports.model import ImportedSession
from convstore.imports.opening import open_source
from convstore.vocabulary.records import TurnInput

PNG = b"\x89PNG\r\n\x1a\n a picture"
PDF = b"%PDF- a file"
LARGE = 1_000
UUID = "0b1c2d3e-0000-4000-8000-000000000001"


def names(*paths: str) -> Beside:
    def never() -> Any:
        raise AssertionError("a file is found by its name")

    return Beside([Member(path, 1, never) for path in paths])


@pytest.mark.parametrize(
    ("pointer", "file"),
    [
        # ChatGPT: an id, and more of the name behind it or none.
        ("file-service://file-Abcdefgh12", "file-Abcdefgh12-kaart.png"),
        ("sediment://file_00000000aa", "user-x/file_00000000aa-0b1c.png"),
        ("sediment://file_00000000aa#p_0.png", "file_00000000aa.dat"),
        ("file-Abcdefgh12", "dalle-generations/file-Abcdefgh12-0b1c.webp"),
        # DiscordChatExporter: a path, with or without what URLs need.
        ("k.json_Files/een%20kaart-1A2B.png", "k.json_Files/een kaart-1A2B.png"),
        ("kanaal.json_Files\\kaart.png", "kanaal.json_Files/kaart.png"),
        # LibreChat, SillyTavern: a path below some folder.
        ("/images/u-1/f-1__kaart.png", "public/images/u-1/f-1__kaart.png"),
        ("user/images/Ann/kaart.png", "user/images/Ann/kaart.png"),
        # Slack and Open WebUI: an id, of a folder or in front of the name.
        ("F0123ABCDE", "__uploads/F0123ABCDE/kaart.png"),
        ("F0123ABCDE", "general/attachments/F0123ABCDE-kaart.png"),
        (UUID, f"{UUID}_kaart.png"),
    ],
)
def test_a_file_is_found_by_its_path_or_id(pointer: str, file: str) -> None:
    beside = names("conversations.json", "file-Abcdefgh13-other.png", file)

    assert beside.find(pointer) == file


@pytest.mark.parametrize(
    "pointer",
    [
        "",
        "kaart.png",  # two files are called so
        "file-Abcdefgh1",  # the beginning of an id is none
        "file-service://file-Abcdefgh99",
        "https://example.org/a/kaart.png",
        "../a/kaart.png",
        "/etc/hostname",
        "F0123ABCDE",  # a folder with two files
        "x" * 5_000,
        "\0",
    ],
)
def test_what_is_not_there_or_not_certain_is_not_found(pointer: str) -> None:
    beside = names(
        "a/kaart.png", "b/kaart.png", "file-Abcdefgh12-kaart.png",
        "F0123ABCDE/1.png", "F0123ABCDE/2.png",
    )  # fmt: skip

    assert beside.find(pointer) is None


def pointing(*parts: dict[str, Any]) -> ImportedSession:
    turn = TurnInput(role="user", content="Kijk", parts=list(parts))
    return ImportedSession("s", (turn,), own_ids=True, without_bytes=len(parts))


def image(pointer: str, **more: Any) -> dict[str, Any]:
    return {"type": "image", "pointer": pointer, **more}


def test_pointers_become_names_of_bytes_and_keep_what_they_said(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "b.dat").write_bytes(PDF)
    (tmp_path / "c.png").write_bytes(b"<svg>")
    given = pointing(
        image("a.png", source={"width": 3}),
        {"type": "file", "pointer": "b.dat", "name": "b.pdf"},
        image("c.png"),
        image("a.png"),
        image("gone.png"),
    )
    with open_source(tmp_path) as opened:
        found = with_files(given, opened.beside, LARGE)
        loaded = [file.load() for file in found.files]

    picture, file, other, again, gone = found.turns[0].parts or []
    name = f"attachment:sha256:{hashlib.sha256(PNG).hexdigest()}"
    assert picture["image_url"] == {"url": f"{name};type=image/png"}
    assert picture["pointed"] == {"pointer": "a.png", "source": {"width": 3}}
    assert file["file"]["filename"] == "b.pdf"
    assert file["file"]["file_data"].endswith(";type=application/pdf")
    assert other["file"]["file_data"].endswith(";type=application/octet-stream")
    assert again["image_url"] == picture["image_url"]
    assert gone == image("gone.png")
    assert loaded == [PNG, PDF, b"<svg>"]
    assert (found.without_bytes, found.left_out) == (1, ())


def test_nothing_outside_of_the_source_is_taken(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(PNG)
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "link-to-it.png").symlink_to(tmp_path / "secret.png")
    (folder / "up").symlink_to(tmp_path)
    given = pointing(
        image("../secret.png"),
        image(str(tmp_path / "secret.png")),
        image("link-to-it.png"),
        image("up/secret.png"),
    )

    with open_source(folder) as opened:
        assert with_files(given, opened.beside, LARGE) == given


def test_what_is_too_large_or_a_bomb_stays_a_pointer_and_is_told(
    tmp_path: Path,
) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("large.png", PNG.ljust(LARGE + 1, b"x"))
        packed.writestr("bomb.png", PNG.ljust(4_000_000, b"\0"))
        packed.writestr("empty.png", b"")
    given = pointing(image("large.png"), image("empty.png"))

    with open_source(path) as opened:
        found = with_files(given, opened.beside, LARGE)
        bomb = with_files(pointing(image("bomb.png")), opened.beside, 10**8)

    assert found.turns == given.turns
    assert found.left_out == ("file_unread", "file_unread")
    assert (bomb.left_out, bomb.files) == (("file_unread",), ())


def test_the_files_of_one_conversation_have_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convstore.imports.files.MOST_BYTES", len(PNG))
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "b.png").write_bytes(PDF)

    with open_source(tmp_path) as opened:
        found = with_files(
            pointing(image("a.png"), image("b.png"), image("a.png")),
            opened.beside,
            LARGE,
        )

    assert found.left_out == ("file_of_too_many",)
    assert (len(found.files), found.without_bytes) == (1, 1)


def test_a_file_that_many_conversations_point_to_is_read_once() -> None:
    opened: list[str] = []

    @contextmanager
    def opening() -> Iterator[tuple[BinaryIO, None]]:
        opened.append("a.png")
        yield io.BytesIO(PNG), None

    beside = Beside([Member("a.png", len(PNG), opening)])
    found = [
        with_files(pointing(image("a.png")), beside, LARGE),
        with_files(pointing(image("a.png"), image("a.png")), beside, LARGE),
    ]

    assert opened == ["a.png"]
    assert [session.files[0].load() for session in found] == [PNG, PNG]
