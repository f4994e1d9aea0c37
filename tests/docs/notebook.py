"""The notebook: run from its top in an empty folder, and kept without what belongs to
one machine or one moment."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "examples" / "rlhf.ipynb"
_OF_A_MACHINE = re.compile(r"(?<![\w.])(?:/[\w.@+-]+){2,}|0x[0-9a-f]{6,}")

Notebook = dict[str, Any]


def executed(page: Path, folder: Path) -> Notebook:
    """The notebook with what its cells show now; the first error is raised."""
    import nbformat
    from nbclient import NotebookClient

    kept = {k: v for k, v in os.environ.items() if not k.startswith("CONVSTORE_")}
    paths = [kept.get("PYTHONPATH")]
    # The kernel finds this checkout, and asks no server for anything.
    environment = kept | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, paths)]),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "cache"),
        "CUDA_VISIBLE_DEVICES": "",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONWARNINGS": "ignore",
    }
    work = folder / "work"
    work.mkdir()
    read = nbformat.read(page, as_version=4)
    where = {"metadata": {"path": str(work)}}
    client = NotebookClient(read, timeout=600, resources=where)
    made = client.execute(env=environment)
    return _kept(json.loads(nbformat.writes(made)))


def _kept(notebook: Notebook) -> Notebook:
    """Without times, and without what libraries say on the error stream."""
    notebook["metadata"] = {
        "kernelspec": {
            "display_name": "Python 3",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }
    for cell in notebook["cells"]:
        cell["metadata"] = {}
        if cell["cell_type"] == "code":
            cell["outputs"] = [o for o in cell["outputs"] if o.get("name") != "stderr"]
    return notebook


def written(notebook: Notebook) -> str:
    """As the file is."""
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def shown(notebook: Notebook) -> Iterator[str]:
    """What cells show, as text."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            for text in [output.get("text", ""), *output.get("data", {}).values()]:
                yield "".join(text)


def of_a_machine(notebook: Notebook) -> list[str]:
    """Paths and addresses in what cells show: there should be none."""
    texts = (re.sub(r"https?://\S+", "", text) for text in shown(notebook))
    return [found for text in texts for found in _OF_A_MACHINE.findall(text)]
