"""A proxy before an object store that fails as a network and a server do."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

DENIED = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"


class FaultyProxy(ThreadingHTTPServer):
    """Hands requests on, unless `fault(number, method, path)` names a fault.

    `unavailable` and `denied` are answers; `cut` ends the connection before the server
    sees the request and `lost` after it has carried it out; `flip` turns a bit of what
    comes back; `hang` answers nothing until the proxy is closed.
    """

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        asked = urlsplit(target)
        self.target = asked.netloc
        self.url = f"http://127.0.0.1:{self.server_address[1]}{asked.path}"
        self.fault: Callable[[int, str, str], str | None] = lambda *_: None
        self.requests: list[str] = []
        self.closing, self.lock = threading.Event(), threading.Lock()

    def once(self, number: int, fault: str) -> None:
        """From now on count anew, and fail the request with this number, from 1."""
        self.requests.clear()
        self.fault = lambda n, *_: fault if n == number else None

    def handle_error(self, *_: object) -> None:
        """A client that gave up is no error of the test."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        proxy = self.server
        with proxy.lock:
            proxy.requests.append(f"{self.command} {self.path}")
            number = len(proxy.requests)
        fault = proxy.fault(number, self.command, self.path)
        if fault == "hang":
            proxy.closing.wait(60)
        if fault in ("hang", "cut"):
            self.close_connection = True
            return
        if fault in ("unavailable", "denied"):
            self._answer(503 if fault == "unavailable" else 403, DENIED)
            return
        status, headers, answer = self._asked(body)
        if fault == "lost":
            self.close_connection = True
            return
        if fault == "flip" and answer:
            answer = bytes([answer[0] ^ 1]) + answer[1:]
        self._answer(status, answer, headers)

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815 - as they are called

    def _asked(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        with_host = dict(self.headers.items())
        client = http.client.HTTPConnection(self.server.target, timeout=60)
        try:
            client.request(self.command, self.path, body, with_host)
            found = client.getresponse()
            return found.status, found.getheaders(), found.read()
        finally:
            client.close()

    def _answer(
        self, status: int, body: bytes, headers: list[tuple[str, str]] | None = None
    ) -> None:
        self.send_response_only(status)
        given = "content-length", "transfer-encoding", "connection"
        for name, value in headers or []:
            length = name.lower() == "content-length" and self.command == "HEAD"
            if name.lower() not in given or length:
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def faulty(target: str) -> Iterator[FaultyProxy]:
    """A proxy before `target`, closed at the end."""
    proxy = FaultyProxy(target)
    thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield proxy
    finally:
        proxy.closing.set()
        proxy.shutdown()
        thread.join()
        proxy.server_close()
