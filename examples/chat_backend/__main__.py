"""`python -m examples.chat_backend`: serve the example, with its store beside it."""

from __future__ import annotations

import argparse
import asyncio
import os

import uvicorn

from convstore import ConvstoreError, open_store


def main() -> None:
    """Read the command line and serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m examples.chat_backend")
    parser.add_argument("--url", default=os.environ.get("CONVSTORE_URL", ""))
    parser.add_argument("--home", default=os.environ.get("CONVSTORE_HOME", "."))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    # Workers are processes of their own: they read the store's settings from here.
    os.environ["CONVSTORE_URL"] = given.url
    os.environ["CONVSTORE_HOME"] = given.home
    try:
        asyncio.run(_open_once())
    except ConvstoreError as error:
        parser.exit(1, f"{error}\n")
    address = f"http://{given.host}:{given.port}"
    print(f"{address} (Ctrl-C stops it)", flush=True)  # noqa: T201 - a program
    uvicorn.run(
        "examples.chat_backend.app:make_app",
        factory=True,
        host=given.host,
        port=given.port,
        workers=given.workers,
        log_level="warning",
    )


async def _open_once() -> None:
    """Say what is wrong with the store in one line, before any worker starts."""
    async with open_store():
        pass


if __name__ == "__main__":
    main()
