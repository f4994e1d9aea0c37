"""The README of a data set: what readers must be told to load it, and what is in it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import yaml

from convstore.export.dataset.statistics import LENGTH_EDGES, TOKEN_EDGES, Stats, Tally
from convstore.export.formats.base import PROVENANCE_COLUMNS, Column, Format
from convstore.export.options import ExportOptions
from convstore.export.rules import RULES
from convstore.vocabulary.agreement import RaterAgreement

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
_DTYPES = {"string": "string", "bool": "bool", "int64": "int64", "float64": "float64"}


def card(
    fmt: Format,
    options: ExportOptions,
    columns: Sequence[Column],
    stats: Stats,
    tally: Tally,
    notes: Sequence[str],
) -> bytes:
    """The whole README; the same counts give the same bytes."""
    # In the order that is written here, and each value on one line.
    front = yaml.safe_dump(
        _front(fmt, options, columns, stats),
        sort_keys=False,
        allow_unicode=True,
        width=sys.maxsize,
    )
    body = "\n".join(_body(fmt, options, stats, tally, notes))
    return f"---\n{front}---\n\n{body}\n".encode()


def warnings_of(fmt: Format, stats: Stats) -> list[str]:
    """What a team must know before it trains: one-sided labels, length, side bias."""
    told = []
    if not stats.rows:
        told.append("no rows: what was left out says why, if there was anything")
    judged = stats.good + stats.bad
    if judged and not (stats.good and stats.bad):
        told.append("only one label occurs: KTO needs both")
    elif judged and not 0.25 <= stats.good / judged <= 0.75:
        told.append(
            f"{stats.good} good to {stats.bad} bad answers: set `desirable_weight` and "
            "`undesirable_weight`"
        )
    if stats.pairs >= 20 and not 0.3 <= stats.longer / stats.pairs <= 0.7:
        share = 100 * stats.longer // stats.pairs
        told.append(f"length bias: chosen is longer in {share} % of the pairs")
    sided = stats.left + stats.right
    if sided >= 20 and not 0.4 <= stats.left / sided <= 0.6:
        share = 100 * stats.left // sided
        told.append(f"position bias: the left answer won {share} % of {sided} choices")
    over = stats.over_tokens(1_000)
    if over and fmt.provenance == "column":
        told.append(
            f"about {over} rows are longer than 1,000 tokens: TRL cuts or drops what "
            "is over `max_length` (1,024 unless set)"
        )
    if fmt.name == "openai-sft" and 0 < stats.rows < 10:
        told.append("fewer than 10 examples: OpenAI refuses the file")
    return told


def lengths_of(stats: Stats) -> list[tuple[str, int]]:
    """Rows by length class."""
    names = [f"up to {edge:,}" for edge in LENGTH_EDGES] + [
        f"over {LENGTH_EDGES[-1]:,}"
    ]
    return [(name, stats.lengths[i]) for i, name in enumerate(names)]


def rules_of(stats: Stats) -> list[tuple[str, int]]:
    """Rows by rule."""
    names = list(RULES)
    return [
        (f"{names[i]}/{RULES[names[i]].version}", n)
        for i, n in sorted(stats.rules.items())
    ]


def _front(
    fmt: Format, options: ExportOptions, columns: Sequence[Column], stats: Stats
) -> dict[str, object]:
    languages = sorted(name for name in stats.languages if name) or ["und"]
    size = next((name for edge, name in _SIZES if stats.rows < edge), "n>10M")
    front: dict[str, object] = {
        "license": options.license,
        "language": languages,
        "size_categories": [size],
        "task_categories": ["text-generation"],
        "tags": [*fmt.tags, "convstore"],
    }
    # A split without rows keeps `datasets` from loading the others. Where no split has
    # any, the card is what tells a streaming reader the columns.
    splits = [name for name in options.splits if stats.splits[name] or not stats.rows]
    features = [_feature(column, options.profile == "text") for column in columns]
    if fmt.provenance == "column":
        struct = [_feature(column, True) for column in PROVENANCE_COLUMNS]
        features.append({"name": "convstore", "struct": struct})
    files = [{"split": name, "path": f"data/{name}-*"} for name in splits]
    counts = [
        {
            "name": name,
            "num_bytes": stats.sizes[name],
            "num_examples": stats.splits[name],
        }
        for name in splits
    ]
    return front | {
        "configs": [{"config_name": "default", "data_files": files}],
        "dataset_info": {"features": features, "splits": counts},
    }


def _feature(column: Column, text_profile: bool) -> dict[str, object]:
    keys = column.keys
    if keys is None and column.type == "messages" and text_profile:
        keys = ("role", "content")
    if keys is not None:
        parts = [{"name": name, "dtype": "string"} for name in keys]
        return {"name": column.name, "list" if column.listed else "struct": parts}
    if column.type == "counts":
        parts = [
            {"name": "kind", "dtype": "string"},
            {"name": "count", "dtype": "int64"},
        ]
        return {"name": column.name, "list": parts}
    listed = {
        "messages": "json",
        "strings": "string",
        "bools": "bool",
        "images": "image",
    }.get(column.type)
    if listed is not None:
        return {"name": column.name, "list": listed}
    return {"name": column.name, "dtype": _DTYPES.get(column.type, "json")}


def _body(
    fmt: Format,
    options: ExportOptions,
    stats: Stats,
    tally: Tally,
    notes: Sequence[str],
) -> list[str]:
    lines = [f"# {options.title}", "", f"Format `{fmt.name}`: {fmt.description}."]
    if fmt.notes:
        lines += ["", fmt.notes]
    size = f"{stats.rows:,} rows; {stats.chars:,} characters; "
    lines += ["", f"{size}the longest row has {stats.longest:,}."]
    for note in notes:
        lines += ["", f"**Note:** {note}."]
    lines += ["", "## What is in it", "", *_statistics(options, stats)]
    lines += ["![rows by length](plots/lengths.svg)", ""]
    lines += ["![rows by rule](plots/rules.svg)", ""]
    lines += _agreement(tally.agreement.agreement())
    lines += ["## What was left out", "", *_left_out(options, tally)]
    made = "`manifest.json` lists the files with checksums and how they were made."
    return [*lines, f"{made} {_provenance_note(fmt)}"]


def _statistics(options: ExportOptions, stats: Stats) -> list[str]:
    lines = _table(("split", "rows"), {n: stats.splits[n] for n in options.splits})
    lines += _table(("rule", "rows"), dict(_ruled(stats)))
    told = sorted(stats.languages.items())
    lines += _table(("language", "rows"), {n or "(not stored)": k for n, k in told})
    lines += _table(("characters", "rows"), dict(lengths_of(stats)))
    over = {f"{limit:,}": stats.over_tokens(limit) for limit in TOKEN_EDGES}
    how = "counted" if options.tokenizer else "estimated, 4 characters each"
    lines += _table((f"tokens over ({how})", "rows"), over)
    if stats.good or stats.bad:
        lines += _table(("label", "rows"), {"good": stats.good, "bad": stats.bad})
    if stats.pairs:
        pairs = {"chosen longer": stats.longer, "all": stats.pairs}
        if stats.left or stats.right:
            pairs |= {"left one won": stats.left, "right one won": stats.right}
        lines += _table(("pairs", "count"), pairs)
    return lines


def _agreement(found: RaterAgreement) -> list[str]:
    """How far raters agree, where two judged the same; nobody is named."""
    if not found.units:
        return []
    told = {
        "answers, or choices, that two or more judged": f"{found.units:,}",
        "equal judgements of one": _share(found.percent),
        "Krippendorff's alpha": _figure(found.alpha),
        f"Cohen's kappa, mean of {found.pairs:,} pairs of raters": _figure(found.kappa),
    }
    rows = [f"| {name} | {value} |" for name, value in told.items()]
    head = ["## How far raters agree", "", "| measure | value |", "| --- | ---: |"]
    note = "Over all sessions that were read, also those that gave no row."
    return [*head, *rows, "", note, ""]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def _figure(value: float | None) -> str:
    return "– (all the same)" if value is None else f"{value:.2f}"


def _left_out(options: ExportOptions, tally: Tally) -> list[str]:
    lost = tally.losses.table()
    lines = _table(("reason", "times"), lost) if lost else ["Nothing.", ""]
    if options.redact is not None:
        lines += [f"Personal data was sought by `{options.redact}` and replaced:", ""]
        lines += _table(("kind", "times"), dict(sorted(tally.redactions.items())))
    return lines


def _ruled(stats: Stats) -> list[tuple[str, int]]:
    return [
        (f"{name}: {RULES[name.split('/')[0]].description}", count)
        for name, count in rules_of(stats)
    ]


def _provenance_note(fmt: Format) -> str:
    return {
        "column": "The column `convstore` says where each row came from.",
        "sidecar": "`provenance/` says, line for line, where each row came from.",
        "none": "Each row is a whole session and names it.",
    }[fmt.provenance]


def _table(head: tuple[str, str], rows: Mapping[str, int]) -> list[str]:
    lines = [f"| {head[0]} | {head[1]} |", "| --- | ---: |"]
    lines += [
        f"| {name.replace('|', chr(92) + '|')} | {n:,} |" for name, n in rows.items()
    ]
    return [*lines, ""]
