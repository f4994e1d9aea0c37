"""Pairs brought to a stated share of longer chosen answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from convstore.errors import InvalidInputError
from convstore.export.options import ExportOptions
from convstore.export.report import FormatReport
from convstore.export.stages.job import run_export
from convstore.vocabulary.records import SessionDocument
from tests.unit.export.samples import Chat, exported


def pairs(longer: int, shorter: int) -> list[SessionDocument]:
    documents = []
    for n in range(longer + shorter):
        chat = Chat(f"s-{n}")
        question = chat.user(f"Question {n}?")
        long = chat.assistant(f"Answer {n}, told at length.")
        short = chat.assistant(f"Brief {n}.", parent_seq=question)
        best, worst = (long, short) if n < longer else (short, long)
        chat.act("choose", chosen=best, rejected=(worst,))
        documents.append(chat.document())
    return documents


def run(
    documents: list[SessionDocument], to: Path, name: str = "preference", **o: object
) -> FormatReport:
    (report,) = run_export(documents, [name], to, ExportOptions(**o)).formats  # type: ignore[arg-type]
    return report


@pytest.mark.parametrize(("longer", "shorter"), [(90, 10), (10, 90)])
def test_the_surplus_of_the_longer_side_goes(
    tmp_path: Path, longer: int, shorter: int
) -> None:
    report = run(pairs(longer, shorter), tmp_path / "out", max_length_bias=0.6)

    assert report.rows == 25  # 10 of the scarce side are 40 %.
    assert report.dropped == {"length-balance": 75}
    assert not [told for told in report.warnings if "length bias" in told]


def test_without_the_option_nothing_goes_and_the_bias_is_told(tmp_path: Path) -> None:
    report = run(pairs(90, 10), tmp_path / "out")

    assert report.rows == 100
    assert report.warnings == ("length bias: chosen is longer in 90 % of the pairs",)


def test_pairs_within_the_bound_all_stay(tmp_path: Path) -> None:
    report = run(pairs(60, 40), tmp_path / "out", max_length_bias=0.6)

    assert report.rows == 100
    assert report.dropped == {}


def test_which_pairs_stay_does_not_depend_on_the_order_of_sessions() -> None:
    documents = pairs(30, 10)
    options = ExportOptions(max_length_bias=0.5)

    forth = exported(documents, "preference", options)
    back = exported(documents[::-1], "preference", options)

    assert len(forth) == 20
    assert forth == back


def test_a_dry_run_counts_as_the_real_one(tmp_path: Path) -> None:
    documents = pairs(90, 10)

    real = run(documents, tmp_path / "out", max_length_bias=0.6)
    dry = run(documents, tmp_path / "dry", max_length_bias=0.6, dry_run=True)

    assert (dry.rows, dry.dropped) == (real.rows, real.dropped)


def test_formats_without_pairs_take_no_notice(tmp_path: Path) -> None:
    plain = run(pairs(9, 1), tmp_path / "a", name="messages")
    asked = run(pairs(9, 1), tmp_path / "b", name="messages", max_length_bias=0.5)

    assert asked.rows == plain.rows


@pytest.mark.parametrize("share", [0.49, 1.0, -1])
def test_a_share_that_cannot_be_is_refused(tmp_path: Path, share: float) -> None:
    with pytest.raises(InvalidInputError, match="max_length_bias"):
        run(pairs(1, 1), tmp_path / "out", max_length_bias=share)
