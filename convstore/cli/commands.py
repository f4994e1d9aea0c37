"""The list of commands: each group is a module of its own."""

from __future__ import annotations

import typer

from convstore.cli import (
    archive,
    backup,
    database,
    demo,
    erasure,
    exports,
    holds,
    imports,
    mcp,
    search,
    sessions,
    upkeep,
    users,
    web,
    worker,
)

PLAIN = None
"""Rich markup in help texts is off: rich takes longer to load than help to print."""


def add_commands(app: typer.Typer) -> None:
    """Put every command in its place, in the order of the help text."""
    app.command("demo")(demo.demo)
    app.add_typer(_group(database.commands(), "The schema of the database."), name="db")
    app.add_typer(
        _group(sessions.commands(), "The conversations of the tenant."), name="sessions"
    )
    app.add_typer(_group(users.commands(), "Whose sessions there are."), name="users")
    app.command("search")(search.search)
    app.command("import")(imports.import_)
    app.command("export")(exports.export)
    app.add_typer(
        _group(archive.commands(), "Archive, verify, restore."), name="archive"
    )
    app.add_typer(_group(holds.commands(), "Legal holds."), name="hold")
    app.command("erase")(erasure.erase)
    app.command("backup")(backup.backup)
    app.command("mcp")(mcp.mcp)
    app.command("web")(web.web)
    app.command("worker")(worker.worker)
    app.command("stats")(upkeep.stats)
    app.command("doctor")(upkeep.doctor)


def _group(commands: dict[str, object], help_text: str) -> typer.Typer:
    group = typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=PLAIN)
    for name, function in commands.items():
        group.command(name)(function)  # type: ignore[type-var]
    return group
