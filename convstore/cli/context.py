"""What every command starts from: the global options, and an open store."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.exceptions import TyperException

from convstore.cli.loading import loading
from convstore.cli.output import warn
from convstore.cli.signals import complete
from convstore.vocabulary.errors import ConfigError

if TYPE_CHECKING:
    from convstore.store.facade import Store
    from convstore.vocabulary.settings import StoreConfig

T = TypeVar("T")
Work = Callable[["Store"], Coroutine[Any, Any, T]]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@dataclass(frozen=True, slots=True)
class Globals:
    """The options before the command; None leaves it to the environment."""

    home: Path | None = None
    url: str | None = None
    archive_dir: str | None = None
    tenant: str | None = None

    def config(self) -> StoreConfig:
        """The settings: the environment's, with these options on top."""
        from convstore.vocabulary.settings import default_archive, load_config

        given = {
            "home": self.home,
            "url": self.url,
            "archive_dir": self.archive_dir,
            "tenant": self.tenant,
        }
        if self.home is not None:
            # `--home` means both, whatever the environment says of each.
            url = self.url or f"sqlite:///{self.home / 'convstore.db'}"
            beside = default_archive(url, self.home)
            given |= {"url": url, "archive_dir": self.archive_dir or beside}
        config = load_config(**{k: v for k, v in given.items() if v is not None})
        refuse_a_file(config)
        return config


def refuse_a_file(config: StoreConfig) -> None:
    """Refuse a home that is a file, or lies below one.

    Raises:
        ConfigError: It names the file.
    """
    for place in (config.home, *config.home.parents):
        if place.is_file():
            raise ConfigError(f"home: {place} is a file; name a folder")


def globals_of(context: typer.Context) -> Globals:
    """The global options of a command's context."""
    found = context.find_object(Globals)
    assert found is not None
    return found


def config_of(context: typer.Context) -> StoreConfig:
    """The settings that a command works with."""
    return globals_of(context).config()


def with_store(context: typer.Context, work: Work[T], *, create: bool = False) -> T:
    """Open the store, do the work, close it.

    Args:
        context: Of the command.
        work: Takes the store.
        create: Make the SQLite file if there is none. Without, a mistyped path is an
            error and not a new, empty database.

    Raises:
        ConfigError: There is no database.
    """
    with loading():
        config = config_of(context)
    path = database_file(config)
    if path is not None and not path.exists():
        if not create:
            raise no_database(path)
        # A typing error in the path would go unseen otherwise.
        warn(f"{path} is a new database")

    async def run() -> T:
        async with AsyncExitStack() as opened:
            with loading():
                from convstore import open_store

                store = await opened.enter_async_context(open_store(config))
            return await work(store)

    return complete(run)


def no_database(path: Path) -> ConfigError:
    """The error of a SQLite file that is not there."""
    return ConfigError(
        f"there is no database {path}: name another with --home or --url, or make it "
        "with `convstore db upgrade`"
    )


def database_file(config: StoreConfig) -> Path | None:
    """The file of a SQLite database; None for a server or a database in memory."""
    scheme, _, rest = config.database_url.partition(":///")
    if not scheme.startswith("sqlite") or not rest or rest == ":memory:":
        return None
    return Path(rest.partition("?")[0])


def confirm(question: str, yes: bool) -> None:
    """Ask before something is destroyed. Who is not at a terminal says `--yes`.

    Raises:
        TyperException: Nobody can be asked, and `--yes` was not given.
        Abort: The answer was no.
    """
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise TyperException(
            "this destroys data, and without a terminal nobody can be asked: "
            "say --yes to go ahead"
        )
    typer.confirm(question, abort=True, err=True)
