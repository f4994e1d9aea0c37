"""`convstore web`: a page to read and to judge, for one person on this machine."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convstore.cli.context import with_store
from convstore.cli.output import say, warn
from convstore.cli.signals import Stop, stopping
from convstore.cli.values import bad_option
from convstore.vocabulary.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from convstore.store.facade import Store

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def web(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Option("--as", help="Your name: judgements are recorded under it."),
    ] = None,
    host: Annotated[str, typer.Option(help="An address of loopback.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any.")] = 8170,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Take no judgement and no form.")
    ] = False,
    open_: Annotated[
        bool, typer.Option("--open", help="Open the link in a browser.")
    ] = False,
) -> None:
    """Show conversations in a browser, and take judgements.

    Prints a link that works once. Without --as it only reads. Reached from this
    machine alone: to show it to others, mount `convstore.web.app` in an application
    that knows them. Needs `pip install 'convstore[web]'`.
    """
    if host not in _LOOPBACK:
        raise ConfigError(
            "--host: without knowing who somebody is, only loopback is served; mount "
            "`convstore.web.app` with an `auth` in an application to show it to others"
        )
    if name is None and not read_only:
        warn("reading only: say --as NAME to judge")

    async def work(store: Store) -> None:
        server, link = _server(store, name, read_only=read_only)
        with _listening(host, port) as listening:
            at = listening.getsockname()[1]
            shown = f"[{host}]" if ":" in host else host
            address = f"http://{shown}:{at}{link.path}"
            say(address)
            if open_:
                typer.launch(address)
            async with stopping() as stop:
                await _serve(server, listening, stop)

    with_store(context, work)


def _server(store: Store, name: str | None, *, read_only: bool) -> tuple[Any, Any]:
    """The server, which has not begun, and the link that lets somebody in."""
    try:
        import uvicorn
    except ImportError:
        raise MissingExtraError("the page", "web") from None
    from convstore.web import Link, app

    link = Link(name, [store.tenant])
    config = uvicorn.Config(
        app(store, link, read_only=read_only or name is None),
        # Addresses hold ids, and the first one a token.
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=10,
    )

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            # Its own way ends the process before the store is closed.
            yield

    return Server(config), link


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise bad_option("--port", f"{port}: {error.strerror}") from None


async def _serve(server: Any, listening: socket.socket, stop: Stop) -> None:
    import asyncio

    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    ending = asyncio.ensure_future(stop.wait())
    await asyncio.wait((serving, ending), return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    ending.cancel()
    await serving
