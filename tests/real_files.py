"""The files of real conversations, and as what each is imported."""

from __future__ import annotations

from pathlib import Path

from convstore.imports.mapping.file import load_mapping
from convstore.imports.mapping.records import mapped_format
from convstore.imports.registry import Format, load_format

# file, format or map, sessions, turns, interactions
EXPECTED = [
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

_MAPS = Path(__file__).parent / "unit" / "imports" / "maps"


def mapping_of(name: str) -> Path | None:
    """The mapping of this name; None when it is one of our formats."""
    path = _MAPS / f"{name}.toml"
    return path if path.exists() else None


def format_of(name: str) -> Format:
    """The format, or that of the mapping, of this name."""
    path = mapping_of(name)
    return load_format(name) if path is None else mapped_format(load_mapping(path))
