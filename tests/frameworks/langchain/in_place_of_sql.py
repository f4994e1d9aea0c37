"""Puts our history in the place of LangChain's own over SQL, for LangChain's own tests.

    PYTHONPATH=... pytest -p in_place_of_sql tests/unit_tests/chat_message_histories/...

One store serves the run; each file that a test names is a tenant of it.
`CONVSTORE_FRAMEWORK_URL` says which database; else it is a file.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections import defaultdict
from typing import Any

import langchain_community.chat_message_histories as histories
import pytest

import convstore.blocking
from convstore.adapters.langchain import ConvstoreChatMessageHistory

_numbers = itertools.count(1)
_files: dict[str, str] = defaultdict(lambda: f"file-{next(_numbers)}")
_store: Any = None


class SQLChatMessageHistory(ConvstoreChatMessageHistory):
    """Made as the one that it stands for."""

    def __init__(
        self,
        session_id: str,
        connection: str,
        custom_message_converter: Any = None,
        **_: Any,
    ) -> None:
        if custom_message_converter is not None:
            raise ValueError("messages are turns: there is no table to choose")
        super().__init__(_store.for_tenant(_files[connection]), session_id)


def pytest_configure(config: pytest.Config) -> None:
    global _store
    home = tempfile.mkdtemp(prefix="convstore-langchain-")
    url = os.environ.pop("CONVSTORE_FRAMEWORK_URL", "") or f"sqlite:///{home}/store.db"
    opened = convstore.blocking.open_store(url)
    _store = opened.__enter__()
    config.add_cleanup(lambda: opened.__exit__(None, None, None))
    histories.SQLChatMessageHistory = SQLChatMessageHistory  # type: ignore[misc]
