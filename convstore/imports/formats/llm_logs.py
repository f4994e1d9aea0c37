"""`llm`: the log of simonw/llm: `logs.db`, of before and after version 0.36.

A thread is the chain of messages from its tip, and one message may belong to many. A
file that was upgraded keeps the old tables: where a thread has the id of an old
conversation, the thread is taken.
"""

from __future__ import annotations

from collections.abc import Iterator

from convstore.imports.formats.llm_conversations import conversations
from convstore.imports.formats.llm_threads import thread_groups
from convstore.imports.material import Found, LeftOut, Material
from convstore.imports.rowsets import made, other_columns

_LINK = ("response_id", "order")
_CALL = ("id", "response_id", "tool_id", "name", "tool_call_id")
_BESIDE = {
    "attachments": ("id", "type", "path", "url", "content"),
    "prompt_attachments": (*_LINK, "attachment_id"),
    "fragments": ("id", "hash", "content", "datetime_utc"),
    "prompt_fragments": (*_LINK, "fragment_id"),
    "system_fragments": (*_LINK, "fragment_id"),
    "tool_calls": (*_CALL, "arguments"),
    "tool_results": (*_CALL, "output", "instance_id", "exception"),
}
"""What is looked up for a message and is told by it."""


def read(material: Material) -> Iterator[Found]:
    """All threads, those that were forked from one another as one conversation, and
    the conversations of before that are no threads."""
    tables = material.tables
    if tables is None:
        return
    yield from other_columns(tables, _BESIDE)
    known: set[str] = set()
    number = 0
    for ids, make in thread_groups(material, tables):
        known.update(ids)
        number += 1
        yield made(number, make)
    for conversation_id, make in conversations(material, tables):
        if conversation_id in known:
            yield LeftOut("conversation_of_before_the_upgrade")
        else:
            number += 1
            yield made(number, make)
