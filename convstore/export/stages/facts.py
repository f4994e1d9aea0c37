"""What is asked of every export before it begins, and told of it when it ends."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from convstore.export.choosing.near import bands_for
from convstore.export.dataset.folder import MANIFEST
from convstore.export.dataset.statistics import Tally
from convstore.export.dataset.version import EXPORTER
from convstore.export.formats import pick_formats
from convstore.export.formats.base import Format
from convstore.export.options import ExportOptions
from convstore.export.rules import RULES, pick_rules
from convstore.export.writers.parquet import load_pyarrow
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.errors import ExportRefusedError, InvalidInputError
from convstore.vocabulary.records import Json


def checked(formats: Sequence[str], options: ExportOptions) -> list[Format]:
    """The formats of these names, if the options can be meant with them.

    Raises:
        InvalidInputError: Names the option, or the format.
        MissingExtraError: Parquet is wanted, and pyarrow is not installed.
    """
    options.check()
    rules = pick_rules(options.rules)
    picked = pick_formats(formats)
    for fmt in picked:
        if not any(fmt.kind in rule.kinds for rule in rules):
            named = ", ".join(r.name for r in RULES.values() if fmt.kind in r.kinds)
            told = f"none makes rows of {fmt.name}: {named} do"
            raise InvalidInputError("rules", told)
    if options.near_duplicates is not None:
        bands_for(options.near_duplicates)
    if options.redact is not None and any(fmt.name == "convstore" for fmt in picked):
        raise InvalidInputError("redact", "convstore is lossless: export it by itself")
    if options.file_type == "parquet":
        for fmt in picked:
            if not fmt.parquet:
                raise InvalidInputError(
                    "file_type", f"{fmt.name} is read as JSONL only"
                )
        load_pyarrow()
    return picked


def plan_of(formats: Sequence[Format], options: ExportOptions) -> str:
    """A hash of all that decides the bytes beside the conversations."""
    rules = [rule.id for rule in pick_rules(options.rules)]
    names = [fmt.name for fmt in formats]
    plan = [EXPORTER, names, rules, options.fingerprint(), options.dry_run]
    return hashlib.sha256(dumps(plan)).hexdigest()


def refuse_if_faulty(fmt: Format, tally: Tally, options: ExportOptions) -> None:
    """Refuse a data set of which too much was dropped for faults.

    Raises:
        ExportRefusedError: It is more than `max_drop_rate`.
    """
    faults = tally.losses.faults.total()
    rate = faults / ((faults + tally.rows) or 1)
    if rate > options.max_drop_rate:
        raise ExportRefusedError(fmt.name, rate, options.max_drop_rate)


def facts_of(
    documents: int, options: ExportOptions, plan: str, previous: Path | None
) -> dict[str, Json]:
    """What a manifest says of the whole export."""
    facts: dict[str, Json] = {
        "exporter": EXPORTER,
        "documents": documents,
        "options": options.fingerprint(),
        "plan_sha256": plan,
    }
    if previous is not None:
        manifest = (previous / MANIFEST).read_bytes()
        facts["parent_manifest_sha256"] = hashlib.sha256(manifest).hexdigest()
    return facts
