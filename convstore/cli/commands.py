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
    web_tokens,
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
    app.add_typer(_web())
    app.command("worker")(worker.worker)
    app.command("stats")(upkeep.stats)
    app.command("doctor")(upkeep.doctor)


def _web() -> typer.Typer:
    """A command of its own, with a group below it."""
    group = typer.Typer(name="web", invoke_without_command=True, rich_markup_mode=PLAIN)
    group.callback()(web.web)
    tokens = _group(web_tokens.commands(), "Who may see a page that is shared.")
    group.add_typer(tokens, name="tokens")
    return group


def _group(commands: dict[str, object], help_text: str) -> typer.Typer:
    group = typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=PLAIN)
    for name, function in commands.items():
        group.command(name)(function)  # type: ignore[type-var]
    return group
