"""The settings: read once from the environment or given in code, then passed down."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import (
    AliasChoices,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from convstore.vocabulary.codec import decode_json
from convstore.vocabulary.durations import seconds_of
from convstore.vocabulary.environment import PREFIX, check_names
from convstore.vocabulary.errors import (
    ConfigError,
    CorruptionError,
    InvalidInputError,
)
from convstore.vocabulary.ids import SCHEMA_NAME
from convstore.vocabulary.judgements import Reading
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.policy import (
    CachePolicy,
    FeedbackPolicy,
    LedgerPolicy,
    ObjectStoragePolicy,
    RetentionPolicy,
    SearchPolicy,
)
from convstore.vocabulary.sharding import shard_urls

# The encoder stops at 254 levels, and a session document adds a few of its own.
_MAX_JSON_DEPTH = 200
_LEAST: dict[str, float] = {
    "stale_after_s": 0,
    "keep_archive_for_s": 0,
    "max_sessions": 1,
    "segment_bytes": 1,
    "interval_s": 0.001,
    "compact_interval_s": 0,
    "max_fraction": 0,
    "timeout_s": 0,
    "max_strikes": 1,
    "window": 1,
    **{bound.name: 1 for bound in fields(Limits)},
    "busy_timeout_s": 0,
    "budget_s": 0,
}


class StoreConfig(BaseSettings):
    """Where the store is and how it behaves; each field is `CONVSTORE_<NAME>`.

    Nested settings take two underscores: `CONVSTORE_RETENTION__STALE_AFTER_S=3600`.
    """

    model_config = SettingsConfigDict(
        env_prefix="CONVSTORE_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    home: Path = Field(
        default=Path("."), description="Folder of the default database and archive."
    )
    url: str = Field(
        default="",
        repr=False,  # it may hold a password
        description="Database: sqlite:///FILE, sqlite:// (in memory) or "
        "postgresql://…; empty is HOME/convstore.db.",
    )
    replica_url: str = Field(
        default="",
        repr=False,
        description="A hot standby of the database, on PostgreSQL: documents, exports, "
        "lists and stats are read there, as fresh as from the database.",
    )
    db_schema: str | None = Field(
        default=None,
        # BaseModel has an attribute of the shorter name.
        validation_alias=AliasChoices("CONVSTORE_SCHEMA", "db_schema"),
        pattern=SCHEMA_NAME,
        description="CONVSTORE_SCHEMA: schema of the tables, on PostgreSQL; also "
        "`?schema=` in the URL. Empty is the first of the role's search_path.",
    )
    # Text: a path would make one slash of the two that part a scheme from a name.
    archive_dir: str | None = Field(
        default=None,
        description="Archive folder, or BUCKET/PREFIX behind s3://, gs:// or az://; "
        "empty is beside the database: chat-archive for chat.db, "
        "HOME/DATABASE[-SCHEMA]-archive for PostgreSQL.",
    )
    shards: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        repr=False,
        description="Databases that share the sessions, by commas, in an order that "
        "stays; a range is `?schema=s{0..15}`. The URL is then the home database, with "
        "what lies outside sessions.",
    )
    tenant: str = Field(default="default", description="Tenant of the opened store.")
    pool_size: int = Field(
        default=5, ge=1, le=200, description="Database connections for reading."
    )
    lanes: int = Field(
        default=0,
        ge=0,
        le=16,
        description="Commit lanes; 0 is the database's best (SQLite 1, PostgreSQL 2).",
    )
    pooler: str = Field(
        default="none",
        pattern="^(none|transaction)$",
        description="`transaction` when PgBouncer pools by transaction.",
    )
    restore_on_read: bool = Field(
        default=False,
        description="Reading an archived session restores it; else only writing and "
        "get_or_create do.",
    )
    retention: RetentionPolicy = Field(default_factory=RetentionPolicy)
    ledger: LedgerPolicy = Field(default_factory=LedgerPolicy)
    cache: CachePolicy = Field(default_factory=CachePolicy)
    feedback: FeedbackPolicy = Field(default_factory=FeedbackPolicy)
    search: SearchPolicy = Field(default_factory=SearchPolicy)
    object_storage: ObjectStoragePolicy = Field(default_factory=ObjectStoragePolicy)
    limits: Limits = Field(default_factory=Limits)

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, given: Any) -> Any:
        """Refuse names of the environment that are none of ours, and read `24h`
        and, in sections, lists and objects as JSON text."""
        check_names(os.environ, cls._names())
        return _durations(_decoded(given))

    @classmethod
    def _names(cls) -> dict[str, type | None]:
        """The settings as the environment names them, and the parts of those that
        have some."""
        names: dict[str, type | None] = {}
        for name, setting in cls.model_fields.items():
            choices = getattr(setting.validation_alias, "choices", None) or [name]
            parts = setting.annotation
            names[str(choices[0]).upper().removeprefix(PREFIX)] = (
                parts if is_dataclass(parts) and isinstance(parts, type) else None
            )
        return names

    @field_validator("archive_dir", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    @field_validator("shards", mode="before")
    @classmethod
    def _as_urls(cls, value: object) -> object:
        if value is None:
            return ()
        return shard_urls(value) if isinstance(value, str | list | tuple) else value

    @model_validator(mode="after")
    def _can_be_meant(self) -> Self:
        """Refuse numbers with which a job would never end, or destroy all at once."""
        given: list[tuple[str, object]] = [
            ("RETENTION", self.retention),
            *(
                (f"RETENTION__TENANTS__{k}", o)
                for k, o in self.retention.tenants.items()
            ),
            *((f"RETENTION__TAGS__{k}", o) for k, o in self.retention.tags.items()),
            ("LEDGER", self.ledger),
            ("SEARCH", self.search),
            ("OBJECT_STORAGE", self.object_storage),
            ("LIMITS", self.limits),
        ]
        for where, settings in given:
            for name in getattr(settings, "__slots__", ()):
                value, least = getattr(settings, name), _LEAST.get(name)
                if least is not None and value is not None and not value >= least:
                    raise ConfigError(
                        f"settings: {where}__{name.upper()}: must be at least {least}"
                    )
        if self.limits.max_json_depth > _MAX_JSON_DEPTH:
            raise ConfigError(
                f"settings: LIMITS__MAX_JSON_DEPTH: must be at most {_MAX_JSON_DEPTH}"
            )
        if self.shards and self.replica_url:
            raise ConfigError(
                "settings: REPLICA_URL: a store over several databases has none"
            )
        try:
            Reading(self.feedback)
        except InvalidInputError as error:
            where = error.field.replace(".", "__").upper()
            raise ConfigError(f"settings: FEEDBACK__{where}: {error.problem}") from None
        return self

    @property
    def database_url(self) -> str:
        """The URL in force."""
        return self.url or f"sqlite:///{self.home / 'convstore.db'}"

    @property
    def archive_path(self) -> Path:
        """The archive folder in force.

        Of a store without the setting, `Store.config` says it: it may still be the one
        that an older release would have taken.
        """
        if self.archive_dir is not None:
            return Path(self.archive_dir)
        return default_archive(self.database_url, self.home, self.db_schema)

    @property
    def archive_place(self) -> str:
        """The archive in force, as a person names it: a folder, or the URL of a bucket.

        Of a bucket `archive_path` says nothing.
        """
        return self.archive_dir or str(self.archive_path)

    @property
    def previous_archive_path(self) -> Path:
        """Where older releases kept every archive that no setting placed."""
        return self.home / "convstore-archive"


def default_archive(url: str, home: Path, schema: str | None = None) -> Path:
    """The archive folder beside a database: two in one folder have one each."""
    scheme, _, rest = url.partition("://")
    if scheme.startswith("sqlite"):
        file = Path(unquote(rest.partition("?")[0]).removeprefix("/"))
        if file.name in ("", ":memory:"):
            return home / "convstore-archive"
        return file.with_name(f"{file.stem}-archive")
    parts = urlsplit(url)
    schema = schema or next(iter(parse_qs(parts.query).get("schema", ())), None)
    name = (
        unquote(parts.path.strip("/")) or unquote(parts.username or "") or "convstore"
    )
    name = re.sub(r"[^\w.-]", "_", name)
    return home / f"{name}-{schema}-archive" if schema else home / f"{name}-archive"


def _durations(given: Any) -> Any:
    """Durations as people write them (`24h`, `1d12h`) as seconds, however deep.

    A text that is none is left for the check of types, which names the setting.
    """
    if not isinstance(given, Mapping):
        return given
    return {
        name: (seconds_of(value) if seconds_of(value) is not None else value)
        if isinstance(value, str) and str(name).lower().endswith("_s")
        else _durations(value)
        for name, value in given.items()
    }


def _decoded(given: Any, *, inside: bool = False) -> Any:
    """Lists and objects of sections, which the environment has as text."""
    if isinstance(given, Mapping):
        return {
            n: _decoded(v, inside=isinstance(v, Mapping) or inside)
            for n, v in given.items()
        }
    if inside and isinstance(given, str) and given[:1] in ("[", "{"):
        with suppress(CorruptionError):  # then it is refused as what it is
            return decode_json(given)
    return given


def load_config(**overrides: object) -> StoreConfig:
    """The settings of the environment, with `overrides` on top.

    Raises:
        ConfigError: A setting cannot be used; the message names each one.
    """
    try:
        return StoreConfig(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(
            f"{'__'.join(str(part) for part in e['loc']).upper()}: {e['msg']}"
            for e in error.errors(include_input=False)
        )
        raise ConfigError(f"settings: {problems}") from None
