"""What each database of several is opened with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from convstore.vocabulary.settings import StoreConfig
from convstore.vocabulary.sharding import HOME


def config_of(config: StoreConfig, number: int) -> StoreConfig:
    """The settings of one database: its URL, an archive of its own below that of all,
    and its share of what is bounded for all."""
    url = config.database_url if number == HOME else config.shards[number]
    retention, most = config.retention, config.retention.max_sessions
    if most is not None:
        retention = replace(retention, max_sessions=-(-most // len(config.shards)))
    place = config.archive_place.rstrip("/")
    own = "home" if number == HOME else f"shard-{number}"
    schema = None if "schema" in parse_qs(urlsplit(url).query) else config.db_schema
    return config.model_copy(
        update={
            "url": url,
            "shards": (),
            "archive_dir": f"{place}/{own}",
            "db_schema": schema,
            "retention": retention,
        }
    )


def file_of(url: str) -> Path | None:
    """The file of a SQLite database; None for a server."""
    scheme, _, rest = url.partition(":///")
    if not scheme.startswith("sqlite"):
        return None
    return Path(unquote(rest.partition("?")[0]))
