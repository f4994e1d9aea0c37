"""Conversations of Pydantic AI, kept in a store.

    conversations = ConvstoreConversations(store)
    talk = await conversations.load("c-1") or Conversation(conversation_id="c-1")
    result = await agent.run("Hello", conversation=talk)
    await conversations.save(result, scope="u-1")

A conversation is a session, its scope the session's user. What another framework or the
application itself said in the session is read as messages, too.
"""

from convstore.vocabulary.extras import needed

with needed("pydantic-ai", "the adapter of Pydantic AI"):
    from convstore.adapters.pydantic_ai.conversations import ConvstoreConversations

__all__ = ["ConvstoreConversations"]


def __dir__() -> list[str]:
    return sorted(__all__)
