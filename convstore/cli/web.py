"""`convstore web`: a page to read and to judge, for one person or for several."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convstore.cli.context import config_of, with_store
from convstore.cli.output import say, warn
from convstore.cli.signals import Stop, stopping
from convstore.cli.values import bad_option
from convstore.vocabulary.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from convstore.store.facade import Store
    from convstore.web import TokenFile

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def web(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Option("--as", help="Your name: judgements are recorded under it."),
    ] = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="For all who have a token of `web tokens`.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="Of loopback; any with --shared and a certificate.")
    ] = "127.0.0.1",
    known_as: Annotated[
        list[str] | None,
        typer.Option(help="A name that it is reached by; may be repeated."),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="For TLS: a file, with the chain.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="For TLS: its key.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any.")] = 8170,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Take no judgement and no form.")
    ] = False,
    data_sets: Annotated[
        Path | None,
        typer.Option(help="Folder of data sets; by default `data-sets` in the home."),
    ] = None,
    audit: Annotated[
        Path | None,
        typer.Option(help="A file that gets a line for each view and each act."),
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Open the link in a browser.")
    ] = False,
) -> None:
    """Show conversations in a browser, and take judgements.

    Prints a link that works once. Without --as it only reads. Reached from this
    machine alone, unless --shared says that whoever has a token gets in; other
    machines need a certificate, too: without TLS browsers do not say which site a form
    is of. Needs `pip install 'convstore[web]'`.
    """
    if context.invoked_subcommand is not None:
        return
    _check(name, shared, host, known_as, certificate, key)
    if name is None and not read_only and not shared:
        warn("reading only: say --as NAME to judge")
    tokens = token_file(context) if shared else None

    async def work(store: Store) -> None:
        auth, path = _auth(store, name, tokens)
        server = _server(
            store,
            auth,
            read_only=read_only or (name is None and not shared),
            hosts=known_as or (),
            tls=(certificate, key),
            folder=data_sets or store.config.home / "data-sets",
            audit=audit,
        )
        with _listening(host, port) as listening:
            at = listening.getsockname()[1]
            shown = f"[{host}]" if ":" in host else host
            scheme = "http" if certificate is None else "https"
            address = f"{scheme}://{(known_as or [shown])[0]}:{at}{path}"
            say(address)
            if open_:
                typer.launch(address)
            async with stopping() as stop:
                await _serve(server, listening, stop)

    with_store(context, work)


def token_file(context: typer.Context) -> TokenFile:
    """The file of those who have a token, in the home of the store."""
    from convstore.web import TokenFile
    from convstore.web.tokens import FILE

    return TokenFile(config_of(context).home / FILE)


def _check(
    name: str | None,
    shared: bool,
    host: str,
    known_as: list[str] | None,
    certificate: Path | None,
    key: Path | None,
) -> None:
    """Refuse what cannot be meant, or lets in whom nobody knows."""
    if shared and name is not None:
        raise bad_option("--as", "with --shared each has the name of their token")
    if (certificate is None) != (key is None):
        raise bad_option("--certificate", "goes with --key")
    if host not in _LOOPBACK and not shared:
        raise ConfigError(
            "--host: without knowing who somebody is, only loopback is served: say "
            "--shared, or mount `convstore.web.app` with an `auth` in an application"
        )
    if host not in _LOOPBACK and certificate is None:
        raise ConfigError(
            "--host: other machines need TLS: give --certificate and --key, or stay "
            "on loopback behind a proxy that has them"
        )
    if host not in _LOOPBACK and not known_as:
        raise ConfigError("--host: say --known-as NAME, by which it is reached")


def _auth(store: Store, name: str | None, tokens: TokenFile | None) -> tuple[Any, str]:
    """Who gets in, and the way."""
    from convstore.web import Link, SignIn

    if tokens is None:
        link = Link(name, [store.tenant])
        return link, link.path
    if not tokens.holders():
        warn("nobody has a token yet: convstore web tokens add NAME --role annotator")
    return SignIn(tokens), "/"


def _server(
    store: Store,
    auth: Any,
    *,
    read_only: bool,
    hosts: Sequence[str],
    tls: tuple[Path | None, Path | None],
    folder: Path,
    audit: Path | None,
) -> Any:
    """The server, which has not begun."""
    try:
        import uvicorn
    except ImportError:
        raise MissingExtraError("the page", "web") from None
    from convstore.web import AuditFile, app

    page = app(
        store,
        auth,
        read_only=read_only,
        hosts=hosts,
        data_sets=folder,
        audit=None if audit is None else AuditFile(audit),
    )
    config = uvicorn.Config(
        page,
        ssl_certfile=tls[0],
        ssl_keyfile=tls[1],
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

    return Server(config)


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
