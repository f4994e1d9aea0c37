"""A pooler of connections to PostgreSQL by transaction, at its most unkind.

Each transaction of a client goes to another server connection than the one before,
which PgBouncer does only under load; and the settings that PgBouncer refuses when a
client connects are refused here too. PgBouncer itself does not come as a wheel.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

PROTOCOL, SSL_REQUEST = 196_608, 80_877_103
TAKEN = {"user", "database", "client_encoding", "application_name"}
SERVERS = 3

Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def transaction_pooler(url: str) -> AsyncIterator[str]:
    """The URL of a pooler before the database of `url`, which needs no password."""
    pooler = _Pooler(url)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(*client: asyncio.StreamReader | asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        reader, writer = client
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await pooler.serve((reader, writer))  # type: ignore[arg-type]
        writer.close()  # type: ignore[union-attr]
        tasks.discard(task)

    await pooler.start()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql://{pooler.user}@127.0.0.1:{port}/{pooler.database}"
    for task in list(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    pooler.stop()


class _Pooler:
    """The server connections, each for one transaction at a time."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self.user = target.username or "postgres"
        self.database = target.path.removeprefix("/")
        self._folder = parse_qs(target.query)["host"][0]
        self._free: asyncio.Queue[Link] = asyncio.Queue()
        self._all: list[Link] = []
        self._greeting = b""

    async def start(self) -> None:
        for _ in range(SERVERS):
            self._free.put_nowait(await self._connect())

    async def _connect(self) -> Link:
        link = await asyncio.open_unix_connection(f"{self._folder}/.s.PGSQL.5432")
        names = ("user", self.user, "database", self.database)
        body = b"".join(name.encode() + b"\0" for name in names) + b"\0"
        link[1].write(struct.pack("!ii", len(body) + 8, PROTOCOL) + body)
        self._greeting = b""
        while not self._greeting.endswith(b"Z\0\0\0\5I"):
            self._greeting += await _message(link[0])
        self._all.append(link)
        return link

    def stop(self) -> None:
        for _, writer in self._all:
            writer.close()

    async def serve(self, client: Link) -> None:
        if not await self._greet(client):
            return
        while (message := await _message(client[0]))[:1] != b"X":
            # First in, first out: never the server of the transaction before, as long
            # as there are several.
            server = await self._free.get()
            try:
                await _transaction(client, server, message)
            except BaseException:
                server[1].close()  # whatever was open in it ends with it
                self._free.put_nowait(await self._connect())
                raise
            self._free.put_nowait(server)

    async def _greet(self, client: Link) -> bool:
        reader, writer = client
        while True:
            size, code = struct.unpack("!ii", await reader.readexactly(8))
            body = await reader.readexactly(size - 8)
            if code != SSL_REQUEST:
                break
            writer.write(b"N")
        if code != PROTOCOL:
            return False  # the wish to cancel a statement: not heard here
        names = body.split(b"\0")[:-2:2]
        for name in names:
            if name.decode() not in TAKEN:
                text = b"unsupported startup parameter: " + name
                fields = b"SFATAL\0C08P01\0M" + text + b"\0\0"
                writer.write(b"E" + struct.pack("!i", len(fields) + 4) + fields)
                await writer.drain()
                return False
        writer.write(self._greeting)
        return True


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)


async def _transaction(client: Link, server: Link, message: bytes) -> None:
    """Carry messages to and fro until the server is in no transaction any more."""
    state = b""
    while state != b"I":
        answer = asyncio.create_task(_answer(server, client[1]))
        try:
            server[1].write(message)
            while message[:1] not in b"QS":  # what is answered with "ready"
                message = await _message(client[0])
                server[1].write(message)
            state = await answer
            if state != b"I":
                message = await _message(client[0])
        finally:
            answer.cancel()


async def _answer(server: Link, client: asyncio.StreamWriter) -> bytes:
    """Pass on all until the server is ready; the state that it is in then."""
    while True:
        message = await _message(server[0])
        client.write(message)
        if message[:1] == b"Z":
            await client.drain()
            return message[5:]
