"""`convstore backup`: a copy of a store that is in use."""

from __future__ import annotations

import shlex
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qsl, urlencode, urlsplit

import typer

from convstore.cli.context import AsJson, Quiet, config_of, with_store
from convstore.cli.exits import FOUND, USAGE
from convstore.cli.output import count, print_json, progress, say, size, warn
from convstore.vocabulary.errors import ConfigError

if TYPE_CHECKING:
    from convstore.store.facade import Store
    from convstore.vocabulary.reports import BackupReport
    from convstore.vocabulary.settings import StoreConfig


def backup(
    context: typer.Context,
    to: Annotated[Path, typer.Option(help="Folder, empty or not there yet.")],
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Copy the database and its archive into a folder, while others use them.

    Every tenant's. SQLite: as of one moment, read back, with checksums; the folder is
    a backup once `backup.json` is in it. A database on a server is copied by its own
    tools: prints the commands, changes nothing, and ends with exit code 2. Exit code
    1: the archive had damage, which the copy has too.
    """
    config = config_of(context)
    if config.shards and config.database_url.startswith("postgresql"):
        raise ConfigError(
            "SHARDS: back up each database by its server's tools, and the archive after"
        )
    if config.database_url.startswith("postgresql"):
        return _words(config, to, as_json)

    async def work(store: Store) -> BackupReport:
        with progress("copying", quiet=quiet) as bar:
            return await store.backup(to, on_progress=bar.told)

    done = with_store(context, work)
    if as_json:
        print_json(done)
    else:
        say(f"the database: {size(done.database_bytes)}, at {done.revision}")
        files = count(done.archive_files, "file")
        say(f"the archive: {count(done.segments, 'segment')}, {files}")
        for fault in done.faults:
            say(f"BAD  segment {fault.segment_id}: {fault.problem}")
        say(f"whole and read back: {done.folder}")
    return FOUND if done.faults else 0


def _words(config: StoreConfig, to: Path, as_json: bool) -> int:
    """The commands for a server: the dump first, then the archive.

    What is purged between the two is then in the archive; the other way round it would
    be in neither.
    """
    url, schema = _for_other_tools(config.database_url)
    schema = config.db_schema or schema
    dumped = ["pg_dump", "--format=custom", f"--file={to / 'database.dump'}", url]
    if schema:
        dumped.insert(2, f"--schema={schema}")
    commands = [
        "umask 077",
        f"mkdir {quote(str(to))}",
        shlex.join(dumped),
        _copying(config.archive_place, str(to / "archive")),
    ]
    if as_json:
        print_json({"database": "postgresql", "done": False, "commands": commands})
        return USAGE
    warn("nothing was copied: the server's own tools do it, in this order")
    for command in commands:
        say(command)
    return USAGE


_BUCKETS = {
    "s3": "aws s3 sync {0} {1}",
    "gs": "gcloud storage rsync --recursive {0} {1}",
    "az": "az storage blob download-batch --source {0} --destination {1}",
}


def _copying(place: str, to: str) -> str:
    """The command that copies the archive."""
    words = _BUCKETS.get(place.partition("://")[0], "cp -R {0} {1}")
    return words.format(quote(place), quote(to))


def _for_other_tools(url: str) -> tuple[str, str | None]:
    """The URL without the password, which they ask for or find themselves, and without
    what only we understand; and the schema that it names."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    given = parse_qsl(parts.query)
    plain = parts._replace(
        scheme=parts.scheme.partition("+")[0],
        netloc=f"{user.partition(':')[0]}{at}{host}",
        query=urlencode([pair for pair in given if pair[0] != "schema"]),
    )
    return plain.geturl(), dict(given).get("schema")
