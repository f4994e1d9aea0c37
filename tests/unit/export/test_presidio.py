"""Redaction by Presidio, which comes with the trainers: spaCy is heavy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from convstore.export.options import ExportOptions
from convstore.export.privacy.presidio import presidio_finder
from convstore.export.stages.job import run_export
from convstore.vocabulary.records import SessionDocument
from tests.unit.export.samples import Chat, exported, one_exchange, tree

pytestmark = [
    pytest.mark.trainers,
    pytest.mark.filterwarnings("ignore"),
]

PRESIDIO = ExportOptions(redact="presidio")


def personal() -> list[SessionDocument]:
    chat = Chat(title="Ann")
    chat.user("I am ann@example.org at 192.168.0.1.")
    chat.up(chat.assistant("Noted: ANN@example.org, and the card of Ann?"))
    return [chat.document(), *(one_exchange(n) for n in range(2, 20))]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Write to ann@example.org.", [("ann@example.org", "EMAIL_ADDRESS")]),
        ("From 192.168.0.1?", [("192.168.0.1", "IP_ADDRESS")]),
        (
            "Card 4111 1111 1111 1111, please.",
            [("4111 1111 1111 1111", "CREDIT_CARD")],
        ),
        (
            "To NL91 ABNA 0417 1643 00.",
            [("NL91 ABNA 0417 1643 00", "IBAN_CODE")],
        ),
        ("Call +31 6 1234 5678.", [("+31 6 1234 5678", "PHONE_NUMBER")]),
        ("Ann lives in Enschede since 2026-01-02.", []),
        ("", []),
    ],
)
def test_presidio_finds_by_its_pattern_recognizers(
    text: str, told: list[tuple[str, str]]
) -> None:
    found = presidio_finder().find(text)

    assert [(text[f.start : f.end], f.kind) for f in found] == told


def test_rows_hold_stand_ins_and_count_them_by_kind() -> None:
    rows = exported(personal(), "kto", PRESIDIO)

    (row,) = (row for row in rows if row["convstore"]["redactions"])
    assert row["prompt"][0]["content"] == "I am <EMAIL_ADDRESS_1> at <IP_ADDRESS_1>."
    assert row["completion"][0]["content"].startswith("Noted: <EMAIL_ADDRESS_1>, ")
    assert row["convstore"]["redactions"] == [
        {"kind": "EMAIL_ADDRESS", "count": 2},
        {"kind": "IP_ADDRESS", "count": 1},
    ]


def test_a_cache_changes_no_byte_and_presidio_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import presidio_analyzer

    cached = replace(PRESIDIO, redaction_cache=tmp_path / "finds.cache")
    run_export(personal(), ["kto"], tmp_path / "none", PRESIDIO)
    run_export(personal(), ["kto"], tmp_path / "fills", cached)

    monkeypatch.delattr(presidio_analyzer.PatternRecognizer, "analyze")
    run_export(personal(), ["kto"], tmp_path / "takes", cached)

    assert tree(tmp_path / "fills") == tree(tmp_path / "none")
    assert tree(tmp_path / "takes") == tree(tmp_path / "none")


def test_another_release_of_a_library_is_another_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = presidio_finder().version

    monkeypatch.setattr(
        "convstore.export.privacy.presidio.version",
        lambda name: "0" if name == "phonenumbers" else "1",
    )

    assert presidio_finder().version != before


def test_the_network_is_not_asked_about_the_domain_of_an_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import tldextract

    fresh = tldextract.TLDExtract(cache_dir=None)
    monkeypatch.setattr("tldextract.tldextract.TLD_EXTRACTOR", fresh)
    asked: list[object] = []
    monkeypatch.setattr("socket.getaddrinfo", lambda *to, **_: asked.append(to))
    monkeypatch.setattr("socket.socket.connect", lambda _, to: asked.append(to))

    (found,) = presidio_finder().find("Write to ann@example.org.")

    assert found.kind == "EMAIL_ADDRESS"
    assert asked == []
