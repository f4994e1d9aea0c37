"""A store over several databases: which one a session lies in, and how they are named.

One database is the *home*: it has what lies outside sessions. The others are *shards*,
numbered from 0. How many there are is settled when the store is made.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from convstore.vocabulary.errors import ConfigError

HOME = -1
"""The number of the home database."""

MOST_SHARDS = 256

# A URL of PostgreSQL may itself hold a comma: between the names of several servers.
_BETWEEN = re.compile(r",(?=\s*[A-Za-z][A-Za-z0-9+.-]*://)")
_RANGE = re.compile(r"\{(\d{1,6})\.\.(\d{1,6})\}")


@dataclass(frozen=True, slots=True)
class Mark:
    """Which database of which store this is, as the database itself has it."""

    store_id: str
    number: int
    of: int
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class Seat:
    """Which database of a store over several one is opened as.

    Attributes:
        number: From 0; `HOME` for the home database.
        of: How many shards the store has.
        store_id: Of the store; None where the home database says it.
        is_new: The store is being made: a database without a mark gets one.
    """

    number: int
    of: int
    store_id: str | None = None
    is_new: bool = True


def shard_of(tenant: str, session_id: str, shards: int) -> int:
    """The number of the shard that a session lies in: as long as the store lives."""
    told = f"{tenant}\x1f{session_id}".encode()
    return int.from_bytes(hashlib.sha256(told).digest()[:8]) % shards


def name_of(number: int, of: int) -> str:
    """How a database of several is called in messages."""
    return "the home database" if number == HOME else f"shard {number} of {of}"


def shard_urls(given: str | Iterable[str]) -> tuple[str, ...]:
    """URLs of shards in order, from text with commas or from a list; each may have one
    range, as `?schema=s{0..15}`.

    Raises:
        ConfigError: They cannot be meant; nothing of them is in the message, which may
            hold a password.
    """
    parts = _BETWEEN.split(given) if isinstance(given, str) else given
    urls = tuple(url for part in parts if part.strip() for url in _spread(part.strip()))
    if len(urls) > MOST_SHARDS:
        raise ConfigError(f"settings: SHARDS: more than {MOST_SHARDS} are named")
    for number, url in enumerate(urls):
        if url in urls[:number]:
            raise ConfigError(
                f"settings: SHARDS: {number} is the same database as {urls.index(url)}"
            )
        if url.rstrip("/") == "sqlite:" or url.endswith(":memory:"):
            raise ConfigError(
                f"settings: SHARDS: {number} is in memory; a shard must outlive the "
                "process"
            )
    return urls


def _spread(url: str) -> Iterable[str]:
    found = _RANGE.findall(url)
    if not found:
        return (url,)
    (first, last), *more = found
    if more or int(first) > int(last):
        raise ConfigError(
            "settings: SHARDS: a URL has one range, from the smaller to the larger: "
            "{0..15}"
        )
    width = len(first) if first.startswith("0") else 0
    if int(last) - int(first) >= MOST_SHARDS:
        raise ConfigError(f"settings: SHARDS: more than {MOST_SHARDS} are named")
    return tuple(
        _RANGE.sub(str(number).zfill(width), url)
        for number in range(int(first), int(last) + 1)
    )
