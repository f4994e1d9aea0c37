"""Programs that serve HTTP, run as processes and asked as a client would."""

from __future__ import annotations

import socket
import subprocess
import time

import httpx


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def when_ready(url: str, process: subprocess.Popen[bytes]) -> str:
    """The URL, once somebody answers there: for as long as the program lives."""
    while process.poll() is None:
        try:
            httpx.get(url, timeout=None)
        except httpx.TransportError:
            time.sleep(0.1)  # nothing tells from outside when a port is opened
        else:
            return url
    raise AssertionError(f"the program ended early: {process.returncode}")
