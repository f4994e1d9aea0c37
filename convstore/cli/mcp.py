"""`convstore mcp`: past conversations for an agent, over standard input and output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from convstore.cli.context import with_store
from convstore.vocabulary.errors import ConfigError
from convstore.vocabulary.ids import check_id, check_optional_id

if TYPE_CHECKING:
    from convstore.store.facade import Store


def mcp(
    context: typer.Context,
    user: Annotated[
        str | None, typer.Option(help="Whose conversations the agent may read.")
    ] = None,
    all_users: Annotated[
        bool, typer.Option("--all-users", help="Those of everybody in the tenant.")
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(help="A session to leave out, such as the one that asks."),
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Let the agent append messages, too.")
    ] = False,
) -> None:
    """Serve search_sessions, read_window and list_sessions to an MCP client.

    Tenant and user are fixed here, and no tool can name others. Reads only, unless
    --append is said. Needs `pip install 'convstore[mcp]'`.
    """
    if (user is None) != all_users:
        raise ConfigError(
            "--user: name the user whose conversations may be read, or say --all-users"
        )
    check_optional_id("--user", user)
    for session_id in without or ():
        check_id("--without", session_id)

    async def work(store: Store) -> None:
        from convstore.cli.mcp_tools import Reach, server

        reach = Reach(user, frozenset(without or ()), append)
        await server(store, reach).run_stdio_async()

    with_store(context, work)
