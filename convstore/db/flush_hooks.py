"""The flush hooks that there are; see `flushed` for what one is told and when."""

from __future__ import annotations

from sqlalchemy import Connection

from convstore.db.attachments import AttachmentHook
from convstore.db.dialects.base import search_mode_of
from convstore.db.flushed import FlushHook
from convstore.db.labels import LabelHook
from convstore.db.search_hook import SearchHook
from convstore.db.searchable import SearchableHook
from convstore.db.title_words import TitleHook

SEARCH = SearchHook()
HOOKS: tuple[FlushHook, ...] = (
    LabelHook(),
    SearchableHook(),
    TitleHook(),
    AttachmentHook(),
)
"""Those of every store, in the order in which they are asked."""


def hooks_of(connection: Connection) -> tuple[FlushHook, ...]:
    """The hooks of the store whose connection it is."""
    return HOOKS if search_mode_of(connection) == "off" else (*HOOKS, SEARCH)
