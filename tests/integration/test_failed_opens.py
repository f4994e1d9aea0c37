"""A store that could not be opened leaves nothing behind."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from convstore import ConfigError, StoreConfig, open_store
from convstore.errors import ConvstoreError, InvalidInputError
from convstore.policy import CachePolicy, RetentionPolicy


def threads() -> list[str]:
    """Those of the store; asyncio keeps some of its own until its loop ends."""
    names = sorted(thread.name for thread in threading.enumerate())
    return [name for name in names if name.startswith("convstore")]


def descriptors() -> set[str]:
    links = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            links.add(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue  # the one of this listing itself
    return links


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"cache": CachePolicy(kind="redis")}, ConfigError),
        ({"cache": CachePolicy(kind="memory", ttl_s=0)}, ConfigError),
        ({"tenant": ""}, InvalidInputError),
        ({"retention": RetentionPolicy(exports=("no-such-format",))}, ConvstoreError),
    ],
    ids=["redis without url", "no ttl", "no tenant", "no format"],
)
async def test_a_failed_open_leaves_no_thread_descriptor_or_folder(
    database_url: str, tmp_path: Path, wrong: dict[str, Any], error: type[Exception]
) -> None:
    settings = {"url": database_url, "archive_dir": str(tmp_path / "archive"), **wrong}
    before = threads(), descriptors(), sorted(os.listdir(tmp_path))

    for _ in range(2):
        with pytest.raises(error):
            async with open_store(StoreConfig(**settings)):
                pass

    assert (threads(), descriptors(), sorted(os.listdir(tmp_path))) == before
