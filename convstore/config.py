"""The settings: read once from the environment or given in code, then passed down."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from convstore.errors import ConfigError
from convstore.limits import Limits
from convstore.policy import CachePolicy, LedgerPolicy, RetentionPolicy


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
        description="Database: sqlite:///FILE, sqlite:// (in memory) or "
        "postgresql://…; empty is HOME/convstore.db.",
    )
    archive_dir: Path | None = Field(
        default=None, description="Archive folder; empty is HOME/convstore-archive."
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
    limits: Limits = Field(default_factory=Limits)

    @property
    def database_url(self) -> str:
        """The URL in force."""
        return self.url or f"sqlite:///{self.home / 'convstore.db'}"

    @property
    def archive_path(self) -> Path:
        """The archive folder in force."""
        return self.archive_dir or self.home / "convstore-archive"


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
