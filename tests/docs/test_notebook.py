"""The notebook runs from its top, and what it shows is of nobody's machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.docs.notebook import PAGE, executed, of_a_machine, shown
from tests.summary import needs


def test_the_kept_notebook_was_run_and_names_no_machine() -> None:
    kept = json.loads(PAGE.read_text("utf-8"))
    code = [cell for cell in kept["cells"] if cell["cell_type"] == "code"]

    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert sum("<svg" in text for text in shown(kept)) == 2
    assert of_a_machine(kept) == []
    assert PAGE.stat().st_size < 60_000


@pytest.mark.trainers
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_the_notebook_runs_from_its_top(tmp_path: Path) -> None:
    needs("trl")
    needs("nbclient")
    needs("ipykernel")

    made = executed(PAGE, tmp_path)

    assert sum("<svg" in text for text in shown(made)) == 2
    assert of_a_machine(made) == []
