"""The card says what is in a data set and what is not, and the numbers are true."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

from convstore.export.options import ExportOptions
from convstore.export.stages.job import run_export
from convstore.vocabulary.records import SessionDocument
from tests.unit.export.histories import histories
from tests.unit.export.samples import Chat, documents, read_rows


def tables(folder: Path) -> dict[str, dict[str, int]]:
    """The tables of a card by the name of their first column."""
    found: dict[str, dict[str, int]] = {}
    rows: dict[str, int] = {}
    for line in (folder / "README.md").read_text().splitlines():
        if not line.startswith("| "):
            continue
        name, number = (cell.strip() for cell in line.strip("|").rsplit("|", 1))
        if number in ("rows", "times", "count"):
            rows = found[name] = {}
        elif not set(name) <= set("- "):
            rows[name] = int(number.replace(",", ""))
    return found


def chosen(count: int, *, left: int) -> list[SessionDocument]:
    """Choices of which so many were won by the answer on the left."""
    found = []
    for number in range(count):
        chat = Chat(f"s-{number}")
        question = chat.user(f"Question {number}?")
        one = chat.assistant(f"Answer {number}, the long one.")
        other = chat.assistant(f"Short {number}.", parent_seq=question)
        best, worst = (one, other) if number % 2 else (other, one)
        shown = [best, worst] if number < left else [worst, best]
        chat.act("choose", chosen=best, rejected=(worst,), shown={"order": shown})
        found.append(chat.document())
    return found


def test_card_and_report_tell_how_far_raters_agree_and_name_nobody(
    tmp_path: Path,
) -> None:
    judged = []
    for number in range(8):
        chat = Chat(f"s-{number}")
        question = chat.user(f"Question {number}?")
        answer = chat.assistant(f"Answer {number}.", parent_seq=question)
        # Two who differ in one of four, and one who judged nothing with another.
        labels = {"ann.bakker": "thumbs_up", "bo": "up" if number % 4 else "wrong"}
        for actor_id, label in labels.items() if number < 4 else [("chidi", "up")]:
            chat.act("feedback", turn_seq=answer, feedback=label, actor_id=actor_id)
        judged.append(chat.document())

    report = run_export(judged, ["kto"], tmp_path / "out").formats[0]

    assert (report.agreement.units, report.agreement.pairs) == (4, 1)
    assert report.agreement.percent == 0.75
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| equal judgements of one | 75 % |" in card
    assert "| Krippendorff's alpha | 0.00 |" in card
    assert "| Cohen's kappa, mean of 1 pairs of raters | 0.00 |" in card
    assert "ann.bakker" not in card.partition("How far raters agree")[2]


def test_the_card_tells_which_side_won_how_often(tmp_path: Path) -> None:
    run_export(chosen(30, left=24), ["preference"], tmp_path / "out")

    told = tables(tmp_path / "out")["pairs"]

    assert told == {
        "chosen longer": 15,
        "all": 30,
        "left one won": 24,
        "right one won": 6,
    }
    card = (tmp_path / "out" / "README.md").read_text()
    assert "**Note:** position bias: the left answer won 80 % of 30 choices." in card


def test_the_numbers_of_the_card_are_those_of_the_rows(tmp_path: Path) -> None:
    options = ExportOptions(splits={"train": 0.8, "validation": 0.2})
    run_export(histories(120), ["kto"], tmp_path / "out", options)

    told, rows = tables(tmp_path / "out"), read_rows(tmp_path / "out")

    labels = [row["label"] for row in rows]
    assert told["label"] == {"good": labels.count(True), "bad": labels.count(False)}
    languages = [row["convstore"]["language"] for row in rows]
    assert told["language"] == {name: languages.count(name) for name in set(languages)}
    assert sum(told["characters"].values()) == sum(told["rule"].values()) == len(rows)
    by_rule = {name.split(":")[0]: count for name, count in told["rule"].items()}
    rules = [row["convstore"]["rule"] for row in rows]
    assert by_rule == {name: rules.count(name) for name in set(rules)}
    files = {
        split: sum(
            path.read_bytes().count(b"\n")
            for path in (tmp_path / "out" / "data").glob(f"{split}-*")
        )
        for split in options.splits
    }
    assert told["split"] == files


def test_the_card_tells_what_was_left_out_and_why(tmp_path: Path) -> None:
    broken = Chat("broken")
    broken.up(broken.assistant("I speak first."))
    twin = Chat("twin")
    twin.user("Question number 1: what colour is the sky?")
    twin.up(twin.assistant("Answer number 1: it is blue. 🎉"))

    report = run_export(
        [*documents(20), broken.document(), twin.document()], ["kto"], tmp_path / "out"
    )

    told = tables(tmp_path / "out")["reason"]
    assert told == {"duplicate": 1, "starts-with-assistant": 1}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert manifest["dropped"] == told == report.formats[0].dropped


def test_the_card_shows_its_plots(tmp_path: Path) -> None:
    run_export(documents(20), ["kto"], tmp_path / "out")

    card = (tmp_path / "out" / "README.md").read_text()
    shown = re.findall(r"^!\[.*\]\((.*)\)$", card, re.M)
    assert shown == ["plots/lengths.svg", "plots/rules.svg"]
    for name, told in zip(shown, ("20", "13"), strict=True):
        drawn = ET.fromstring((tmp_path / "out" / name).read_text())
        assert drawn.tag.endswith("svg")
        assert told in [text.strip() for text in drawn.itertext()]
