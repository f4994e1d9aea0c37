"""`convstore stats` and `convstore doctor`: how it is, and whether it is well."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from convstore.cli.context import AsJson, config_of, database_file, with_store
from convstore.cli.exits import FOUND
from convstore.cli.output import fact, print_facts, print_json, say, size
from convstore.cli.signals import complete
from convstore.vocabulary.clock import SystemClock
from convstore.vocabulary.errors import (
    ConfigError,
    ConvstoreError,
    CorruptionError,
    DatabaseAccessError,
    MissingExtraError,
    SchemaMismatchError,
)
from convstore.vocabulary.reports import Finding

if TYPE_CHECKING:
    from convstore.store.facade import Store
    from convstore.vocabulary.settings import StoreConfig

# By whose the archive folder is.
_STANDINGS = {
    "foreign": (
        "the folder belongs to another database",
        "give this database a folder of its own: CONVSTORE_ARCHIVE_DIR",
    ),
    "away": (
        "the archive folder is away",
        "see that its volume is mounted; if it is lost, `convstore archive adopt`",
    ),
    "taken": (
        "another database works on the archive folder",
        "give a copy of a database a copy of the folder, or `convstore archive adopt`",
    ),
}

MIN_FREE_BYTES = 256 * 1024 * 1024
"""Room for a few segments and a write-ahead log; less is a disk about to be full."""


def stats(context: typer.Context, as_json: AsJson = False) -> None:
    """Print counts of the tenant, and sizes of the whole."""
    found = with_store(context, lambda store: store.stats())
    if as_json:
        print_json(found)
        return
    facts = asdict(found)
    for name in ("database_bytes", "log_bytes", "archive_bytes"):
        facts[name] = size(facts[name])
    for name in ("retention_lag_s", "writes", "commits", "queued"):
        facts[name] = facts[name] or None
    print_facts((name.replace("_", " "), value) for name, value in facts.items())


def doctor(context: typer.Context, as_json: AsJson = False) -> int:
    """Check that all is well, and say what to do.

    Database, schema, disk, permissions and archive. Exit code 1: something is not as it
    should be.
    """
    findings = complete(lambda: _examine(config_of(context)))
    well = all(finding.ok for finding in findings)
    if as_json:
        print_json({"ok": well, "findings": findings})
        return 0 if well else FOUND
    for finding in findings:
        say(f"{'ok ' if finding.ok else 'BAD'}  {finding.check}: {finding.detail}")
        if not finding.ok and finding.remedy:
            say(f"     → {finding.remedy}")
    say("all is well" if well else "see the lines marked BAD")
    return 0 if well else FOUND


async def _examine(config: StoreConfig) -> list[Finding]:
    from convstore import open_store

    findings = []
    database = database_file(config)
    if database is not None:
        if not database.exists():
            detail = f"there is no {database}"
            return [Finding("database", False, detail, "run `convstore db upgrade`")]
        findings += [_disk("database disk", database.parent), _writable(database)]
    in_bucket = "://" in config.archive_place
    if not in_bucket:
        folder = config.archive_path
        findings += [_disk("archive disk", folder), *_archive_folder(config)]
    try:
        async with open_store(config) as store:
            findings += [Finding("database", True, "opens, at the right schema")]
            findings += await _of_store(store, in_bucket)
    except SchemaMismatchError as error:
        findings.append(Finding("schema", False, str(error), error.remedy))
    except ConvstoreError as error:
        findings.append(Finding("database", False, str(error), _remedy(error, config)))
    return findings


def _remedy(error: ConvstoreError, config: StoreConfig) -> str:
    """What to do about a database that cannot be opened."""
    if isinstance(error, MissingExtraError):
        return f"pip install 'convstore[{error.extra}]'"
    if isinstance(error, DatabaseAccessError):
        return "give the rights that it names"
    if isinstance(error, ConfigError):
        return "correct the setting that it names"
    if isinstance(error, CorruptionError):
        return (
            "restore a backup of it; without one, move it away, and "
            "`convstore archive rebuild` brings back what was archived"
        )
    if database_file(config) is not None:
        return "see that this user may read and write the file and its folder"
    return "see that the server runs, and that URL and rights are right"


async def _clock(store: Store) -> Finding:
    """Whether the clocks of those who wrote last agree with this one."""
    newest = (await store.sessions.list(limit=1)).items
    ahead = newest[0].last_activity_at - SystemClock().now() if newest else timedelta()
    # As far as retention lets the clocks of two machines lie apart.
    return Finding(
        "clock",
        ahead <= timedelta(seconds=60),
        f"the newest session was active at {fact(newest[0].last_activity_at)}"
        if newest
        else "no session was active yet",
        "set this clock right; if it is, that of a writer ran ahead, and retention "
        "halts until then: run it with --older-than, which counts such sessions as "
        "active now",
    )


async def _of_store(store: Store, in_bucket: bool) -> list[Finding]:
    findings = await store.examine()
    findings += await _probe(store, in_bucket)
    findings += [await _agreement(store), await _clock(store)]
    if store.config.search.mode != "off":
        findings.append(await _index(store))
    return findings + await store.health()


async def _index(store: Store) -> Finding:
    found = await store.search_index.check()
    detail = f"{found.entries} entries, {found.waiting} sessions wait"
    wrong = {"missing": found.missing, "that must not be found": found.unwanted}
    told = [f"{number} sessions {what}" for what, number in wrong.items() if number]
    told += [found.problem] if found.problem else []
    return Finding(
        "index of words",
        not told,
        ", ".join([detail, *told]),
        "run `convstore search rebuild`",
    )


async def _probe(store: Store, in_bucket: bool) -> list[Finding]:
    check = "archive bucket" if in_bucket else "archive folder"
    try:
        advice = await store.probe_archive()
    except ConvstoreError as error:
        remedy = "let the archive be a local folder that this user may write to"
        if in_bucket:
            remedy = "see that the bucket is there, and what these credentials may do"
        return [Finding(check, False, str(error), remedy)]
    works = Finding(check, True, "takes, keeps and gives back files")
    return [works, *(Finding(f"{check}'s setting", False, said) for said in advice)]


async def _agreement(store: Store) -> Finding:
    try:
        found = await store.archive.agreement()
    except ConvstoreError as error:
        remedy = "let this user read the archive folder and all that is in it"
        return Finding("archive and database", False, str(error), remedy)
    parts = {
        "missing": found.missing_files,
        "not in the database": found.unknown_files,
        "of another size": found.wrong_sizes,
    }
    told = [f"{len(ids)} segments {what}" for what, ids in parts.items() if ids]
    if found.standing in _STANDINGS:
        whose, remedy = _STANDINGS[found.standing]
        told = [f"{whose}: {found.problem}"]
    elif found.unknown_files and not (found.missing_files or found.wrong_sizes):
        remedy = "run `convstore archive recover`, or `convstore archive rebuild`"
    else:
        remedy = "restore the files from a backup, then `convstore archive verify`"
    detail = ", ".join(told) or "agree"
    return Finding("archive and database", found.ok, detail, remedy)


def _disk(check: str, folder: Path) -> Finding:
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    free = shutil.disk_usage(there).free
    return Finding(check, free >= MIN_FREE_BYTES, f"{size(free)} free", "make room")


def _writable(path: Path) -> Finding:
    mine = all(os.access(p, os.R_OK | os.W_OK) for p in (path, path.parent))
    detail = "file and folder can be written to" if mine else "cannot be written to"
    return Finding("database file", mine, detail, f"give this user rights on {path}")


def _archive_folder(config: StoreConfig) -> list[Finding]:
    folder = config.archive_path
    if not folder.exists():
        return []
    if not folder.is_dir():
        remedy = "name a folder: CONVSTORE_ARCHIVE_DIR"
        return [Finding("archive folder", False, f"{folder} is a file", remedy)]
    mode = folder.stat().st_mode & 0o777
    return [
        Finding(
            "archive permissions",
            not mode & 0o077,
            f"{mode:04o}",
            f"chmod 700 {folder}",
        )
    ]
