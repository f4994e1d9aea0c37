"""The files of real conversations, and as what each is imported.

They are not part of the repository. Where there are none, the tests run on stand-ins:
a few records in the shape of each file, written for them, with counts of their own.
"""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

from convstore.imports.mapping.file import load_mapping
from convstore.imports.registry import Format, load_format
from tests.unit.imports.inverse.formats import mapped

_TESTS = Path(__file__).resolve().parent
NAMED = os.environ.get("CONVSTORE_TEST_DATA")
REAL = Path(NAMED) if NAMED else _TESTS.parents[1] / "shared" / "data"
STAND_INS = _TESTS / "data" / "conversations"

# file, format or map, sessions, turns, interactions
_OF_REAL = [
    ("tau-bench-airline/trajectories", "messages", 164, 4_418, 164),
    ("oasst1-en/messages", "oasst", 105, 1_064, 2_236),
    ("oasst2-multilingual/trees", "oasst", 318, 807, 1_531),
    ("oasst1-zh/dialogues", "alpaca", 561, 1_974, 0),
    ("oasst1-zh/ranked", "alpaca", 554, 2_560, 862),
    ("glaive-toolcall/toolcall-en", "sharegpt", 223, 1_556, 0),
    ("glaive-toolcall/toolcall-zh", "sharegpt", 231, 1_414, 0),
    ("preference-demos/dpo-en", "preference", 231, 1_176, 231),
    ("preference-demos/dpo-zh", "preference", 235, 760, 235),
    ("preference-demos/kto-en", "kto", 254, 826, 254),
    ("qmsum-meetings/meetings", "qmsum-meetings", 17, 9_020, 0),
    ("naughty-strings/strings", "naughty-strings", 342, 342, 0),
    ("pandalm-human-preference/pairs", "pandalm-human-preference", 862, 2_586, 2_586),
    ("finegrained-qa-feedback/feedback", "finegrained-qa-feedback", 387, 1_935, 2_699),
    (
        "topical-chat-ratings/conversations",
        "topical-chat-ratings",
        1_073,
        23_251,
        25_276,
    ),
    ("bigbench-mistake/traces", "bigbench-mistake", 1_540, 3_079, 12_277),
    ("xpersona/dialogues", "xpersona", 1_667, 25_974, 0),
    ("xsid/utterances", "xsid", 5_249, 5_249, 0),
    ("crosswoz/dialogues", "crosswoz", 500, 8_458, 0),
    ("sgd/dialogues", "sgd", 1_000, 18_482, 0),
    ("prm800k-samples/solutions", "prm800k-samples", 6, 6, 0),
    ("prm800k-samples/mcts-trees", "prm800k-samples-mcts", 2, 4, 0),
    ("toolbench-dfs/trees", "toolbench-dfs", 8, 16, 8),
    ("tree-of-thoughts/game24-bfs", "tree-of-thoughts", 81, 162, 0),
    ("tree-of-thoughts/text-votes", "tree-of-thoughts", 72, 144, 0),
    ("tree-of-thoughts/game24-cot-samples", "tree-of-thoughts", 81, 81, 0),
    (
        "tree-of-thoughts/crosswords-dfs-prune",
        "tree-of-thoughts-crosswords",
        14,
        14,
        14,
    ),
    (
        "tree-of-thoughts/crosswords-dfs-noprune",
        "tree-of-thoughts-crosswords",
        14,
        14,
        14,
    ),
]

# file: sessions, turns, interactions
_OF_STAND_INS = {
    "tau-bench-airline/trajectories": (3, 27, 3),
    "oasst1-en/messages": (3, 12, 28),
    "oasst2-multilingual/trees": (3, 7, 9),
    "oasst1-zh/dialogues": (3, 8, 0),
    "oasst1-zh/ranked": (2, 9, 3),
    "glaive-toolcall/toolcall-en": (3, 14, 0),
    "glaive-toolcall/toolcall-zh": (2, 10, 0),
    "preference-demos/dpo-en": (2, 9, 2),
    "preference-demos/dpo-zh": (2, 6, 2),
    "preference-demos/kto-en": (3, 8, 3),
    "qmsum-meetings/meetings": (2, 68, 0),
    "naughty-strings/strings": (37, 37, 0),
    "pandalm-human-preference/pairs": (2, 6, 6),
    "finegrained-qa-feedback/feedback": (2, 10, 14),
    "topical-chat-ratings/conversations": (2, 6, 10),
    "bigbench-mistake/traces": (3, 6, 6),
    "xpersona/dialogues": (2, 10, 0),
    "xsid/utterances": (3, 3, 0),
    "crosswoz/dialogues": (2, 6, 0),
    "sgd/dialogues": (2, 6, 0),
    "prm800k-samples/solutions": (2, 2, 0),
    "prm800k-samples/mcts-trees": (2, 4, 0),
    "toolbench-dfs/trees": (2, 4, 2),
    "tree-of-thoughts/game24-bfs": (2, 4, 0),
    "tree-of-thoughts/text-votes": (2, 4, 0),
    "tree-of-thoughts/game24-cot-samples": (2, 2, 0),
    "tree-of-thoughts/crosswords-dfs-prune": (2, 2, 2),
    "tree-of-thoughts/crosswords-dfs-noprune": (2, 2, 2),
}
EXPECTED_OF_STAND_INS = [
    (file, name, *_OF_STAND_INS[file]) for file, name, *_ in _OF_REAL
]
_ARE_REAL = NAMED is not None or REAL.is_dir()
EXPECTED = _OF_REAL if _ARE_REAL else EXPECTED_OF_STAND_INS
# Results of tools in tau-bench-airline/trajectories.
TOOL_RESULTS = 950 if _ARE_REAL else 6

_MAPS = _TESTS / "unit" / "imports" / "maps"


def packed(plain: Path, to: Path) -> Path:
    """A copy of a folder of stand-ins, compressed as the real files are."""
    for path in plain.glob("*/*.jsonl"):
        copy = to / path.relative_to(plain).with_suffix(".jsonl.gz")
        copy.parent.mkdir(exist_ok=True)
        with path.open("rb") as file, gzip.open(copy, "wb") as compressed:
            shutil.copyfileobj(file, compressed)
    return to


def mapping_of(name: str) -> Path | None:
    """The mapping of this name; None when it is one of our formats."""
    path = _MAPS / f"{name}.toml"
    return path if path.exists() else None


def format_of(name: str) -> Format:
    """The format, or that of the mapping, of this name."""
    path = mapping_of(name)
    return load_format(name) if path is None else mapped(load_mapping(path))
