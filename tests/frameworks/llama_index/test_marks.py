"""What is archived stays so where turns get other numbers."""

from __future__ import annotations

from llama_index.core.storage.chat_store.base_db import MessageStatus

from convstore import Store
from convstore.adapters.llama_index import ConvstoreChatStore
from tests.frameworks.llama_index.talk import asked

ARCHIVED = MessageStatus.ARCHIVED


async def told(chats: ConvstoreChatStore, key: str) -> tuple[list[str], list[str]]:
    """Archived, and active."""
    archived = await chats.get_messages(key, ARCHIVED)
    active = await chats.get_messages(key)
    return [str(one.content) for one in archived], [str(one.content) for one in active]


async def test_a_fork_of_a_session_with_branches_has_the_same_archived(
    store: Store,
) -> None:
    chats = ConvstoreChatStore(store)
    await chats.add_messages("s", [asked(text) for text in "abcd"])
    await chats.delete_oldest_messages("s", 1)
    await chats.archive_oldest_messages("s", 2)
    await store.sessions.fork("s", "f")
    await store.sessions.fork("f", "g")

    for name in "sfg":
        assert await told(chats, name) == (["b", "c"], ["d"])
    await chats.add_message("f", asked("e"))
    await chats.archive_oldest_messages("f", 1)
    assert await told(chats, "f") == (["b", "c", "d"], ["e"])
    assert await told(chats, "s") == (["b", "c"], ["d"])


async def test_a_fork_of_another_branch_has_nothing_archived(store: Store) -> None:
    chats = ConvstoreChatStore(store)
    await chats.add_messages("s", [asked(text) for text in "abcd"])
    await chats.delete_oldest_messages("s", 1)
    await chats.archive_oldest_messages("s", 2)
    await store.sessions.fork("s", "f", at_seq=3)
    await chats.add_message("f", asked("e"))

    assert await told(chats, "f") == ([], ["a", "b", "c", "e"])


async def test_a_fork_from_the_middle_has_what_it_took_archived(store: Store) -> None:
    chats = ConvstoreChatStore(store)
    await chats.add_messages("s", [asked(text) for text in "abcd"])
    await chats.delete_oldest_messages("s", 1)
    await chats.archive_oldest_messages("s", 2)
    await store.sessions.fork("s", "f", at_seq=5)
    await chats.add_messages("f", [asked("x"), asked("y")])

    assert await told(chats, "f") == (["b"], ["x", "y"])
