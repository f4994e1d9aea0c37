"""What is said of a store of chat messages to the suites that try it."""

from __future__ import annotations

from pathlib import Path

import pytest


class ChatStoreUnderTest:
    """A store, as its suites open it.

    `opens` names the function that opens it, `module:function`, or
    `path/of/file.py:function` where nothing can be imported by a name: other processes
    call it, too.
    """

    opens = ""

    @pytest.fixture
    def where(self, tmp_path: Path) -> str:
        """An empty place, in the words of `opens`; a file of SQLite by default."""
        return f"sqlite:///{tmp_path}/chats.db"
